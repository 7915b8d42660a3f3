"""Training and evaluating in one call.

Synopsis::

    metrics, exports = train_and_evaluate(
        estimator,
        kestimator.TrainSpec(train_input_fn, max_steps=10_000),
        kestimator.EvalSpec(eval_input_fn, exporters=[exporter]),
    )

In one process there is one call of `train`, so that its input continues through the whole run. A
listener of its checkpoints evaluates and exports. In a cluster, every process does its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kestimator import errors, logs, specs
from kestimator.adapters.hooks import keras_callbacks
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.keys import TaskType
from kestimator.train_eval import evaluations as _evaluations
from kestimator.train_eval import evaluator
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

    In a cluster (see `RunConfig` and docs/distribute.md), the same call does what TF_CONFIG says:
    the chief and the workers train, and an evaluator evaluates the checkpoints until training has
    ended. The "master" of an old cluster trains and evaluates.

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
        None if there was nothing left to train, or if another process evaluates. For a list of
        specs, two lists of these.

    Raises:
        ValueError: TF_CONFIG and the strategy do not fit; nothing saves checkpoints; two specs or
            two exporters have the same name.
        TypeError: An argument has a type that cannot be used.
    """
    kinds.checked_instance("estimator", estimator, Estimator, "a kestimator.Estimator")
    kinds.checked_instance("train_spec", train_spec, specs.TrainSpec, "a kestimator.TrainSpec")
    eval_specs = _checked_eval_specs(eval_spec)
    config = estimator.config
    if config.task_type == TaskType.EVALUATOR:
        _check_is_only_evaluator(config)
        evaluations = evaluator.ContinuousEvaluator(
            estimator, eval_specs, train_spec.max_steps
        ).run()
    else:
        evaluations = _train(estimator, train_spec, eval_specs, callbacks, verbose)
    metrics = [evaluation.metrics for evaluation in evaluations]
    exports = [evaluation.exports for evaluation in evaluations]
    return (metrics[0], exports[0]) if isinstance(eval_spec, specs.EvalSpec) else (metrics, exports)


def _check_is_only_evaluator(config: RunConfig) -> None:
    if config.task_id > 0:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']['index']",
                config.task_id,
                "0, because a cluster has only one evaluator",
                "Pass a list of EvalSpecs for several evaluations.",
            )
        )


def _evaluates(config: RunConfig) -> bool:
    """Whether a process that trains evaluates, too: not where a cluster may have an evaluator."""
    if config.task_type == TaskType.MASTER:
        return True
    # Not by `cluster_spec`: that of a tpu.RunConfig may name the machines of a TPU.
    return config.task_type != TaskType.CHIEF and config.num_worker_replicas <= 1


def _train(
    estimator: Estimator,
    train_spec: specs.TrainSpec,
    eval_specs: list[specs.EvalSpec],
    callbacks: Sequence[Any] | None,
    verbose: int | str,
) -> list[_evaluations.Evaluation]:
    """Trains, and returns the evaluations: without results, if another process evaluates."""
    evaluates = _evaluates(estimator.config)
    # None stays None: a type error is that of `train`.
    epochs = _evaluated(callbacks) if evaluates else None
    listener = _evaluations.EvaluationListener(
        estimator, eval_specs, train_spec.max_steps, callbacks=epochs
    )
    if evaluates:
        logs.info("Running training and evaluation locally (non-distributed).")
    estimator.train(
        input_fn=train_spec.input_fn,  # tools that wrap `train` look for the keyword
        hooks=train_spec.hooks,
        max_steps=train_spec.max_steps,
        saving_listeners=[*train_spec.saving_listeners, *([listener] if evaluates else [])],
        callbacks=callbacks if epochs is None else epochs,
        verbose=verbose,
    )
    if epochs is not None:
        epochs.end()
    return listener.evaluations


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
