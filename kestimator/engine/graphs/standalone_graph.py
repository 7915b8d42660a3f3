"""A program's graph as an ordinary TF1 graph, which can be loaded without the program.

Synopsis::

    graph_def = standalone(super().as_graph_def(), graph.captures, variable_names(graph))

A program's graph captures what lives outside of it (variables, lookup tables, constants). A
capture is a placeholder that each call fills. Here each such placeholder becomes an op that makes
the thing itself: `VarHandleOp`, `HashTableV2` or `Const`, under the placeholder's name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.tf_internals import tf_tensors
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_store

_v1 = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_INITIALIZES = ("InitializeTable", "LookupTableImport")
_CHANGES = ("LookupTableInsert", "LookupTableImport", "LookupTableRemove")
_DTYPES = {  # the attributes that hold the dtypes of keys and values, by the op's type
    "LookupTableFindV2": ("Tin", "Tout"),
    "LookupTableInsertV2": ("Tin", "Tout"),
    "LookupTableImportV2": ("Tin", "Tout"),
    "LookupTableExportV2": ("Tkeys", "Tvalues"),
    "InitializeTableV2": ("Tkey", "Tval"),
}
_FROM_FILE = "InitializeTableFromTextFileV2"
# An attribute of the handle, because its handle does not lead to the `DenseHashTable`.
_DENSE_TABLE = "_kestimator_dense_table"
_LINE_NUMBER = -1  # `tf.lookup.TextFileIndex.LINE_NUMBER`, the only index that is not a string


def standalone(
    graph_def: Any, captures: Iterable[tuple[Any, Any]], names: Mapping[str, str]
) -> Any:
    """Replaces the placeholders of captures by ops that make what was captured.

    Args:
        graph_def: The `GraphDef` of a program's graph. This function changes it.
        captures: The graph's pairs of external and internal tensors.
        names: The names of variables by the names of their placeholders.

    Returns:
        The `GraphDef`. Captures of other kinds (iterators, datasets) stay placeholders.
    """
    external = {internal.op.name: outside for outside, internal in captures}
    consumers = _Consumers(graph_def)
    for node in graph_def.node:
        if node.op != "Placeholder" or node.name not in external:
            continue
        outside = external[node.name]
        if outside.dtype == tf.resource:
            # Only the handle of a variable says what is behind it; that of a table does not.
            data = tf_tensors.handle_data(outside)
            if data is not None:
                _become_variable(node, data, names.get(node.name, node.name))
            elif hasattr(outside, _DENSE_TABLE):
                _become_dense_table(graph_def, node, getattr(outside, _DENSE_TABLE))
            else:
                _become_table(node, list(consumers.of(node.name)))
        # An eager tensor has a value. A variant (a dataset) has none that a constant could hold.
        elif hasattr(outside, "numpy") and outside.dtype != tf.variant:
            _become_constant(node, tf.make_tensor_proto(outside.numpy(), outside.dtype))
    _add_reads(graph_def, names)
    return graph_def


@dataclasses.dataclass(frozen=True)
class DenseTable:
    """The arguments of a `tf.lookup.experimental.DenseHashTable`. Its handle does not hold them.

    Attributes:
        key_dtype: The dtype of keys.
        value_dtype: The dtype of values.
        value_shape: The shape of a value.
        empty_key: A key that no key of the table equals.
        deleted_key: Another such key.
    """

    key_dtype: tf.DType
    value_dtype: tf.DType
    value_shape: Sequence[int]
    empty_key: Any
    deleted_key: Any


def remember_dense_table(handle: tf.Tensor, table: DenseTable) -> None:
    """Notes on a table's handle how to make the table again, for standalone graphs."""
    setattr(handle, _DENSE_TABLE, table)


def variable_names(graph: Any) -> dict[str, str]:
    """The names of a program's variables, by the names of their placeholders."""
    return {
        item.op.name: item.name.split(":")[0]
        for key in graph.get_all_collection_keys()
        for item in graph.get_collection(key)
        if isinstance(item, variable_store.ProgramVariable) and item.graph is graph
    }


def unresolved_captures(graph_def: Any, captures: Iterable[tuple[Any, Any]]) -> list[str]:
    """The names of the captures that `standalone` could not replace."""
    internal = {tensor.op.name for _, tensor in captures}
    return [
        node.name for node in graph_def.node if node.op == "Placeholder" and node.name in internal
    ]


def initialize_tables_in(graph: Any) -> None:
    """Gives tables that were filled eagerly, such as those of Keras, an initializer in the graph.

    The entries become constants. The initializers join `TABLE_INITIALIZERS`.
    """
    consumers = _Consumers(graph.as_graph_def())
    for external, internal in list(graph.captures):
        if external.dtype != tf.resource or tf_tensors.handle_data(external) is not None:
            continue
        users = list(consumers.of(internal.op.name))
        if not users or any(node.op.startswith(_INITIALIZES) for node in users):
            continue
        key_dtype, value_dtype = _table_dtypes(users)
        entries = _entries(external, key_dtype, value_dtype)
        if entries is not None:
            _add_initializer(graph, internal, *entries)


def _add_initializer(graph: Any, table: Any, keys: Any, values: Any) -> None:
    with graph.as_default(), tf.control_dependencies(None):
        operation = tf.raw_ops.InitializeTableV2(
            table_handle=table, keys=tf.constant(keys), values=tf.constant(values)
        )
    graph.add_to_collection(_GraphKeys.TABLE_INITIALIZERS, operation)


def _entries(handle: Any, key_dtype: Any, value_dtype: Any) -> tuple[Any, Any] | None:
    """The keys and values of a table in memory; None if the table is not initialized."""
    # The export of a table that is not initialized fails: the error is the answer.
    with execution_modes.eager_mode(), contextlib.suppress(tf.errors.OpError):
        exported = tf.raw_ops.LookupTableExportV2(
            table_handle=handle, Tkeys=key_dtype, Tvalues=value_dtype
        )
        return exported.keys.numpy(), exported.values.numpy()
    return None


def _add_reads(graph_def: Any, variables: Iterable[str]) -> None:
    """Adds the ops that fetch variables, where they are missing. An import looks for them."""
    # A variable makes its read only when it is first fetched, but the collections name it always.
    present = {node.name: node for node in graph_def.node}
    for variable in variables:
        name, handle = variable_store.name_of_read(variable), present.get(variable)
        if name not in present and handle is not None and handle.op == "VarHandleOp":
            node = graph_def.node.add(
                name=name, op="ReadVariableOp", input=[variable], device=handle.device
            )
            node.attr["dtype"].type = handle.attr["dtype"].type
            node.attr["_output_shapes"].list.shape.add().CopyFrom(handle.attr["shape"].shape)


def _become_variable(node: Any, data: Any, name: str) -> None:
    _become(node, "VarHandleOp")
    node.attr["dtype"].type = data.dtype
    node.attr["shape"].shape.CopyFrom(data.shape)
    node.attr["shared_name"].s = name.encode()
    node.attr["container"].s = b""


def _become_constant(node: Any, value: Any) -> None:
    _become(node, "Const")
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)


def _become_table(node: Any, users: list[Any]) -> None:
    # Without a user, the dtypes are unknown, so the capture stays a placeholder.
    if not users:
        return
    key_dtype, value_dtype = _table_dtypes(users)
    changes = any(user.op.startswith(_CHANGES) for user in users)
    _become(node, "MutableHashTableV2" if changes else "HashTableV2")
    node.attr["key_dtype"].type = key_dtype.as_datatype_enum
    node.attr["value_dtype"].type = value_dtype.as_datatype_enum
    # Tables with one shared name are one table. A unique name keeps two imports of a graph apart.
    node.attr["shared_name"].s = f"{node.name}/{uuid.uuid4().hex}".encode()
    node.attr["container"].s = b""


def _become_dense_table(graph_def: Any, node: Any, table: DenseTable) -> None:
    _become(node, "MutableDenseHashTableV2")
    node.attr["key_dtype"].type = table.key_dtype.as_datatype_enum
    node.attr["value_dtype"].type = table.value_dtype.as_datatype_enum
    node.attr["value_shape"].shape.CopyFrom(tf.TensorShape(table.value_shape).as_proto())
    node.attr["shared_name"].s = f"{node.name}/{uuid.uuid4().hex}".encode()
    for name, key in (("empty_key", table.empty_key), ("deleted_key", table.deleted_key)):
        constant = graph_def.node.add(name=f"{node.name}/{name}")
        _become_constant(constant, tf.make_tensor_proto(key, table.key_dtype))
        node.input.append(constant.name)


def _become(node: Any, operation: str) -> None:
    """Gives a node another type. The node keeps its name and the shape of its output."""
    node.op = operation
    for attribute in list(node.attr):
        if attribute != "_output_shapes":
            del node.attr[attribute]


def _table_dtypes(users: Iterable[Any]) -> tuple[tf.DType, tf.DType]:
    """The dtypes of a table's keys and values, read off an op that uses the table."""
    # The initializer from a file has no attributes for dtypes. Its two indices imply them, unless
    # another op has the attributes.
    key_dtype, value_dtype = tf.string, tf.int64
    for node in users:
        if node.op in _DTYPES:
            key, value = (tf.as_dtype(node.attr[name].type) for name in _DTYPES[node.op])
            return key, value
        if node.op == _FROM_FILE:
            key_dtype, value_dtype = (
                tf.int64 if node.attr[name].i == _LINE_NUMBER else tf.string
                for name in ("key_index", "value_index")
            )
    return key_dtype, value_dtype


class _Consumers:
    """The table ops that use a tensor of a graph, including those inside of functions."""

    def __init__(self, graph_def: Any) -> None:
        self._graph_def = graph_def
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._function_users: dict[str, dict[str, list[tuple[Any, int]]]] = {}

    def of(self, name: str) -> Iterator[Any]:
        """The nodes of table ops that consume the (only) output of the op `name`."""
        return self._table_ops(self._users.get(name, []))

    @functools.cached_property
    def _users(self) -> dict[str, list[tuple[Any, int]]]:
        return _users_by_input(self._graph_def.node)

    def _table_ops(self, users: Iterable[tuple[Any, int]]) -> Iterator[Any]:
        for node, position in users:
            if node.op.startswith(("LookupTable", "InitializeTable")):
                yield node
            for function in _called_functions(node):
                if function in self._functions:
                    yield from self._in_function(function, len(node.input) - position)

    def _in_function(self, name: str, from_end: int) -> Iterator[Any]:
        """The users of a function's argument, which is counted from the end.

        Counted from the end, the inputs of a calling op match the arguments of the function.
        """
        # From the start they do not: `If` has its predicate before them.
        function = self._functions[name]
        arguments = function.signature.input_arg
        if from_end > len(arguments):
            return
        if name not in self._function_users:
            self._function_users[name] = _users_by_input(function.node_def)
        argument = arguments[len(arguments) - from_end].name
        yield from self._table_ops(self._function_users[name].get(argument, []))


def _users_by_input(nodes: Iterable[Any]) -> dict[str, list[tuple[Any, int]]]:
    users: dict[str, list[tuple[Any, int]]] = {}
    for node in nodes:
        for position, source in enumerate(node.input):
            if not source.startswith("^"):  # a caret marks a control input
                users.setdefault(source.split(":")[0], []).append((node, position))
    return users


def _called_functions(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        elif value.HasField("list"):
            yield from (function.name for function in value.list.func)
