r"""What killed processes left: half-written files that nobody will finish.

Synopsis::

    with writing_in(model_dir):        # no other process clears this directory meanwhile
        ...
    delete_abandoned(parent, r"temp-\d{10}")

A process that writes holds a lock on its directory, which the operating system gives back when it
is killed. So what is locked belongs to a living process, however old it is. In file systems without
such locks, and in those of objects (`gs://`), nothing is cleared.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from kestimator import logs

_FILES = re.compile(
    r"""(?x)
    model\.ckpt-\d+_temp                              # shards that were not merged
    | (?:graph\.pbtxt|model\.ckpt-\d+\.meta)\.[0-9a-f]+\.part
    | (?:checkpoint|graph\.pbtxt)\.tmp[0-9a-f]{32}    # TensorFlow's name for a part
    """
)
_OF_CHECKPOINT = re.compile(r"(model\.ckpt-\d+)\.(?:data-\d{5}-of-\d{5}|meta)")


@contextlib.contextmanager
def writing_in(directory: str) -> Iterator[bool]:
    """Locks a directory while this process writes checkpoints, after clearing it of leftovers.

    Only what is older than this call is cleared: shards that were not merged, parts of files, and
    data or `.meta` files without an index, unless the state file names their checkpoint.

    Args:
        directory: The model_dir.

    Yields:
        Whether the directory was locked.
    """
    start = time.time()
    with _locked(directory) as is_locked:
        if is_locked:
            _clear(directory, start)
        yield is_locked


@contextlib.contextmanager
def claimed(directory: str) -> Iterator[None]:
    """Locks a temporary directory, so that `delete_abandoned` leaves it alone."""
    with _locked(directory):
        yield


def delete_abandoned(parent: str, pattern: str) -> None:
    """Deletes the temporary directories of processes that are dead.

    Args:
        parent: The directory that contains them.
        pattern: A regular expression that matches their names.
    """
    start = time.time()
    for name in _names(parent):
        path = os.path.join(parent, name)
        if re.fullmatch(pattern, name) and os.path.isdir(path) and not os.path.islink(path):
            with _locked(path) as is_locked:
                if is_locked and _is_older(path, start):
                    _delete(path)


def _clear(directory: str, start: float) -> None:
    names = _names(directory)
    for name in names:
        path = os.path.join(directory, name)
        of_checkpoint = _OF_CHECKPOINT.fullmatch(name)
        is_orphan = of_checkpoint is not None and f"{of_checkpoint[1]}.index" not in names
        if is_orphan and of_checkpoint is not None and _is_named(directory, of_checkpoint[1]):
            continue
        if (is_orphan or _FILES.fullmatch(name)) and _is_older(path, start):
            logs.info("Deleting %s, which a killed process left.", path)
            _delete(path)


def _is_named(directory: str, checkpoint: str) -> bool:
    """Returns whether the state file names a checkpoint, or cannot be read."""
    try:
        with open(os.path.join(directory, "checkpoint"), encoding="utf-8") as file:
            return re.search(rf'[/"]{re.escape(checkpoint)}"', file.read()) is not None
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def _names(directory: str) -> set[str]:
    if "://" in directory or not os.path.isdir(directory or "."):
        return set()
    return set(os.listdir(directory or "."))


def _is_older(path: str, start: float) -> bool:
    """Returns whether a file, or all of a directory, was last changed before `start`."""
    paths = [path, *(os.path.join(path, name) for name in _names(path))]
    with contextlib.suppress(OSError):
        return all(os.lstat(one).st_mtime < start for one in paths)
    return False


def _delete(path: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[bool]:
    """Locks a directory and yields True, or yields False: another one holds it, or it cannot be."""
    handle = _opened(directory)
    if handle is None:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _opened(directory: str) -> Any:
    if fcntl is None or "://" in directory:
        return None
    try:
        return os.open(directory or ".", os.O_RDONLY)
    except OSError:
        return None
