"""`python -m kestimator`: the subcommands of `kestimator.command_line`."""

from __future__ import annotations

import argparse
import sys

from kestimator.command_line import migrate

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m kestimator")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    migrate.add_arguments(commands.add_parser("migrate", help="rewrite programs of tf.estimator"))
    sys.exit(migrate.main(parser.parse_args()))
