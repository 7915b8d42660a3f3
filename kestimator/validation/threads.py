"""What is true for the whole process while any of its threads needs it.

Synopsis::

    quiet = Shared(silence)      # `silence()` changes a global, and changes it back
    with quiet:                  # in any number of threads at once
        ...

Two threads that changed a global each for itself would each put back what it found: the second
finds what the first has set, and leaves it so.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any


class Shared:
    """A context that begins for the first thread that enters it, and ends with the last to leave.

    Args:
        make: Makes the context manager.
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


def ignoring(**which: Any) -> Shared:
    """Ignores some warnings.

    Args:
        **which: Arguments of `warnings.filterwarnings`.
    """

    @contextlib.contextmanager
    def ignored() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", **which)
            yield

    return Shared(ignored)
