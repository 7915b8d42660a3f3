"""Losses of single logits, with explicit gradients.

TensorFlow derives gradients op by op, and guards each against broadcasting and saturation. These
guards would be most of the ops of a small training step. Labels and logits have one shape here.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from kestimator._types import Tensor

_Loss = Callable[[Tensor, Tensor], Tensor]


def sigmoid_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """The losses of `tf.nn.sigmoid_cross_entropy_with_logits`.

    Args:
        labels: Float32, from 0 to 1.
        logits: Float32, the same shape.
    """
    return _with_gradients(
        _cross_entropy,
        of_labels=lambda labels, logits: -logits,
        of_logits=lambda labels, logits: tf.sigmoid(logits) - labels,
    )(labels, logits)


def squared_error(labels: Tensor, logits: Tensor) -> Tensor:
    """The squared differences.

    Args:
        labels: Float32.
        logits: Float32, the same shape.
    """
    return _with_gradients(
        tf.math.squared_difference,
        of_labels=lambda labels, logits: 2.0 * (labels - logits),
        of_logits=lambda labels, logits: 2.0 * (logits - labels),
    )(labels, logits)


def _cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """The form that loses no digits where the logits are large."""
    # max(x, 0) - x * z + log(1 + exp(-|x|)), as in the documentation of
    # tf.nn.sigmoid_cross_entropy_with_logits.
    return tf.nn.relu(logits) - logits * labels + tf.math.log1p(tf.exp(-tf.abs(logits)))


def _with_gradients(loss: _Loss, of_labels: _Loss, of_logits: _Loss) -> _Loss:
    def differentiable(labels: Tensor, logits: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        def gradients(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return upstream * of_labels(labels, logits), upstream * of_logits(labels, logits)

        return loss(labels, logits), gradients

    return tf.custom_gradient(differentiable)  # type: ignore[no-any-return]
