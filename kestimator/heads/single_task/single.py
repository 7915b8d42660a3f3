"""The common part of heads of one task: names, weights, reductions, the counting of metrics."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator._types import Features, Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.heads.parts import (
    areas as _areas,
)
from kestimator.heads.parts import (
    base,
    training,
    value_checks,
)
from kestimator.heads.parts import (
    losses as _losses,
)
from kestimator.heads.parts import (
    metrics as _metrics,
)
from kestimator.heads.parts import (
    weights as _weights,
)
from kestimator.keys import MetricKeys

WEIGHT, LOSS, LABEL, PREDICTION = "weight", "loss", "label", "prediction"


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch as a head computes with it.

    Attributes:
        labels: `[d0, ..., dn, labels per example]`.
        logits: Float32 `[d0, ..., dn, logits dimension]`.
        weights: Float32, of a shape that broadcasts to that of the losses; None counts all once.
        losses: Float32 `[d0, ..., dn, losses per example]`, not weighted.
    """

    labels: Tensor
    logits: Tensor
    weights: Tensor | None
    losses: Tensor

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """The sigmoid of each logit."""
        return tf.sigmoid(self.logits)

    @functools.cached_property
    def positive(self) -> Tensor:
        """Float32 in the labels' shape: 1 for each that is not 0."""
        return tf.cast(tf.not_equal(self.labels, 0), tf.float32)


class SingleHead(base.Head):
    """A head of one task. Its subclasses define what is particular to the task.

    Args:
        logits_dimension: The number of logits per example.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        loss_reduction: How the losses of examples are reduced.
        loss_fn: The losses of examples, in place of the head's own.
        name: The head's name.
        areas: How areas under curves are computed, "interpolation" or "trapezoidal".
        losses_per_example: The number of losses per example, which may have as many weights.
    """

    def __init__(
        self,
        *,
        logits_dimension: int,
        weight_column: _weights.WeightColumn,
        loss_reduction: str,
        loss_fn: Callable[..., Tensor] | None,
        name: str | None,
        areas: str = "interpolation",
        losses_per_example: int = 1,
    ) -> None:
        _weights.check_weight_column(weight_column)
        self._logits_dimension = logits_dimension
        self._weight_column = weight_column
        self._loss_reduction = _losses.checked_reduction(loss_reduction)
        self._loss_fn = _losses.checked_loss_fn(loss_fn)
        self._name = base.checked_name(name)
        self._areas = _areas.checked_method(areas)
        self._losses_per_example = losses_per_example

    @property
    def name(self) -> str | None:
        """The head's name, which ends its metrics' names, or None."""
        return self._name

    @property
    def logits_dimension(self) -> int:
        """The number of logits that the head needs per example."""
        return self._logits_dimension

    @property
    def loss_reduction(self) -> str:
        """How the losses of examples become the loss of a batch."""
        return self._loss_reduction

    def loss(
        self,
        labels: Labels,
        logits: Tensor,
        features: Features | None = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Returns the loss of a batch; see `Head.loss`."""
        del mode
        return self._batch_and_loss(features, logits, labels, regularization_losses)[1]

    def predictions(self, logits: Tensor, keys: Sequence[str] | None = None) -> dict[Any, Tensor]:
        """Returns the predictions of the head; see `Head.predictions`."""
        logits = value_checks.checked_logits(logits, self.logits_dimension)
        with op_names.scope("predictions"):
            makers = self._makers(logits)
            return {
                key: makers[key]() for key in value_checks.checked_names("keys", keys, list(makers))
            }

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Returns new metrics; see `Head.metrics`."""
        formulas = _metrics.with_regularization(self._formulas(), regularization_losses)
        return _metrics.made({self._named(key): formula for key, formula in formulas.items()})

    def update_metrics(
        self,
        eval_metrics: dict[str, Any],
        features: Features,
        logits: Tensor,
        labels: Labels,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Any]:
        """Counts a batch in metrics, and returns them; see `Head.update_metrics`."""
        del mode
        batch = self.batch(features, logits, labels)
        return self._counted(eval_metrics, batch, regularization_losses)

    def _evaluated(
        self,
        features: Features,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Any]]:
        batch, loss = self._batch_and_loss(features, logits, labels, regularization_losses)
        metrics = self.metrics(regularization_losses=regularization_losses)
        return loss, self._counted(metrics, batch, regularization_losses)

    def _loss_and_scalars(
        self,
        features: Features,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        batch, loss = self._batch_and_loss(features, logits, labels, regularization_losses)
        if not self._layout.summarizes_mean or self.loss_reduction not in training.SUMS:
            return loss, {}
        return loss, {MetricKeys.LOSS_MEAN: training.mean_loss(loss, batch.losses, batch.weights)}

    def _scope(self) -> Any:
        return op_names.scope(self.name or "head")

    @abc.abstractmethod
    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        """The labels as the losses need them, checked."""

    @abc.abstractmethod
    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        """The head's own losses of examples."""

    @abc.abstractmethod
    def _makers(self, logits: Tensor) -> dict[str, Callable[[], Tensor]]:
        """How each prediction is made, by key in the order of the predictions."""

    @abc.abstractmethod
    def _formulas(self) -> dict[str, _metrics.Formula]:
        """The metrics by key, regularization aside."""

    @abc.abstractmethod
    def _columns(self, batch: Batch) -> dict[str, Tensor]:
        """The columns that the formulas sum, by name, in tensors of one shape."""

    def _scores(self, batch: Batch) -> dict[str, _metrics.Scores]:
        """The scores that the histograms of the formulas count, by name."""
        del batch
        return {}

    def batch(self, features: Features | None, logits: Tensor, labels: Labels) -> Batch:
        """Checks a batch, and computes the losses of its examples."""
        logits = value_checks.checked_logits(logits, self.logits_dimension)
        labels = self._labels(labels, logits)
        width = self._losses_per_example
        weights = _weights.weights_of(self._weight_column, features, logits, width=width)
        if self._loss_fn is None:
            return Batch(labels, logits, weights, self._losses(labels, logits))
        losses = _losses.call_loss_fn(
            self._loss_fn,
            labels=labels,
            logits=logits,
            features=features,
            reduction=self.loss_reduction,
            width=width,
        )
        return Batch(labels, logits, weights, losses)

    def _batch_and_loss(
        self,
        features: Features | None,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Batch, Tensor]:
        """A batch, and its regularized loss."""
        with op_names.scope(self._layout.losses):
            batch = self.batch(features, logits, labels)
            with op_names.scope("weighted_loss"):
                loss = _losses.reduced(self.loss_reduction, batch.losses, batch.weights)
            return batch, _losses.total(loss, regularization_losses)

    def _counted(
        self,
        metrics: dict[str, Any],
        batch: Batch,
        regularization_losses: Sequence[Tensor] | None,
    ) -> dict[str, Any]:
        if batch.weights is not None:
            # Checked here and not in `loss`: training takes negative weights.
            remedy = "Metrics are not defined for negative weights."
            weights = value_checks.within("weights", batch.weights, 0.0, math.inf, remedy)
            batch = dataclasses.replace(batch, weights=weights)
        counted = _metrics.weighted_sums(self._columns(batch), batch.weights)
        counted |= _metrics.regularization(regularization_losses)
        sums = _metrics.sums_of(metrics, map(self._named, self._formulas()))
        sums.update_state(counted, self._scores(batch))
        return metrics
