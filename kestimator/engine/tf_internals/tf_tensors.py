"""What a tensor is, and what TensorFlow keeps with it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.ops import handle_data_util, resource_variable_ops

_EagerTensor = tf.__internal__.EagerTensor


def is_eager(value: Any) -> bool:
    """Whether a value is an eager tensor: the class that says so has no public name."""
    return isinstance(value, _EagerTensor)


def class_in_graphs() -> type:
    """The class of the tensors of graphs, whose operators public code cannot replace."""
    with tf.Graph().as_default():
        return type(tf.constant(0))


def handle_data(handle: tf.Tensor) -> Any:
    """The dtype and shape behind a variable's handle; None for other resources.

    TensorFlow keeps them with the handle, and offers them under a private name alone.
    """
    data = resource_variable_ops.get_eager_safe_handle_data(handle)
    return data.shape_and_type[0] if data is not None and data.shape_and_type else None


def copy_handle_data(source: tf.Tensor, target: tf.Tensor) -> None:
    """Tells a placeholder what is behind the handle it stands for, which public code cannot."""
    handle_data_util.copy_handle_data(source, target)


def record_capture(internal: tf.Tensor, external: tf.Tensor) -> None:
    """Lets a tape's gradients pass from a placeholder to what it stands for.

    No public function connects two tensors that are there already.
    """
    internal._record_tape(external)
