"""Optimizers of Keras 2 (`tf_keras`): what they were made with, and their own steps.

Synopsis::

    optimizer = legacy(optimizer)
    settings = settings_of(optimizer)            # "beta_1" and so on, "learning_rate" as given
    train_op = apply(optimizer, pairs, step)

They are written for graphs, and their updates are ops of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.adapters.optimizers import _internals
from kestimator.engine.keras_internals import outside_programs
from kestimator.validation import keras2

_DROPPED = ("weight_decay", "use_ema")  # options that legacy optimizers lack


def legacy(optimizer: Any) -> Any:
    """Turns an optimizer of either kind into a legacy one: new ones return no update op.

    tf.estimator 2.15 was meant to do the same.

    Raises:
        errors.ArgumentError: There is no legacy optimizer that computes the same.
    """
    if not keras2.is_new_optimizer(optimizer):
        _check_has_rate(optimizer)
        return optimizer
    with outside_programs.outside_of_the_trace():
        config = optimizer.get_config()
        left_out = [key for key in _DROPPED if config.get(key)]
        try:
            converted = None if left_out else _internals.as_legacy_of_keras2(optimizer)
        except ValueError:  # it knows no legacy optimizer of that name
            converted = None
    if converted is None:
        name = type(optimizer).__name__
        raise errors.ArgumentError(
            errors.invalid_argument(
                "optimizer",
                optimizer,
                "an optimizer that tf_keras.optimizers.legacy also has"
                + (f", without {' and '.join(left_out)}" if left_out else ""),
                f"Use keras.optimizers.{name} of Keras 3 instead.",
            )
        )
    return converted


def _check_has_rate(optimizer: Any) -> None:
    if not _internals.has_rate_of_keras2(optimizer):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "optimizer",
                optimizer,
                "an optimizer with a learning rate, not one around another optimizer",
                "Pass the inner optimizer, or one of Keras 3.",
            )
        )


def usable(optimizer: Any) -> Any:
    """The optimizer, or a copy if it has variables of another graph already.

    Args:
        optimizer: A legacy optimizer.
    """
    graph = tf.compat.v1.get_default_graph()
    is_of_graph = all(getattr(weight, "graph", None) is graph for weight in optimizer.weights)
    return optimizer if is_of_graph else copied(optimizer)


def copied(optimizer: Any) -> Any:
    """A legacy optimizer with the same settings, and no variables yet."""
    return type(optimizer).from_config(settings_of(optimizer))


def maker_like(optimizer: Any) -> Callable[[tf.Variable], Any]:
    """A function that makes optimizers with the settings that an optimizer has now.

    The argument of the function is the variable that counts the steps.

    Args:
        optimizer: An optimizer of Keras 2, or what its models make of one of TF1.

    Raises:
        errors.ArgumentError: As for `legacy`, or it is something else.
    """
    inner = getattr(optimizer, "optimizer", None)
    if isinstance(inner, tf.compat.v1.train.Optimizer):
        return lambda step: type(optimizer)(inner, step)
    if not keras2.is_optimizer(optimizer):
        raise errors.ArgumentError(
            errors.invalid_argument("optimizer", optimizer, "an optimizer of tf_keras or of TF1")
        )
    optimizer = legacy(optimizer)
    kind, settings = type(optimizer), settings_of(optimizer)

    def make(step: tf.Variable) -> Any:
        copy = kind.from_config(dict(settings))
        copy.iterations = step
        return copy

    return make


def settings_of(optimizer: Any) -> dict[str, Any]:
    """The settings of a legacy optimizer, with the rate as it was given: a number, a tensor...

    The optimizer's own `get_config` would compute the rate.
    """
    rate = _internals.given_rate_of_keras2(optimizer)
    with (
        outside_programs.outside_of_the_trace(),
        _internals.rate_not_described_of_keras2(optimizer),
    ):
        config: dict[str, Any] = optimizer.get_config()
        if any(rate is variable for variable in optimizer.weights):
            rate = float(rate.numpy())
    return {**config, "learning_rate": rate}


def apply(optimizer: Any, pairs: Sequence[tuple[Any, tf.Variable]], step: Any) -> tf.Operation:
    """The op of an optimizer's own step.

    Args:
        optimizer: A legacy optimizer.
        pairs: Gradients and variables.
        step: The variable that counts its steps; None for its own counter.
    """
    if step is not None and not optimizer.weights:
        # The global step counts the iterations, as in the original's checkpoints. Keras 2 takes
        # another counter only while the optimizer has no weights.
        optimizer.iterations = step
    operation = optimizer.apply_gradients(pairs)
    if step is None or optimizer.iterations is step:
        return operation
    with tf.control_dependencies([operation]):
        return step.assign_add(1, read_value=False)
