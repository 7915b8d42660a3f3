"""What a head adds to a training step: the train op, and the summaries of its losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters import optimizers as _optimizers
from kestimator.keys import MetricKeys

_v1 = tf.compat.v1


def train_op(
    loss: Tensor,
    *,
    optimizer: Any,
    trainable_variables: Any,
    train_op_fn: Callable[[Tensor], Any] | None,
    update_ops: Any,
) -> Any:
    """The operation of one training step; see `Head.create_estimator_spec`.

    Raises:
        errors.ArgumentError: Not exactly one of `optimizer` and `train_op_fn` is given, or
            something has a type that cannot be used.
    """
    if (optimizer is None) == (train_op_fn is None):
        given = "neither" if optimizer is None else "both"
        raise errors.ArgumentError(
            "Exactly one of `optimizer` and `train_op_fn` is needed to train. Received: "
            f"{given}. Pass `optimizer` with `trainable_variables`, or a `train_op_fn` that "
            "makes the train op from the loss."
        )
    _check_list("update_ops", update_ops, may_be_none=True)
    with _v1.name_scope(None), tf.name_scope("training"):
        if train_op_fn is not None:
            operation = train_op_fn(loss)
        else:
            _check_list("trainable_variables", trainable_variables)
            operation = _optimizers.minimize(optimizer, loss, trainable_variables)
        return operation if update_ops is None else tf.group(operation, *update_ops)


def summarize(
    loss: Tensor, regularization_losses: Sequence[Tensor] | None, key: Callable[[str], str]
) -> None:
    """Writes the loss, and the regularization loss if there is one, for TensorBoard.

    Args:
        loss: The loss, regularized.
        regularization_losses: What is in it of regularization.
        key: Makes a tag of a metric key.
    """
    with _v1.name_scope(None):
        _v1.summary.scalar(key(MetricKeys.LOSS), loss)
        if regularization_losses:
            total = tf.add_n(regularization_losses)
            _v1.summary.scalar(key(MetricKeys.LOSS_REGULARIZATION), total)


def _check_list(name: str, value: Any, may_be_none: bool = False) -> None:
    if not isinstance(value, (list, tuple)) and not (may_be_none and value is None):
        raise errors.ArgumentError(errors.invalid_argument(name, value, "a list or a tuple"))
