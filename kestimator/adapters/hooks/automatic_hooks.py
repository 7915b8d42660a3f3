"""The hooks that a train call adds itself: checkpoints, summaries, log lines, the NaN guard.

Synopsis::

    hooks = [*chief_hooks(model, config, tracker, user_hooks, listeners), *user_hooks]
    hooks += loss_hooks(model, config, fails_at_nan=True)
    hooks += step_hooks(model, batches, hooks)

The order is the original's. Each phase of a run calls the hooks from first to last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.adapters.hooks import saving, step_guard, stock_hooks
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_tracker
from kestimator.engine.programs import model_program
from kestimator.engine.runs.batches import Batches
from kestimator.engine.runs.cadence import Cadence

_train: Any = tf.compat.v1.train


def chief_hooks(
    model: model_program.ModelProgram,
    config: RunConfig,
    tracker: checkpoint_tracker.CheckpointTracker,
    hooks: Sequence[Any],
    listeners: Sequence[Any],
) -> list[Any]:
    """The hooks that come before the user's: what is written to `model_dir`.

    Args:
        model: The program that trains.
        config: The configuration, with its `model_dir`.
        tracker: Is told of every checkpoint that is written.
        hooks: The user's hooks. One that saves checkpoints replaces the library's.
        listeners: The user's `CheckpointSaverListener`s.

    Raises:
        errors.ArgumentError: There are listeners, but nothing saves checkpoints.
    """
    spec = model.spec
    # In this order, the original looks for hooks that save checkpoints.
    others = [*hooks, *spec.training_hooks, *spec.training_chief_hooks]
    chief = _checkpoint_hooks(model, config, tracker, others, listeners)
    chief += spec.training_chief_hooks
    if config.log_step_count_steps:
        chief.append(
            _train.StepCounterHook(
                every_n_steps=config.log_step_count_steps, output_dir=config.model_dir
            )
        )
    if config.save_summary_steps:
        chief.append(
            _train.SummarySaverHook(
                save_steps=config.save_summary_steps,
                output_dir=config.model_dir,
                scaffold=model.scaffold,
            )
        )
    return chief


def loss_hooks(
    model: model_program.ModelProgram, config: RunConfig, *, fails_at_nan: bool
) -> list[Any]:
    """The hooks that come after the user's: the NaN guard and the log line.

    Args:
        model: The program that trains.
        config: The configuration.
        fails_at_nan: Whether a loss of NaN is an error; otherwise it only ends training.
    """
    hooks = [_train.NanTensorHook(model.spec.loss, fail_on_nan_loss=fails_at_nan)]
    if config.log_step_count_steps:
        tensors = {"loss": model.spec.loss, "step": model.global_step}
        hooks.append(_train.LoggingTensorHook(tensors, every_n_iter=config.log_step_count_steps))
    return hooks


def step_hooks(
    model: model_program.ModelProgram, batches: Batches, hooks: Sequence[Any]
) -> list[Any]:
    """The hook that comes last: the guard against a global step that nothing moves.

    Args:
        model: The program that trains.
        batches: The input.
        hooks: All other hooks of the run.

    Raises:
        errors.GlobalStepError: The train op does not move the global step, no hook of the user
            could move it or stop, and the data has no end.
    """
    if model.moves_global_step:
        return []
    if all(map(stock_hooks.only_looks, hooks)) and not batches.is_finite:
        model.is_stale = True  # another call cannot use it
        raise step_guard.stands_still(0)
    return [step_guard.StepGuard(model.global_step, batches)]


def evaluation_hooks(steps: int | None) -> list[Any]:
    """The hook that logs how far an evaluation is; none where the log would not show it."""
    return [EvaluationLogHook(steps)] if logs.is_shown() else []


class EvaluationLogHook(_train.SessionRunHook, Cadence):
    """Logs the batches of an evaluation: each one of a few, every tenth part of many.

    Args:
        steps: The number of batches, if it is known.
    """

    def __init__(self, steps: int | None) -> None:
        Cadence.__init__(self, self)
        self._steps = steps
        self._every = 1 if steps is None or steps < 20 else math.floor(steps / 10)
        self._done = self._logged = 0

    def steps_until_due(self, global_step: int) -> int:
        """All steps: they are counted after they have passed."""
        return stock_hooks.UNLIMITED

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Logs the batches that have passed."""
        self._done += steps
        if loss is not None:  # otherwise they are about to run
            self._log()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Logs a batch that other hooks wanted to see."""
        del run_context, run_values
        self._done += 1
        self._log()

    def _log(self) -> None:
        for done in range(self._logged + 1, self._done + 1):
            if self._steps is None:
                logs.info("Evaluation [%d]", done)
            elif done % self._every == 0 or done == self._steps:
                logs.info("Evaluation [%d/%d]", done, self._steps)
        self._logged = self._done


def _checkpoint_hooks(
    model: model_program.ModelProgram,
    config: RunConfig,
    tracker: checkpoint_tracker.CheckpointTracker,
    hooks: Sequence[Any],
    listeners: Sequence[Any],
) -> list[Any]:
    all_listeners = [
        # First in the list: a user's listener may evaluate, and then finds the checkpoint in
        # memory.
        checkpoint_tracker.SavedListener(tracker, model, str(config.model_dir)),
        *listeners,
    ]
    for hook in hooks:
        if isinstance(hook, _train.CheckpointSaverHook):
            # It replaces the library's own, wherever it was passed, like in the original.
            stock_hooks.add_listeners(hook, all_listeners)
            return []
    wanted_steps = saving.wanted_steps(listeners)
    if not (config.save_checkpoints_steps or config.save_checkpoints_secs or wanted_steps):
        if listeners:
            raise errors.ArgumentError(
                "`saving_listeners` or the evaluations of `train_and_evaluate` need "
                "checkpoints, but none are saved: `save_checkpoints_steps` and "
                "`save_checkpoints_secs` of the RunConfig are both None. Set one of them."
            )
        return []
    return [
        saving.SaverHook(
            config.model_dir,
            save_secs=config.save_checkpoints_secs,
            save_steps=config.save_checkpoints_steps,
            wanted_steps=wanted_steps,
            scaffold=model.scaffold,
            listeners=all_listeners,
            save_graph_def=config.checkpoint_save_graph_def,
        )
    ]
