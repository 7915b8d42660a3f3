"""Names of tensors that programs ask for: those that tf.estimator's graphs have.

Synopsis::

    with scope("head"):
        also_named(losses, "logistic_loss")     # "head/logistic_loss:0" in a graph

Hooks fetch such tensors, and programs freeze exports at them. A tensor that the library computes in
another way, or under another name, gets a second name. Nothing else uses that op, so it runs only
where it is fetched.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import tensorflow as tf

from kestimator._types import Tensor

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\\/>-]")


def scope(name: str | None) -> Any:
    """Opens a new name scope; without a name, the scope stays as it is."""
    return contextlib.nullcontext() if name is None else tf.compat.v1.name_scope(_valid(name))


def same_scope(name: str) -> Any:
    """Opens a name scope, which may have been open before."""
    opened = tf.get_current_name_scope()
    # A slash at the end makes TensorFlow take a name as it is.
    return tf.compat.v1.name_scope(f"{opened}/{_valid(name)}/" if opened else f"{_valid(name)}/")


def _valid(name: str) -> str:
    valid = _NOT_IN_NAMES.sub("_", name)
    # At the root of a graph, the first character may not be "_" or "/".
    return valid if valid[:1].isalnum() else f".{valid}"


def also_named(tensor: Tensor, name: str) -> None:
    """Gives a tensor of a graph another name in the name scope that is open."""
    if not tf.executing_eagerly():
        tf.identity(tensor, name=name)
