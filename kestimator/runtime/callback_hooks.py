"""The hooks that serve the argument `callbacks` of `train` and `evaluate`.

Synopsis::

    hook = training_hook(state, model, callbacks, steps=100, verbose=0, export=export_keras)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kestimator.adapters.hooks import keras_callbacks
from kestimator.engine.programs import model_program
from kestimator.runtime import program_model, training
from kestimator.runtime.state import EstimatorState


def training_hook(
    state: EstimatorState,
    model: model_program.ModelProgram,
    callbacks: Sequence[Any] | None,
    *,
    steps: int | None,
    verbose: int,
    export: Callable[[str, str], Any],
) -> keras_callbacks.CallbacksHook | None:
    """Returns the hook that calls the callbacks of training; None if there are none.

    Args:
        state: The state of the estimator.
        model: The program that trains.
        callbacks: The callbacks, or None.
        steps: The number of steps of the call, if it is known.
        verbose: Whether progress is shown, for callbacks that ask.
        export: Writes a Keras file, given its path and a checkpoint.

    Raises:
        errors.ArgumentError: A callback cannot be used.
    """
    if not callbacks:
        return None
    keras_model = program_model.ProgramModel(state, model, export)
    are_evaluated = isinstance(callbacks, keras_callbacks.EvaluatedCallbacks)
    keras_callbacks.check(callbacks, keras_model, are_evaluated=are_evaluated)
    hook = keras_callbacks.CallbacksHook(
        keras_model,
        callbacks,
        model.spec.loss,
        "train",
        {"verbose": verbose, "epochs": 1, "steps": steps},
        after_events=lambda: _share(state, model),
    )
    if isinstance(callbacks, keras_callbacks.EvaluatedCallbacks):
        callbacks.hook = hook
        # The last checkpoint was saved before the last calls, which may have set variables.
        callbacks.on_end = state.tracker.changed
    return hook


def evaluation_hook(
    state: EstimatorState,
    model: model_program.ModelProgram,
    callbacks: Sequence[Any] | None,
    *,
    steps: int | None,
    export: Callable[[str, str], Any],
) -> keras_callbacks.CallbacksHook | None:
    """Returns the hook that calls the callbacks of an evaluation; None if there are none.

    The arguments are those of `training_hook`.
    """
    if not callbacks:
        return None
    keras_model = program_model.ProgramModel(state, model, export)
    params = {"verbose": 0, "epochs": 1, "steps": steps}
    return keras_callbacks.CallbacksHook(keras_model, callbacks, model.spec.loss, "test", params)


def _share(state: EstimatorState, model: model_program.ModelProgram) -> None:
    if state.distribution.replicas > 1:
        training.broadcast(state, model)
