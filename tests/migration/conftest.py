"""The programs are of other times: Python 3, but no TensorFlow 2."""

collect_ignore_glob = ["programs/*"]
