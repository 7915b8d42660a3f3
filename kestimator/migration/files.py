"""Migrates files: programs, notebooks, and the folders that contain them.

Synopsis::

    for file in migrate_paths(["train.py", "models/"]):
        if file.migration and file.migration.is_changed:
            write(file)
"""

from __future__ import annotations

import io
import os
import pathlib
import shutil
import tempfile
import tokenize
from collections.abc import Iterable, Iterator

from kestimator import errors
from kestimator.migration.findings import MigratedFile
from kestimator.migration.notebooks import migrate_notebook
from kestimator.migration.sources import migrate_source

_NOTEBOOK = ".ipynb"
_SUFFIXES = (".py", _NOTEBOOK)


def migrate_paths(
    paths: Iterable[str | os.PathLike[str]], *, is_tf1: bool | None = None
) -> Iterator[MigratedFile]:
    """Migrates files, and the programs and notebooks below folders, without writing anything.

    Args:
        paths: Files and folders.
        is_tf1: As for `migrate_source`.

    Yields:
        Each file once. A path that does not exist, and a folder without programs, have an error.
    """
    seen: set[pathlib.Path] = set()
    for path in map(pathlib.Path, paths):
        if not path.exists():
            yield MigratedFile(path, error="No such file or folder.")
            continue
        files = sorted(_programs(path)) if path.is_dir() else [path]
        if not files:
            yield MigratedFile(path, error="The folder contains no .py and no .ipynb file.")
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield _migrate_file(file, is_tf1=is_tf1)


def write(file: MigratedFile) -> None:
    """Writes the new text of a file, whole or not at all.

    Args:
        file: The file, with a migration.
    """
    assert file.migration is not None
    path = file.path.resolve()  # a link stays a link
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.migration.after.encode(file.encoding))
        shutil.copymode(path, temporary)
        pathlib.Path(temporary).replace(path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def _programs(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The programs below a folder, without those in hidden folders and virtual environments."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in ("__pycache__", "node_modules")
            and not pathlib.Path(parent, name, "pyvenv.cfg").exists()
        ]
        yield from (pathlib.Path(parent, name) for name in names if name.endswith(_SUFFIXES))


def _migrate_file(path: pathlib.Path, *, is_tf1: bool | None) -> MigratedFile:
    try:
        data = path.read_bytes()
        # A notebook is always UTF-8. A program may say otherwise in its first lines.
        is_notebook = path.suffix == _NOTEBOOK
        encoding = (
            "utf-8" if is_notebook else tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        )
        text = data.decode(encoding)
        migrate = migrate_notebook if is_notebook else migrate_source
        return MigratedFile(path, migrate(text, is_tf1=is_tf1), encoding=encoding)
    except errors.ProgramError as error:
        return MigratedFile(path, error=str(error))
    except (SyntaxError, UnicodeDecodeError) as error:
        return MigratedFile(path, error=f"The text cannot be decoded: {error}.")
    except OSError as error:
        return MigratedFile(path, error=f"{error.strerror or error}.")
