"""The evaluations of `train_and_evaluate`: which checkpoint is due, and what is exported of it.

Synopsis::

    listener = EvaluationListener(estimator, eval_specs, max_steps=1000)
    estimator.train(..., saving_listeners=[listener])
    listener.evaluations[0].metrics
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, logs, preemption, specs
from kestimator.adapters.hooks import keras_callbacks
from kestimator.estimator import Estimator


class EvaluationListener(tf.compat.v1.train.CheckpointSaverListener):
    """Evaluates and exports the checkpoints of a call of `train`.

    Args:
        estimator: The estimator that is trained.
        eval_specs: The evaluations.
        max_steps: The global step at which training ends, if it is known.
        clock: Returns the time in seconds.
        callbacks: Keras callbacks, whose epochs end with evaluations.

    Attributes:
        evaluations: One for each spec, with its latest results.
        wanted_steps: The distances in steps at which checkpoints have to be saved.
    """

    def __init__(
        self,
        estimator: Estimator,
        eval_specs: Sequence[specs.EvalSpec],
        max_steps: int | None,
        clock: Callable[[], float] = time.time,
        callbacks: keras_callbacks.EvaluatedCallbacks | None = None,
    ) -> None:
        self._callbacks = callbacks
        self.evaluations = [Evaluation(estimator, spec, max_steps, clock) for spec in eval_specs]
        self.wanted_steps = frozenset(spec.every_steps for spec in eval_specs if spec.every_steps)
        self._has_begun = False
        self._saved_step: int | None = None

    def begin(self) -> None:
        """Resets the listener: the first checkpoint is the one that training starts from."""
        self._has_begun, self._saved_step = False, None

    def after_save(self, session: Any, global_step_value: int) -> bool:
        """Runs the evaluations that are due; returns whether a callback ends training."""
        del session
        # `CheckpointSaverHook` saves once before the first step.
        if not self._has_begun:
            self._has_begun = True
            for evaluation in self.evaluations:
                evaluation.starts_from(global_step_value)
            return False
        if global_step_value == self._saved_step:
            # Saved again when training ends, because variables were changed after the last step.
            for evaluation in self.evaluations:
                evaluation.last_step = None
        self._saved_step = global_step_value
        if preemption.is_pending():
            return True
        with preemption.not_deferred():
            for evaluation in self.evaluations:
                evaluation.run_if_due(global_step_value)
        return self._end_epoch(global_step_value)

    def end(self, session: Any, global_step_value: int) -> None:
        """Evaluates the last checkpoint, unless it has already been evaluated."""
        del session
        if preemption.is_pending():
            return
        with preemption.not_deferred():
            for evaluation in self.evaluations:
                if evaluation.last_step != global_step_value:
                    evaluation.run(global_step_value)
        self._end_epoch(global_step_value)

    def _end_epoch(self, step: int) -> bool:
        """Ends an epoch of callbacks, if the first evaluation ran at this step."""
        # As under `fit`, "val_loss" is a loss of the validation data: of the first evaluation.
        first = self.evaluations[0]
        if self._callbacks is None or first.last_step != step:
            return False
        metrics: dict[str, Any] = {}
        for evaluation in self.evaluations:
            if evaluation.last_step != step:
                continue  # a callback would take an old value for one that did not improve
            prefix = "val_" if evaluation is first else f"val_{evaluation.name}_"
            for key, value in (evaluation.metrics or {}).items():
                if key != "global_step":
                    metrics[f"{prefix}{key}"] = value
        return self._callbacks.end_epoch(metrics)


class Evaluation:
    """The evaluations of one `EvalSpec`.

    Args:
        estimator: The estimator to evaluate.
        spec: The spec of the evaluation.
        max_steps: The global step at which training ends, if it is known.
        clock: Returns the time in seconds.

    Attributes:
        name: The name of the evaluation, if it has one.
        metrics: The metrics of the latest evaluation; None before the first.
        exports: What the exporters returned after that evaluation.
        last_step: The global step of that evaluation.
    """

    def __init__(
        self,
        estimator: Estimator,
        spec: specs.EvalSpec,
        max_steps: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._estimator = estimator
        self._spec = spec
        self.name = spec.name
        self._max_steps = max_steps
        self._clock = clock
        self._start_step = 0
        self._last_time = 0.0
        self.metrics: dict[str, Any] | None = None
        self.exports: list[Any] | None = None
        self.last_step: int | None = None

    def starts_from(self, step: int) -> None:
        """Notes the step that training starts from."""
        self._start_step = step

    def run_if_due(self, step: int) -> None:
        """Evaluates the checkpoint of `step`, or logs why it is skipped."""
        reason = self._reason_to_skip(step)
        if reason is None:
            self.run(step)
        else:
            name = f" {self._spec.name!r}" if self._spec.name else ""
            logs.info("Skipping the evaluation%s at step %d: %s.", name, step, reason)

    def run(self, step: int, path: str | None = None) -> None:
        """Evaluates a checkpoint, by default the latest, and calls the exporters."""
        # The start counts: `throttle_secs` is the time between the starts of two evaluations.
        self.last_step, self._last_time = step, self._clock()
        path = path or self._estimator.latest_checkpoint()
        if path is None:
            raise errors.CheckpointNotFoundError(
                f"A checkpoint was saved at step {step}, but there is none in "
                f"{self._estimator.model_dir!r}. Make the CheckpointSaverHook of the model_fn save "
                "to that directory."
            )
        self.metrics = self._estimator.evaluate(
            self._spec.input_fn,
            steps=self._spec.steps,
            hooks=self._spec.hooks,
            checkpoint_path=path,
            name=self._spec.name,
        )
        self.exports = self._exported(path, self.metrics)

    def _reason_to_skip(self, step: int) -> str | None:
        if step == self.last_step:
            return "it has already been evaluated"
        every = self._spec.every_steps
        if every is not None:
            since = self._start_step if self.last_step is None else self.last_step
            if step - since < every:
                return f"every_steps is {every}, so the next evaluation is at step {since + every}"
            return None
        remaining = self._last_time + self._spec.throttle_secs - self._clock()
        if self.last_step is not None and remaining > 0:
            return (
                f"throttle_secs is {self._spec.throttle_secs}, and {remaining:.0f} seconds of it "
                "remain. EvalSpec(throttle_secs=0) evaluates every checkpoint"
            )
        return None

    def _exported(self, path: str, metrics: dict[str, Any]) -> list[Any]:
        is_final = self._max_steps is not None and metrics["global_step"] >= self._max_steps
        return [
            exporter.export(
                estimator=self._estimator,
                export_path=os.path.join(self._estimator.model_dir, "export", exporter.name),
                checkpoint_path=path,
                eval_result=metrics,
                is_the_final_export=bool(is_final),
            )
            for exporter in self._spec.exporters
        ]
