"""Updates of small variables by plain ops, where TensorFlow's own op would wake other threads.

Synopsis::

    for node in nodes:
        definition.node.extend(plain_update(op) or [op.node_def])

`ResourceApplyAdam` shares out its work from 512 elements on; waking a thread costs more than all
of the update does up to some ten thousand. Plain ops compute the same numbers where they are.
"""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

_LEAST_ELEMENTS, _MOST_ELEMENTS = 512, 16_384


def plain_update(op: tf.Operation) -> list[Any]:
    """The nodes that do what `op` does; none where the op itself is best.

    The last of them has the name of `op` and is done when the update is.

    Args:
        op: An op of any type.
    """
    if op.type != "ResourceApplyAdam" or op.get_attr("use_nesterov"):
        return []
    elements = op.inputs[-1].shape.num_elements()
    if elements is None or not _LEAST_ELEMENTS <= elements <= _MOST_ELEMENTS:
        return []
    template = _adam_nodes(op.get_attr("T"))
    given = dict(zip(_ARGUMENTS, op.node_def.input, strict=False))
    waits = [name for name in op.node_def.input if name.startswith("^")]
    nodes = [_moved(node, op, given, waits) for node in template if node.name not in _ARGUMENTS]
    done = tf.compat.v1.NodeDef(name=op.name, op="NoOp", device=op.device)
    done.input.extend(f"^{node.name}" for node in nodes if node.op.startswith("Assign"))
    return [*nodes, done]


def _moved(node: Any, op: tf.Operation, given: dict[str, str], waits: list[str]) -> Any:
    """A node of a template, in the place of `op`."""
    moved = tf.compat.v1.NodeDef()
    moved.CopyFrom(node)
    moved.name, moved.device = f"{op.name}/{node.name}", op.device
    moved.input[:] = [given.get(name) or _below(op.name, name) for name in node.input]
    moved.input.extend(waits)
    return moved


def _below(scope: str, name: str) -> str:
    return f"^{scope}/{name[1:]}" if name.startswith("^") else f"{scope}/{name}"


_ARGUMENTS = (
    *("var", "m", "v", "beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon", "grad"),
)


@functools.cache
def _adam_nodes(dtype: tf.DType) -> list[Any]:
    """The update of Kingma and Ba, "Adam", at the end of section 2, in the op's order."""
    with tf.Graph().as_default() as graph:
        var, m, v, *numbers, grad = (
            tf.compat.v1.placeholder(tf.resource if name in ("var", "m", "v") else dtype, name=name)
            for name in _ARGUMENTS
        )
        beta1_power, beta2_power, lr, beta1, beta2, epsilon = numbers
        one = tf.constant(1, dtype)
        old_m = tf.raw_ops.ReadVariableOp(resource=m, dtype=dtype)
        old_v = tf.raw_ops.ReadVariableOp(resource=v, dtype=dtype)
        new_m = old_m + (grad - old_m) * (one - beta1)
        new_v = old_v + (tf.square(grad) - old_v) * (one - beta2)
        rate = lr * tf.sqrt(one - beta2_power) / (one - beta1_power)
        tf.raw_ops.AssignVariableOp(resource=m, value=new_m)
        tf.raw_ops.AssignVariableOp(resource=v, value=new_v)
        change = rate * new_m / (tf.sqrt(new_v) + epsilon)
        tf.raw_ops.AssignSubVariableOp(resource=var, value=change)
    return list(graph.as_graph_def().node)
