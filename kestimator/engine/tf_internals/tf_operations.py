"""Changes ops of a graph after they were made. With public code, a graph can only grow."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

BUILDERS_THAT_CAPTURE = frozenset(
    {
        "__tf_tensor__",  # an eager tensor may be used: it is captured
        "_get_graph_from_inputs",  # eager tensors among an op's inputs are in no other graph
        "_colocate_with_for_gradient",  # and their device is known
        "_op_to_colocate_with",
    }
)
"""The functions that ask a graph whether it builds a function, because a function captures. Their
names tell them apart from others, because all of TensorFlow asks with the same attribute."""

BUILDERS_OF_CONTROL_FLOW = frozenset({"EnableControlFlowV2"})
"""The functions that ask the same, to decide between two kinds of control flow."""


def set_attribute(op: tf.Operation, name: str, value: bytes) -> None:
    """Sets an attribute of an op. Public code can only do so while it makes the op."""
    op._set_attr(name, tf.compat.v1.AttrValue(s=value))


def replace_input(op: tf.Operation, position: int, tensor: tf.Tensor) -> None:
    """Replaces an input of an op. Public code can only choose inputs while it makes the op."""
    op._update_input(position, tensor)


def add_control_inputs(op: tf.Operation, operations: Sequence[tf.Operation]) -> None:
    """Makes an op wait for others. Public code can only ask for this before it makes the op."""
    op._add_control_inputs(operations)
