"""The command line: `python -m kestimator run` and `python -m kestimator migrate`.

Synopsis::

    main(["run", "train.py", "--steps", "100"])

Each subcommand is a module with `add_arguments` and `main`. `programs` runs a program as Python
does, `sources` reads it, and `tf1_imports` lets its `import tensorflow` mean TF 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kestimator.command_line import migrate, run


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand, and returns the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="python -m kestimator", description="Programs written for tf.estimator."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, migrate):
        name = module.__name__.rpartition(".")[2]
        summary = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    own, of_program = run.split(arguments)
    parsed = parser.parse_args(own)
    parsed.arguments = of_program
    exit_code: int = parsed.main(parsed)
    return exit_code
