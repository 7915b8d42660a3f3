"""Checks that values are tensors, and that they belong to the current graph.

    >>> import tensorflow as tf
    >>> checked_tensor("loss", tf.constant(1.0)).dtype.name
    'float32'

A `model_fn` may return tensors, TensorFlow variables and Keras variables. The variables become
tensors here, by a read at this point of the program.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor

_COMPOSITES = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)


def is_tensor(value: object) -> bool:
    """Returns whether a value is a dense tensor (not a variable, sparse or ragged)."""
    return isinstance(value, tf.Tensor)


def is_tensor_or_variable(value: object) -> bool:
    """Returns whether a value is a dense tensor or a variable of TensorFlow or Keras."""
    if isinstance(value, keras.KerasTensor | tf.SparseTensor | tf.RaggedTensor):
        return False
    return is_tensor(value) or isinstance(value, tf.Variable | keras.Variable)


def checked_tensor(name: str, value: object) -> Tensor:
    """Returns a tensor unchanged, and for a variable the tensor that it holds.

    Args:
        name: What the value is called in an error message.
        value: The value.

    Returns:
        The tensor.

    Raises:
        ArgumentTypeError: It is something else.
        ArgumentError: It is a tensor of another graph.
    """
    if not is_tensor_or_variable(value):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(name, value, "a tf.Tensor", _way_to_a_tensor(value))
        )
    tensor = value if is_tensor(value) else tf.convert_to_tensor(value)
    check_graph(name, tensor)
    return tensor


def check_graph(name: str, value: Any) -> None:
    """Checks that a tensor, a variable or an operation can be used in the current graph.

    Args:
        name: What the value is called in an error message.
        value: A tensor, an operation, or a variable. A variable outside of all graphs is
            always allowed. In eager mode, everything is allowed.

    Raises:
        ArgumentError: It belongs to another graph.
    """
    if tf.executing_eagerly():
        return
    graph = _graph_of(value)
    if graph is tf.compat.v1.get_default_graph():
        return
    if graph is None and isinstance(value, tf.Variable | keras.Variable):
        return
    raise errors.ArgumentError(
        errors.invalid_argument(
            name,
            value,
            "a tensor or an operation made by this call of the model_fn",
            "This one belongs to another graph, or was made outside of a graph. Make it inside the "
            "model_fn. Do not keep it in a global variable or an object for the next call.",
        )
    )


def _graph_of(value: Any) -> Any:
    try:
        return value.graph
    except AttributeError:  # Eager tensors and variables have none.
        return None


def _way_to_a_tensor(value: object) -> str:
    """Returns advice on how to get a tensor from a value that users pass instead of one."""
    if isinstance(value, keras.KerasTensor):
        return (
            "A KerasTensor only describes a layer's output while a functional model is built. "
            "Call the model on the features, and pass the result."
        )
    if isinstance(value, tf.SparseTensor):
        return "Make it dense with tf.sparse.to_dense, or pass its parts."
    if isinstance(value, tf.RaggedTensor):
        return "Make it dense with its to_tensor method, or pass its parts."
    if isinstance(value, _COMPOSITES):
        return "Make it dense with tf.convert_to_tensor."
    if isinstance(value, list | tuple):
        return "Stack the list with tf.stack, or pass a dict of tensors where one is accepted."
    return "If you want a constant, make one with tf.convert_to_tensor."
