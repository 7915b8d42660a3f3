"""The subcommands of `python -m kestimator`.

Each has a module with `add_arguments(parser)` and `main(arguments)`, which returns the exit code.
"""
