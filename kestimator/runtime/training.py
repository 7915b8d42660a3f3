"""Training: its hooks and its run.

Synopsis::

    train(
        state, model, batches, hooks, listeners, callbacks_hook, planned=1000, fails_at_nan=True)
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, logs, preemption
from kestimator.adapters.hooks import automatic_hooks, keras_callbacks, saving
from kestimator.engine.checkpoints import checkpoint_files, leftovers, training_record
from kestimator.engine.programs import model_program
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import step_errors
from kestimator.runtime import runs
from kestimator.runtime.state import EstimatorState


def train(
    state: EstimatorState,
    model: model_program.ModelProgram,
    batches: _batches.Batches,
    hooks: Sequence[Any],
    listeners: Sequence[Any],
    callbacks: keras_callbacks.CallbacksHook | None,
    *,
    planned: int | None,
    fails_at_nan: bool,
) -> None:
    """Trains until a hook or the end of the data, and tells how training ended.

    Args:
        state: The state of the estimator.
        model: The program that trains.
        batches: The input.
        hooks: The user's hooks, and the progress bar.
        listeners: The user's `CheckpointSaverListener`s.
        callbacks: The hook that calls Keras callbacks, if there are any.
        planned: The number of steps that were asked for, if there is one.
        fails_at_nan: Whether a loss of NaN is an error.
    """
    # The chief reads the checkpoint, and then sends the values to other workers.
    is_chief = state.is_chief
    model_dir = str(state.config.model_dir)
    path = checkpoint_files.latest_checkpoint(model_dir) if is_chief else None
    session = runs.session_over(state, model, batches)
    with (
        logs.each_line_once(),
        model.graph.as_default(),
        state.tracker.in_training(),
        contextlib.ExitStack() as stack,
    ):
        chief_hooks = (
            automatic_hooks.chief_hooks(model, state.config, state.tracker, hooks, listeners)
            if is_chief
            else []
        )
        all_hooks = [
            *chief_hooks,
            *hooks,
            *automatic_hooks.loss_hooks(model, state.config, fails_at_nan=fails_at_nan),
            *model.spec.training_hooks,
            *state.convention.training_hooks(state.config),
        ]
        # Before the hook that saves the last checkpoint: these may change variables.
        all_hooks = [*_changing_hooks(state, model, callbacks, all_hooks), *all_hooks]
        all_hooks += automatic_hooks.step_hooks(model, batches, all_hooks)
        runner = runs.runner_over(state, model, session, batches, all_hooks, preemption.is_pending)

        records: list[training_record.Training] = []

        def begin() -> None:
            if is_chief:
                records.append(_record_in(state, path, stack))
            runner.hooked.begin()

        with state.tracker.lock:
            runs.prepare(state, model, session, all_hooks, begin, path)
        for record in records:
            record.step = state.current_global_step()
            record.begin()
        # The saver of a new process knows no checkpoints, and would delete none of the old ones.
        checkpoint_files.remember_kept(model.scaffold.saver, model_dir)
        batches.initialize()
        with session.start_queue_runners():
            runner.hooked.after_create_session()
            broadcast(state, model)
            start = state.current_global_step()
            with step_errors.explained(model.program, batches):
                loss = runner.run()
            runner.hooked.end()
            for record in records:
                record.step = state.current_global_step()
                if runner.was_interrupted:
                    record.end(training_record.PREEMPTED)
            # No process leaves before the others have ended and the last checkpoint is there.
            state.distribution.agreed(0)
    if is_chief:
        _flush_events(state)
    if model.summary_writer is not None:
        with _program.eager_mode():
            model.summary_writer.flush()
    _tell_end(state.current_global_step(), start, planned, loss, data_ended=runner.data_ended)


def _record_in(
    state: EstimatorState, path: str | None, stack: contextlib.ExitStack
) -> training_record.Training:
    """Takes the model directory for this process; nothing is written there before.

    Args:
        state: The state of the estimator.
        path: The checkpoint that training continues from.
        stack: Gives the directory back.

    Raises:
        errors.BusyError: Another process trains there, or has trained there since `path` was found.
    """
    model_dir = str(state.config.model_dir)
    tf.io.gfile.makedirs(model_dir)
    is_exclusive = not state.config.allow_shared_model_dir
    record = stack.enter_context(training_record.recorded(model_dir, is_exclusive=is_exclusive))
    if checkpoint_files.latest_checkpoint(model_dir) != path:
        raise errors.BusyError(
            f"Another process has trained in {model_dir!r} while this one prepared to continue "
            f"from {path or 'the start'}. Call `train` again."
        )
    stack.enter_context(leftovers.writing_in(model_dir))
    return record


def _changing_hooks(
    state: EstimatorState,
    model: model_program.ModelProgram,
    callbacks: keras_callbacks.CallbacksHook | None,
    others: Sequence[Any],
) -> list[Any]:
    """The hooks that may change variables when training ends: averages, Keras callbacks."""

    def changed() -> None:
        saving.save_again_at_the_end(others)
        state.tracker.changed()
        broadcast(state, model)

    averages = keras_callbacks.hook_for_averages(model.keras_optimizer, changed)
    # As under `fit`: the epoch ends, the averages replace the weights, training ends.
    return [callbacks, *averages, callbacks.last_hook(changed)] if callbacks else averages


def _tell_end(step: int, start: int, planned: int | None, loss: Any, *, data_ended: bool) -> None:
    if loss is None:
        logs.warning("Training ran no steps, because the data of `input_fn` is empty.")
        return
    if planned is not None and step - start < planned:
        _tell_early_end(step, step - start, planned, data_ended=data_ended)
    logs.info("Loss for final step: %s.", loss)


def _tell_early_end(step: int, steps: int, planned: int, *, data_ended: bool) -> None:
    if data_ended:
        logs.warning(
            "Training ended at step %d, after %d of %s steps, because the data of `input_fn` "
            "ended. Add `.repeat()` to the Dataset to train on the same data again.",
            step,
            steps,
            planned,
        )
    else:
        logs.notice(
            "Training stopped at step %d, after %d of %s steps, because a hook or a callback "
            "requested it.",
            step,
            steps,
            planned,
        )


def broadcast(state: EstimatorState, model: model_program.ModelProgram) -> None:
    """Copies the variables of the first replica to the others, after hooks may have set them."""
    with state.tracker.lock:
        state.distribution.broadcast(model.graph)


def _flush_events(state: EstimatorState) -> None:
    """Flushes the events of hooks; of TensorFlow's hooks, only the summary hook does so."""
    if state.config.log_step_count_steps or state.config.save_summary_steps:
        # TF1's FileWriter refuses eager execution.
        with tf.Graph().as_default():
            tf.compat.v1.summary.FileWriterCache.get(str(state.config.model_dir)).flush()
