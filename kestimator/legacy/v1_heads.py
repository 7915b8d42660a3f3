"""The heads of TF 1, which libraries construct by functions and derive from.

They are the heads of `kestimator.heads` with another interface: `create_loss`, the sum as default
reduction, and the update ops of the graph's collection in each training step.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kestimator import errors
from kestimator._types import Features, Labels, Tensor
from kestimator.heads.parts import losses
from kestimator.heads.single_task.single import SingleHead
from kestimator.legacy.update_op_heads import BinaryClassHead, MultiClassHead, RegressionHead
from kestimator.specs import EstimatorSpec

_SUM = tf.compat.v1.losses.Reduction.SUM


class LossSpec(NamedTuple):
    """The loss of a batch, and what it is made of."""

    training_loss: Tensor
    unreduced_loss: Tensor
    weights: Any
    processed_labels: Tensor


class _Head(abc.ABC):
    """The interface of a head of TF 1. Heads of libraries implement its members."""

    @property
    @abc.abstractmethod
    def name(self) -> str | None:
        """The head's name, a suffix of its metrics' names, or None."""

    @property
    @abc.abstractmethod
    def logits_dimension(self) -> int:
        """The number of logits per example."""

    @abc.abstractmethod
    def create_loss(
        self, features: Features, mode: str, logits: Tensor, labels: Labels
    ) -> LossSpec:
        """Returns the loss of a batch, not regularized.

        Args:
            features: The features, a dict: weights are among them.
            mode: One of `ModeKeys`.
            logits: The logits, `[batch, logits_dimension]`.
            labels: The labels.
        """

    def create_estimator_spec(
        self,
        features: Features,
        mode: str,
        logits: Tensor,
        labels: Labels | None = None,
        optimizer: Any = None,
        train_op_fn: Callable[[Tensor], Any] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """Returns the spec that a `model_fn` returns.

        Args:
            features: The features.
            mode: One of `ModeKeys`.
            logits: The logits, `[batch, logits_dimension]`.
            labels: The labels; not needed to predict.
            optimizer: Minimizes the loss in training, and advances the global step.
            train_op_fn: A function to pass instead, which makes the train op from the loss.
            regularization_losses: Scalars to add to the loss.

        Raises:
            errors.ArgumentTypeError: The subclass implements neither this method nor
                `_create_tpu_estimator_spec`.
        """
        make = getattr(self, "_create_tpu_estimator_spec", None)
        if make is None:
            raise errors.ArgumentTypeError(
                f"{type(self).__name__} should implement `create_estimator_spec`, or "
                "`_create_tpu_estimator_spec`."
            )
        spec = make(
            features=features,
            mode=mode,
            logits=logits,
            labels=labels,
            optimizer=optimizer,
            train_op_fn=train_op_fn,
            regularization_losses=regularization_losses,
        )
        return spec.as_estimator_spec()  # type: ignore[no-any-return]


class HeadOfOneTask(_Head):
    """A head of TF 1 that computes what a head of `kestimator.heads` does.

    Args:
        head: That head, one of `update_op_heads`.
    """

    def __init__(self, head: SingleHead) -> None:
        self.head = head

    @property
    def name(self) -> str | None:
        """The head's name, a suffix of its metrics' names, or None."""
        return self.head.name

    @property
    def logits_dimension(self) -> int:
        """The number of logits per example."""
        return self.head.logits_dimension

    def create_loss(
        self, features: Features, mode: str, logits: Tensor, labels: Labels
    ) -> LossSpec:
        """Returns the loss of a batch, not regularized; see `_Head.create_loss`."""
        del mode
        batch = self.head.batch(features, logits, labels)
        loss = losses.REDUCTIONS[self.head.loss_reduction](batch.losses, batch.weights)
        weights = 1.0 if batch.weights is None else batch.weights
        return LossSpec(loss, batch.losses, weights, batch.labels)

    def create_estimator_spec(
        self,
        features: Features,
        mode: str,
        logits: Tensor,
        labels: Labels | None = None,
        optimizer: Any = None,
        train_op_fn: Callable[[Tensor], Any] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """Returns the spec that a `model_fn` returns; see `_Head.create_estimator_spec`."""
        return self.head.create_estimator_spec(
            features,
            mode,
            logits,
            labels,
            optimizer=optimizer,
            train_op_fn=train_op_fn,
            regularization_losses=regularization_losses,
        )


def _binary_logistic_head_with_sigmoid_cross_entropy_loss(
    weight_column: Any = None,
    thresholds: Sequence[float] | None = None,
    label_vocabulary: Sequence[str] | None = None,
    loss_reduction: str = _SUM,
    loss_fn: Callable[..., Tensor] | None = None,
    name: str | None = None,
) -> _Head:
    """Returns a head for two classes; see `kestimator.BinaryClassHead`."""
    head = BinaryClassHead(
        weight_column,
        thresholds,
        label_vocabulary,
        loss_reduction,
        loss_fn,
        name,
        areas="trapezoidal",
    )
    return HeadOfOneTask(head)


def _multi_class_head_with_softmax_cross_entropy_loss(
    n_classes: int,
    weight_column: Any = None,
    label_vocabulary: Sequence[str] | None = None,
    loss_reduction: str = _SUM,
    loss_fn: Callable[..., Tensor] | None = None,
    name: str | None = None,
) -> _Head:
    """Returns a head for three classes or more; see `kestimator.MultiClassHead`."""
    head = MultiClassHead(n_classes, weight_column, label_vocabulary, loss_reduction, loss_fn, name)
    return HeadOfOneTask(head)


def _regression_head(
    weight_column: Any = None,
    label_dimension: int = 1,
    loss_reduction: str = _SUM,
    loss_fn: Callable[..., Tensor] | None = None,
    inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
    name: str | None = None,
) -> _Head:
    """Returns a head for numbers; see `kestimator.RegressionHead`."""
    head = RegressionHead(
        label_dimension, weight_column, loss_reduction, loss_fn, inverse_link_fn, name
    )
    return HeadOfOneTask(head)


def _binary_logistic_or_multi_class_head(
    n_classes: int, weight_column: Any, label_vocabulary: Any, loss_reduction: str
) -> _Head:
    """Returns the head for a number of classes."""
    if n_classes == 2:
        return _binary_logistic_head_with_sigmoid_cross_entropy_loss(
            weight_column, None, label_vocabulary, loss_reduction
        )
    return _multi_class_head_with_softmax_cross_entropy_loss(
        n_classes, weight_column, label_vocabulary, loss_reduction
    )
