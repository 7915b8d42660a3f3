"""Ops of a graph, changed after they were made: TensorFlow's public graphs only grow."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

BUILDERS_THAT_CAPTURE = frozenset(
    {
        "__tf_tensor__",  # an eager tensor may be used: it is captured
        "_get_graph_from_inputs",  # eager tensors among the inputs of an op are no other graph's
        "_colocate_with_for_gradient",  # nor is the device of one unknown
        "_op_to_colocate_with",
    }
)
"""The functions that ask a graph whether it builds a function because of what it captures: they
are told apart by their names, as TensorFlow asks everybody's question by one attribute."""

BUILDERS_OF_CONTROL_FLOW = frozenset({"EnableControlFlowV2"})
"""The functions that ask it to decide between two kinds of control flow."""


def set_attribute(op: tf.Operation, name: str, value: bytes) -> None:
    """Sets an attribute of an op, which public code can only give to an op that it makes."""
    op._set_attr(name, tf.compat.v1.AttrValue(s=value))


def replace_input(op: tf.Operation, position: int, tensor: tf.Tensor) -> None:
    """Gives an op another input, which public code can only choose when it makes the op."""
    op._update_input(position, tensor)


def add_control_inputs(op: tf.Operation, others: Sequence[tf.Operation]) -> None:
    """Lets an op wait for others, which public code can only ask for before it makes the op."""
    op._add_control_inputs(others)
