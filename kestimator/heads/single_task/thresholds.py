"""Metrics of predicting a class wherever its probability is above a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from kestimator._types import Tensor
from kestimator.heads.parts import metrics
from kestimator.heads.single_task import single
from kestimator.keys import MetricKeys

_CORRECT, _TRUE, _PREDICTED, _POSITIVE = (
    "correct%s",
    "true_positives%s",
    "predicted_positives%s",
    "positives%s",
)


def formulas(thresholds: Sequence[float]) -> dict[str, metrics.Formula]:
    """The metrics by key, for each threshold accuracy, precision and recall."""
    by_key: dict[str, metrics.Formula] = {}
    for threshold in thresholds:
        mark = _mark(threshold)
        accuracy = MetricKeys.ACCURACY_AT_THRESHOLD % threshold
        by_key[accuracy] = metrics.ratio(_CORRECT % mark, single.WEIGHT)
        precision = MetricKeys.PRECISION_AT_THRESHOLD % threshold
        by_key |= precision_and_recall(precision, MetricKeys.RECALL_AT_THRESHOLD % threshold, mark)
    return by_key


def precision_and_recall(precision: str, recall: str, mark: str) -> dict[str, metrics.Formula]:
    """The metrics called `precision` and `recall`, over the sums of `positives`."""
    return {
        precision: metrics.ratio(_TRUE % mark, _PREDICTED % mark),
        # Actual positives do not depend on the threshold, so all thresholds share one sum.
        recall: metrics.ratio(_TRUE % mark, _POSITIVE % ""),
    }


def columns(
    thresholds: Sequence[float], probabilities: Tensor, labels: Tensor, positive: Tensor
) -> dict[str, Tensor]:
    """The columns that the formulas sum.

    Args:
        thresholds: The thresholds.
        probabilities: Of each class, `[..., n]`.
        labels: Numbers of that shape.
        positive: 1 for the labels that count as positive, 0 for others.

    Returns:
        Tensors `[..., 1]`: over several classes the mean of what is correct, the sum of positives.
    """
    by_name: dict[str, Tensor] = {}
    for threshold in thresholds:
        predicted = tf.cast(probabilities > threshold, tf.float32)
        correct = tf.cast(tf.equal(predicted, labels), tf.float32)
        mark = _mark(threshold)
        by_name[_CORRECT % mark] = tf.reduce_mean(correct, axis=-1, keepdims=True)
        by_name |= positives(predicted, positive, mark)
    return by_name


def positives(predicted: Tensor, positive: Tensor, mark: str) -> dict[str, Tensor]:
    """True, predicted and actual positives of each example, `[..., 1]`.

    Args:
        predicted: 1 where the class is predicted, `[..., n]`.
        positive: 1 where it is right.
        mark: Tells these columns from those of other thresholds.
    """
    return {
        _TRUE % mark: _total(predicted * positive),
        _PREDICTED % mark: _total(predicted),
        _POSITIVE % "": _total(positive),
    }


def _total(values: Tensor) -> Tensor:
    return values if values.shape[-1] == 1 else tf.reduce_sum(values, axis=-1, keepdims=True)


def _mark(threshold: float) -> str:
    return f"/{threshold}"
