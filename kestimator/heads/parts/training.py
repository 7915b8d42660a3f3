"""A head's part in a training step: the train op, and the summaries of its losses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters.optimizers import canned_optimizers, train_ops
from kestimator.keys import MetricKeys
from kestimator.validation import keras2

_v1 = tf.compat.v1
# The two enumerations have different strings for the sum.
SUMS = (_v1.losses.Reduction.SUM, tf.losses.Reduction.SUM)


def train_op(
    loss: Tensor,
    *,
    loss_reduction: str,
    optimizer: Any,
    trainable_variables: Any,
    train_op_fn: Callable[[Tensor], Any] | None,
    update_ops: Any,
    scope: str | None,
) -> Any:
    """The operation of one training step; see `Head.create_estimator_spec` and `Layout.training`.

    Raises:
        errors.ArgumentError: Not exactly one of `optimizer` and `train_op_fn` is given, or
            something is not a list.
        errors.ArgumentTypeError: `train_op_fn` cannot be called.
    """
    if (optimizer is None) == (train_op_fn is None):
        received = "neither" if optimizer is None else "both"
        raise errors.ArgumentError(
            "Exactly one of `optimizer` and `train_op_fn` is required for training. Received: "
            f"{received}. Pass `optimizer` with `trainable_variables`, or a `train_op_fn` that "
            "creates the train op from the loss."
        )
    if train_op_fn is not None and not callable(train_op_fn):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("train_op_fn", train_op_fn, "a function of the loss, or None")
        )
    _check_list("update_ops", update_ops, may_be_none=True)
    is_sum = loss_reduction in SUMS
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        _tell_tf1_optimizers(is_sum)
    with open_scope(scope):
        if train_op_fn is not None:
            operation = train_op_fn(loss)
        else:
            _check_list("trainable_variables", trainable_variables)
            operation = _minimize(optimizer, loss, trainable_variables, is_sum)
        return operation if update_ops is None else tf.group(operation, *update_ops)


@contextlib.contextmanager
def open_scope(name: str | None) -> Iterator[None]:
    """Leaves the scopes of the model_fn for one at the root; None keeps the open one."""
    if name is None:
        yield
        return
    with _v1.name_scope(None), tf.name_scope(name):
        yield


def _minimize(optimizer: Any, loss: Tensor, variables: Any, is_sum: bool) -> Any:
    if not keras2.is_optimizer(optimizer):
        return train_ops.minimize(optimizer, loss, variables, sum_over_replicas=is_sum)
    return canned_optimizers.minimize_keras2(
        optimizer,
        loss,
        variables,
        step=_v1.train.get_or_create_global_step(),
        used_names=set(),
        sum_over_replicas=is_sum,
    )


def _tell_tf1_optimizers(is_sum: bool) -> None:
    """Lets TF1 optimizers sum gradients over replicas for a sum, and average them for a mean.

    They ask the graph how the last loss was reduced. This call is the public way to tell it.
    """
    kinds = _v1.losses.Reduction
    reduction = kinds.SUM if is_sum else kinds.SUM_OVER_BATCH_SIZE
    _v1.losses.compute_weighted_loss(0.0, reduction=reduction, loss_collection=None)


def mean_loss(loss: Tensor, losses: Tensor, weights: Tensor | None) -> Tensor:
    """A sum of losses over the sum of their weights."""
    ones = tf.ones_like(losses)
    total = tf.reduce_sum(ones if weights is None else ones * weights)
    return tf.divide(loss, total, name="truediv")


def losses(loss: Tensor, regularization_losses: Sequence[Tensor] | None) -> dict[str, Tensor]:
    """The regularized loss, and its regularization part, by key."""
    if not regularization_losses:
        return {MetricKeys.LOSS: loss}
    total = tf.add_n(list(regularization_losses))
    return {MetricKeys.LOSS: loss, MetricKeys.LOSS_REGULARIZATION: total}


def summarize(scalars: Mapping[str, Tensor]) -> None:
    """Writes scalars for TensorBoard, by tag."""
    with _v1.name_scope(None):
        for tag, scalar in scalars.items():
            _v1.summary.scalar(tag, scalar)


def _check_list(name: str, value: Any, may_be_none: bool = False) -> None:
    if not isinstance(value, (list, tuple)) and not (may_be_none and value is None):
        raise errors.ArgumentError(errors.invalid_argument(name, value, "a list or a tuple"))
