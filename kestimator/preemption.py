"""SIGTERM while training: a checkpoint is saved before the process ends.

Synopsis::

    with deferred():
        ...                               # steps, as long as not is_pending()
    # here the process has ended if SIGTERM came

Machines that can be taken away, and `docker stop`, send SIGTERM and wait for some seconds before
they kill. Training then ends after the step that is running, or after the stretch of half a second
of small steps. Its hooks end, which saves a checkpoint, and then the signal has its usual effect. A
handler of the program's own is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from kestimator import logs


class Preemption:
    """What has become of SIGTERM.

    Attributes:
        is_pending: Whether it came, and the process waits with its end until training has ended.
        may_wait: Whether the process waits if it comes now.
    """

    def __init__(self) -> None:
        self.is_pending = False
        self.may_wait = True

    def receive(self, number: int, frame: Any) -> None:
        """Handles the signal; at the second one, or outside of the steps, the process ends."""
        del number, frame
        if self.is_pending or not self.may_wait:
            _end_process()
        self.is_pending = True
        logs.notice("SIGTERM was received. This process ends once a checkpoint is saved.")


_current: list[Preemption] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defers SIGTERM to the end of the context, where the process ends.

    It is not deferred if the program handles it, or in another thread than the main one.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    preemption = Preemption()
    signal.signal(signal.SIGTERM, preemption.receive)
    _current.append(preemption)
    try:
        yield
    finally:
        _current.remove(preemption)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if preemption.is_pending:
            _end_process()


def is_pending() -> bool:
    """Whether this process ends as soon as training has ended."""
    return any(preemption.is_pending for preemption in _current)


@contextlib.contextmanager
def not_deferred() -> Iterator[None]:
    """Lets SIGTERM end the process at once: a checkpoint has just been saved."""
    for preemption in _current:
        preemption.may_wait = False
    try:
        yield
    finally:
        for preemption in _current:
            preemption.may_wait = True


def _end_process() -> None:
    """Ends the process as SIGTERM does, after what was printed has been written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
