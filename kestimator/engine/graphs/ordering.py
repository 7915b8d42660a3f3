"""The order of reads and writes in a program's graph.

A graph runs what is fetched, in any order that its edges allow. Two kinds of state need more:
what Keras code assigns in place, and the global step that hooks read while it moves.
"""

from __future__ import annotations

import os
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.tf_internals import tf_operations

_KERAS_DIRECTORY = os.path.dirname(os.path.abspath(keras.__file__)) + os.sep
_WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ResourceScatter")
_CALLS = ("StatefulPartitionedCall", "If", "While", "Case")
_NOTHING: Mapping[tf.Operation, Sequence[tf.Operation]] = types.MappingProxyType({})


def reachable_operations(fetches: Iterable[Any], fed: Collection[int] = ()) -> set[tf.Operation]:
    """The ops that run when `fetches` are computed.

    Args:
        fetches: Tensors and ops.
        fed: The ids of tensors whose values the caller feeds.
    """
    # `fed` has ids: in some graphs tensors have no hash, and `==` builds an op.
    pending = [getattr(fetch, "op", fetch) for fetch in fetches if id(fetch) not in fed]
    reached: set[tf.Operation] = set()
    while pending:
        op = pending.pop()
        if op in reached:
            continue
        reached.add(op)
        pending.extend(tensor.op for tensor in op.inputs if id(tensor) not in fed)
        pending.extend(op.control_inputs)
    return reached


def order_keras_state(
    graph: tf.Graph,
    owned: Collection[int] = (),
    replaced: Mapping[tf.Operation, Sequence[tf.Operation]] = _NOTHING,
) -> tuple[list[tf.Operation], list[tf.Operation]]:
    """Orders the reads and writes of the variables that Keras code writes.

    Keras assigns in place and returns no op to fetch. So each variable that Keras writes gets
    program order: a read waits for the last write before it, and a write waits for every earlier
    access.

    A write of a constant, such as that of `load_weights`, is part of the initialization. Like an
    initializer it is left out of the order, because otherwise each step would run it again.

    Args:
        graph: The graph.
        owned: The ids of the handles of Keras variables that TensorFlow assigns on behalf of
            Keras. It does so when there are several replicas.
        replaced: Ops that were replaced by ops made later; see
            `kestimator.engine.graphs.sparse_reads`.

    Returns:
        The writes of constants, and the other writes in program order.
    """
    operations = [op for op in _in_program_order(graph, replaced) if not _is_initializer(op)]
    keras_writes = [op for op in operations if is_keras_write(op, owned)]
    initial_writes = [op for op in keras_writes if _writes_a_constant(op)]
    is_initial = set(initial_writes)
    # Variables that only TF1 code writes are left out: they keep graph semantics, in which
    # nothing but explicit control dependencies orders ops.
    writes = [op for op in keras_writes if op not in is_initial]
    handles = {id(handle) for op in writes for handle in _resources(op)}
    is_write = set(writes)
    last_write: dict[int, tf.Operation] = {}
    reads: dict[int, list[tf.Operation]] = {}
    for op in operations:
        if op in is_initial:
            continue
        for handle in _resources(op):
            if id(handle) not in handles or op.name == _assign(handle):
                continue
            before = [last_write[id(handle)]] if id(handle) in last_write else []
            if op in is_write:
                # Reads before the last write need no edge: that write already waited for them.
                before += reads.pop(id(handle), [])
                last_write[id(handle)] = op
            else:
                reads.setdefault(id(handle), []).append(op)
            _add_control_inputs(op, before)
    return initial_writes, writes


def read_before_writes(graph: tf.Graph, variable: tf.Tensor) -> None:
    """Makes reads of a variable see its value from before the step.

    In a TF1 graph, a fetched read races with the update of the same step. Hooks fetch the global
    step all the time, so the library orders these reads. A read that waits for a write keeps
    its place after that write.

    Args:
        graph: The graph.
        variable: The variable's placeholder.
    """
    consumers = variable.consumers()
    reads = [op for op in consumers if op.type == "ReadVariableOp"]
    writes = [
        op
        for op in consumers
        if op.type.startswith(_WRITES) and op.name != _assign(variable) and not _restores(op)
    ]
    # A read that depends on a write must not come before it: the two edges would form a cycle.
    free = [read for read in reads if not reachable_operations([read]) & set(writes)]
    for write in writes:
        _add_control_inputs(write, free)


def _restores(op: tf.Operation) -> bool:
    """Whether an op is a saver's write of a checkpoint value, which no step runs."""
    # If a restore waited for reads of the global step, it would run what those reads wait for,
    # which may be the step itself.
    source = op.inputs[-1].op
    while source.type == "Identity":
        source = source.inputs[0].op
    return bool(source.type == "RestoreV2")


def _in_program_order(
    graph: tf.Graph, replaced: Mapping[tf.Operation, Sequence[tf.Operation]]
) -> Iterator[tf.Operation]:
    # An op that replaces a read was made after the trace, but takes the read's place in the order.
    moved = {op for replacements in replaced.values() for op in replacements}
    for op in graph.get_operations():
        if op not in moved:
            yield from replaced.get(op, [op])


def _is_initializer(op: tf.Operation) -> bool:
    """Whether an op gives a variable its first value, which happens before the first step."""
    return any(op.name == _assign(handle) for handle in _resources(op))


def _assign(variable: tf.Tensor) -> str:
    """The name of a variable's initializer."""
    # `variable_creator` gives every initializer this name. Nothing else tells it from a write.
    return f"{variable.op.name}/Assign"


def _add_control_inputs(op: tf.Operation, before: list[tf.Operation]) -> None:
    predecessors = {id(other) for other in op.control_inputs} | {id(t.op) for t in op.inputs}
    tf_operations.add_control_inputs(
        op, [other for other in before if id(other) not in predecessors and other is not op]
    )


def _resources(op: tf.Operation) -> list[tf.Tensor]:
    return [tensor for tensor in op.inputs if tensor.dtype == tf.resource]


def writes_a_variable(op: tf.Operation) -> bool:
    """Whether an op writes a variable, directly or possibly in a function that it calls."""
    # A call counts as a write if it gets any resource: its body is not searched.
    return op.type.startswith((*_WRITES, *_CALLS)) and bool(_resources(op))


def _writes_a_constant(op: tf.Operation) -> bool:
    return op.type == "AssignVariableOp" and all(
        source.type in ("Const", "Cast", "Identity", "Reshape")
        for source in reachable_operations([op.inputs[1]])
    )


def is_keras_write(op: tf.Operation, owned: Collection[int]) -> bool:
    """Whether an op writes a variable for Keras code."""
    if not writes_a_variable(op):
        return False
    # With several replicas, the traceback of an assignment may not show the Keras code behind it.
    on_behalf = op.type.startswith("Assign") and any(id(h) in owned for h in _resources(op))
    return on_behalf or made_by_keras(op)


def made_by_keras(op: tf.Operation) -> bool:
    """Whether Keras code made the op. TF1 code fetches the writes that it wants to run."""
    # Keras leaves no mark on its ops, so only the traceback of each op shows it.
    return any(frame.filename.startswith(_KERAS_DIRECTORY) for frame in op.traceback or ())
