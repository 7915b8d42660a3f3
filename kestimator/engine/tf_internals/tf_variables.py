"""Resource variables: their classes, their memory, what savers and fetches ask of them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.python.ops import resource_variable_ops

# `tf.Variable` asks the variable creators, so it is no class to derive from.
BaseResourceVariable = resource_variable_ops.BaseResourceVariable
"""The class of a variable that is given its memory."""
ResourceVariable = resource_variable_ops.ResourceVariable
"""The class of a variable that makes its memory."""
UnreadVariable = resource_variable_ops._UnreadVariable
"""The class of what an assignment returns."""
VariableDef = variable_pb2.VariableDef
"""The proto of a variable in the collections of a MetaGraphDef."""


def uninitialized(name: str, shape: tf.TensorShape, dtype: tf.DType) -> tf.Variable:
    """Makes an eager variable without a value: `tf.Variable` asks for one."""
    return resource_variable_ops.UninitializedVariable(
        shape=shape, dtype=dtype, name=name, trainable=False
    )


def unique_id(variable: tf.Variable) -> str:
    """What optimizers know a variable by, whichever object stands for it; no public name does."""
    identity: str = variable._unique_id
    return identity


def has_handle(value: Any) -> bool:
    """Whether a value has memory behind it, as TensorFlow itself asks: there is no public test."""
    return hasattr(value, "_handle")


def own_handle(variable: tf.Variable) -> tf.Tensor | None:
    """The handle that a variable was made with; the public `handle` may run code of the object.

    A variable of several replicas has none.
    """
    return vars(variable).get("_handle")


def read_op(variable: tf.Variable) -> tf.Tensor:
    """Makes the op that reads a variable; the public `read_value` adds an identity to it."""
    return variable._read_variable_op()


def is_fetchable(element: Any) -> bool:
    """Whether `fetched` gives what to fetch for an element; sessions ask for the private name."""
    return getattr(element, "_as_graph_element", None) is not None


def fetched(element: Any) -> Any:
    """The tensor or op that a session fetches for an element, such as a variable's read.

    Sessions ask the element by a private name.
    """
    return element._as_graph_element()


def slice_info(variable: Any) -> Any:
    """Which part of a partitioned variable this one is, or None: only savers are told in public."""
    return variable._save_slice_info


def set_slice_info(variable: tf.Variable, info: Any) -> None:
    """Makes a variable a part of a partitioned one, as public partitioners do to those they make.

    Args:
        variable: The variable.
        info: A `tf.Variable.SaveSliceInfo`.
    """
    variable._set_save_slice_info(info)
