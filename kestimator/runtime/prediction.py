"""Prediction: a generator of rows or batches.

Synopsis::

    for row in predict(state, input_fn, None, [], lambda: path, True):
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from kestimator._types import InputFn
from kestimator.engine.checkpoints import checkpoint_tracker
from kestimator.engine.programs import model_program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import device_loop, predictions, step_errors
from kestimator.engine.runs import session as _session
from kestimator.keys import ModeKeys
from kestimator.runtime import (
    programs,
    runs,
)
from kestimator.runtime.state import EstimatorState


def predict(
    state: EstimatorState,
    input_fn: InputFn,
    predict_keys: Any,
    hooks: Sequence[Any],
    path: Callable[[], str | None],
    yield_single_examples: bool,
) -> Iterator[Any]:
    """Yields predictions of a checkpoint: row by row, or batch by batch.

    Args:
        state: The state of the estimator.
        input_fn: Returns features.
        predict_keys: The predictions to yield; None yields all.
        hooks: The hooks.
        path: Returns the checkpoint, or None for initial values; called under the lock.
        yield_single_examples: Whether to yield rows.
    """
    batches = programs.open_input(state, input_fn, ModeKeys.PREDICT)
    model = programs.program(state, ModeKeys.PREDICT, batches)
    chosen = predictions.selected(model.spec.predictions, predict_keys)
    for batch in _batches_of(state, model, batches, chosen, hooks, path, yield_single_examples):
        if yield_single_examples:
            yield from predictions.rows(batch)
        else:
            yield batch


def _batches_of(
    state: EstimatorState,
    model: model_program.ModelProgram,
    batches: _batches.Batches,
    chosen: Any,
    hooks: Sequence[Any],
    path: Callable[[], str | None],
    may_join: bool,
) -> Iterator[Any]:
    """Yields predictions batch by batch, or several batches joined where allowed.

    The lock is held while they are computed, but not at a `yield` and not while hooks run.
    """
    compute: predictions.HookedPredictions | predictions.UnobservedPredictions
    all_hooks = [*hooks, *model.spec.prediction_hooks]
    plain = runs.session_over(state, model, batches)
    with state.tracker.lock, model.graph.as_default():
        checkpoint = path()
        # The loan reads the checkpoint through `plain`, whose guard is the lock. The guard of the
        # hooked session is the loan itself.
        loan = checkpoint_tracker.Loan(state.tracker, model, plain, checkpoint)
        hooked = device_loop.HookedSession(
            _session.Session(model.program, batches, loan), all_hooks
        )
        with state.tracker.borrowed(model, checkpoint):
            runs.prepare(state, model, plain, all_hooks, hooked.begin, checkpoint)
            loan.keep()
        if all_hooks:
            compute = predictions.HookedPredictions(model, chosen, hooked)
        else:
            compute = predictions.UnobservedPredictions(model, chosen, loan, may_join=may_join)
        # From now on, whoever changes the variables waits for the background computation.
        state.tracker.read_by(compute)
    batches.is_on_demand = True
    batches.initialize()
    with plain.start_queue_runners():
        with model.graph.as_default():
            hooked.after_create_session()
        try:
            while not compute.has_ended(batches):
                # Only around the call: at a `yield`, the caller would get this default graph.
                with model.graph.as_default(), step_errors.explained(model.program, batches):
                    batch = compute.next(batches, lambda: not state.tracker.training)
                yield batch
        except tf.errors.OutOfRangeError:
            pass  # the end of the data
        finally:
            # Even if the caller drops the generator, nothing may keep running in the background.
            compute.settle()
    with model.graph.as_default():
        hooked.end()
