"""Exports of an estimator: graphs to serve, the values of a checkpoint, a Keras model.

Synopsis::

    path = export_saved_model(state, request, checkpoint)
    with keras_model(state, checkpoint, input_fn) as (model, names):
        ...
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kestimator import specs
from kestimator._types import InputFn, ServingInputReceiverFn
from kestimator.engine.checkpoints import checkpoint_files, former_names, keras_writing
from kestimator.engine.programs import model_program
from kestimator.engine.programs import program as _program
from kestimator.engine.saved_models import saved_model, signatures
from kestimator.engine.saved_models.servable_graph import (
    NoBatches,
    ServableGraph,
    check_checkpoint,
    servable_graph,
)
from kestimator.exporting import receivers
from kestimator.keys import EXPORT_TAGS, ModeKeys
from kestimator.runtime import programs, runs
from kestimator.runtime.export_request import ExportRequest
from kestimator.runtime.state import EstimatorState


def export_saved_model(state: EstimatorState, request: ExportRequest, path: str | None) -> bytes:
    """Writes a SavedModel with a graph for each mode. Called under the lock.

    Args:
        state: The state of the estimator.
        request: The checked arguments.
        path: The checkpoint to export; None for the values of a partial warm start.

    Returns:
        The path of the export.
    """
    traced = [_traced(state, mode, function) for mode, function in request.receiver_fns.items()]
    with _values(state, traced, path) as checkpoint:
        return saved_model.write(
            request.base,
            [graph for _, graph in traced],
            checkpoint,
            assets_extra=request.assets_extra,
            as_text=request.as_text,
            session_config=state.config.session_config,
        )


def _traced(
    state: EstimatorState, mode: str, receiver_fn: ServingInputReceiverFn
) -> tuple[model_program.ModelProgram, ServableGraph]:
    """Traces the model_fn on the placeholders of a receiver."""
    source = _ServedSource(state, mode, receiver_fn)
    model = model_program.ModelProgram.trace(
        source,
        mode=mode,
        element_spec=(None, None),
        seed=state.config.tf_random_seed,
        store=state.store,
    )
    with model.graph.as_default():
        outputs = signatures.outputs_for_mode(model)
        signature_defs = signatures.signature_defs(source.receiver, outputs, mode)
    return model, servable_graph(model, signatures=signature_defs, tags=EXPORT_TAGS[mode])


class _ServedSource(programs.Source):
    """A model_fn on the placeholders of a receiver.

    Args:
        state: The state of the estimator.
        mode: The mode.
        receiver_fn: Creates the receiver, in the graph.

    Attributes:
        receiver: The receiver.
    """

    receiver: Any = None

    def __init__(
        self, state: EstimatorState, mode: str, receiver_fn: ServingInputReceiverFn
    ) -> None:
        super().__init__(state, mode)
        self._receiver_fn = receiver_fn

    def call(self, features: Any, labels: Any) -> specs.EstimatorSpec:
        """Calls the receiver_fn, and the model_fn with its features and labels."""
        self.receiver = receivers.checked_receiver(self._receiver_fn())
        return super().call(self.receiver.features, getattr(self.receiver, "labels", None))


@contextlib.contextmanager
def _values(
    state: EstimatorState,
    traced: Sequence[tuple[model_program.ModelProgram, ServableGraph]],
    path: str | None,
) -> Iterator[str]:
    """Yields the checkpoint to write; for a partial warm start, a temporary one of its values."""
    if path is not None:
        # The first graph's saver restores the variables of all.
        with former_names.with_current_names(traced[0][0], path) as readable:
            for model, _ in traced:
                check_checkpoint(model, readable)
            yield readable
        return
    model, graph = traced[0]
    session = runs.session_over(state, model, NoBatches())
    with tempfile.TemporaryDirectory() as directory:
        # The variables get their values back: training and predictions continue with them.
        with model.graph.as_default(), state.tracker.preserved():
            runs.prepare(state, model, session, [], lambda: None, None)
            checkpoint = os.path.join(directory, "model.ckpt")
            graph.saver.save(session, checkpoint, write_meta_graph=False, write_state=False)
        yield checkpoint


@contextlib.contextmanager
def keras_model(
    state: EstimatorState, path: str, input_fn: InputFn | None
) -> Iterator[tuple[keras.Model | None, dict[int, str]]]:
    """Yields the Keras model that the model_fn names, with the values of a checkpoint.

    The variables get their own values back afterwards.

    Args:
        state: The state of the estimator.
        path: The checkpoint.
        input_fn: The input to call the model_fn with, if it has not been called yet.

    Yields:
        The model, or None; and the names of its variables by their ids.
    """
    with state.tracker.lock:
        model = _named_keras_model(state)
        if model is None and input_fn is not None:
            batches = programs.open_input(state, input_fn, ModeKeys.PREDICT)
            model = programs.program(state, ModeKeys.PREDICT, batches).spec.keras_model
        if model is None:
            yield None, {}
            return
        slots = {id(slot.variable): slot.name for slot in state.store}
        optimizer = getattr(model, "optimizer", None)
        variables = [*model.variables, *(optimizer.variables if optimizer is not None else ())]
        named = {slots[id(v.value)]: v for v in variables if id(v.value) in slots}
        checkpoint = checkpoint_files.reader(path)
        saved = {name: v for name, v in named.items() if checkpoint.has_tensor(name)}
        state.tracker.settle()
        with _program.eager_mode(), keras_writing.holding(saved, checkpoint.get_tensor):
            yield model, {id(variable): name for name, variable in saved.items()}


def _named_keras_model(state: EstimatorState) -> keras.Model | None:
    """Returns the Keras model of a program; that of training only if it has one replica."""
    modes = [ModeKeys.EVAL, ModeKeys.PREDICT]
    if state.distribution.replicas == 1:
        modes.insert(0, ModeKeys.TRAIN)
    for mode in modes:
        for model in state.programs.of(mode):
            if model.spec.keras_model is not None:
                return model.spec.keras_model
    return None
