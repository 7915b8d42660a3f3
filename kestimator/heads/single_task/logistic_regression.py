"""Regression of probabilities."""

from __future__ import annotations

import tensorflow as tf

from kestimator._types import Tensor
from kestimator.engine.graphs import op_names
from kestimator.heads.parts import elementwise, weights
from kestimator.heads.single_task import regression_base


class LogisticRegressionHead(regression_base.NumbersHead):
    """A head for regression of a probability, by the sigmoid cross entropy.

    It differs from `BinaryClassHead` in what it predicts and measures: one number in [0, 1].

        >>> LogisticRegressionHead().predictions([[0.0]])["predictions"].numpy().tolist()
        [[0.5]]

    Args:
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`.
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        name: A suffix of the names of metrics and summaries.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self,
        weight_column: weights.WeightColumn = None,
        loss_reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(
            label_dimension=1,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            inverse_link_fn=tf.math.sigmoid,
            label_range=(0.0, 1.0),
            name=name,
        )

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = elementwise.sigmoid_cross_entropy(labels, logits)
        op_names.also_named(losses, "call_loss_fn/logistic_loss")
        return losses
