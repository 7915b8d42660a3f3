"""The outputs of a served model: the values of `EstimatorSpec.export_outputs`.

    EstimatorSpec(
        mode, predictions=predictions,
        export_outputs={
            "serving_default": ClassificationOutput(scores=probabilities, classes=names),
            "predict": PredictOutput(predictions),
        },
    )

Each key names a signature of the SavedModel. `ClassificationOutput` and `RegressionOutput` are for
requests with serialized `tf.train.Example`s, so they need a receiver with one string tensor.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.keys import SignatureKeys, SignatureMethods
from kestimator.validation import tensors as _tensors
from kestimator.validation import threads

_no_deprecations = threads.ignoring(category=DeprecationWarning)

_SEPARATOR = "/"


class ExportOutput(abc.ABC):
    """The interface of the values of `EstimatorSpec.export_outputs`."""

    @abc.abstractmethod
    def as_signature_def(self, receiver_tensors: Mapping[str, Tensor]) -> Any:
        """Describes the signature for a SavedModel.

        Args:
            receiver_tensors: The placeholders that a request feeds, by name.

        Returns:
            A `SignatureDef` protocol buffer.

        Raises:
            ArgumentError: The output cannot be served from such placeholders.
        """


class _NamedOutputs(ExportOutput):
    """The base of all outputs of this module: named tensors and the method of a signature."""

    method_name: ClassVar[str]

    @abc.abstractmethod
    def signature_outputs(self) -> dict[str, Tensor]:
        """Returns the tensors by their names in the signature."""

    def signature_inputs(self, receiver_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the placeholders by their names in the signature."""
        return dict(receiver_tensors)

    def as_signature_def(self, receiver_tensors: Mapping[str, Tensor]) -> Any:
        """Describes the signature for a SavedModel; see `ExportOutput.as_signature_def`."""
        return tf.compat.v1.saved_model.build_signature_def(
            _tensor_infos(self.signature_inputs(receiver_tensors)),
            _tensor_infos(self.signature_outputs()),
            self.method_name,
        )


class PredictOutput(_NamedOutputs):
    """Any outputs, served for any inputs.

    Attributes:
        outputs: The tensors by name; a bare tensor is called "output".

    Raises:
        ArgumentError: A key is not a string (or a tuple of strings), or a value not a tensor.
    """

    method_name = SignatureMethods.PREDICT

    def __init__(self, outputs: Tensor | Mapping[Any, Tensor]) -> None:
        self.outputs = _named_tensors("outputs", outputs, SignatureKeys.SINGLE_OUTPUT)

    def signature_inputs(self, receiver_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the placeholders under their own names; there must be at least one."""
        if not isinstance(receiver_tensors, Mapping) or not receiver_tensors:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "receiver_tensors", receiver_tensors, "a dict with at least one placeholder"
                )
            )
        return dict(receiver_tensors)

    def signature_outputs(self) -> dict[str, Tensor]:
        """Returns `outputs`; there must be at least one."""
        if not self.outputs:
            raise errors.ArgumentError(
                errors.invalid_argument("outputs", self.outputs, "at least one tensor")
            )
        return self.outputs


class ClassificationOutput(_NamedOutputs):
    """Classes, their scores, or both.

    Without scores, the classes are the best ones, best first. Without classes, there is one score
    per class, in the order of class ids. If both are given, each score belongs to the class at the
    same position.

    Attributes:
        scores: A float tensor [batch, n], or None.
        classes: A string tensor [batch, n] with the classes' names, or None.

    Raises:
        ArgumentError: Neither is given, or one is not a tensor of its dtype.
    """

    method_name = SignatureMethods.CLASSIFY

    def __init__(self, scores: Tensor | None = None, classes: Tensor | None = None) -> None:
        if scores is None and classes is None:
            raise errors.ArgumentError(
                errors.invalid_argument("scores", None, "a float tensor, unless `classes` is given")
            )
        if scores is not None:
            _check_floating("scores", scores)
        if classes is not None:
            _check_string("classes", classes)
        self.scores = scores
        self.classes = classes

    def signature_inputs(self, receiver_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the one string placeholder, as "inputs"."""
        return _single_string_input(type(self).__name__, receiver_tensors)

    def signature_outputs(self) -> dict[str, Tensor]:
        """Returns "classes" and "scores", if they are given."""
        outputs = {}
        if self.classes is not None:
            outputs[SignatureKeys.CLASSES] = self.classes
        if self.scores is not None:
            outputs[SignatureKeys.SCORES] = _servable_float("scores", self.scores)
        return outputs


class RegressionOutput(_NamedOutputs):
    """Numbers.

    Attributes:
        value: A float tensor, [batch] or [batch, n].

    Raises:
        ArgumentError: `value` is not a float tensor.
    """

    method_name = SignatureMethods.REGRESS

    def __init__(self, value: Tensor) -> None:
        _check_floating("value", value)
        self.value = value

    def signature_inputs(self, receiver_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the one string placeholder, as "inputs"."""
        return _single_string_input(type(self).__name__, receiver_tensors)

    def signature_outputs(self) -> dict[str, Tensor]:
        """Returns the value, as "outputs"."""
        return {SignatureKeys.OUTPUTS: _servable_float("value", self.value)}


class _SupervisedOutput(_NamedOutputs):
    """The loss, predictions and metrics of a graph exported for training or evaluation.

    Attributes:
        loss: Tensors under "loss" or "loss/<key>", or None.
        predictions: Tensors under "predictions" or "predictions/<key>", or None.
        metrics: Tensors under "metrics/<key>/value" and "metrics/<key>/update_op", or None.

    Raises:
        ArgumentError: A key is not a string (or a tuple of strings), a value not a tensor, or a
            metric neither a `(value, update_op)` tuple nor a Keras metric.
    """

    def __init__(
        self,
        loss: Tensor | Mapping[Any, Tensor] | None = None,
        predictions: Tensor | Mapping[Any, Tensor] | None = None,
        metrics: Any = None,
    ) -> None:
        self.loss = None if loss is None else _prefixed("loss", loss)
        self.predictions = None if predictions is None else _prefixed("predictions", predictions)
        self.metrics = None if metrics is None else _metric_tensors(metrics)

    def signature_outputs(self) -> dict[str, Tensor]:
        """Returns the tensors of all three."""
        return {**(self.loss or {}), **(self.predictions or {}), **(self.metrics or {})}


class TrainOutput(_SupervisedOutput):
    """The loss, predictions and metrics of a graph exported for training."""

    method_name = SignatureMethods.TRAIN


class EvalOutput(_SupervisedOutput):
    """The loss, predictions and metrics of a graph exported for evaluation."""

    method_name = SignatureMethods.EVAL


def checked_export_outputs(export_outputs: Any, predictions: Any) -> dict[str, ExportOutput]:
    """Checks the `export_outputs` of an `EstimatorSpec` for prediction and fills in the default.

    Args:
        export_outputs: A dict of ExportOutputs, or None to export the predictions.
        predictions: The predictions of the same spec.

    Returns:
        A new dict. If it has any outputs, one is "serving_default".

    Raises:
        ArgumentTypeError: Not a dict, or a value is not an ExportOutput.
        ArgumentError: Several outputs, and none is called "serving_default".
    """
    if export_outputs is None:
        return {SignatureKeys.SERVING_DEFAULT: PredictOutput(predictions)}
    if not isinstance(export_outputs, dict):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("export_outputs", export_outputs, "a dict of ExportOutputs")
        )
    for key, output in export_outputs.items():
        if not isinstance(output, ExportOutput):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    f"export_outputs[{key!r}]",
                    output,
                    "an ExportOutput",
                    "PredictOutput accepts any tensors.",
                )
            )
    return _with_default(export_outputs)


def _with_default(export_outputs: dict[str, ExportOutput]) -> dict[str, ExportOutput]:
    if len(export_outputs) == 1:
        (output,) = export_outputs.values()
        # A single output is the default as well, under both names.
        return {**export_outputs, SignatureKeys.SERVING_DEFAULT: output}
    if export_outputs and SignatureKeys.SERVING_DEFAULT not in export_outputs:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "export_outputs",
                sorted(export_outputs),
                "an output called 'serving_default', because there are several",
                "Also store the output for requests without a signature name under "
                "tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY.",
            )
        )
    return dict(export_outputs)


def _named_tensors(name: str, outputs: Any, default_key: str) -> dict[str, Tensor]:
    """Returns tensors by string keys: a bare one under `default_key`."""
    if not isinstance(outputs, Mapping):
        outputs = {default_key: outputs}
    named = {}
    for key, tensor in outputs.items():
        if not _tensors.is_tensor(tensor):
            raise errors.ArgumentError(
                errors.invalid_argument(f"{name}[{key!r}]", tensor, "a tf.Tensor")
            )
        named[_joined(name, key)] = tensor
    return named


def _prefixed(name: str, outputs: Any) -> dict[str, Tensor]:
    named = _named_tensors(name, outputs, name)
    return {_with_prefix(key, name): tensor for key, tensor in named.items()}


def _with_prefix(key: str, prefix: str) -> str:
    return key if key.startswith(prefix) else f"{prefix}{_SEPARATOR}{key}"


def _joined(name: str, key: Any) -> str:
    if isinstance(key, tuple) and all(isinstance(part, str) for part in key):
        return _SEPARATOR.join(key)
    if not isinstance(key, str):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"key of {name}", key, "a string, because signatures name their tensors"
            )
        )
    return key


def _metric_tensors(metrics: Any) -> dict[str, Tensor]:
    if not isinstance(metrics, Mapping):
        metrics = {"metrics": metrics}
    tensors = {}
    for key, metric in metrics.items():
        prefix = _with_prefix(_joined("metrics", key), "metrics")
        value, update = _value_and_update(prefix, metric)
        tensors[f"{prefix}/value"] = value
        tensors[f"{prefix}/update_op"] = update
    return tensors


def _value_and_update(name: str, metric: Any) -> tuple[Tensor, Tensor]:
    """Returns the two tensors of a metric; for a Keras metric, its result twice.

    Reading the result of a Keras metric in the exported graph also runs its update.
    """
    if isinstance(metric, keras.metrics.Metric):
        result = metric.result()
        metric = (result, result)
    if not isinstance(metric, tuple) or len(metric) != 2:
        raise errors.ArgumentError(
            errors.invalid_argument(
                name, metric, "a tuple (value, update_op) or a keras.metrics.Metric"
            )
        )
    value, update = metric
    if not _tensors.is_tensor(value):
        raise errors.ArgumentError(
            errors.invalid_argument(f"value of {name}", value, "a tf.Tensor")
        )
    return value, _update_tensor(name, update)


def _update_tensor(name: str, update: Any) -> Tensor:
    """Returns an empty tensor for an update op without an output: signatures need tensors."""
    if _tensors.is_tensor(update):
        return update
    if not isinstance(update, tf.Operation | tf.Variable):
        raise errors.ArgumentError(
            errors.invalid_argument(f"update_op of {name}", update, "a tf.Tensor or a tf.Operation")
        )
    operation = update.op if isinstance(update, tf.Variable) else update
    with tf.control_dependencies([operation]):
        return tf.constant([], name="metric_op_wrapper")


def _check_floating(name: str, value: object) -> None:
    if not (_tensors.is_tensor(value) and tf.as_dtype(value.dtype).is_floating):  # type: ignore[attr-defined]
        raise errors.ArgumentError(errors.invalid_argument(name, value, "a float tf.Tensor"))


def _check_string(name: str, value: object) -> None:
    if not (_tensors.is_tensor(value) and value.dtype == tf.string):  # type: ignore[attr-defined]
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                value,
                "a string tf.Tensor",
                "tf.strings.as_string converts class ids to names.",
            )
        )


def _servable_float(name: str, value: Tensor) -> Tensor:
    if value.dtype != tf.float32:
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                value,
                "a float32 tf.Tensor, the only float that classify and regress requests support",
                "Convert it with tf.cast.",
            )
        )
    return value


def _single_string_input(
    class_name: str, receiver_tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    tensors = list(receiver_tensors.values())
    if len(tensors) != 1 or tensors[0].dtype != tf.string:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "receiver_tensors",
                dict(receiver_tensors),
                f"a single string placeholder, because {class_name} serves requests with "
                "serialized tf.train.Examples",
                "Parse them with tf.io.parse_example in the serving_input_receiver_fn, or use "
                "PredictOutput.",
            )
        )
    return {SignatureKeys.INPUTS: tensors[0]}


def _tensor_infos(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    if tf.executing_eagerly():
        raise errors.KestimatorError(
            "A SignatureDef describes tensors of a graph. Call as_signature_def inside a graph."
        )
    with _no_deprecations:
        return {
            name: tf.compat.v1.saved_model.build_tensor_info(tensor)
            for name, tensor in tensors.items()
        }
