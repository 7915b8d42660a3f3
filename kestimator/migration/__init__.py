"""Rewrites programs of tf.estimator into programs of kestimator: text in, text out.

Synopsis::

    migration = migrate_source(text)       # a program; `migrate_notebook` for an .ipynb file
    migration.after, migration.changes, migration.decisions
    for file in migrate_paths(["train.py", "models/"]):
        write(file)

What belongs here: what names and calls of old programs become, and how a file is rewritten with its
comments and its layout. Nothing here runs the programs, or imports the rest of the package.

The package libcst reads and writes the code. It is imported with the first migration.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from kestimator import errors
from kestimator.migration.findings import Finding, MigratedFile, Migration

__all__ = [
    "Finding",
    "MigratedFile",
    "Migration",
    "migrate_notebook",
    "migrate_paths",
    "migrate_source",
    "write",
]


def migrate_source(text: str, *, is_tf1: bool | None = None) -> Migration:
    """Migrates the text of a program.

    Args:
        text: The text.
        is_tf1: Whether `tensorflow` means TensorFlow 1. By default, it does if the program uses a
            name that only TensorFlow 1 had.

    Returns:
        The new text, and a report.

    Raises:
        errors.MissingPackageError: The package libcst is not installed.
        errors.ProgramError: The text is no Python 3.
    """
    migration: Migration = _module("sources").migrate_source(text, is_tf1=is_tf1)
    return migration


def migrate_notebook(text: str, *, is_tf1: bool | None = None) -> Migration:
    """Migrates the code cells of a notebook, as one program.

    Args:
        text: The text of an `.ipynb` file.
        is_tf1: As for `migrate_source`.

    Returns:
        The new text, and a report.

    Raises:
        errors.MissingPackageError: The package libcst is not installed.
        errors.ProgramError: The text is no notebook, or its code is no Python 3.
    """
    migration: Migration = _module("notebooks").migrate_notebook(text, is_tf1=is_tf1)
    return migration


def migrate_paths(
    paths: Iterable[str | os.PathLike[str]], *, is_tf1: bool | None = None
) -> Iterator[MigratedFile]:
    """Migrates files, and the programs and notebooks below folders, without writing anything.

    Args:
        paths: Files and folders.
        is_tf1: As for `migrate_source`.

    Returns:
        Each file once. A path that does not exist, a file that cannot be read, and a folder
        without programs have an error.

    Raises:
        errors.MissingPackageError: The package libcst is not installed.
    """
    files: Iterator[MigratedFile] = _module("files").migrate_paths(paths, is_tf1=is_tf1)
    return files


def write(file: MigratedFile) -> None:
    """Writes the new text of a file, whole or not at all.

    Args:
        file: A file that `migrate_paths` returned, without an error.
    """
    _module("files").write(file)


def _module(name: str) -> Any:
    """A module of this folder, all of which need libcst."""
    try:
        importlib.import_module("libcst")
    except ImportError as error:
        raise errors.MissingPackageError(
            "A migration needs the package libcst, which is not installed: "
            "pip install 'kestimator[legacy]'."
        ) from error
    return importlib.import_module(f"kestimator.migration.{name}")
