"""A lock that threads get in turn, however often one of them comes back for it.

Synopsis::

    lock = FairLock()
    with lock:          # one thread at a time; a thread that has it may take it again
        ...

Training takes the estimator's lock for a stretch of steps, gives it back and takes it again at
once. With Python's own locks, whoever waits meanwhile would hardly ever be faster.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

PATIENCE_SECONDS = 60.0
"""How long a thread waits before it says so: it may be that it waits for ever."""
_logger = logging.getLogger("kestimator")


class FairLock:
    """A re-entrant lock with a door in front of it.

    Who wants the lock waits in the door until it is free. Whoever gives it back and wants it again
    finds the door taken, so that it comes after the one who waits there. Where nobody waits, all
    of this takes half a microsecond.

    The door is re-entrant too: the handler of a signal may want the lock in a thread that is just
    waiting for it.
    """

    def __init__(self) -> None:
        self._door = threading.RLock()
        self._lock = threading.RLock()
        self._is_mine = self._lock._is_owned  # type: ignore[attr-defined]  # as for a Condition
        self._waited = threading.local()

    def __enter__(self) -> None:
        if self._is_mine():
            self._lock.acquire()
            return
        with self._door:
            if not self._lock.acquire(blocking=False):
                self._wait()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def is_held_elsewhere(self) -> bool:
        """Whether another thread has the lock."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        return False

    def clock(self) -> float:
        """The time in seconds, by a clock that stands still while the calling thread waits."""
        return time.perf_counter() - float(getattr(self._waited, "seconds", 0.0))

    def __deepcopy__(self, memo: dict[int, Any]) -> FairLock:
        return FairLock()  # what is copied is guarded by a lock of its own

    def _wait(self) -> None:
        start, already = time.perf_counter(), getattr(self._waited, "seconds", 0.0)
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            _logger.warning(
                "The thread %r has waited %d seconds for an estimator that another thread uses: "
                "for an evaluation or an export as a whole, or for steps that wait for data. If "
                "those wait for this thread in turn (a hook of an evaluation, or the data of "
                "`train`, that asks the same estimator), give this thread an Estimator of its "
                "own over the same model_dir.",
                threading.current_thread().name,
                PATIENCE_SECONDS,
            )
            self._lock.acquire()
        self._waited.seconds = already + time.perf_counter() - start
