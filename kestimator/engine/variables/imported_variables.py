"""Variables that TensorFlow puts into a program's graph without asking a variable creator.

Synopsis::

    meta_graph = with_resources(meta_graph)      # before `import_meta_graph` puts it into the graph
    take_over(graph, store, local)               # after the trace

`import_meta_graph`, which TF-Hub modules use, brings ops that make variables. In a program, a
variable is memory of the estimator's store. So a placeholder replaces each such op. It captures
that memory under the variable's name. Reference variables of TF1 pass references from op to op,
and cannot live outside of a graph. They become resource variables, which compute the same.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.tf_internals import tf_operations, tf_tensors, tf_variables
from kestimator.engine.variables import variable_store

_GraphKeys = tf.compat.v1.GraphKeys
_REFERENCES = ("Variable", "VariableV2")
# A read of a reference variable is an `Identity` of its reference.
_BECOME = {
    "Identity": "ReadVariableOp",
    "Assign": "AssignVariableOp",
    "AssignAdd": "AssignAddVariableOp",
    "AssignSub": "AssignSubVariableOp",
}
_WITH_DTYPE = (*_BECOME.values(), "ResourceScatter")


def with_resources(meta_graph: Any) -> Any:
    """A `MetaGraphDef` whose reference variables are resource variables.

    Args:
        meta_graph: The `MetaGraphDef`. It stays as it is; the result is a changed copy.

    Raises:
        errors.ArgumentError: An op uses the reference that another op passes on.
    """
    references = {node.name: node for node in meta_graph.graph_def.node if node.op in _REFERENCES}
    if not references:
        return meta_graph
    changed = type(meta_graph)()
    changed.CopyFrom(meta_graph)
    del changed.graph_def.node[:]
    # Writes to a reference pass the reference on; writes to a resource have no output.
    writes: set[str] = set()
    for node in meta_graph.graph_def.node:
        copy = changed.graph_def.node.add()
        copy.CopyFrom(node)
        copy.attr.pop("_class", None)
        if node.name in references:
            _become_handle(copy)
        elif node.input and _source(node.input[0]) in references and _converted(node.op):
            _become_resource_op(copy)
            writes.update([copy.name] if copy.op != "ReadVariableOp" else [])
    _read_before_others(changed.graph_def, references)
    _check_not_passed_on(changed.graph_def, writes)
    for collection in changed.collection_def.values():
        collection.bytes_list.value[:] = map(_as_resource, collection.bytes_list.value)
    return changed


def _converted(op: str) -> str | None:
    """The op on resource variables that does the same as an op on references, or None."""
    if op in _BECOME:
        return _BECOME[op]
    is_update = op.startswith(("Apply", "SparseApply", "Scatter"))
    return f"Resource{op}" if is_update and hasattr(tf.raw_ops, f"Resource{op}") else None


def _source(name: str) -> str:
    return name.removesuffix(":0")


def _become_handle(node: Any) -> None:
    node.op = "VarHandleOp"
    # A reference variable without a shared name uses the name of its node.
    if not node.attr["shared_name"].s:
        node.attr["shared_name"].s = node.name.encode()


def _become_resource_op(node: Any) -> None:
    node.op = _converted(node.op)
    node.attr.pop("_output_shapes", None)
    if node.op.startswith(_WITH_DTYPE):
        node.attr["dtype"].CopyFrom(node.attr["T"])
        del node.attr["T"]
        for option in ("use_locking", "validate_shape"):
            node.attr.pop(option, None)


def _read_before_others(graph_def: Any, references: dict[str, Any]) -> None:
    """Adds reads of variables for the ops that used a reference as a value."""
    # Any op may take a reference where it wants a value. It does not take a resource.
    reads: set[str] = set()
    for node in list(graph_def.node):
        on_resource = node.op.startswith((*_BECOME.values(), "Resource"))
        for position, name in enumerate(node.input):
            if _source(name) in references and not (on_resource and _takes_handle(node, position)):
                reads.add(_source(name))
                node.input[position] = f"{_source(name)}/kestimator/read"
    for name in sorted(reads):
        read = graph_def.node.add(name=f"{name}/kestimator/read", op="ReadVariableOp", input=[name])
        read.attr["dtype"].CopyFrom(references[name].attr["dtype"])


def _takes_handle(node: Any, position: int) -> bool:
    """Whether an op takes a resource at a position. Optimizer ops take several, before values."""
    definition = tf.compat.v1.get_default_graph().op_def_for_type(node.op)
    return bool(definition.input_arg[position].type == tf.resource.as_datatype_enum)


def _check_not_passed_on(graph_def: Any, writes: set[str]) -> None:
    for node in graph_def.node:
        for name in node.input:
            if _source(name) in writes:
                raise errors.ArgumentError(
                    f"The imported graph has TF1 reference variables, and {node.name!r} reads "
                    f"through a reference what {name!r} has written. Expected reads with a "
                    "control dependency on the write, or resource variables. Export the graph "
                    "again after tf.compat.v1.enable_resource_variables()."
                )


def _as_resource(serialized: bytes) -> bytes:
    """Turns a `VariableDef` into one of a resource variable; returns other bytes unchanged."""
    try:
        definition = tf_variables.VariableDef.FromString(serialized)
    except Exception:  # the collection holds something else
        return serialized
    # Another proto may parse as a `VariableDef`, but it lacks these names.
    if not (definition.variable_name and definition.initializer_name):
        return serialized
    definition.is_resource = True
    return bytes(definition.SerializeToString())


def take_over(
    graph: Any, store: variable_store.VariableStore, local: variable_store.VariableStore
) -> None:
    """Moves variables that are ops of the graph into the stores.

    Args:
        graph: The program's graph, after its trace.
        store: The store of the variables that checkpoints contain.
        local: The store of the variables that belong only to the program.
    """
    # One variable is in several collections: all of them must get the same view.
    views: dict[int, Any] = {}
    for key in graph.get_all_collection_keys():
        collection = graph.get_collection_ref(key)
        for position, variable in enumerate(collection):
            if _is_op_of(graph, variable):
                owner = local if key == _GraphKeys.LOCAL_VARIABLES else store
                if id(variable) not in views:
                    views[id(variable)] = _view(graph, variable, owner)
                collection[position] = views[id(variable)]


def _is_op_of(graph: Any, variable: Any) -> bool:
    if not isinstance(variable, tf.Variable) or isinstance(
        variable, variable_store.ProgramVariable
    ):
        return False
    # A variable of several replicas has no handle itself, and was not imported.
    handle = tf_variables.own_handle(variable)
    return (
        isinstance(handle, tf.Tensor)
        and not tf_tensors.is_eager(handle)
        and handle.graph is graph
        and handle.op.type == "VarHandleOp"
    )


def _view(graph: Any, variable: Any, store: variable_store.VariableStore) -> Any:
    name = variable.op.name
    memory = store.uninitialized(name, variable.shape, variable.dtype).variable
    handle = variable_store.memory_handle(memory)
    with graph.as_default(), tf.control_dependencies(None), tf.name_scope(""):
        # The name of the variable is taken: the op that the import brought still has it.
        placeholder = graph.placeholder_for(handle, f"{name}/resource")
    for consumer in variable.handle.consumers():
        for position, tensor in enumerate(consumer.inputs):
            if tensor is variable.handle:
                tf_operations.replace_input(consumer, position, placeholder)
    return variable_store.ProgramVariable(
        memory=memory,
        graph=graph,
        name=name,
        placeholder=placeholder,
        initial_value=variable.initial_value,
        initializer=variable.initializer,
        trainable=variable.trainable,
    )
