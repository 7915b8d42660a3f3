"""Resource variables: their classes, their memory, and what savers and fetches ask for."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.python.ops import resource_variable_ops

# `tf.Variable` calls the variable creators, so it cannot be the base class.
BaseResourceVariable = resource_variable_ops.BaseResourceVariable
"""The class of a variable that is given its memory."""
ResourceVariable = resource_variable_ops.ResourceVariable
"""The class of a variable that makes its own memory."""
UnreadVariable = resource_variable_ops._UnreadVariable
"""The class of the result of an assignment."""
VariableDef = variable_pb2.VariableDef
"""The proto of a variable in the collections of a MetaGraphDef."""


def uninitialized(name: str, shape: tf.TensorShape, dtype: tf.DType) -> tf.Variable:
    """Makes an eager variable without a value: `tf.Variable` requires one."""
    return resource_variable_ops.UninitializedVariable(
        shape=shape, dtype=dtype, name=name, trainable=False
    )


def unique_id(variable: tf.Variable) -> str:
    """The id by which optimizers know a variable and its views. It has no public name."""
    identity: str = variable._unique_id
    return identity


def has_handle(value: Any) -> bool:
    """Whether a value has memory. TensorFlow tests it this way; there is no public test."""
    return hasattr(value, "_handle")


def own_handle(variable: tf.Variable) -> tf.Tensor | None:
    """The handle that a variable was made with. The public `handle` may run code of the object.

    A variable of several replicas has no such handle.
    """
    return vars(variable).get("_handle")


def read_op(variable: tf.Variable) -> tf.Tensor:
    """Makes the op that reads a variable. The public `read_value` adds an identity."""
    return variable._read_variable_op()


def is_fetchable(element: Any) -> bool:
    """Whether `fetched` works for an element. Sessions use the same private name."""
    return getattr(element, "_as_graph_element", None) is not None


def fetched(element: Any) -> Any:
    """The tensor or op that a session fetches for an element, such as a variable's read.

    Sessions use the same private name.
    """
    return element._as_graph_element()


def slice_info(variable: Any) -> Any:
    """Which part of a partitioned variable this is, or None. Public code only tells savers."""
    return variable._save_slice_info


def set_slice_info(variable: tf.Variable, info: Any) -> None:
    """Makes a variable part of a partitioned one. Public partitioners only do so for their own.

    Args:
        variable: The variable.
        info: A `tf.Variable.SaveSliceInfo`.
    """
    variable._set_save_slice_info(info)
