r"""What killed processes left: half-written files that nobody will finish.

Synopsis::

    with writing_in(model_dir):        # no other process clears this directory meanwhile
        ...
    delete_abandoned(parent, r"temp-\d{10}")

Each process that writes shares a lock on its directory, which the operating system gives back when
the process is killed. Only a process that holds the lock alone deletes, so what a living process of
this library writes stays, however old it is. Other programs take no lock, so what changed within
the last hour stays, too. In file systems without such locks, and in those of objects (`gs://`),
nothing is deleted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from kestimator import logs

GRACE_SECONDS = 3600.0
"""How long a file must be unchanged to be deleted: a program that takes no lock, such as
tf.estimator or `rsync`, may be writing it."""
_SECONDS_TO_WAIT = 1.0
"""How long a writer waits for a process that is deleting."""
_PAUSE_SECONDS = 0.02
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

    Several processes may write. The first one clears: it deletes shards that were not merged, parts
    of files, and data or `.meta` files without an index, unless the state file names their
    checkpoint.

    Args:
        directory: The model_dir.

    Yields:
        Whether the directory is locked.
    """
    with _opened(directory) as handle:
        if _is_alone(handle):
            _clear(directory)
        yield _shares(handle)


@contextlib.contextmanager
def claimed(directory: str) -> Iterator[None]:
    """Locks a temporary directory, so that `delete_abandoned` leaves it alone."""
    with _opened(directory) as handle:
        _shares(handle)
        yield


def delete_abandoned(parent: str, pattern: str) -> None:
    """Deletes the temporary directories of processes that are dead.

    Args:
        parent: The directory that contains them.
        pattern: A regular expression that matches their names.
    """
    for name in _names(parent):
        path = os.path.join(parent, name)
        if re.fullmatch(pattern, name) and os.path.isdir(path) and not os.path.islink(path):
            with _opened(path) as handle:
                if _is_alone(handle) and _is_settled(path):
                    _delete(path)


def _clear(directory: str) -> None:
    names = _names(directory)
    for name in names:
        path = os.path.join(directory, name)
        of_checkpoint = _OF_CHECKPOINT.fullmatch(name)
        is_orphan = of_checkpoint is not None and f"{of_checkpoint[1]}.index" not in names
        if is_orphan and of_checkpoint is not None and _is_named(directory, of_checkpoint[1]):
            continue
        if (is_orphan or _FILES.fullmatch(name)) and _is_settled(path):
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


def _is_settled(path: str) -> bool:
    """Returns whether a file, or all of a directory, has not changed for a while."""
    with contextlib.suppress(OSError):
        return _last_change(path) <= _now(os.path.dirname(path)) - GRACE_SECONDS
    return False


def _last_change(path: str) -> float:
    """Returns when a file, or anything in a directory, last changed.

    A copy may keep the time when the content changed, but not that of the change in this place.
    """
    status = os.lstat(path)
    names = os.listdir(path) if stat.S_ISDIR(status.st_mode) else []
    inside = (_last_change(os.path.join(path, name)) for name in names)
    return max([status.st_mtime, status.st_ctime, *inside])


def _now(directory: str) -> float:
    """Returns the time by the clock of the file system, which may be that of another host."""
    try:
        with tempfile.TemporaryFile(dir=directory or ".") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _delete(path: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int | None]:
    """Opens a directory to lock it; yields None if that is not possible.

    The lock ends with the context.
    """
    handle = None
    if fcntl is not None and "://" not in directory:
        with contextlib.suppress(OSError):
            handle = os.open(directory or ".", os.O_RDONLY)
    try:
        yield handle
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _is_alone(handle: int | None) -> bool:
    """Takes the lock for this process alone and returns True, or returns False."""
    if handle is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _shares(handle: int | None) -> bool:
    """Takes the lock together with other writers and returns True, or returns False."""
    if handle is None:
        return False
    end = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # a process is deleting
            if time.monotonic() > end:
                return False
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return False
        else:
            return True
