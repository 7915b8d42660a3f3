"""The report on the legacy names of a program.

Synopsis::

    print(report(uses))
"""

from __future__ import annotations

import importlib
import os

import kestimator
from kestimator.legacy import names, usage
from kestimator.migration import layer_signatures

_CELLS = {
    "BasicLSTMCell": "keras.layers.LSTMCell",
    "BasicRNNCell": "keras.layers.SimpleRNNCell",
    "GRUCell": "keras.layers.GRUCell",
    "LSTMCell": "keras.layers.LSTMCell",
    "MultiRNNCell": "keras.layers.StackedRNNCells",
}


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
    if not target:
        return f"not here. {names.replacement(names.path_in_tables(name))}".rstrip()
    module, _, attribute = target.partition(":")
    package = module.partition(".")[0]
    if package == "tf_keras":
        function = layer_signatures.FUNCTIONS.get(attribute)
        if function is not None:
            return f"keras.layers.{function.keras_name}"
        return _CELLS.get(attribute, "a layer of keras.layers")
    if package == "tf_slim":
        return f"{module}.{attribute}"
    if package == "tensorflow":
        return f"tf.{attribute}"
    if module.startswith(("kestimator.legacy", "kestimator.engine")):
        parent, _, last = name.rpartition(".")
        instead = names.replacement(f"{names.table_name(parent)}.{last}")
        return instead or f"none: it was below the public API ({last})"
    own = getattr(importlib.import_module(module), attribute)
    return (
        f"kestimator.{attribute}"
        if getattr(kestimator, attribute, None) is own
        else f"{module}.{attribute}"
    )
