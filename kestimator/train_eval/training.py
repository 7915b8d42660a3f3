"""Training and evaluating in one call.

Synopsis::

    metrics, exports = train_and_evaluate(
        estimator,
        kestimator.TrainSpec(train_input_fn, max_steps=10_000),
        kestimator.EvalSpec(eval_input_fn, exporters=[exporter]),
    )

There is one call of `train`, so that its input continues through the whole run. A listener of its
checkpoints evaluates and exports.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, logs, specs
from kestimator.adapters.hooks import keras_callbacks
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.keys import TaskType
from kestimator.validation import kinds


def train_and_evaluate(
    estimator: Estimator,
    train_spec: specs.TrainSpec,
    eval_spec: specs.EvalSpec | Sequence[specs.EvalSpec],
    *,
    callbacks: Sequence[Any] | None = None,
    verbose: int | str = "auto",
) -> tuple[Any, Any]:
    """Trains, evaluates new checkpoints as `eval_spec` allows, and exports.

    The checkpoint that training starts from is not evaluated. The first and the last checkpoint
    after it are evaluated, and those saved at least `throttle_secs` after the start of the previous
    evaluation. With `EvalSpec.every_steps`, checkpoints are saved and evaluated at that distance
    instead. The log gives the reason for a skipped evaluation.

    Example:
        >>> metrics, exports = kestimator.train_and_evaluate(
        ...     estimator,
        ...     kestimator.TrainSpec(train_input_fn, max_steps=1000),
        ...     kestimator.EvalSpec(eval_input_fn, throttle_secs=0))

    Args:
        estimator: The estimator to train.
        train_spec: The training data, and when to stop.
        eval_spec: The evaluation data, how often to evaluate, and what to export; or a list of
            such specs, each with its own name.
        callbacks: Keras callbacks for training.
        verbose: 1 shows a line with progress, loss, speed and the latest evaluation; 0 shows
            none; 'auto' shows one on a terminal.

    Returns:
        The metrics of the last evaluation, and a list of what its exporters returned. None and
        None if there was nothing left to train. For a list of specs, two lists of these.

    Raises:
        ValueError: TF_CONFIG describes several processes; nothing saves checkpoints; two specs
            or two exporters have the same name.
        TypeError: An argument has a type that cannot be used.
    """
    kinds.checked_instance("estimator", estimator, Estimator, "a kestimator.Estimator")
    kinds.checked_instance("train_spec", train_spec, specs.TrainSpec, "a kestimator.TrainSpec")
    eval_specs = _checked_eval_specs(eval_spec)
    _check_is_local(estimator.config)
    # None stays None: a type error is that of `train`.
    epochs = _evaluated(callbacks)
    listener = EvaluationListener(estimator, eval_specs, train_spec.max_steps, callbacks=epochs)
    logs.info("Running training and evaluation locally (non-distributed).")
    estimator.train(
        input_fn=train_spec.input_fn,  # tools that wrap `train` look for the keyword
        hooks=train_spec.hooks,
        max_steps=train_spec.max_steps,
        saving_listeners=[*train_spec.saving_listeners, listener],
        callbacks=callbacks if epochs is None else epochs,
        verbose=verbose,
    )
    if epochs is not None:
        epochs.end()
    metrics = [evaluation.metrics for evaluation in listener.evaluations]
    exports = [evaluation.exports for evaluation in listener.evaluations]
    return (metrics[0], exports[0]) if isinstance(eval_spec, specs.EvalSpec) else (metrics, exports)


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
        for evaluation in self.evaluations:
            evaluation.run_if_due(global_step_value)
        return self._end_epoch(global_step_value)

    def end(self, session: Any, global_step_value: int) -> None:
        """Evaluates the last checkpoint, unless it has already been evaluated."""
        del session
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

    def run(self, step: int) -> None:
        """Evaluates the latest checkpoint, and calls the exporters."""
        # The start counts: `throttle_secs` is the time between the starts of two evaluations.
        self.last_step, self._last_time = step, self._clock()
        path = self._estimator.latest_checkpoint()
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


def _evaluated(callbacks: Any) -> keras_callbacks.EvaluatedCallbacks | None:
    is_list = isinstance(callbacks, (list, tuple))
    return keras_callbacks.EvaluatedCallbacks(callbacks) if is_list and callbacks else None


def _checked_eval_specs(eval_spec: Any) -> list[specs.EvalSpec]:
    expected = "a kestimator.EvalSpec"
    if isinstance(eval_spec, specs.EvalSpec):
        return [eval_spec]
    # A spec is a namedtuple, so a TrainSpec would pass for a list.
    if isinstance(eval_spec, (specs.TrainSpec, str)) or not isinstance(eval_spec, Sequence):
        kinds.checked_instance(
            "eval_spec", eval_spec, specs.EvalSpec, f"{expected}, or a list of them"
        )
    for position, spec in enumerate(eval_spec):
        kinds.checked_instance(f"eval_spec[{position}]", spec, specs.EvalSpec, expected)
    if not eval_spec:
        raise errors.ArgumentError(
            errors.invalid_argument("eval_spec", eval_spec, "at least one kestimator.EvalSpec")
        )
    _check_distinct("name", [spec.name or "" for spec in eval_spec])
    _check_distinct("exporters", [one.name for spec in eval_spec for one in spec.exporters])
    return list(eval_spec)


def _check_distinct(field: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"{field} of eval_spec",
                names,
                "a different name for each evaluation and each exporter",
                "Each writes to a folder with its name.",
            )
        )


def _check_is_local(config: RunConfig) -> None:
    # What TF_CONFIG says. The `cluster_spec` of a tpu.RunConfig may name the machines of a TPU.
    tasks = config.num_worker_replicas + config.num_ps_replicas
    if tasks > 1 or config.task_type in (TaskType.EVALUATOR, TaskType.PS):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG",
                {"cluster": config.cluster_spec.as_dict(), "task": config.task_type},
                "no cluster, or a cluster with one task that trains, because `train_and_evaluate` "
                "runs in one process",
                "Unset TF_CONFIG. To train on several devices of this machine, pass "
                "RunConfig(train_distribute=tf.distribute.MirroredStrategy()). To evaluate in a "
                "separate process, call `estimator.train` in one process and "
                "`estimator.evaluate` in another, with the same model_dir.",
            )
        )
