"""Which legacy names a program uses, and where.

Synopsis::

    with recorded() as uses:
        ...                       # the program runs
    uses[("tensorflow.estimator.RunConfig", "main.py", 12)]     # "kestimator:RunConfig"
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

Uses = dict[tuple[str, str, int], str]
"""The targets of names, by the name, the file that asks for it, and the line."""

_recorders: list[Uses] = []
_MACHINERY = (
    "kestimator.command_line.tf1_imports",
    "kestimator.legacy",
    "importlib",
    "tensorflow.python.util",
)


def note(name: str, target: str) -> None:
    """Notes that the program asks for a name."""
    if not _recorders:
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and is_machinery(frame.f_globals.get("__name__") or ""):
        frame = frame.f_back
    for uses in _recorders:
        uses.setdefault((name, frame.f_code.co_filename, frame.f_lineno), target)


@contextlib.contextmanager
def recorded() -> Iterator[Uses]:
    """Records the names that are asked for inside."""
    uses: Uses = {}
    _recorders.append(uses)
    try:
        yield uses
    finally:
        _recorders.remove(uses)


def is_machinery(module: str) -> bool:
    """Whether a module stands between a program and what it asks for."""
    return any(module == name or module.startswith(f"{name}.") for name in _MACHINERY)
