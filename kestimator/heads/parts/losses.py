"""From the losses of examples to the loss of a batch: `loss_fn`, weights, reductions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.heads.parts import value_checks
from kestimator.validation import signatures

_ARGUMENTS = {"labels", "logits", "features", "loss_reduction"}

Reduction = Callable[[Tensor, Tensor | None], Tensor]
"""Reduces losses, and weights that broadcast to their shape, to one number."""


def _sum(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return tf.reduce_sum(losses, name="Sum")
    weights = _as_many(weights, losses)
    product = tf.matmul(tf.reshape(losses, [1, -1]), tf.reshape(weights, [-1, 1]))
    return tf.reshape(product, [], name="Sum")  # the gradient of a matrix product is one op


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    # The divisor is the number of losses, not the sum of their weights, like in tf.losses.
    return _divided(_sum(losses, weights), tf.cast(tf.size(losses), tf.float32))


def _weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return _mean(losses, None)
    return _divided(_sum(losses, weights), tf.reduce_sum(_as_many(weights, losses)))


def _mean_of_weighted(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return _mean(losses, None)
    # The divisor of SUM_BY_NONZERO_WEIGHTS in tf.compat.v1.losses.
    counted = tf.cast(tf.not_equal(_as_many(weights, losses), 0.0), tf.float32)
    return _divided(_sum(losses, weights), tf.reduce_sum(counted))


def _divided(total: Tensor, count: Tensor) -> Tensor:
    """The mean, or 0 for a count of 0. A product with the inverse has a gradient of one op."""
    return tf.multiply(total, tf.math.reciprocal_no_nan(count), name="value")


def _as_many(weights: Tensor, losses: Tensor) -> Tensor:
    """A weight for each loss."""
    same = weights.shape[-1] == losses.shape[-1]
    return weights if same else tf.broadcast_to(weights, tf.shape(losses))


REDUCTIONS: Mapping[str, Reduction] = {
    "auto": _mean,
    "sum": _sum,
    "sum_over_batch_size": _mean,
    # Those of tf.compat.v1.losses.Reduction.
    "weighted_sum": _sum,
    "weighted_sum_over_batch_size": _mean,
    "weighted_mean": _weighted_mean,
    "weighted_sum_by_nonzero_weights": _mean_of_weighted,
}
"""Functions by the values of `tf.losses.Reduction` and `tf.compat.v1.losses.Reduction`."""


def reduced(reduction: str, losses: Tensor, weights: Tensor | None) -> Tensor:
    """The loss of a batch, with the names of tf.estimator's ops.

    Args:
        reduction: One of `REDUCTIONS`.
        losses: The losses.
        weights: Their weights, of a shape that broadcasts to theirs, or None.
    """
    if not tf.executing_eagerly():
        # The sums below need no product. It is for those who ask for it by name.
        tf.multiply(losses, 1.0 if weights is None else weights, name="Mul")
    return REDUCTIONS[reduction](losses, weights)


def checked_reduction(reduction: Any) -> str:
    """Returns the name of a reduction to one number.

    Raises:
        errors.ArgumentError: It is something else, such as "none".
    """
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise errors.ArgumentError(
            errors.invalid_argument("loss_reduction", reduction, f"one of {list(REDUCTIONS)}")
        )
    return reduction


def checked_loss_fn(loss_fn: Any) -> Callable[..., Tensor] | None:
    """Returns a loss_fn, or None for the head's own.

    Raises:
        errors.ArgumentError: It does not take `labels` and `logits`, or takes something that no
            head offers.
        errors.ArgumentTypeError: It cannot be called.
    """
    if loss_fn is None:
        return None
    if not callable(loss_fn):
        raise errors.ArgumentTypeError(errors.invalid_argument("loss_fn", loss_fn, "a callable"))
    accepted = signatures.accepted_arguments(loss_fn)
    if not {"labels", "logits"} <= accepted <= _ARGUMENTS:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "loss_fn",
                loss_fn,
                "a function with the arguments `labels` and `logits`, and optionally `features` "
                "and `loss_reduction`",
                f"It takes {sorted(accepted) or 'no arguments by name'}.",
            )
        )
    return loss_fn  # type: ignore[no-any-return]


def call_loss_fn(
    loss_fn: Callable[..., Tensor],
    *,
    labels: Tensor,
    logits: Tensor,
    features: Any,
    reduction: str,
    width: int,
) -> Tensor:
    """The losses of a batch as a user's function computes them.

    Args:
        loss_fn: The function.
        labels: The labels, `[d0, ..., dn, labels per example]`.
        logits: The logits.
        features: Passed on if the function takes `features`.
        reduction: Passed on if the function requires `loss_reduction`.
        width: The last dimension that the losses must have.

    Returns:
        The losses, `[d0, ..., dn, width]`, not weighted.

    Raises:
        errors.ArgumentError: The result has another shape.
    """
    offered = {"features": features}
    # An optional `loss_reduction` keeps the function's own default.
    if _requires(loss_fn, "loss_reduction"):
        offered["loss_reduction"] = reduction
    losses = signatures.call_with_accepted(loss_fn, labels=labels, logits=logits, **offered)
    losses = tf.cast(tf.convert_to_tensor(losses), tf.float32)
    remedy = "Return one loss for each example, before any reduction."
    expected = logits.shape[:-1].concatenate(width)
    if not losses.shape.is_compatible_with(expected):
        message = value_checks.wrong_shape(
            "loss_fn's result", losses.shape, expected, logits.shape, remedy
        )
        raise errors.ArgumentError(message)
    return value_checks.shaped("loss_fn's result", losses, logits, width, remedy)


def _requires(function: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and parameter.default is parameter.empty


def total(loss: Tensor, regularization_losses: Sequence[Tensor] | None) -> Tensor:
    """The loss with the regularization losses, of which there may be none."""
    return loss if not regularization_losses else tf.add_n([loss, *regularization_losses])
