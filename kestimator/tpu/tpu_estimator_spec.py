"""What a model_fn returns to a TPUEstimator.

Synopsis::

    spec = TPUEstimatorSpec(mode, loss=loss, eval_metrics=(metric_fn, [labels, logits]))
    spec.as_estimator_spec().eval_metric_ops
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from kestimator import errors, specs
from kestimator._types import Hooks, Tensor
from kestimator.exporting.export_outputs import ExportOutput
from kestimator.tpu.host_calls import HostCallHook
from kestimator.validation import kinds


class _TPUEstimatorSpecFields(NamedTuple):
    mode: str | None
    predictions: Any
    loss: Tensor | None
    train_op: Any
    eval_metrics: Any
    export_outputs: dict[str, ExportOutput] | None
    scaffold_fn: Callable[[], tf.compat.v1.train.Scaffold] | None
    host_call: Any
    training_hooks: tuple[Any, ...]
    evaluation_hooks: tuple[Any, ...]
    prediction_hooks: tuple[Any, ...]


class TPUEstimatorSpec(_TPUEstimatorSpecFields):
    """Everything that a `TPUEstimator` needs to know about a model.

    A function that is paired with tensors gets them by position if they are a list, and by name if
    they are a dict.

    Attributes:
        mode: As in `EstimatorSpec`.
        predictions: As in `EstimatorSpec`.
        loss: As in `EstimatorSpec`.
        train_op: As in `EstimatorSpec`.
        eval_metrics: A pair of a function and of tensors. The function returns metrics by name:
            `(value, update_op)` tuples, as `tf.compat.v1.metrics` gives them.
        export_outputs: As in `EstimatorSpec`.
        scaffold_fn: Returns the `tf.compat.v1.train.Scaffold`.
        host_call: A pair of a function and of tensors. The function returns tensors or operations,
            which run with every step of training and evaluation. Writers of `tf.summary` that it
            makes are opened before the first step, and closed after the last.
        training_hooks: As in `EstimatorSpec`.
        evaluation_hooks: As in `EstimatorSpec`.
        prediction_hooks: As in `EstimatorSpec`.

    Raises:
        ArgumentError: A field that the mode requires is missing, a pair is none, or its function
            cannot be called with its tensors.
        ArgumentTypeError: A field has a type that cannot be used.
    """

    __slots__ = ()

    def __new__(
        cls,
        mode: str | None,
        predictions: Any = None,
        loss: Tensor | None = None,
        train_op: Any = None,
        eval_metrics: Any = None,
        export_outputs: Mapping[str, ExportOutput] | None = None,
        scaffold_fn: Callable[[], tf.compat.v1.train.Scaffold] | None = None,
        host_call: Any = None,
        training_hooks: Hooks | None = None,
        evaluation_hooks: Hooks | None = None,
        prediction_hooks: Hooks | None = None,
    ) -> TPUEstimatorSpec:
        """Checks the fields and fills in defaults."""
        _check_call("eval_metrics", eval_metrics)
        _check_call("host_call", host_call)
        if scaffold_fn is not None:
            kinds.checked_function(
                "scaffold_fn", scaffold_fn, "a function without arguments, or None"
            )
        checked = specs.EstimatorSpec(
            mode,
            predictions=predictions,
            loss=loss,
            train_op=train_op,
            export_outputs=export_outputs,
            training_hooks=training_hooks,
            evaluation_hooks=evaluation_hooks,
            prediction_hooks=prediction_hooks,
        )
        return super().__new__(
            cls,
            mode=mode,
            predictions=checked.predictions,
            loss=checked.loss,
            train_op=checked.train_op,
            eval_metrics=eval_metrics,
            export_outputs=checked.export_outputs,
            scaffold_fn=scaffold_fn,
            host_call=host_call,
            training_hooks=checked.training_hooks,
            evaluation_hooks=checked.evaluation_hooks,
            prediction_hooks=checked.prediction_hooks,
        )

    def as_estimator_spec(self) -> specs.EstimatorSpec:
        """Returns the `EstimatorSpec` of the same model. It calls the functions of the pairs."""
        metrics = None if self.eval_metrics is None else _called(self.eval_metrics)
        called = None if self.host_call is None else _called(self.host_call)
        scaffold = None if self.scaffold_fn is None else self.scaffold_fn()
        hooks = () if self.host_call is None else (HostCallHook(called),)
        return specs.EstimatorSpec(
            self.mode,
            predictions=self.predictions,
            loss=self.loss,
            train_op=self.train_op,
            eval_metric_ops=metrics,
            export_outputs=self.export_outputs,
            scaffold=scaffold,
            training_hooks=(*self.training_hooks, *hooks),
            evaluation_hooks=(*self.evaluation_hooks, *hooks),
            prediction_hooks=(*self.prediction_hooks, *hooks),
        )


def _called(call: Any) -> Any:
    function, tensors = call
    return function(**tensors) if isinstance(tensors, Mapping) else function(*tensors)


def _check_call(name: str, call: Any) -> None:
    if call is None:
        return
    if not isinstance(call, tuple | list) or len(call) != 2:
        expected = "a pair of a function and of its tensors, or None"
        raise errors.ArgumentError(errors.invalid_argument(name, call, expected))
    function, tensors = call
    if not isinstance(tensors, tuple | list | Mapping):
        expected = "a list of tensors, or a dict of tensors by the names of arguments"
        raise errors.ArgumentError(errors.invalid_argument(f"{name}[1]", tensors, expected))
    if isinstance(tensors, Mapping):
        expected = f"a function that takes the arguments {', '.join(map(repr, tensors))}"
        kinds.checked_function(f"{name}[0]", function, expected, names=list(tensors))
    else:
        expected = f"a function that takes as many arguments as there are tensors, {len(tensors)}"
        kinds.checked_function(f"{name}[0]", function, expected, len(tensors))
