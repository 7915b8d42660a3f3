"""Regression of counts."""

from __future__ import annotations

import math

import tensorflow as tf

from kestimator._types import Tensor
from kestimator.heads.parts import weights
from kestimator.heads.single_task import regression_base
from kestimator.validation import kinds


class PoissonRegressionHead(regression_base.NumbersHead):
    """A head for regression of counts: the logits are logarithms of Poisson distributions' means.

    The loss is the negative log likelihood, see `tf.nn.log_poisson_loss`; predictions are the
    means, exp(logits).

        >>> PoissonRegressionHead().predictions([[0.0]])["predictions"].numpy().tolist()
        [[1.0]]

    Args:
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`. It may weigh each number of an example.
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        compute_full_loss: Whether the loss has the term that only depends on the labels. Then
            labels cannot be negative.
        name: A suffix of the names of metrics and summaries.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: weights.WeightColumn = None,
        loss_reduction: str = "sum_over_batch_size",
        compute_full_loss: bool = True,
        name: str | None = None,
    ) -> None:
        is_full = kinds.checked_flag("compute_full_loss", compute_full_loss)
        super().__init__(
            label_dimension=label_dimension,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            inverse_link_fn=tf.math.exp,
            label_range=(0.0, math.inf) if is_full else None,
            name=name,
        )
        self._compute_full_loss = is_full

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return tf.nn.log_poisson_loss(
            targets=labels, log_input=logits, compute_full_loss=self._compute_full_loss
        )
