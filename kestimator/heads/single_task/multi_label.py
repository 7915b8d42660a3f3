"""Classification where an example may belong to several classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput
from kestimator.heads.parts import base, classes, elementwise, metrics, value_checks, weights
from kestimator.heads.single_task import single
from kestimator.heads.single_task import thresholds as _thresholds
from kestimator.keys import MetricKeys, PredictionKeys, SignatureKeys

_SCORES, _PROBABILITY, _SCORES_OF = "scores", "probability/%d", "scores/%d"


class MultiLabelHead(single.SingleHead):
    """A head for classification into several classes, by a sigmoid for each.

    The loss of an example is the mean of the classes' sigmoid cross entropies.

        >>> head = MultiLabelHead(2)
        >>> round(float(head.loss([[1, 0]], [[0.0, 0.0]])), 4)
        0.6931

    Args:
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`.
        thresholds: Numbers between 0 and 1: for each there are metrics "accuracy",
            "precision" and "recall" of predicting the classes above it.
        label_vocabulary: The names of the classes, if labels are strings.
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        loss_fn: The losses of examples, in place of the cross entropies: a function of `labels`
            and `logits`, both [batch, n_classes], and optionally of `features`, that returns
            [batch, 1].
        classes_for_class_based_metrics: Ids or names of classes with separate metrics.
        name: A suffix of the names of metrics and summaries.
        areas: How the areas under curves are computed, "interpolation" or, as
            tf.compat.v1.estimator does it, "trapezoidal".

    Labels are dense, [batch, n_classes] of numbers from 0 to 1, or a `tf.SparseTensor` or
    `tf.RaggedTensor` of the classes that each example has: ids, or strings with a vocabulary.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self,
        n_classes: int,
        weight_column: weights.WeightColumn = None,
        thresholds: Sequence[float] | None = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = "sum_over_batch_size",
        loss_fn: Callable[..., Tensor] | None = None,
        classes_for_class_based_metrics: Sequence[int | str] | None = None,
        name: str | None = None,
        *,
        areas: str = "interpolation",
    ) -> None:
        count = value_checks.checked_count("n_classes", n_classes, 2)
        super().__init__(
            logits_dimension=count,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            name=name,
            areas=areas,
        )
        self._thresholds = classes.checked_thresholds(thresholds)
        self._classes = classes.Classes(count, label_vocabulary)
        self._measured = self._classes.checked_ids(
            "classes_for_class_based_metrics", classes_for_class_based_metrics
        )

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns classification (the default) and all predictions."""
        classification = self._classes.output(predictions[PredictionKeys.PROBABILITIES])
        return {
            SignatureKeys.SERVING_DEFAULT: classification,
            base.CLASSIFICATION: classification,
            base.PREDICT: PredictOutput(predictions),
        }

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        count = self._classes.count
        if isinstance(labels, tf.RaggedTensor):
            labels = labels.to_sparse()
        if isinstance(labels, tf.SparseTensor):
            labels = self._indicators(labels)
        tensor = classes.label_tensor(labels, f"(batch, {count}), or a tf.SparseTensor")
        if tensor.dtype == tf.string:
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    "labels",
                    tensor,
                    "dense labels, with a number for each class",
                    "Pass names of classes as a tf.SparseTensor.",
                )
            )
        tensor = tf.cast(tensor, tf.int64) if tensor.dtype.is_bool else tensor
        remedy = "Check `n_classes` of the head. Pass class ids as a tf.SparseTensor."
        tensor = value_checks.shaped("labels", tensor, logits, count, remedy)
        op_names.also_named(tensor, "labels")
        return value_checks.within("labels", tensor, 0, 1, remedy)

    def _indicators(self, labels: tf.SparseTensor) -> Tensor:
        """Int64 [batch, n_classes]: 1 for each class that an example has.

        Raises:
            errors.ArgumentError: The classes are neither ids nor names.
            errors.ArgumentTypeError: They are names and there is no vocabulary.
        """
        ids = self._ids(labels.values)
        sparse = tf.SparseTensor(labels.indices, ids, labels.dense_shape)
        return tf.cast(tf.sparse.to_indicator(sparse, self._classes.count), tf.int64)

    def _ids(self, values: Tensor) -> Tensor:
        if values.dtype == tf.string:
            if self._classes.vocabulary is None:
                raise errors.ArgumentTypeError(
                    errors.invalid_argument(
                        "labels", values, "class ids, because the head has no `label_vocabulary`"
                    )
                )
            return self._classes.checked_ids_of(values)
        if not values.dtype.is_integer:
            raise errors.ArgumentError(
                errors.invalid_argument("labels", values, "a tf.SparseTensor of class ids")
            )
        last = self._classes.count - 1
        return value_checks.within(
            "labels", tf.cast(values, tf.int64), 0, last, "Check `n_classes`."
        )

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = elementwise.sigmoid_cross_entropy(tf.cast(labels, tf.float32), logits)
        return tf.reduce_mean(losses, axis=-1, keepdims=True)

    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.PROBABILITIES: lambda: tf.sigmoid(logits, name="probabilities"),
            PredictionKeys.CLASSES: lambda: self._classes.all_names(logits),
        }

    def _formulas(self) -> dict[str, metrics.Formula]:
        formulas = {
            MetricKeys.LOSS_MEAN: metrics.ratio(single.LOSS, single.WEIGHT),
            MetricKeys.AUC: metrics.area("ROC", _SCORES, self._areas),
            MetricKeys.AUC_PR: metrics.area("PR", _SCORES, self._areas),
            **_thresholds.formulas(self._thresholds),
        }
        for position in self._measured:
            mean, roc, pr = self._keys_of_class(position)
            formulas[mean] = metrics.ratio(_PROBABILITY % position, single.WEIGHT)
            formulas[roc] = metrics.area("ROC", _SCORES_OF % position, self._areas)
            formulas[pr] = metrics.area("PR", _SCORES_OF % position, self._areas)
        return formulas

    def _keys_of_class(self, position: int) -> tuple[str, str, str]:
        keys = MetricKeys
        if self._classes.vocabulary is None:
            patterns = (keys.PROBABILITY_MEAN_AT_CLASS, keys.AUC_AT_CLASS, keys.AUC_PR_AT_CLASS)
            mean, roc, pr = (pattern % position for pattern in patterns)
            return mean, roc, pr
        patterns = (keys.PROBABILITY_MEAN_AT_NAME, keys.AUC_AT_NAME, keys.AUC_PR_AT_NAME)
        mean, roc, pr = (pattern % self._classes.names[position] for pattern in patterns)
        return mean, roc, pr

    def _columns(self, batch: single.Batch) -> dict[str, Tensor]:
        labels, probabilities = tf.cast(batch.labels, tf.float32), batch.probabilities
        return {
            single.WEIGHT: tf.ones_like(batch.losses),
            single.LOSS: batch.losses,
            **_thresholds.columns(self._thresholds, probabilities, labels, batch.positive),
            **{
                _PROBABILITY % position: probabilities[..., position : position + 1]
                for position in self._measured
            },
        }

    def _scores(self, batch: single.Batch) -> dict[str, metrics.Scores]:
        probabilities, positive = batch.probabilities, batch.positive
        scores = {_SCORES: metrics.Scores(probabilities, positive, batch.weights)}
        for position in self._measured:
            column = slice(position, position + 1)
            scores[_SCORES_OF % position] = metrics.Scores(
                probabilities[..., column], positive[..., column], batch.weights
            )
        return scores
