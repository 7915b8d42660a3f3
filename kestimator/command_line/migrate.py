"""Rewrites programs of tf.estimator into programs of kestimator.

In a terminal:

    python -m kestimator migrate train.py models/     # writes, and reports what to decide
    python -m kestimator migrate --diff train.py      # shows what it would write
    python -m kestimator migrate --check .            # exit code 1 if anything would change
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator

from kestimator import errors, migration
from kestimator.migration.findings import grouped

DESCRIPTION = (
    "Rewrite programs of tf.estimator so that they import kestimator: names, imports, tf.layers. "
    "Comments and layout stay. The report says what was changed, and what a person must decide."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the subcommand.

    Args:
        parser: The subcommand's parser.
    """
    parser.description = DESCRIPTION  # longer than the line in the list of subcommands
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a program, a notebook (.ipynb), or a folder"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with code 1 if a file would change",
    )
    parser.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    parser.add_argument(
        "--tf1",
        action="store_true",
        help="read every file as a program of TensorFlow 1, also if nothing in it says so",
    )


def main(arguments: argparse.Namespace) -> int:
    """Migrates the files.

    Args:
        arguments: The parsed arguments.

    Returns:
        0; 1 if `--check` found files that would change; 2 if a file could not be migrated.
    """
    is_dry = arguments.check or arguments.diff
    changed = unchanged = failed = undecided = 0
    try:
        for file in migration.migrate_paths(
            arguments.paths, is_tf1=True if arguments.tf1 else None
        ):
            error = file.error or ("" if is_dry else _written(file))
            if file.migration is None or error:
                failed += 1
                _say(f"{file.path}: {error}", is_error=True)
                continue
            changed += file.migration.is_changed
            unchanged += not file.migration.is_changed
            undecided += len(file.migration.decisions)
            show = _diff if arguments.diff else _report
            sys.stdout.writelines(show(file, file.migration, is_dry=is_dry))
    except errors.MissingPackageError as error:
        _say(str(error), is_error=True)
        return 2
    verb = "would change" if is_dry else "changed"
    summary = f"{_count(changed, 'file')} {verb}, {unchanged} unchanged, {failed} with errors; "
    _say(summary + f"{_count(undecided, 'decision')} left to you", is_error=arguments.diff)
    if failed:
        return 2
    return 1 if arguments.check and changed else 0


def _written(file: migration.MigratedFile) -> str:
    """Writes a file that changes, and returns why that failed, or ""."""
    if file.migration is None or not file.migration.is_changed:
        return ""
    try:
        migration.write(file)
    except OSError as error:
        return f"The file cannot be written: {error.strerror or error}."
    return ""


def _report(
    file: migration.MigratedFile, result: migration.Migration, *, is_dry: bool
) -> Iterator[str]:
    if not (result.changes or result.decisions):
        return
    yield f"{file.path}\n"
    verb = "would change" if is_dry else "changed"
    for title, findings in ((verb, result.changes), ("to decide", result.decisions)):
        if findings:
            yield f"  {title}\n"
            yield from (f"    {text}\n" for text in grouped(findings, result.line_name))


def _diff(
    file: migration.MigratedFile, result: migration.Migration, *, is_dry: bool
) -> Iterator[str]:
    del is_dry  # a diff never writes
    lines = difflib.unified_diff(
        result.before.splitlines(keepends=True),
        result.after.splitlines(keepends=True),
        str(file.path),
        f"{file.path} (migrated)",
    )
    yield from (
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _say(text: str, *, is_error: bool = False) -> None:
    stream = sys.stderr if is_error else sys.stdout
    stream.write(f"{text}\n")
