"""Which members of a family of tests run in the fast suite.

A family runs the same code on many arguments. The fast suite runs one member for each path through
that code; the other members are marked `slow`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def members(names: Iterable[str], *, fast: Collection[str]) -> list[Any]:
    """Parameters for all names of a family; all but the fast ones are slow tests."""
    names = list(names)
    assert set(fast) <= set(names), f"no member: {set(fast) - set(names)}"
    return [
        pytest.param(name, id=name, marks=() if name in fast else pytest.mark.slow)
        for name in names
    ]
