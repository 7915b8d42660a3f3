"""The functions of `tf.custom_gradient`, which TensorFlow registers for the whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

_Gradient = Callable[..., Any]
_ATTRIBUTE = "_gradient_op_type"


def registered_gradients() -> set[str]:
    """The names of all registered gradients. Public code can only register one."""
    return set(ops.gradient_registry.list())


def exchange_gradient(name: str, make: Callable[[_Gradient], _Gradient]) -> None:
    """Replaces a registered gradient. Public code can register a name only once.

    Args:
        name: The name, such as `CustomGradient-17`.
        make: Takes the registered function, and returns the one to replace it.
    """
    registry = ops.gradient_registry._registry
    registry[name] = {**registry[name], "type": make(registry[name]["type"])}


def forget_gradient(name: str) -> None:
    """Removes a registered gradient. Public code cannot."""
    ops.gradient_registry._registry.pop(name, None)


def gradients_of_ops(graph: tf.Graph) -> set[str]:
    """The names of the registered gradients that a graph's ops ask for, without its functions'."""
    return {
        op.get_attr(_ATTRIBUTE).decode()
        for op in graph.get_operations()
        if any(attribute == _ATTRIBUTE for attribute in op.node_def.attr)
    }


def gradients_of_functions(graph: tf.Graph) -> set[str]:
    """The names of the registered gradients that the ops of a graph's functions ask for."""
    # The class's method: a program's graph converts what it hands out.
    library = tf.Graph.as_graph_def(graph).library
    return {
        node.attr[_ATTRIBUTE].s.decode()
        for function in library.function
        for node in function.node_def
        if _ATTRIBUTE in node.attr
    }
