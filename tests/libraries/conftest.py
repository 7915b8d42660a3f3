"""The programs need libraries that the tests do not have; see `run.py`."""

collect_ignore_glob = ["*_program.py"]
