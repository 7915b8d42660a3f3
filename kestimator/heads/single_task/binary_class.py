"""Classification into two classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput, RegressionOutput
from kestimator.heads.parts import (
    base,
    classes,
    elementwise,
    metrics,
    value_checks,
)
from kestimator.heads.parts import (
    weights as _weights,
)
from kestimator.heads.single_task import single
from kestimator.heads.single_task import thresholds as _thresholds
from kestimator.keys import MetricKeys, PredictionKeys, SignatureKeys

_CORRECT, _SCORES = "correct", "scores"


class BinaryClassHead(single.SingleHead):
    """A head for classification into two classes, by the sigmoid of one logit.

    The loss of an example is the sigmoid cross entropy.

        >>> head = BinaryClassHead()
        >>> head.predictions([[0.0], [2.0]], keys=["class_ids"])["class_ids"].numpy().tolist()
        [[0], [1]]

    Args:
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`.
        thresholds: Numbers between 0 and 1: for each there are metrics "accuracy",
            "precision" and "recall" of predicting class 1 above it.
        label_vocabulary: The two names of the classes, if labels are strings. Otherwise labels
            are numbers from 0 to 1.
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        loss_fn: The losses of examples, in place of the sigmoid cross entropy: a function of
            `labels` and `logits`, both float32 [batch, 1], and optionally of `features`,
            that returns [batch, 1].
        name: A suffix of the names of metrics and summaries.
        areas: How the areas under curves are computed, "interpolation" or, as
            tf.compat.v1.estimator does it, "trapezoidal".

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self,
        weight_column: _weights.WeightColumn = None,
        thresholds: Sequence[float] | None = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = "sum_over_batch_size",
        loss_fn: Callable[..., Tensor] | None = None,
        name: str | None = None,
        *,
        areas: str = "interpolation",
    ) -> None:
        super().__init__(
            logits_dimension=1,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            name=name,
            areas=areas,
        )
        self._thresholds = classes.checked_thresholds(thresholds)
        self._classes = classes.Classes(2, label_vocabulary)

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns classification (the default), regression and all predictions."""
        classification = self._classes.output(predictions[PredictionKeys.PROBABILITIES])
        return {
            SignatureKeys.SERVING_DEFAULT: classification,
            base.CLASSIFICATION: classification,
            base.REGRESSION: RegressionOutput(predictions[PredictionKeys.LOGISTIC]),
            base.PREDICT: PredictOutput(predictions),
        }

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        ids = classes.class_ids(labels, logits, self._classes, errors.ArgumentTypeError)
        classes.check_numbers(ids)
        numbers = tf.cast(ids, tf.float32)
        if self._classes.vocabulary is not None:
            return numbers
        return value_checks.within("labels", numbers, 0.0, 1.0, "There are two classes, 0 and 1.")

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = elementwise.sigmoid_cross_entropy(labels, logits)
        op_names.also_named(losses, "logistic_loss")
        return losses

    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        # The softmax of (0, x) is (1 - sigmoid(x), sigmoid(x)).
        both = tf.concat([tf.zeros_like(logits), logits], axis=-1, name="two_class_logits")
        ids = classes.likeliest(both)
        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.LOGISTIC: lambda: tf.sigmoid(logits, name="logistic"),
            PredictionKeys.PROBABILITIES: lambda: tf.nn.softmax(both, name="probabilities"),
            PredictionKeys.CLASS_IDS: lambda: ids,
            PredictionKeys.CLASSES: lambda: self._classes.names_of(ids),
            PredictionKeys.ALL_CLASS_IDS: lambda: self._classes.all_ids(logits),
            PredictionKeys.ALL_CLASSES: lambda: self._classes.all_names(logits),
        }

    def _formulas(self) -> dict[str, metrics.Formula]:
        mean, of = MetricKeys, single
        return {
            mean.LOSS_MEAN: metrics.ratio(of.LOSS, of.WEIGHT),
            mean.ACCURACY: metrics.ratio(_CORRECT, of.WEIGHT),
            **_thresholds.precision_and_recall(mean.PRECISION, mean.RECALL, ""),
            mean.PREDICTION_MEAN: metrics.ratio(of.PREDICTION, of.WEIGHT),
            mean.LABEL_MEAN: metrics.ratio(of.LABEL, of.WEIGHT),
            mean.ACCURACY_BASELINE: metrics.Formula(_of_the_larger, (of.LABEL, of.WEIGHT)),
            mean.AUC: metrics.area("ROC", _SCORES, self._areas),
            mean.AUC_PR: metrics.area("PR", _SCORES, self._areas),
            **_thresholds.formulas(self._thresholds),
        }

    def _columns(self, batch: single.Batch) -> dict[str, Tensor]:
        ids = tf.cast(batch.logits > 0, tf.float32)
        return {
            single.WEIGHT: tf.ones_like(batch.losses),
            single.LOSS: batch.losses,
            single.LABEL: batch.labels,
            single.PREDICTION: batch.probabilities,
            _CORRECT: tf.cast(tf.equal(ids, batch.labels), tf.float32),
            **_thresholds.positives(ids, batch.positive, ""),
            **_thresholds.columns(
                self._thresholds, batch.probabilities, batch.labels, batch.positive
            ),
        }

    def _scores(self, batch: single.Batch) -> dict[str, metrics.Scores]:
        return {_SCORES: metrics.Scores(batch.probabilities, batch.positive, batch.weights)}


def _of_the_larger(labels: Tensor, weights: Tensor) -> Tensor:
    """The share of the class that occurs more."""
    return tf.math.divide_no_nan(tf.maximum(labels, weights - labels), weights)
