"""Areas under curves, from one histogram of predictions.

A histogram has 200 buckets, one for each threshold i/199. Bucket i counts predictions in
(i/199, (i+1)/199]; the first bucket also counts 0. Column 0 counts positives, column 1 negatives.
The predictions above a threshold are the sum of its own bucket and all later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import tensorflow as tf

from kestimator._types import Tensor
from kestimator.validation import kinds

THRESHOLDS: Final = 200
SHAPE: Final = (THRESHOLDS, 2)


def histogram(probabilities: Tensor, positive: Tensor, weights: Tensor | None) -> Tensor:
    """Counts predictions by bucket and label.

    Args:
        probabilities: In [0, 1], any shape.
        positive: 1 for positives and 0 for negatives, float32 of that shape.
        weights: Of a shape that broadcasts to it, or None.

    Returns:
        Float32 [200, 2].
    """
    both = tf.stack([positive, 1.0 - positive], axis=-1)
    if weights is not None:
        both *= tf.expand_dims(weights, -1)
    # The maximum is taken of integers, so that NaN lands in a bucket as well.
    bucket = tf.maximum(tf.cast(tf.math.ceil(probabilities * (THRESHOLDS - 1)), tf.int32), 1) - 1
    return tf.math.unsorted_segment_sum(
        tf.reshape(both, [-1, 2]), tf.reshape(bucket, [-1]), THRESHOLDS
    )


def _above(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The positives and the negatives above each threshold."""
    above = tf.cumsum(counts, reverse=True)
    return above[:, 0], above[:, 1]


def _trapezoids(x: Tensor, y: Tensor) -> Tensor:
    """The area under y(x), where x falls."""
    return tf.reduce_sum((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2.0)


def roc(counts: Tensor) -> Tensor:
    """The area under the ROC curve, as `tf.keras.metrics.AUC` has it."""
    true, false = _above(counts)
    return _trapezoids(tf.math.divide_no_nan(false, false[0]), tf.math.divide_no_nan(true, true[0]))


def precision_recall(counts: Tensor) -> Tensor:
    """The area under precision over recall, as `tf.keras.metrics.AUC` interpolates it.

    Between two thresholds true positives grow linearly with all that is predicted positive
    (Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006).
    """
    true, false = _above(counts)
    predicted = true + false
    gained = true[:-1] - true[1:]
    slope = tf.math.divide_no_nan(gained, tf.maximum(predicted[:-1] - predicted[1:], 0.0))
    intercept = true[1:] - slope * predicted[1:]
    # The logarithm of the growth needs two positive counts; a growth of 1 drops the term.
    both_positive = (predicted[:-1] > 0) & (predicted[1:] > 0)
    growth = tf.where(both_positive, tf.math.divide_no_nan(predicted[:-1], predicted[1:]), 1.0)
    area = slope * (gained + intercept * tf.math.log(growth))
    return tf.reduce_sum(tf.math.divide_no_nan(area, tf.maximum(true[0], 0.0)))


# The epsilon of `tf.compat.v1.metrics.auc`.
_EPSILON = 1e-6


def roc_of_trapezoids(counts: Tensor) -> Tensor:
    """The area under the ROC curve, as `tf.compat.v1.metrics.auc` has it."""
    true, false = _above(counts)
    return _trapezoids(false / (false[0] + _EPSILON), (true + _EPSILON) / (true[0] + _EPSILON))


def precision_recall_of_trapezoids(counts: Tensor) -> Tensor:
    """The area under precision over recall, as `tf.compat.v1.metrics.auc` has it."""
    true, false = _above(counts)
    precision = (true + _EPSILON) / (true + false + _EPSILON)
    return _trapezoids((true + _EPSILON) / (true[0] + _EPSILON), precision)


METHODS: Mapping[str, Mapping[str, Callable[[Tensor], Tensor]]] = {
    "interpolation": {"ROC": roc, "PR": precision_recall},
    "trapezoidal": {"ROC": roc_of_trapezoids, "PR": precision_recall_of_trapezoids},
}
"""The first method is that of tf.estimator, the second that of tf.compat.v1.estimator."""


def checked_method(method: str) -> str:
    """Returns the name of a method.

    Raises:
        errors.ArgumentError: There is none of that name.
    """
    return kinds.checked_choice("areas", method, METHODS, f"one of {list(METHODS)}")
