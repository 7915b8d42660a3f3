"""The report on the legacy names of a program.

Synopsis::

    print(report(uses))
"""

from __future__ import annotations

import importlib
import os

from kestimator.legacy import keras2_modules, usage


def report(uses: usage.Uses) -> str:
    """Returns a table: each name that the program used, where, and what replaces it."""
    if not uses:
        return "kestimator: the program used no legacy names."
    rows = [("legacy name", "where", "replacement")]
    for (name, path, line), target in sorted(uses.items()):
        rows.append((_readable(name), f"{_short(path)}:{line}", _replacement(name, target)))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in rows]
    return "\n".join(lines)


def _readable(name: str) -> str:
    return name.replace("tensorflow.", "tf.", 1) if name.startswith("tensorflow.") else name


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _replacement(name: str, target: str) -> str:
    module, _, attribute = target.partition(":")
    if module == "tf_keras":
        return keras2_modules.KERAS_3.get(attribute, "a layer of keras.layers")
    if module.startswith("kestimator.legacy"):
        return f"none: it was below the public API ({name.rpartition('.')[2]})"
    public = importlib.import_module("kestimator")
    own = getattr(importlib.import_module(module), attribute)
    return (
        f"kestimator.{attribute}"
        if getattr(public, attribute, None) is own
        else f"{module}.{attribute}"
    )
