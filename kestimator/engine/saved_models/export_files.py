"""The files of an export: an atomically created directory and the files copied into it.

Synopsis::

    with ExportDirectory("/tmp/exports") as directory:
        directory.make()               # /tmp/exports/temp-1700000000
        directory.finish()             # b"/tmp/exports/1700000000"
    delete_oldest("/tmp/exports", keep=5)
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import time
from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import leftovers
from kestimator.validation import checks

_PAUSE_SECONDS = 0.05
_TEMPORARY = r"temp-\d{10}"
_TRIES = 1200
"""How often a name is tried; tf.estimator gave up after ten seconds."""


def checked_base(export_dir_base: Any) -> str:
    """Checks the directory of all exports, which does not have to exist yet.

    Raises:
        errors.ArgumentTypeError: It is not a path.
        errors.ArgumentError: It, or a folder above it, is a file.
    """
    expected = "the path of a directory"
    base = checks.checked_path("export_dir_base", export_dir_base, expected)
    checks.check_no_dangling_link("export_dir_base", base)
    missing = _first_missing(base)
    existing = base if missing is None else os.path.dirname(missing)
    # `existing` is empty if no part of a relative path exists: the current directory has it.
    if not base or (existing and not tf.io.gfile.isdir(existing)):
        remedy = f"{existing!r} is a file." if existing else ""
        raise errors.ArgumentError(
            errors.invalid_argument("export_dir_base", export_dir_base, expected, remedy)
        )
    return base


class ExportDirectory:
    """A directory below `base`, named by the second: `temp-<second>` until it is complete.

    As a context, it removes everything that it created if an exception is raised.

    Args:
        base: The directory of all exports.

    Attributes:
        path: The temporary directory; empty until `make` has created it.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        # The topmost folder that this export creates above its own; `_remove` deletes it.
        self._made_base: str | None = None
        self._final = ""
        self._claim = contextlib.ExitStack()
        self.path = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._claim.close()
        if kind is not None:
            self._remove()

    def make(self) -> str:
        """Creates the temporary directory, for a second that no other export has."""
        try:
            return self._made()
        except tf.errors.OpError as error:
            error.add_note(
                f"The export has to create a directory in {self._base!r}. Pass a directory that "
                "this process may write to as `export_dir_base`."
            )
            raise

    def _made(self) -> str:
        self._made_base = _first_missing(self._base)
        tf.io.gfile.makedirs(self._base)
        leftovers.delete_abandoned(self._base, _TEMPORARY)
        for _ in range(_TRIES):
            second = str(int(time.time()))
            final = os.path.join(self._base, second)
            temporary = os.path.join(self._base, f"temp-{second}")
            # Creating the directory claims the second: only one thread or process succeeds.
            if not tf.io.gfile.exists(final) and _is_made(temporary):
                if not tf.io.gfile.exists(final):  # another thread's may have been renamed since
                    self._claim.enter_context(leftovers.claimed(temporary))
                    if tf.io.gfile.exists(temporary):  # nobody took it for a leftover before that
                        self._final, self.path = final, temporary
                        return temporary
                    continue
                tf.io.gfile.rmtree(temporary)
            # The name is taken until the next second.
            time.sleep(_PAUSE_SECONDS)
        raise errors.BusyError(
            f"No name is free for an export in {self._base!r}: each second already had one, for "
            f"{_TRIES * _PAUSE_SECONDS:.0f} seconds. Export less often, or to another directory."
        )

    def finish(self) -> bytes:
        """Renames the directory to its final name."""
        tf.io.gfile.rename(self.path, self._final)
        return os.fsencode(self._final)

    def _remove(self) -> None:
        if self.path and tf.io.gfile.exists(self.path):
            tf.io.gfile.rmtree(self.path)
        if (
            self._made_base
            and tf.io.gfile.exists(self._base)
            and not tf.io.gfile.listdir(self._base)
        ):
            tf.io.gfile.rmtree(self._made_base)


def _is_made(directory: str) -> bool:
    try:
        tf.io.gfile.mkdir(directory)
    except tf.errors.AlreadyExistsError:
        return False
    return True


def _first_missing(directory: str) -> str | None:
    """Returns the topmost part of a path that does not exist, or None."""
    missing = None
    path = directory
    while path and not tf.io.gfile.exists(path):
        missing, path = path, os.path.dirname(path)
    return missing


def exports_in(base: str) -> list[str]:
    """Returns the names of the exports below `base`, oldest first; ignores other files."""
    return sorted(_names(base, r"\d{10}"))


def delete_oldest(base: str, keep: int) -> None:
    """Deletes the oldest exports below `base`, so that `keep` of them remain.

    Each is renamed first, so that a partly deleted export never looks like an export.
    """
    # `keep` is at least 1: for 0 this slice would be empty.
    for name in exports_in(base)[:-keep]:
        export, doomed = os.path.join(base, name), os.path.join(base, f"temp-{name}")
        with leftovers.claimed(export):
            tf.io.gfile.rename(export, doomed)
            tf.io.gfile.rmtree(doomed)


def delete_unfinished(base: str) -> None:
    """Deletes what killed exports left below `base`. No export may be running."""
    for name in _names(base, _TEMPORARY):
        tf.io.gfile.rmtree(os.path.join(base, name))


def _names(base: str, pattern: str) -> list[str]:
    names = tf.io.gfile.listdir(base) if tf.io.gfile.isdir(base) else []
    names = [name.rstrip("/") for name in names]  # object stores list directories with a slash
    return [name for name in names if re.fullmatch(pattern, name)]


def copy_assets(assets_extra: Mapping[str, str], directory: str) -> None:
    """Copies files below the folder `assets.extra` of a SavedModel."""
    for destination, source in assets_extra.items():
        path = os.path.join(directory, "assets.extra", destination)
        tf.io.gfile.makedirs(os.path.dirname(path))
        tf.io.gfile.copy(source, path)


def checked_assets(assets_extra: Any, *, may_be_absent: bool = False) -> dict[str, str]:
    """Checks the files to add to an export.

    Args:
        assets_extra: None, or a dict from relative paths to paths of the source files.
        may_be_absent: Whether a source may not exist yet.

    Raises:
        errors.ArgumentTypeError: It is not a dict.
        errors.ArgumentError: A path leads out of the export, or a source does not exist.
    """
    if assets_extra is None:
        return {}
    if not isinstance(assets_extra, Mapping):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "assets_extra", assets_extra, "a dict such as {'notes.txt': '/path/to/notes.txt'}"
            )
        )
    return {
        _checked_destination(destination): _checked_source(
            destination, source, may_be_absent=may_be_absent
        )
        for destination, source in assets_extra.items()
    }


def _checked_destination(key: Any) -> str:
    destination = checks.checked_path("key of assets_extra", key, "a relative path")
    normal = posixpath.normpath(destination.replace(os.sep, "/"))
    if posixpath.isabs(normal) or os.path.isabs(destination) or normal.split("/")[0] in ("..", "."):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "key of assets_extra",
                destination,
                "a relative path inside the export's directory assets.extra, such as 'notes.txt'",
            )
        )
    return normal


def _checked_source(destination: Any, source: Any, *, may_be_absent: bool) -> str:
    path = checks.checked_path(f"assets_extra[{destination!r}]", source, "the path of a file")
    if may_be_absent:
        return path
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"assets_extra[{destination!r}]", path, "the path of an existing file"
            )
        )
    return path
