"""The result of a `model_fn`, and the specs of training, evaluation and warm starts.

    def model_fn(features, labels, mode):
        ...
        return EstimatorSpec(mode, predictions=predictions, loss=loss, train_op=train_op)

    train_and_evaluate(
        estimator,
        TrainSpec(train_input_fn, max_steps=10_000),
        EvalSpec(eval_input_fn, steps=None),
    )

All of them are namedtuples that check their fields when they are created.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Exporter, Hooks, InputFn, Tensor
from kestimator.exporting.export_outputs import ExportOutput, checked_export_outputs
from kestimator.keys import ALL_MODES, ModeKeys
from kestimator.validation import keras2, kinds, signatures, tensors
from kestimator.validation.checks import (
    check_name,
    checked_exporters,
    checked_hooks,
    checked_listeners,
    checked_not_negative,
    checked_path,
    checked_positive,
)

_DEFAULT_START_DELAY_SECS: Final = 120

VocabInfo: TypeAlias = tf.compat.v1.train.VocabInfo


class _EstimatorSpecFields(NamedTuple):
    mode: str | None
    predictions: Any
    loss: Tensor | None
    train_op: Any
    eval_metric_ops: dict[str, Any]
    export_outputs: dict[str, ExportOutput] | None
    training_chief_hooks: tuple[Any, ...]
    training_hooks: tuple[Any, ...]
    scaffold: tf.compat.v1.train.Scaffold
    evaluation_hooks: tuple[Any, ...]
    prediction_hooks: tuple[Any, ...]
    keras_model: keras.Model | None


class EstimatorSpec(_EstimatorSpecFields):
    """Everything that an `Estimator` needs to know about a model.

    A `model_fn` may set all fields in every mode; fields that a mode does not need are ignored.

    Attributes:
        mode: The `mode` argument of the `model_fn`, one of `ModeKeys`. None stands for the mode
            in which the `model_fn` is called, for one without this argument.
        predictions: A tensor or a dict of tensors whose first dimension is the batch. Required
            in PREDICT; {} if not given.
        loss: A scalar, or a tensor of one element, which becomes a scalar. Required in TRAIN
            and EVAL.
        train_op: The operation (or a tensor, or a variable's assignment) that makes one
            training step, or an optimizer of `keras` or `tf_keras`, which then minimizes `loss`
            over the model's trainable variables. Required in TRAIN.
        eval_metric_ops: A dict of metrics by name: `(value, update_op)` tuples, as
            `tf.compat.v1.metrics` gives them, or Metric objects of `keras` or `tf_keras` that
            were updated in this call. {} if not given.
        export_outputs: A dict of `ExportOutput`s by signature name. In PREDICT it defaults to
            the predictions as "serving_default"; a single one also becomes
            "serving_default".
        training_chief_hooks: Hooks for training, only on the chief.
        training_hooks: Hooks for training, on all workers.
        scaffold: A `tf.compat.v1.train.Scaffold`: custom initialization, saver, summaries.
        evaluation_hooks: Hooks for evaluation.
        prediction_hooks: Hooks for prediction.
        keras_model: The Keras model that makes the predictions, for `Estimator.export_keras` to
            write. (Not in `tf.estimator`.)

    Raises:
        ArgumentError: A field that the mode requires is missing, the loss has several
            elements, or a tensor belongs to another graph.
        ArgumentTypeError: A field has a type that cannot be used.
    """

    __slots__ = ()

    def __new__(
        cls,
        mode: str | None,
        predictions: Any = None,
        loss: Tensor | None = None,
        train_op: Any = None,
        eval_metric_ops: Mapping[str, Any] | None = None,
        export_outputs: Mapping[str, ExportOutput] | None = None,
        training_chief_hooks: Hooks | None = None,
        training_hooks: Hooks | None = None,
        scaffold: tf.compat.v1.train.Scaffold | None = None,
        evaluation_hooks: Hooks | None = None,
        prediction_hooks: Hooks | None = None,
        keras_model: keras.Model | None = None,  # not keyword-only: copies pass all in order
    ) -> EstimatorSpec:
        """Checks the fields and fills in defaults."""
        if mode is not None:
            _check_mode(mode)
            _check_required(mode, predictions=predictions, loss=loss, train_op=train_op)
        predictions = _checked_predictions(predictions)
        outputs: Any = export_outputs
        if mode == ModeKeys.PREDICT:
            outputs = checked_export_outputs(export_outputs, predictions)
        return super().__new__(
            cls,
            mode=mode,
            predictions=predictions,
            loss=_checked_loss(loss),
            train_op=_checked_train_op(train_op),
            eval_metric_ops=_checked_metrics(eval_metric_ops),
            export_outputs=outputs,
            training_chief_hooks=checked_hooks("training_chief_hooks", training_chief_hooks),
            training_hooks=checked_hooks("training_hooks", training_hooks),
            scaffold=_checked_scaffold(scaffold),
            evaluation_hooks=checked_hooks("evaluation_hooks", evaluation_hooks),
            prediction_hooks=checked_hooks("prediction_hooks", prediction_hooks),
            keras_model=_checked_keras_model(keras_model),
        )

    def _replace(self, **changes: Any) -> EstimatorSpec:
        """Returns a spec with other fields, checked again; a mode that is set cannot change."""
        if self.mode is not None and changes.get("mode", self.mode) != self.mode:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "mode",
                    changes["mode"],
                    f"{self.mode!r}, the mode of this spec",
                    "Make a new EstimatorSpec for the other mode.",
                )
            )
        unknown = sorted(set(changes) - set(self._fields))
        if unknown:
            raise errors.ArgumentError(
                errors.invalid_argument("_replace()", unknown, f"some of the fields {self._fields}")
            )
        # The `_replace` of a namedtuple would skip the checks of `__new__`.
        return type(self)(**{**self._asdict(), **changes})


class _TrainSpecFields(NamedTuple):
    input_fn: InputFn
    max_steps: int | None
    hooks: tuple[Any, ...]
    saving_listeners: tuple[Any, ...]


class TrainSpec(_TrainSpecFields):
    """The training part of `train_and_evaluate`.

    Attributes:
        input_fn: Makes the training data.
        max_steps: The global step to stop at. None: train until the end of the data.
        hooks: `tf.compat.v1.train.SessionRunHook`s for training.
        saving_listeners: `tf.compat.v1.train.CheckpointSaverListener`s, called around every
            checkpoint.

    Raises:
        ArgumentError: `max_steps` is not positive.
        ArgumentTypeError: `input_fn` cannot be called, or a hook or listener has another type.
    """

    __slots__ = ()

    def __new__(
        cls,
        input_fn: InputFn,
        max_steps: int | None = None,
        hooks: Hooks | None = None,
        saving_listeners: Iterable[Any] | None = None,
    ) -> TrainSpec:
        """Checks the fields."""
        signatures.check_input_fn(input_fn)
        return super().__new__(
            cls,
            input_fn,
            checked_positive("max_steps", max_steps),
            checked_hooks("hooks", hooks),
            checked_listeners(saving_listeners),
        )


class _EvalSpecFields(NamedTuple):
    input_fn: InputFn
    steps: int | None
    name: str | None
    hooks: tuple[Any, ...]
    exporters: tuple[Exporter, ...]
    start_delay_secs: float
    throttle_secs: float
    every_steps: int | None


class EvalSpec(_EvalSpecFields):
    """The evaluation part of `train_and_evaluate`.

    Attributes:
        input_fn: Creates the evaluation data.
        steps: How many batches to evaluate on. None: all data.
        name: Names the directory of the results, `eval_<name>`, if there are several evaluations.
        hooks: `tf.compat.v1.train.SessionRunHook`s for evaluation.
        exporters: An `Exporter` or several, called after each evaluation.
        start_delay_secs: Seconds that an evaluator in a process of its own waits before the first
            evaluation. A process that trains and evaluates does not wait.
        throttle_secs: The minimum number of seconds between the starts of two evaluations.
        every_steps: The training steps between two evaluations, regardless of the time. None:
            after each checkpoint, as `throttle_secs` allows. (Not in `tf.estimator`.)

    Raises:
        ArgumentError: A number is out of range, or an exporter's name is empty or repeated.
        ArgumentTypeError: A field has a type that cannot be used.
    """

    __slots__ = ()

    def __new__(
        cls,
        input_fn: InputFn,
        steps: int | None = 100,
        name: str | None = None,
        hooks: Hooks | None = None,
        exporters: Exporter | Iterable[Exporter] | None = None,
        start_delay_secs: float = _DEFAULT_START_DELAY_SECS,
        throttle_secs: float = 600,
        every_steps: int | None = None,
    ) -> EvalSpec:
        """Checks the fields."""
        signatures.check_input_fn(input_fn)
        steps = checked_positive("steps", steps)
        every_steps = checked_positive("every_steps", every_steps)
        check_name("name", name)
        start_delay_secs = checked_not_negative("start_delay_secs", start_delay_secs)
        throttle_secs = checked_not_negative("throttle_secs", throttle_secs)
        return super().__new__(
            cls,
            input_fn,
            steps,
            name,
            checked_hooks("hooks", hooks),
            checked_exporters(exporters),
            start_delay_secs,
            throttle_secs,
            every_steps,
        )


class _WarmStartSettingsFields(NamedTuple):
    ckpt_to_initialize_from: str
    vars_to_warm_start: Any
    var_name_to_vocab_info: dict[str, VocabInfo]
    var_name_to_prev_var_name: dict[str, str]


class WarmStartSettings(_WarmStartSettingsFields):
    """Selects variables that start with the values of the checkpoint of another model.

    Attributes:
        ckpt_to_initialize_from: A checkpoint, a directory with checkpoints, or a Keras file.
        vars_to_warm_start: A regular expression, matched from the start of the names of
            trainable variables; or a list of them (or of variables), matched with all
            variables, optimizer slots included; or None for only those in
            `var_name_to_vocab_info`.
        var_name_to_vocab_info: `VocabInfo`s by variable name, for variables whose rows moved
            because a vocabulary changed.
        var_name_to_prev_var_name: Names in the checkpoint by names in this model, if they
            differ.

    Raises:
        ArgumentError: `ckpt_to_initialize_from` is empty, or `vars_to_warm_start` is not a regular
            expression.
        ArgumentTypeError: A field has a type that cannot be used.
    """

    __slots__ = ()

    def __new__(
        cls,
        ckpt_to_initialize_from: str | os.PathLike[str],
        vars_to_warm_start: Any = ".*",
        var_name_to_vocab_info: Mapping[str, VocabInfo] | None = None,
        var_name_to_prev_var_name: Mapping[str, str] | None = None,
    ) -> WarmStartSettings:
        """Checks the fields."""
        _check_vars_to_warm_start(vars_to_warm_start)
        return super().__new__(
            cls,
            _checked_source(ckpt_to_initialize_from),
            vars_to_warm_start,
            _checked_vocab_infos(var_name_to_vocab_info),
            _checked_names(var_name_to_prev_var_name),
        )


def _check_mode(mode: object) -> None:
    kinds.checked_choice(
        "mode",
        mode,
        ALL_MODES,
        "'train', 'eval' or 'infer'",
        remedy="Pass the `mode` of the model_fn.",
    )


_REQUIRED = {
    ModeKeys.TRAIN: ("loss", "train_op"),
    ModeKeys.EVAL: ("loss",),
    ModeKeys.PREDICT: ("predictions",),
}
_REMEDIES = {
    "predictions": "",
    "loss": "",
    "train_op": (
        "If the optimizer returns nothing, like Keras' `apply`, pass the optimizer itself. If it "
        "has already been applied, pass tf.no_op()."
    ),
}


def _check_required(mode: str, **fields: Any) -> None:
    for name in _REQUIRED[mode]:
        if fields[name] is None:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    name, None, f"a value, because the mode is {mode!r}", _REMEDIES[name]
                )
            )


def _checked_predictions(predictions: Any) -> Any:
    if predictions is None:
        return {}
    if isinstance(predictions, dict):
        return {
            key: tensors.checked_tensor(f"predictions[{key!r}]", value)
            for key, value in predictions.items()
        }
    return tensors.checked_tensor("predictions", predictions)


def _checked_loss(loss: Any) -> Tensor | None:
    if loss is None:
        return None
    loss = tensors.checked_tensor("loss", loss)
    if loss.shape.num_elements() not in (None, 1):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "loss",
                loss,
                f"a scalar, not shape {loss.shape}",
                "Reduce it over the examples with tf.reduce_mean or tf.reduce_sum.",
            )
        )
    return loss if loss.shape.is_compatible_with([]) else tf.reshape(loss, [])


def _checked_train_op(train_op: Any) -> Any:
    is_optimizer = isinstance(train_op, keras.optimizers.Optimizer)
    if train_op is None or is_optimizer or keras2.is_optimizer(train_op):
        return train_op
    if not isinstance(train_op, tf.Operation):
        if not tensors.is_tensor_or_variable(train_op):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    "train_op",
                    train_op,
                    "a tf.Operation, a tf.Tensor, or a keras.optimizers.Optimizer",
                    "tf.group combines several operations into one.",
                )
            )
        train_op = _assignment(train_op)
    tensors.check_graph("train_op", train_op)
    return train_op


def _checked_keras_model(model: Any) -> Any:
    if model is not None and not isinstance(model, keras.Model):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("keras_model", model, "a keras.Model, or None")
        )
    return model


def _assignment(train_op: Any) -> Any:
    """Returns the operation of the result of `variable.assign(...)`, or a variable's value."""
    if tensors.is_tensor(train_op) or tf.executing_eagerly():
        return train_op
    operation = getattr(train_op, "op", None)
    return tf.convert_to_tensor(train_op) if operation is None else operation


def _checked_metrics(metrics: Any) -> dict[str, Any]:
    if metrics is None:
        return {}
    if not isinstance(metrics, dict):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("eval_metric_ops", metrics, "a dict of metrics by name")
        )
    for key, metric in metrics.items():
        if not (isinstance(metric, keras.metrics.Metric) or keras2.is_metric(metric)):
            _check_metric_tuple(f"eval_metric_ops[{key!r}]", metric)
    return dict(metrics)


def _check_metric_tuple(name: str, metric: Any) -> None:
    if not isinstance(metric, tuple) or len(metric) != 2:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                name,
                metric,
                "a tuple (value, update_op), or a keras.metrics.Metric",
                "Functions such as tf.compat.v1.metrics.mean return such tuples.",
            )
        )
    for part in tf.nest.flatten(metric):
        if not (isinstance(part, tf.Operation) or tensors.is_tensor_or_variable(part)):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(name, part, "tensors or operations in the tuple")
            )
        tensors.check_graph(name, part)


def _checked_scaffold(scaffold: Any) -> tf.compat.v1.train.Scaffold:
    scaffold = tf.compat.v1.train.Scaffold() if scaffold is None else scaffold
    if not isinstance(scaffold, tf.compat.v1.train.Scaffold):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("scaffold", scaffold, "a tf.compat.v1.train.Scaffold, or None")
        )
    return scaffold


def _checked_source(source: Any) -> str:
    expected = "the path of a checkpoint, of a directory that contains one, or of a Keras file"
    if source is None or (isinstance(source, str | bytes) and not source):
        raise errors.ArgumentError(
            errors.invalid_argument("ckpt_to_initialize_from", source, expected)
        )
    return checked_path("ckpt_to_initialize_from", source, expected)


def _check_vars_to_warm_start(patterns: Any) -> None:
    expected = "a regular expression, a list of regular expressions or of variables, or None"
    message = errors.invalid_argument("vars_to_warm_start", patterns, expected)
    if patterns is None:
        return
    if not isinstance(patterns, str | list | tuple | set):
        raise errors.ArgumentTypeError(message)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                raise errors.ArgumentError(f"{message} {pattern!r} is none: {error}.") from error
        elif not (isinstance(pattern, list) or tensors.is_tensor_or_variable(pattern)):
            raise errors.ArgumentTypeError(message)


def _checked_names(names: Any) -> dict[str, str]:
    expected = "a dict from names of variables to names in the checkpoint, or None"
    return kinds.checked_texts("var_name_to_prev_var_name", names, expected)


def _checked_vocab_infos(vocab_infos: Any) -> dict[str, VocabInfo]:
    expected = "a dict from names of variables to kestimator.VocabInfo, or None"
    infos = kinds.checked_mapping("var_name_to_vocab_info", vocab_infos, expected)
    for name, info in infos.items():
        if not isinstance(info, tf.compat.v1.train.VocabInfo):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    f"var_name_to_vocab_info[{name!r}]", info, "a kestimator.VocabInfo"
                )
            )
    return infos
