"""Imports graphs of a SavedModel into programs, with variables of the store and separate tables.

Synopsis::

    saved = SavedModel("/tmp/exports/1700000000")
    meta_graph = saved.meta_graph(["eval"])            # None if there is none
    imported = saved.put_into_program(meta_graph, feeds={"x:0": features["x"]})
    imported.tensor_of(meta_graph.signature_def["eval"].outputs["loss"])

`tf.compat.v1.train.import_meta_graph` would create variables that belong to the graph only. Here
a capture of the program replaces each op that creates a variable.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import program
from kestimator.engine.saved_models import export_files, saved_model, tensor_infos
from kestimator.engine.tf_internals import tf_meta_graphs, tf_variables
from kestimator.engine.variables import variable_creator, variable_store

_v1 = tf.compat.v1
_Keys = _v1.GraphKeys
_VARIABLES = (
    *(_Keys.GLOBAL_VARIABLES, _Keys.LOCAL_VARIABLES, _Keys.TRAINABLE_VARIABLES),
    *(_Keys.MODEL_VARIABLES, _Keys.MOVING_AVERAGE_VARIABLES, _Keys.METRIC_VARIABLES),
    _Keys.GLOBAL_STEP,
)
_MAIN_OPS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"
_ASSETS = ("saved_model_assets", _Keys.ASSET_FILEPATHS)
_SCAFFOLD = (
    *(_Keys.INIT_OP, _Keys.LOCAL_INIT_OP, _Keys.READY_OP, _Keys.READY_FOR_LOCAL_INIT_OP),
    *(_Keys.SAVERS, _Keys.SUMMARY_OP, "global_step_read_op_cache"),
)
_NOT_IMPORTED = (*_VARIABLES, *_MAIN_OPS, *_ASSETS, *_SCAFFOLD, saved_model.TRAIN_OP)
_REFERENCES = ("Variable", "VariableV2")
_imports = itertools.count()


class SavedModel:
    """A SavedModel on disk, of graphs in TF1's form.

    Args:
        directory: Its directory.

    Attributes:
        directory: Its directory.
        variables: The path of its checkpoint.

    Raises:
        errors.SavedModelError: It does not exist or cannot be read.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.variables = os.path.join(directory, "variables", "variables")
        self._saved_model = _parsed(directory)
        if not tf.io.gfile.exists(f"{self.variables}.index"):
            raise errors.SavedModelError(
                f"The SavedModel in {directory!r} has no variables: the file "
                f"{self.variables}.index does not exist. Copy the whole directory of the export."
            )
        if not checkpoint_files.has_global_step(self.variables):
            raise errors.SavedModelError(
                f"The SavedModel in {directory!r} has no global step, so it was not written by "
                "an Estimator. Load it with tf.saved_model.load or keras.models.load_model."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, by `copy` or by pickle, is read from the directory again."""
        return SavedModel, (self.directory,)

    @property
    def tags(self) -> list[list[str]]:
        """The tags of each graph."""
        return [list(graph.meta_info_def.tags) for graph in self._saved_model.meta_graphs]

    def meta_graph(self, tags: Iterable[str]) -> Any:
        """Returns the `MetaGraphDef` with exactly these tags, or None."""
        graphs = self._saved_model.meta_graphs
        return next((g for g in graphs if set(g.meta_info_def.tags) == set(tags)), None)

    def put_into_program(self, meta_graph: Any, feeds: Mapping[str, tf.Tensor]) -> Imported:
        """Puts a graph into the program that is being traced.

        Args:
            meta_graph: The graph.
            feeds: Tensors of the program by the names of the tensors that they replace.

        Raises:
            errors.KestimatorError: No program is being traced.
            errors.SavedModelError: The graph has reference variables.
        """
        graph = _v1.get_default_graph()
        if not isinstance(graph, program.ProgramGraph) or graph.creator is None:
            raise errors.KestimatorError(
                "The graph of a SavedModel can be used only while an Estimator calls its model_fn."
            )
        definition = _prepared(meta_graph.graph_def, self.directory)
        assets = self._assets(meta_graph)
        # Captures come before the import, which puts them in place of ops. Views come after it, as
        # they need the imported initializers.
        variables = _Variables(graph, graph.creator, meta_graph, definition)
        replacements = {**variables.captured, **assets, **feeds}
        operations = _put(definition, replacements)
        imported = Imported(graph, meta_graph, operations, replacements)
        variables.add_views(imported)
        for asset in assets.values():
            graph.add_to_collection(_Keys.ASSET_FILEPATHS, asset)
        imported.add_collections()
        return imported

    def _assets(self, meta_graph: Any) -> dict[str, tf.Tensor]:
        """Returns constants with the paths of the assets, by the names of tensors they replace."""
        paths = tf_meta_graphs.asset_paths(self.directory, meta_graph)
        with tf.control_dependencies(None), tf.name_scope("kestimator/asset/"):
            return {name: tf.constant(path) for name, path in paths.items()}


def _parsed(directory: str) -> Any:
    """Reads the proto from a binary file or from text."""
    try:
        return tf_meta_graphs.read_saved_model(directory)
    except OSError as error:
        below = export_files.exports_in(directory)
        hint = f" Did you mean {os.path.join(directory, below[-1])!r}?" if below else ""
        raise errors.SavedModelError(
            f"There is no readable SavedModel in {directory!r} (`saved_model_dir`): {error}. "
            "Expected the directory "
            f"that `experimental_export_all_saved_models` returned.{hint}"
        ) from error


class Imported:
    """A graph that has been put into a program.

    Args:
        graph: The program's graph.
        meta_graph: The imported graph.
        operations: The ops in the program by their names in the imported graph.
        replacements: Tensors of the program by the names of the tensors that they replace.
    """

    def __init__(
        self,
        graph: program.ProgramGraph,
        meta_graph: Any,
        operations: Mapping[str, tf.Operation],
        replacements: Mapping[str, tf.Tensor],
    ) -> None:
        self._graph = graph
        self._meta_graph = meta_graph
        self._operations = operations
        self._replacements = replacements

    def element(self, name: str) -> Any:
        """Returns the op or tensor called `name` in the imported graph; None if left out."""
        operation_name, _, index = name.partition(":")
        if name in self._replacements:
            return self._replacements[name]
        # A name without an index is that of an op.
        operation = self._operations.get(operation_name)
        return operation.outputs[int(index)] if operation is not None and index else operation

    def tensor_of(self, info: Any) -> Any:
        """Returns the tensor that a `TensorInfo` describes: dense, sparse or ragged."""
        if info.WhichOneof("encoding") == "name":
            return self.element(info.name)
        # TensorFlow finds the parts by name: give it the names that they have in this graph.
        renamed = type(info)()
        renamed.CopyFrom(info)
        for part, field in tensor_infos.fields(renamed):
            setattr(part, field, self.element(getattr(part, field)).name)
        return _v1.saved_model.utils.get_tensor_from_tensor_info(renamed, graph=self._graph)

    @property
    def main_op(self) -> tf.Operation | None:
        """The op that initializes tables and local variables, or None."""
        for key in _MAIN_OPS:
            for name in self._nodes(key):
                return self.element(name)
        signatures = self._meta_graph.signature_def
        if _INIT_SIGNATURE in signatures:
            (info,) = signatures[_INIT_SIGNATURE].outputs.values()
            return self.element(info.name.split(":")[0])
        return None

    @property
    def train_op(self) -> Any:
        """The op or tensor that makes a training step, or None."""
        names = self._nodes(saved_model.TRAIN_OP)
        return self.element(names[0]) if names else None

    def saver(self, keep_max: int | None, keep_every_n_hours: float | None) -> Any:
        """Returns a saver that reads and writes variables like the imported graph.

        Args:
            keep_max: How many checkpoints to keep; None for all.
            keep_every_n_hours: The hours between the checkpoints to keep permanently.
        """
        definition = _v1.train.SaverDef()
        definition.CopyFrom(self._meta_graph.saver_def)
        for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            setattr(definition, field, self.element(getattr(definition, field)).name)
        # A proto has no None: 0 keeps all.
        definition.max_to_keep = keep_max or 0
        definition.keep_checkpoint_every_n_hours = keep_every_n_hours or 0.0
        return _v1.train.Saver(saver_def=definition, save_relative_paths=True)

    def add_collections(self) -> None:
        """Adds ops and tensors to the collections that they had in the imported graph."""
        for key in self._meta_graph.collection_def:
            if key not in _NOT_IMPORTED:
                elements = [self.element(name) for name in self._nodes(key)]
                for element in filter(lambda element: element is not None, elements):
                    self._graph.add_to_collection(key, element)

    def _nodes(self, key: str) -> Sequence[str]:
        collections = self._meta_graph.collection_def
        return list(collections[key].node_list.value) if key in collections else []


@dataclasses.dataclass(frozen=True)
class _Captured:
    """A variable whose memory the program captures.

    Attributes:
        name: The name in checkpoints.
        memory: The eager variable.
        placeholder: The tensor that stands for it in the program.
    """

    name: str
    memory: tf.Variable
    placeholder: tf.Tensor


class _Variables:
    """The variables of an imported graph, and their views in the program.

    Args:
        graph: The program's graph.
        creator: The variable creator of the program, which has the stores.
        meta_graph: The imported graph.
        definition: Its ops, including those of variables.
    """

    def __init__(
        self,
        graph: program.ProgramGraph,
        creator: variable_creator.VariableCreator,
        meta_graph: Any,
        definition: Any,
    ) -> None:
        self._graph = graph
        self._creator = creator
        self._collections = {
            key: [
                tf_variables.VariableDef.FromString(value)
                for value in meta_graph.collection_def[key].bytes_list.value
            ]
            for key in _VARIABLES
            if key in meta_graph.collection_def
        }
        # All other variables are local, such as those of metrics.
        globals_ = {v.variable_name for v in self._collections.get(_Keys.GLOBAL_VARIABLES, [])}
        self._captured = {
            f"{node.name}:0": self._capture(node, is_local=f"{node.name}:0" not in globals_)
            for node in definition.node
            if node.op == "VarHandleOp"
        }

    @property
    def captured(self) -> dict[str, tf.Tensor]:
        """The placeholders of variables in the program, by their names in the imported graph."""
        return {name: variable.placeholder for name, variable in self._captured.items()}

    def _capture(self, node: Any, *, is_local: bool) -> _Captured:
        store = self._creator.local if is_local else self._creator.store
        # The shared name of a variable is its name in checkpoints.
        name = node.attr["shared_name"].s.decode() or node.name
        dtype = tf.as_dtype(node.attr["dtype"].type)
        memory = store.uninitialized(name, tf.TensorShape(node.attr["shape"].shape), dtype).variable
        with tf.control_dependencies(None), _v1.name_scope(None):
            placeholder = self._graph.placeholder_for(
                variable_store.memory_handle(memory), node.name
            )
        return _Captured(name, memory, placeholder)

    def add_views(self, imported: Imported) -> None:
        """Adds a view of each variable to the collections that the variable had."""
        views: dict[str, Any] = {}
        for key, definitions in self._collections.items():
            for definition in definitions:
                name = definition.variable_name
                if name not in views:
                    views[name] = self._view(definition, imported)
                view = views[name]
                if not any(view is other for other in self._graph.get_collection(key)):
                    self._graph.add_to_collection(key, view)

    def _view(self, definition: Any, imported: Imported) -> Any:
        """Returns a view of a variable; the program already has one of the global step."""
        captured = self._captured[definition.variable_name]
        for existing_view in self._graph.get_collection(_Keys.GLOBAL_VARIABLES):
            if existing_view.op is captured.placeholder.op:
                return existing_view
        initial_value = definition.initial_value_name
        view = variable_store.ProgramVariable(
            memory=captured.memory,
            graph=self._graph,
            name=captured.name,
            placeholder=captured.placeholder,
            initial_value=imported.element(initial_value) if initial_value else None,
            initializer=imported.element(definition.initializer_name),
            trainable=definition.trainable,
            synchronization=tf.VariableSynchronization(definition.synchronization),
            aggregation=tf.VariableAggregation(definition.aggregation),
        )
        if definition.HasField("save_slice_info_def"):
            info = tf.Variable.SaveSliceInfo(save_slice_info_def=definition.save_slice_info_def)
            tf_variables.set_slice_info(view, info)
        view.read_by(imported.element(definition.snapshot_name))
        return view


def _prepared(graph_def: Any, directory: str) -> Any:
    """Returns a copy of the ops of a graph, with unique names of functions and resources."""
    definition = _v1.GraphDef()
    definition.CopyFrom(graph_def)
    suffix = f"_imported_{next(_imports)}"
    functions = {f.signature.name: f.signature.name + suffix for f in definition.library.function}
    # Cached: ops that share a resource in the graph still share it under the new name.
    shared = functools.cache(program.unique_name)
    for node in _all_nodes(definition):
        if node.op in _REFERENCES:
            raise errors.SavedModelError(
                f"The SavedModel in {directory!r} has the TF1 reference variable {node.name!r}. "
                "Expected resource variables. Export the model again after "
                "tf.compat.v1.enable_resource_variables()."
            )
        node.attr.pop("_class", None)  # colocation with the op of a variable
        # A variable keeps its shared name, by which `_capture` finds it in the store.
        if node.op != "VarHandleOp" and "shared_name" in node.attr and node.attr["shared_name"].s:
            node.attr["shared_name"].s = shared(node.attr["shared_name"].s.decode()).encode()
        _rename_functions(node, functions)
    for function in definition.library.function:
        function.signature.name = functions[function.signature.name]
    for gradient in definition.library.gradient:
        gradient.function_name = functions.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = functions.get(gradient.gradient_func, gradient.gradient_func)
    return definition


def _all_nodes(definition: Any) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _rename_functions(node: Any, names: Mapping[str, str]) -> None:
    node.op = names.get(node.op, node.op)
    for value in node.attr.values():
        for function in (value.func, *value.list.func) if _has_functions(value) else ():
            function.name = names.get(function.name, function.name)


def _has_functions(value: Any) -> bool:
    return value.HasField("func") or bool(value.list.func)


def _put(definition: Any, replacements: Mapping[str, tf.Tensor]) -> dict[str, tf.Operation]:
    """Imports ops into the default graph, except those that `replacements` replace."""
    left_out = {name.partition(":")[0] for name in replacements}
    nodes = [node for node in definition.node if not _gives_way(node, left_out)]
    names = {node.name for node in nodes}
    for node in nodes:
        # Control inputs ("^name") may name ops that are left out.
        node.input[:] = [i for i in node.input if not i.startswith("^") or i[1:] in names]
    del definition.node[:]
    definition.node.extend(nodes)
    # `import_graph_def` refuses names in `input_map` that no op reads.
    used = {_full(source) for node in nodes for source in node.input}
    operations = tf.graph_util.import_graph_def(
        definition,
        input_map={name: tensor for name, tensor in replacements.items() if name in used},
        return_elements=[node.name for node in nodes],
        name="",
    )
    return dict(zip((node.name for node in nodes), operations, strict=True))


def _gives_way(node: Any, names: set[str]) -> bool:
    """Returns whether an op only produces a tensor that is replaced."""
    return node.name in names and node.op in ("VarHandleOp", "Placeholder", "Const")


def _full(source: str) -> str:
    """Returns the full name of an input of an op, with the index of the output."""
    return source if ":" in source or source.startswith("^") else f"{source}:0"
