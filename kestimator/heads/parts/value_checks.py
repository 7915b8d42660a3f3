"""Checks of the arguments of a head: of values when computed, of shapes as early as possible.

In eager mode a failing check raises `errors.ArgumentError`. In a graph it is an op, which
fails with `tf.errors.InvalidArgumentError` when the step runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.validation import checks

_VALUES_SHOWN = 20


def tensor_where(condition: Tensor, tensor: Tensor, message: str, *data: Tensor) -> Tensor:
    """Returns `tensor`, once `condition` is known to hold.

    Args:
        condition: A scalar bool tensor.
        tensor: The tensor to return.
        message: The error message: what was expected, and the way out.
        *data: The received tensors, with which the message ends.

    Raises:
        errors.ArgumentError: The condition does not hold, eagerly.
    """
    if tf.executing_eagerly():
        if not bool(condition):
            values = ", ".join(str(part.numpy()) for part in (data or (tensor,)))
            raise errors.ArgumentError(f"{message} Received: {values}.")
        return tensor
    # The raw op: tf.debugging.Assert wraps it into a conditional, at several times its cost.
    received = [f"{message} Received:", *(data or (tensor,))]
    check = tf.raw_ops.Assert(condition=condition, data=received, summarize=_VALUES_SHOWN)
    with tf.control_dependencies([check]):
        return tf.identity(tensor)


def within(name: str, values: Tensor, low: float, high: float, remedy: str = "") -> Tensor:
    """Returns `values`, checked to lie in [low, high]; NaN does not.

    Args:
        name: The name of the values in an error message.
        values: Numbers of any shape.
        low: The least that is allowed.
        high: The most that is allowed.
        remedy: A sentence with the way out.
    """
    fits = tf.reduce_all((values >= low) & (values <= high))
    message = f"Invalid argument `{name}`. Expected: values from {low:.15g} to {high:.15g}."
    return tensor_where(fits, values, f"{message} {remedy}".strip())


def shaped(name: str, tensor: Tensor, like: Tensor, width: int, remedy: str = "") -> Tensor:
    """Returns a tensor in the shape `[d0, ..., dn, width]` of what belongs to the logits.

    Args:
        name: The name of the tensor in an error message.
        tensor: Of that shape, or `[d0, ..., dn]` where `width` is 1.
        like: The logits, `[d0, ..., dn, logits dimension]`.
        width: The last dimension.
        remedy: A sentence with the way out.

    Raises:
        errors.ArgumentError: It has another shape, as far as that is known here.
    """
    leading, received = like.shape[:-1], tensor.shape
    expected = leading.concatenate(width)
    if received.rank is None or like.shape.rank is None:
        return _of_unknown_rank(tensor, like, width)
    fits = received.is_compatible_with(expected)
    if not fits and not (width == 1 and received.is_compatible_with(leading)):
        raise errors.ArgumentError(wrong_shape(name, received, expected, like.shape, remedy))
    if received.rank < like.shape.rank:
        tensor = tf.expand_dims(tensor, -1)
    # Only unknown dimensions need a check when the step runs.
    if tensor.shape.is_fully_defined() and expected.is_fully_defined():
        return tensor
    return _of_one_batch(name, tensor, like, width)


def wrong_shape(
    name: str,
    received: tf.TensorShape,
    expected: tf.TensorShape,
    logits: tf.TensorShape,
    remedy: str,
) -> str:
    """The message for a shape that does not belong to the logits."""
    shape = _readable(expected)
    if expected[-1] == 1:
        shape = f"{_readable(expected[:-1])} or {shape}"
    return errors.invalid_argument(
        f"{name}.shape",
        _readable(received),
        f"{shape}, because the logits have shape {_readable(logits)}",
        remedy,
    )


def _readable(shape: tf.TensorShape) -> tuple[int | None, ...] | str:
    return "unknown" if shape.rank is None else tuple(shape.as_list())


def _of_unknown_rank(tensor: Tensor, like: Tensor, width: int) -> Tensor:
    """Lets the reshape fail where the sizes differ: more cannot be known here."""
    return tf.reshape(tensor, tf.concat([tf.shape(like)[:-1], [width]], axis=0))


def _of_one_batch(name: str, tensor: Tensor, like: Tensor, width: int) -> Tensor:
    """Checks the batch sizes when they are known: 1 would be broadcast silently."""
    sizes, expected = tf.shape(tensor), tf.shape(like)
    if like.shape[-1] != width:
        sizes, expected = sizes[:-1], expected[:-1]
    message = f"Invalid argument `{name}`. Expected: as many rows as the logits."
    return tensor_where(tf.reduce_all(tf.equal(sizes, expected)), tensor, message, sizes, expected)


def checked_logits(logits: Any, dimension: int) -> Tensor:
    """Returns logits as a float32 tensor `[d0, ..., dn, dimension]`.

    Raises:
        errors.ArgumentError: They have another shape.
    """
    if logits is None:
        raise errors.ArgumentError(errors.invalid_argument("logits", None, "a tensor"))
    tensor = tf.cast(tf.convert_to_tensor(logits), tf.float32)
    shape, last = tensor.shape, last_dimension(tensor)
    if shape.rank is not None and (shape.rank < 2 or last not in (None, dimension)):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "logits.shape",
                tuple(shape.as_list()),
                f"(batch, {dimension}), or more dimensions, with {dimension} as the last",
                "Set the units of the model's last layer to `logits_dimension` of the head.",
            )
        )
    if shape.rank is not None and last is None:
        return tf.ensure_shape(tensor, [*shape[:-1], dimension])
    return tensor


def last_dimension(tensor: Tensor) -> int | None:
    """The last dimension, None if it is not known, whatever TensorFlow's behaviour for shapes."""
    shape = tensor.shape
    last = tf.compat.dimension_value(shape[-1]) if shape.rank else None
    return None if last is None else int(last)


def checked_names(name: str, requested: Any, available: Sequence[Any]) -> list[Any]:
    """Returns the requested ones of `available`, in their own order; None requests all.

    Raises:
        errors.ArgumentError: Something else was requested.
    """
    if requested is None:
        return list(available)
    unknown = [key for key in requested if key not in available]
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(name, requested, f"a list of keys among {list(available)}")
        )
    return [key for key in available if key in requested]


def checked_count(name: str, value: Any, least: int) -> int:
    """Returns a number of things.

    Raises:
        errors.ArgumentError: It is less than `least`, or None.
        errors.ArgumentTypeError: It is not an integer.
    """
    type_error = errors.ArgumentError if value is None else errors.ArgumentTypeError
    return checks.checked_int(
        name, value, least, maximum=checks.LARGEST_SIZE, type_error=type_error
    )
