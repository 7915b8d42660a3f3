"""Writes SavedModels: graphs of programs and the values of a checkpoint, as in tf.estimator.

Synopsis::

    graph = servable_graph(model, signatures=signatures, tags=["serve"])
    write(directory, [graph], checkpoint, as_text=False, session_config=None)

The graph is imported into a real TF1 graph and saved from a real session. So loading it only needs
TensorFlow, of this version or of an older one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.graphs import standalone_graph
from kestimator.engine.programs import model_program, program
from kestimator.engine.runs import batches

_v1 = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_NOT_WRITTEN = (
    *(_GraphKeys.SAVERS, _GraphKeys.SAVEABLE_OBJECTS),  # Python objects without a proto
    "global_step_read_op_cache",  # TensorFlow's, for the graph at hand
)
TRAIN_OP = "saved_model_train_op"
"""The collection in which a SavedModel keeps its train op. TensorFlow has no public name for it."""


@dataclasses.dataclass(frozen=True)
class ServableGraph:
    """One graph of a SavedModel.

    Attributes:
        meta_graph: A `MetaGraphDef`: the TF1 graph, its collections and its saver.
        signatures: `SignatureDef`s by name.
        tags: The tags by which a loader finds the graph.
        main_op: The name of the op that a loader runs to initialize tables and local variables.
        train_op: The name of the op or tensor that makes one training step, or None.
        saver: The saver in the program's graph.
    """

    meta_graph: Any
    signatures: dict[str, Any]
    tags: tuple[str, ...]
    main_op: str
    train_op: str | None
    saver: Any


class NoBatches(batches.Batches):
    """The input of a program for an export, whose placeholders are not fed."""

    def __init__(self) -> None:
        super().__init__()
        self.element_spec = (None, None)
        self.programs = []
        self.is_finite = True

    def initialize(self, steps: float | None = None) -> None:
        """Does nothing."""

    def _next_batch(self) -> list[tf.Tensor]:
        """Never called: the program has no inputs.

        Raises:
            tf.errors.OutOfRangeError: Always.
        """
        raise tf.errors.OutOfRangeError(None, None, "An export has no input.")


def servable_graph(
    model: model_program.ModelProgram, *, signatures: Mapping[str, Any], tags: Sequence[str]
) -> ServableGraph:
    """Completes the graph of a program and converts it to a TF1 graph.

    Args:
        model: The program, traced on the placeholders of a receiver.
        signatures: The `SignatureDef`s.
        tags: The tags of the graph.

    Raises:
        errors.ArgumentError: The graph uses something that a SavedModel cannot hold.
    """
    graph, scaffold = model.graph, model.scaffold
    standalone_graph.initialize_tables_in(graph)
    with graph.unlocked(), graph.as_default():
        saver = scaffold.saver or _v1.train.Saver(sharded=True)
        saver.build()
        # The scaffold of an export is not finalized, which would set these defaults.
        main_op = scaffold.local_init_op
        if main_op is None:
            main_op = _v1.train.Scaffold.default_local_init_op()
        train_op = model.operation_to_export
        graph_def = graph.as_graph_def(add_shapes=True)
        _refuse_unresolved(graph_def, graph)
        meta_graph = _v1.train.export_meta_graph(
            graph=graph,
            graph_def=graph_def,
            saver_def=saver.as_saver_def(),
            collection_list=[
                key
                for key in graph.get_all_collection_keys()
                if isinstance(key, str) and key not in _NOT_WRITTEN
            ],
        )
    return ServableGraph(
        meta_graph,
        dict(signatures),
        tuple(tags),
        main_op.name,
        None if train_op is None else train_op.name,
        saver,
    )


def check_checkpoint(model: model_program.ModelProgram, path: str) -> None:
    """Checks that a checkpoint holds what a program with a default saver restores.

    Raises:
        errors.MissingVariableError: The checkpoint lacks a variable.
        errors.VariableShapeError: It holds a variable with another shape.
    """
    if model.scaffold.saver is None:
        checkpoint_files.check_fits(path, model.graph.get_collection(_GraphKeys.GLOBAL_VARIABLES))


def write(
    make_directory: Callable[[], str],
    graphs: Sequence[ServableGraph],
    checkpoint: str,
    *,
    as_text: bool,
    session_config: Any,
) -> str:
    """Writes a SavedModel of several graphs that share their variables.

    Args:
        make_directory: Creates the empty directory; called after all possible checks.
        graphs: The graphs; the first one's saver writes the variables.
        checkpoint: The path of the values.
        as_text: Whether to write `saved_model.pbtxt`.
        session_config: A `ConfigProto`, or None.

    Returns:
        The directory.

    Raises:
        errors.MissingVariableError: The checkpoint lacks a variable.
    """
    builder: Any = None
    directory = ""
    for graph in graphs:
        with _restored(graph, checkpoint, session_config) as (session, saver):
            arguments = {
                "tags": list(graph.tags),
                "signature_def_map": dict(graph.signatures),
                "assets_collection": _v1.get_collection(_GraphKeys.ASSET_FILEPATHS),
                "main_op": session.graph.get_operation_by_name(graph.main_op),
                # An older TensorFlow does not know attributes that were added later.
                "strip_default_attrs": True,
                "saver": saver,
            }
            if graph.train_op is not None:
                _v1.add_to_collection(TRAIN_OP, session.graph.as_graph_element(graph.train_op))
            # Only the first graph writes the variables: all graphs share them.
            if builder is None:
                directory = make_directory()
                builder = _v1.saved_model.Builder(directory)
                builder.add_meta_graph_and_variables(session, **arguments)
            else:
                builder.add_meta_graph(**arguments)
    builder.save(as_text)
    return directory


@contextlib.contextmanager
def _restored(
    graph: ServableGraph, checkpoint: str, session_config: Any
) -> Iterator[tuple[Any, Any]]:
    """Yields a TF1 session over a graph with the values of a checkpoint, and its saver."""
    with (
        tf.Graph().as_default(),
        _v1.Session(config=_on_cpu(session_config)) as session,
    ):
        saver = _v1.train.import_meta_graph(graph.meta_graph)
        try:
            with checkpoint_files.unreadable_as_error(checkpoint):
                saver.restore(session, checkpoint)
        except tf.errors.NotFoundError as error:
            raise errors.MissingVariableError(
                f"The saver of the model's Scaffold cannot restore the checkpoint {checkpoint!r}: "
                f"{error.message} Export a checkpoint that contains everything the saver reads."
            ) from error
        yield session, saver


def _on_cpu(session_config: Any) -> Any:
    """Returns a session config for the CPU: the session only reads and writes variables."""
    config = _v1.ConfigProto(allow_soft_placement=True)
    if session_config is not None:
        config.MergeFrom(session_config)
    config.allow_soft_placement = True
    config.device_count["GPU"] = 0
    return config


def _refuse_unresolved(graph_def: Any, graph: program.ProgramGraph) -> None:
    unresolved = standalone_graph.unresolved_captures(graph_def, graph.captures)
    if unresolved:
        raise errors.ArgumentError(
            "The model_fn cannot be exported: it uses resources from outside of its graph that a "
            f"SavedModel cannot hold (iterators, datasets): {unresolved}. Expected only variables, "
            "lookup tables and constants. Compute values that come from a Dataset in the input_fn, "
            "and pass them as features."
        )
