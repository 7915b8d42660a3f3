"""Classification into three classes or more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput
from kestimator.heads.parts import base, classes, metrics, value_checks, weights
from kestimator.heads.single_task import single
from kestimator.keys import MetricKeys, PredictionKeys, SignatureKeys

_CORRECT = "correct"


class MultiClassHead(single.SingleHead):
    """A head for classification into one of several classes, by the softmax of their logits.

    The loss of an example is the sparse softmax cross entropy. Logits may have more dimensions
    than two; then labels and weights have them as well.

        >>> head = MultiClassHead(3, label_vocabulary=["a", "b", "c"])
        >>> head.predictions([[0.0, 2.0, 1.0]], keys=["classes"])["classes"].numpy().tolist()
        [[b'b']]

    Args:
        n_classes: The number of classes, an integer >= 3.
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers in [0, n_classes).
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        loss_fn: The losses of examples, in place of the cross entropy: a function of `labels`,
            integers [batch, 1], and `logits`, and optionally of `features`, that returns
            [batch, 1].
        name: A suffix of the names of metrics and summaries.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self,
        n_classes: int,
        weight_column: weights.WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = "sum_over_batch_size",
        loss_fn: Callable[..., Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        count = value_checks.checked_count("n_classes", n_classes, 3)
        super().__init__(
            logits_dimension=count,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            name=name,
        )
        self._classes = classes.Classes(count, label_vocabulary)

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns classification (the default) and all predictions."""
        classification = self._classes.output(predictions[PredictionKeys.PROBABILITIES])
        return {
            SignatureKeys.SERVING_DEFAULT: classification,
            base.CLASSIFICATION: classification,
            base.PREDICT: PredictOutput(predictions),
        }

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        ids = classes.class_ids(labels, logits, self._classes)
        if not ids.dtype.is_integer:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "labels",
                    ids,
                    "integer class ids",
                    "Convert numbers with tf.cast(..., tf.int64). Names need a `label_vocabulary`.",
                )
            )
        ids = tf.cast(ids, tf.int64)
        if self._classes.vocabulary is not None:
            return ids
        return value_checks.within("labels", ids, 0, self._classes.count - 1, "Check `n_classes`.")

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.squeeze(labels, -1), logits=logits
        )
        op_names.also_named(losses, "sparse_softmax_cross_entropy_loss/xentropy/xentropy")
        return tf.expand_dims(losses, -1)

    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        ids = classes.likeliest(logits, self._layout.class_ids)
        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.PROBABILITIES: lambda: tf.nn.softmax(logits, name="probabilities"),
            PredictionKeys.CLASS_IDS: lambda: ids,
            PredictionKeys.CLASSES: lambda: self._classes.names_of(ids),
            PredictionKeys.ALL_CLASS_IDS: lambda: self._classes.all_ids(logits),
            PredictionKeys.ALL_CLASSES: lambda: self._classes.all_names(logits),
        }

    def _formulas(self) -> dict[str, metrics.Formula]:
        return {
            MetricKeys.LOSS_MEAN: metrics.ratio(single.LOSS, single.WEIGHT),
            MetricKeys.ACCURACY: metrics.ratio(_CORRECT, single.WEIGHT),
        }

    def _columns(self, batch: single.Batch) -> dict[str, Tensor]:
        correct = tf.equal(classes.likeliest(batch.logits), tf.cast(batch.labels, tf.int64))
        return {
            single.WEIGHT: tf.ones_like(batch.losses),
            single.LOSS: batch.losses,
            _CORRECT: tf.cast(correct, tf.float32),
        }
