"""Replaces Keras' gathers from a whole table by gathers from the variable's memory.

Keras reads a whole variable before it gathers rows from it. The value of the read is held during
the step, so each update of a row in place copies the table first. This module removes such reads
after the trace, where nobody can tell the difference. A step then costs what its rows cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.graphs import ordering
from kestimator.engine.tf_internals import tf_operations

_PASSED_ON = ("Identity",)


def read_rows_alone(
    graph: tf.Graph, result: Any, owned: Collection[int] = ()
) -> dict[tf.Operation, list[tf.Operation]]:
    """Makes gathers read only their rows of a variable that Keras code reads in full.

    A read stays if the traced function returns it or an op waits for it. It also stays if an op
    consumes it that neither gathers rows nor asks for its static shape. And it stays if a write
    of the variable may come between the read and its gathers.

    Args:
        graph: The graph, after its trace.
        result: What the traced function returned.
        owned: The argument of `kestimator.engine.graphs.ordering.order_keras_state`.

    Returns:
        For each read that is no longer needed, the gathers that replace it.
    """
    # A graph lists its ops in the order in which they were made, which is program order.
    operations = list(graph.get_operations())
    position = {op: place for place, op in enumerate(operations)}
    waited_for = {before for op in operations for before in op.control_inputs}
    returned = {id(leaf) for leaf in _leaves(result)}
    replaced: dict[tf.Operation, list[tf.Operation]] = {}
    for read in operations:
        if read.type != "ReadVariableOp" or not ordering.made_by_keras(read):
            continue
        passing = [read, *_identities(read)]
        if any(op in waited_for or id(op.outputs[0]) in returned for op in passing):
            continue
        consumers = _consumers(read, passing)
        if consumers is None or _may_see_a_write(read, consumers.gathers, position, owned):
            continue
        replaced[read] = [_gather_from_memory(graph, read, op) for op in consumers.gathers]
        for shape in consumers.shapes:
            _answer(graph, shape)
    return replaced


def _leaves(nest: Any) -> Iterator[Any]:
    """The leaves of a nest. `tf.nest` would sort the keys of dicts, which may not be sortable."""
    if isinstance(nest, Mapping):
        nest = list(nest.values())
    if not isinstance(nest, list | tuple):
        yield nest
        return
    for part in nest:
        yield from _leaves(part)


@dataclasses.dataclass(frozen=True)
class _Consumers:
    """The ops that gather rows of a read, and the ops that ask for its static shape."""

    gathers: list[tf.Operation]
    shapes: list[tf.Operation]


def _consumers(read: tf.Operation, passing: Sequence[tf.Operation]) -> _Consumers | None:
    """The consumers of a read and its identities; None if one asks for more than rows or shape."""
    consumers = [op for source in passing for op in source.outputs[0].consumers()]
    consumers = [op for op in consumers if op not in passing]
    # A read without consumers may still be fetched: only a leftover of `tf.shape` is removed.
    if not consumers and not _asks_for_shape(read):
        return None
    gathers = [op for op in consumers if _gathers_rows(op, passing)]
    shapes = [op for op in consumers if op.type == "Shape" and _static_shape(op) is not None]
    return _Consumers(gathers, shapes) if len(gathers) + len(shapes) == len(consumers) else None


def _identities(read: tf.Operation) -> list[tf.Operation]:
    """The identities of a read, and the identities of those."""
    return list(_passed_on(read))


def _passed_on(source: tf.Operation) -> Iterator[tf.Operation]:
    for op in source.outputs[0].consumers():
        if op.type in _PASSED_ON:
            yield op
            yield from _passed_on(op)


def _asks_for_shape(read: tf.Operation) -> bool:
    """Whether `tf.shape` made the read. It drops the read if the shape turns out to be static."""
    # This is the name of TensorFlow's function behind `tf.shape`.
    return any(frame.name == "shape_internal" for frame in read.traceback or ())


def _gathers_rows(op: tf.Operation, sources: Sequence[tf.Operation]) -> bool:
    """Whether an op gathers rows from one of `sources`, and takes its indices from elsewhere."""
    if op.type != "GatherV2" or op.get_attr("batch_dims") != 0:
        return False
    table, indices, axis = op.inputs
    if indices.dtype not in (tf.int32, tf.int64):  # a gather from a variable takes no others
        return False
    is_first = tf.get_static_value(axis) == 0
    return is_first and table.op in sources and indices.op not in sources


def _static_shape(op: tf.Operation) -> list[int] | None:
    shape = op.inputs[0].shape
    return shape.as_list() if shape.is_fully_defined() else None


def _may_see_a_write(
    read: tf.Operation,
    gathers: Sequence[tf.Operation],
    position: Mapping[tf.Operation, int],
    owned: Collection[int],
) -> bool:
    """Whether a write may come between a read and one of its gathers.

    `order_keras_state` puts the writes of Keras code into program order. Another write that waits
    for the read must wait for all the gathers by itself.
    """
    last = max((position[gather] for gather in gathers), default=0)
    for op in read.inputs[0].consumers():
        if op.type in ("ReadVariableOp", "ResourceGather", "VarIsInitializedOp"):
            continue
        if position[read] < position[op] < last:
            return True
        if not ordering.is_keras_write(op, owned):
            needed = ordering.reachable_operations([op])
            if read in needed and not needed.issuperset(gathers):
                return True
    return False


def _gather_from_memory(graph: tf.Graph, read: tf.Operation, gather: tf.Operation) -> tf.Operation:
    """Feeds a gather with exactly the rows that it asks for, in order.

    The gather stays, because any code may hold its output. TensorFlow checks the shapes of new
    inputs against the old ones. The placeholder hides how many rows there are.
    """
    indices, variable = gather.inputs[1], read.outputs[0]
    with (
        graph.as_default(),
        tf.device(read.device),
        # First drop what the caller waits for, then wait for what the old ops waited for.
        tf.control_dependencies(None),
        tf.name_scope("kestimator/rows/"),
        tf.control_dependencies([*read.control_inputs, *gather.control_inputs]),
    ):
        rows = tf.raw_ops.ResourceGather(
            resource=read.inputs[0], indices=tf.reshape(indices, [-1]), dtype=variable.dtype
        )
        table = tf.compat.v1.placeholder_with_default(rows, [None, *variable.shape[1:]])
        # The table has one row per index now, so the indices become 0, 1, 2, ... in their shape.
        places = tf.reshape(tf.range(tf.size(indices, indices.dtype)), tf.shape(indices))
    tf_operations.replace_input(gather, 0, table)
    tf_operations.replace_input(gather, 1, places)
    return rows.op


def _answer(graph: tf.Graph, shape: tf.Operation) -> None:
    """Replaces an op that asks for a static shape by a constant."""
    output = shape.outputs[0]
    with graph.as_default(), tf.control_dependencies(None), tf.name_scope("kestimator/shape/"):
        constant = tf.constant(_static_shape(shape), output.dtype)
    for op in output.consumers():
        for index, tensor in enumerate(op.inputs):
            if tensor is output:
                tf_operations.replace_input(op, index, constant)
