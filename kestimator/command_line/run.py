"""Runs a program that was written for tf.estimator as `python` would.

The names of tf.estimator are in place, see `kestimator.install`. If the package `tf_keras` is
installed, `tf.keras` and `tf.layers` are Keras 2, which such programs were written for.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence

from kestimator import errors
from kestimator.command_line import programs, reports, sources, tf1_imports
from kestimator.legacy import contrib, installation, usage

_KERAS_2 = "TF_USE_LEGACY_KERAS"


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits the arguments of `run` from those of its program; others have no second part."""
    if not arguments or arguments[0] != "run":
        return [*arguments], []
    end = 1
    while end < len(arguments) and arguments[end].startswith("-"):
        if arguments[end] == "-m":
            return [*arguments[: end + 2]], [*arguments[end + 2 :]]
        end += 1
    return [*arguments[: end + 1]], [*arguments[end + 1 :]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the subcommand."""
    parser.usage = "python -m kestimator run [--tf1 | --tf2] [--report] (SCRIPT | -m MODULE) ..."
    version = parser.add_mutually_exclusive_group()
    version.add_argument(
        "--tf1",
        action="store_true",
        default=None,
        help="`import tensorflow` gives the program TF 1; the default if its source needs that",
    )
    version.add_argument(
        "--tf2", dest="tf1", action="store_false", help="`import tensorflow` gives it TF 2"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="print at the end which legacy names it used, where, and what replaces them",
    )
    program = parser.add_mutually_exclusive_group(required=True)
    program.add_argument("-m", dest="module", metavar="MODULE", help="a module to run")
    program.add_argument("script", nargs="?", metavar="SCRIPT", help="a script, or a notebook")


def main(arguments: argparse.Namespace) -> int:
    """Runs a program, and returns the exit code."""
    if _KERAS_2 not in os.environ and importlib.util.find_spec("tf_keras") is not None:
        # TensorFlow decides when it is imported, which it is by now.
        os.environ[_KERAS_2] = "1"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    try:
        if arguments.module is not None:
            program = programs.module(arguments.module, arguments.arguments)
        else:
            program = programs.script(arguments.script, arguments.arguments)
        reason = sources.needs_tf1(program) if arguments.tf1 is None else None
    except errors.ProgramError as error:
        print(f"python -m kestimator run: {error}", file=sys.stderr)
        return 2
    if reason is not None:
        message = f"kestimator: {reason}, so it runs as a program for TF 1. --tf2 prevents that."
        print(message, file=sys.stderr)
    is_tf1 = bool(arguments.tf1 or reason)
    if arguments.report:
        installation.install_and_note_layers()
    else:
        installation.install()
    if is_tf1:
        contrib.install()
        tf1_imports.turn_on(program)
    with usage.recorded() as uses:
        try:
            return programs.run(program)
        finally:
            if arguments.report:
                sys.stdout.flush()
                print(reports.report(uses), file=sys.stderr)
