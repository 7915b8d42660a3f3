"""Contexts that change global state while at least one thread is in them.

Synopsis::

    quiet = Shared(silence)      # `silence()` changes a global, and changes it back
    with quiet:                  # in any number of threads in parallel
        ...

If each of two threads changed and restored a global by itself, the change could stay: the second
thread would find the value of the first one, and restore that.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any


class Shared:
    """A context that begins with the first thread to enter and ends with the last to leave.

    Args:
        make: Creates the context manager.
    """

    def __init__(self, make: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._context: contextlib.AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._context = self._make()
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._context is not None:
                self._context.__exit__(None, None, None)
                self._context = None


def ignoring(**filters: Any) -> Shared:
    """Returns a context that ignores some warnings.

    Args:
        **filters: Arguments of `warnings.filterwarnings`.
    """

    @contextlib.contextmanager
    def ignored() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", **filters)
            yield

    return Shared(ignored)
