"""Compares a program's answers with the golden ones.

Strings, integers, flags, lengths and keys must be equal. Floating-point numbers may differ by 1e-5
of their own size, and in a list by 1e-6 of the list's largest number besides, which is what float32
sums of either sign lose.
"""

import math
from typing import Any

RELATIVE = 1e-5
OF_LARGEST = 1e-6
TINY = 1e-12
ABOUT_STEPS = 2


def differences(
    actual: Any, golden: Any, where: str = "", scale: float = 0.0, about: bool = False
) -> list[str]:
    """One line per place where `actual` is not `golden`; empty if they agree.

    Args:
      actual: plain data, as `json.loads` returns it.
      golden: the same from the original.
      where: path to this place, for the messages.
      scale: the largest magnitude among the neighbours of a number.
      about: whether integers may differ by `ABOUT_STEPS`.
    """
    if isinstance(golden, dict) and isinstance(actual, dict):
        return _dicts(actual, golden, where)
    if isinstance(golden, list) and isinstance(actual, list):
        return _lists(actual, golden, where, about)
    if isinstance(golden, float) and isinstance(actual, float):
        close = _close(actual, golden, scale)
        return (
            []
            if close
            else [f"{where}: {actual!r}, expected {golden!r}, off by {abs(actual - golden):.3g}"]
        )
    if (
        about
        and type(golden) is int
        and type(actual) is int
        and abs(actual - golden) <= ABOUT_STEPS
    ):
        return []
    if type(actual) is type(golden) and actual == golden:
        return []
    return [f"{where}: {_short(actual)}, expected {_short(golden)}"]


def _dicts(actual: dict[str, Any], golden: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}: lacks {key!r}" for key in golden if key not in actual]
    found += [
        f"{where}: has {key!r}, which the original has not" for key in actual if key not in golden
    ]
    for key in golden:
        if key in actual:
            path = f"{where}.{key}" if where else key
            found += differences(actual[key], golden[key], path, about=key.startswith("about_"))
    return found


def _lists(actual: list[Any], golden: list[Any], where: str, about: bool) -> list[str]:
    if len(actual) != len(golden):
        sizes = f"{len(actual)} items, expected {len(golden)}"
        return [f"{where}: {sizes}; {_short(actual)}, expected {_short(golden)}"]
    scale = max(
        (abs(item) for item in golden if isinstance(item, float) and math.isfinite(item)),
        default=0.0,
    )
    found = []
    for position, (one, other) in enumerate(zip(actual, golden, strict=True)):
        found += differences(one, other, f"{where}[{position}]", scale, about)
    return found


def _close(actual: float, golden: float, scale: float) -> bool:
    if math.isnan(golden) or math.isinf(golden):
        return actual == golden or (math.isnan(golden) and math.isnan(actual))
    return abs(actual - golden) <= RELATIVE * abs(golden) + OF_LARGEST * scale + TINY


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:297] + "..."
