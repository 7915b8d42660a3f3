"""A fair lock: threads get it in turn, even if one of them takes it again and again.

Synopsis::

    lock = FairLock()
    with lock:          # one thread at a time; a thread that has it may take it again
        ...

Training takes the lock of the estimator for a stretch of steps, releases it and takes it again at
once. With Python's locks, a waiting thread would almost never get it in between.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from kestimator import logs

PATIENCE_SECONDS = 60.0
"""How long a thread waits before it logs a warning, because there may be a deadlock."""


class FairLock:
    """A re-entrant lock behind a second lock, the door.

    A thread holds the door while it waits for the lock. A thread that releases the lock and wants
    it again has to wait for the door, so it comes after the waiting thread. If no thread waits,
    this takes half a microsecond.

    The door is re-entrant, too: a signal handler may take the lock in a thread that is waiting
    for it.
    """

    def __init__(self) -> None:
        self._door = threading.RLock()
        self._lock = threading.RLock()
        self._is_mine = self._lock._is_owned  # type: ignore[attr-defined]  # as for a Condition
        self._waited = threading.local()

    def __enter__(self) -> None:
        # The owner bypasses the door: a thread that holds the door may be waiting for the owner.
        if self._is_mine():
            self._lock.acquire()
            return
        with self._door:
            if not self._lock.acquire(blocking=False):
                self._wait()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def is_held_elsewhere(self) -> bool:
        """Returns whether another thread holds the lock."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        return False

    def clock(self) -> float:
        """Returns the time in seconds, without the time that the calling thread has waited."""
        return time.perf_counter() - float(getattr(self._waited, "seconds", 0.0))

    def __deepcopy__(self, memo: dict[int, Any]) -> FairLock:
        return FairLock()  # the copy of the owner has its own lock

    def _wait(self) -> None:
        start, already = time.perf_counter(), getattr(self._waited, "seconds", 0.0)
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            logs.warning(
                "The thread %r has waited %d seconds for an estimator that another thread is "
                "using: for a whole evaluation or export, or for steps that wait for data. If the "
                "other thread also waits for this one (a hook of the evaluation or the input of "
                "`train` uses the same estimator), this is a deadlock: give this thread its own "
                "Estimator with the same model_dir.",
                threading.current_thread().name,
                PATIENCE_SECONDS,
            )
            self._lock.acquire()
        self._waited.seconds = already + time.perf_counter() - start
