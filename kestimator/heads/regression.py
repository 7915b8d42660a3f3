"""Regression of one number or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Labels, Tensor
from kestimator.export_outputs import ExportOutput, PredictOutput, RegressionOutput
from kestimator.heads import _checks, _classes, _metrics, _weights, base, single
from kestimator.keys import MetricKeys, PredictionKeys, SignatureKeys


class RegressionHead(single.SingleHead):
    """A head for regression, by the squared error.

        >>> head = RegressionHead()
        >>> float(head.loss([1.0, 2.0], [[1.0], [4.0]], features={}))
        2.0

    Args:
        label_dimension: How many numbers an example has.
        weight_column: The feature that weighs examples: its name, or a
            `tf.feature_column.numeric_column`. It may weigh each number of an example.
        loss_reduction: How the losses of examples become one: "sum_over_batch_size" or "sum".
        loss_fn: The losses, in place of the squared error: a function of `labels` and `logits`,
            both float32 [batch, label_dimension], and if it wants to of `features`, that returns
            as many losses.
        inverse_link_fn: Makes predictions of logits. None: they are the logits.
        name: Ends the names of metrics and summaries.

    Raises:
        errors.ArgumentError: An argument has a value that cannot be used.
        errors.ArgumentTypeError: An argument has a type that cannot be used.
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: _weights.WeightColumn = None,
        loss_reduction: str = "sum_over_batch_size",
        loss_fn: Callable[..., Tensor] | None = None,
        inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        dimension = _checks.checked_count("label_dimension", label_dimension, 1)
        super().__init__(
            logits_dimension=dimension,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            name=name,
            losses_per_example=dimension,
        )
        if inverse_link_fn is not None and not callable(inverse_link_fn):
            raise errors.ArgumentTypeError(
                errors.invalid_argument("inverse_link_fn", inverse_link_fn, "a callable, or None")
            )
        self._inverse_link_fn = inverse_link_fn
        self._label_range: tuple[float, float] | None = None

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns regression (the default) and all predictions."""
        regression = RegressionOutput(predictions[PredictionKeys.PREDICTIONS])
        return {
            SignatureKeys.SERVING_DEFAULT: regression,
            base.REGRESSION: regression,
            base.PREDICT: PredictOutput(predictions),
        }

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        width = self.logits_dimension
        tensor = _classes.label_tensor(labels, f"(batch, {width})")
        _classes.check_numbers(tensor)
        remedy = "Check `label_dimension` of the head."
        numbers = _checks.shaped("labels", tf.cast(tensor, tf.float32), logits, width, remedy)
        if self._label_range is None:
            return numbers
        return _checks.within("labels", numbers, *self._label_range)

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return tf.math.squared_difference(logits, labels)

    def _predicted(self, logits: Tensor) -> Tensor:
        return logits if self._inverse_link_fn is None else self._inverse_link_fn(logits)

    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        makers = {PredictionKeys.PREDICTIONS: lambda: self._predicted(logits)}
        if self._inverse_link_fn is not None:
            makers[PredictionKeys.LOGITS] = lambda: logits
        return makers

    def _formulas(self) -> dict[str, _metrics.Formula]:
        return {
            MetricKeys.LOSS_MEAN: _metrics.ratio(single.LOSS, single.WEIGHT),
            MetricKeys.PREDICTION_MEAN: _metrics.ratio(single.PREDICTION, single.WEIGHT),
            MetricKeys.LABEL_MEAN: _metrics.ratio(single.LABEL, single.WEIGHT),
        }

    def _columns(self, batch: single.Batch) -> dict[str, Tensor]:
        return {
            single.WEIGHT: tf.ones_like(batch.losses),
            single.LOSS: batch.losses,
            single.PREDICTION: self._predicted(batch.logits),
            single.LABEL: batch.labels,
        }
