"""The common part of heads that predict numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from kestimator._types import Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput, RegressionOutput
from kestimator.heads.parts import base, classes, metrics, value_checks, weights
from kestimator.heads.single_task import single
from kestimator.keys import MetricKeys, PredictionKeys, SignatureKeys
from kestimator.validation import kinds


class NumbersHead(single.SingleHead):
    """A head that predicts numbers. Its subclasses define the loss.

    Args:
        label_dimension: The number of values in the label of an example.
        weight_column: The feature that weighs examples.
        loss_reduction: How the losses of examples are reduced.
        name: A suffix of the names of metrics and summaries.
        loss_fn: The losses, in place of the head's own.
        inverse_link_fn: Makes predictions of logits. None: they are the logits.
        label_range: The least and the largest label, or None if all are valid.
    """

    def __init__(
        self,
        *,
        label_dimension: int,
        weight_column: weights.WeightColumn,
        loss_reduction: str,
        name: str | None,
        loss_fn: Callable[..., Tensor] | None = None,
        inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
        label_range: tuple[float, float] | None = None,
    ) -> None:
        dimension = value_checks.checked_count("label_dimension", label_dimension, 1)
        super().__init__(
            logits_dimension=dimension,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            name=name,
            losses_per_example=dimension,
        )
        if inverse_link_fn is not None:
            expected = "a function that takes a tensor, or None"
            kinds.checked_function("inverse_link_fn", inverse_link_fn, expected, 1)
        self._inverse_link_fn = inverse_link_fn
        self._label_range = label_range

    @property
    def inverse_link_fn(self) -> Callable[[Tensor], Tensor] | None:
        """The function from logits to predictions; None if the predictions are the logits."""
        return self._inverse_link_fn

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
        tensor = classes.label_tensor(labels, f"(batch, {width})")
        classes.check_numbers(tensor)
        remedy = "Check `label_dimension` of the head."
        numbers = value_checks.shaped("labels", tf.cast(tensor, tf.float32), logits, width, remedy)
        op_names.also_named(numbers, "labels")
        if self._label_range is None:
            return numbers
        return value_checks.within("labels", numbers, *self._label_range)

    def _predicted(self, logits: Tensor) -> Tensor:
        return logits if self._inverse_link_fn is None else self._inverse_link_fn(logits)

    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        makers = {PredictionKeys.PREDICTIONS: lambda: self._predicted(logits)}
        if self._inverse_link_fn is not None:
            makers[PredictionKeys.LOGITS] = lambda: logits
        return makers

    def _formulas(self) -> dict[str, metrics.Formula]:
        return {
            MetricKeys.LOSS_MEAN: metrics.ratio(single.LOSS, single.WEIGHT),
            MetricKeys.PREDICTION_MEAN: metrics.ratio(single.PREDICTION, single.WEIGHT),
            MetricKeys.LABEL_MEAN: metrics.ratio(single.LABEL, single.WEIGHT),
        }

    def _columns(self, batch: single.Batch) -> dict[str, Tensor]:
        return {
            single.WEIGHT: tf.ones_like(batch.losses),
            single.LOSS: batch.losses,
            single.PREDICTION: self._predicted(batch.logits),
            single.LABEL: batch.labels,
        }
