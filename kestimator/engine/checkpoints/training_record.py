"""Who trains in a model directory: one process at a time, and the others can read about it.

Synopsis::

    with recorded(model_dir, is_exclusive=True) as training:   # BusyError: another one trains
        training.begin()
        training.step = 1000
    read(model_dir)                           # Record(state="ended", step=1000, host=..., pid=...)

The owner locks the file `training.json`. The operating system gives the lock back when the process
ends, however it ends, so a dead owner keeps nothing. The content is for people and for evaluators
in other processes: it says who trains, and whether training has ended. In file systems without
locks, and in those of objects (`gs://`), the content is all there is, and nobody is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import IO, Any, Final

import tensorflow as tf

from kestimator import errors, logs

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE_NAME: Final = "training.json"
RUNNING: Final = "running"
ENDED: Final = "ended"
FAILED: Final = "failed"
PREEMPTED: Final = "preempted"


@dataclasses.dataclass(frozen=True)
class Record:
    """What a process says about its training.

    Attributes:
        state: "running", "ended" or "failed"; "preempted" if SIGTERM ended it.
        step: The global step at which it began or ended.
        host: The name of its machine.
        pid: The number of its process.
        time: When it wrote this, in seconds since 1970.
    """

    state: str
    step: int
    host: str
    pid: int
    time: float


@contextlib.contextmanager
def recorded(model_dir: str, *, is_exclusive: bool) -> Iterator[Training]:
    """Keeps a directory for this process until the context ends.

    Args:
        model_dir: The directory, which exists.
        is_exclusive: Whether no other process may train there at the same time.

    Yields:
        The training, which begins its record when nothing can be wrong with its start any more.

    Raises:
        errors.BusyError: Another process trains there.
    """
    path = os.path.join(model_dir, FILE_NAME)
    is_new = not tf.io.gfile.exists(path)
    with _opened(path) as file:
        if is_exclusive and file is not None and not _is_locked(file):
            raise _busy(model_dir, read(model_dir))
        training = Training(path, file)
        try:
            yield training
        except BaseException:
            training.end(FAILED)
            raise
        else:
            training.end(ENDED)
        finally:
            if is_new and not training.has_begun and file is not None:
                with contextlib.suppress(OSError):
                    os.remove(path)


class Training:
    """The record of a training of this process.

    Args:
        path: The file of the record.
        file: The same, opened and locked; None where there are no locks.

    Attributes:
        has_begun: Whether the record says that this process trains.
        step: The global step that the record tells.
    """

    def __init__(self, path: str, file: IO[str] | None) -> None:
        self._path = path
        self._file = file
        self.has_begun = False
        self._has_ended = False
        self.step = 0

    def begin(self) -> None:
        """Writes that this process trains."""
        self.has_begun = True
        self._write(RUNNING)

    def end(self, state: str) -> None:
        """Writes how training ended, unless it is written already."""
        if self.has_begun and not self._has_ended:
            self._has_ended = True
            with contextlib.suppress(OSError, tf.errors.OpError):  # an earlier error counts
                self._write(state)

    def _write(self, state: str) -> None:
        record = Record(state, self.step, socket.gethostname(), os.getpid(), time.time())
        _write(self._path, self._file, record)


def read(model_dir: str) -> Record | None:
    """The latest record of a directory; None if there is none, or while it is being written."""
    try:
        with tf.io.gfile.GFile(os.path.join(model_dir, FILE_NAME)) as file:
            content = json.loads(file.read())
        return Record(**content)
    except (tf.errors.OpError, OSError, ValueError, TypeError):
        return None


def _busy(model_dir: str, record: Record | None) -> errors.BusyError:
    who = "Another process"
    if record is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
        who = f"Process {record.pid} on {record.host} (since {since})"
    return errors.BusyError(
        f"{who} trains in {model_dir!r}. Two trainings would mix their checkpoints. Wait until it "
        "has ended, stop it, or train in another model_dir. "
        "RunConfig(allow_shared_model_dir=True) allows both."
    )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[str] | None]:
    """Opens the record to lock it; yields None where there are no locks."""
    if fcntl is None or "://" in path:
        yield None
        return
    # Not "w": the content of a living owner must stay.
    with open(path, "a+", encoding="utf-8") as file:
        yield file


def _is_locked(file: IO[str]) -> bool:
    """Locks the file for this process and returns True, or returns False."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logs.warning("The file system has no locks, so a second training is not noticed: %s", error)
    return True


def _write(path: str, file: IO[str] | None, record: Record) -> None:
    content: Any = json.dumps(dataclasses.asdict(record))
    if file is None:
        with tf.io.gfile.GFile(path, "w") as remote:
            remote.write(content)
        return
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
