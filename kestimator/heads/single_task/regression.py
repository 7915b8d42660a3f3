"""Regression by the squared error."""

from __future__ import annotations

from collections.abc import Callable

from kestimator._types import Tensor
from kestimator.engine.graphs import op_names
from kestimator.heads.parts import elementwise, weights
from kestimator.heads.single_task import regression_base


class RegressionHead(regression_base.NumbersHead):
    """A head for regression, by the squared error.

        >>> head = RegressionHead()
        >>> float(head.loss([1.0, 2.0], [[1.0], [4.0]]))
        2.0

    Args:
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name, or a
            `tf.feature_column.numeric_column`. It may weigh each number of an example.
        loss_reduction: How the losses of examples are reduced: "sum_over_batch_size" or "sum".
        loss_fn: The losses, in place of the squared error: a function of `labels` and `logits`,
            both float32 [batch, label_dimension], and optionally of `features`, that returns
            as many losses.
        inverse_link_fn: Makes predictions of logits. None: they are the logits.
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
        loss_fn: Callable[..., Tensor] | None = None,
        inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            label_dimension=label_dimension,
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            loss_fn=loss_fn,
            inverse_link_fn=inverse_link_fn,
            name=name,
        )

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = elementwise.squared_error(labels, logits)
        op_names.also_named(losses, "mean_squared_error/SquaredDifference")
        return losses
