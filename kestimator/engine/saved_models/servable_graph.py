"""Turns the graph of a program into a TF1 graph that a SavedModel can hold.

Synopsis::

    graph = servable_graph(model, signatures=signatures, tags=["serve"])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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


def _refuse_unresolved(graph_def: Any, graph: program.ProgramGraph) -> None:
    unresolved = standalone_graph.unresolved_captures(graph_def, graph.captures)
    if unresolved:
        raise errors.ArgumentError(
            "The model_fn cannot be exported: it uses resources from outside of its graph that a "
            f"SavedModel cannot hold (iterators, datasets): {unresolved}. Expected only variables, "
            "lookup tables and constants. Compute values that come from a Dataset in the input_fn, "
            "and pass them as features."
        )
