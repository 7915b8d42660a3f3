"""Kinds of tensors, and the data that TensorFlow keeps with them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.ops import handle_data_util, resource_variable_ops

_EagerTensor = tf.__internal__.EagerTensor


def is_eager(value: Any) -> bool:
    """Whether a value is an eager tensor. The class has no public name."""
    return isinstance(value, _EagerTensor)


def class_in_graphs() -> type:
    """The class of graph tensors, whose operators public code cannot replace."""
    with tf.Graph().as_default():
        return type(tf.constant(0))


def handle_data(handle: tf.Tensor) -> Any:
    """The dtype and shape behind a variable's handle; None for other resources.

    TensorFlow keeps them with the handle, but only under a private name.
    """
    data = resource_variable_ops.get_eager_safe_handle_data(handle)
    return data.shape_and_type[0] if data is not None and data.shape_and_type else None


def copy_handle_data(source: tf.Tensor, target: tf.Tensor) -> None:
    """Copies the dtype and shape behind a handle to its placeholder. Public code cannot do this."""
    handle_data_util.copy_handle_data(source, target)


def record_capture(internal: tf.Tensor, external: tf.Tensor) -> None:
    """Lets a tape's gradients pass from a placeholder to the tensor that it captured.

    No public function connects two existing tensors.
    """
    internal._record_tape(external)
