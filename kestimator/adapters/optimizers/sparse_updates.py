"""Updates of only the rows of a batch, by the formulas of Keras' optimizers.

Synopsis::

    with rows_alone(optimizer):
        optimizer.apply_gradients(pairs)         # Adagrad and Ftrl: a step costs what its rows cost

Keras' own steps compute over all rows of a table, even if the gradient has only a few. The results
here are the same in all rows. So optimizers that change every row at every step are excluded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.keras_internals import keras_objects

_v1 = tf.compat.v1
_Step = Callable[[Any, tf.IndexedSlices, tf.Variable, Any], None]


@contextlib.contextmanager
def rows_alone(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets an optimizer update only the rows of sparse gradients, if that changes no result.

    Plain gradient descent does so by itself. Keras' own step remains for other optimizers and
    options, for dense gradients, and for several replicas.

    Args:
        optimizer: The optimizer.
    """
    step = _step_of(optimizer)
    if step is None or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        yield
        return
    dense = optimizer.update_step

    def update_step(gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        if isinstance(gradient, tf.IndexedSlices):
            step(optimizer, gradient, variable, learning_rate)
        else:
            dense(gradient, variable, learning_rate)

    attributes = vars(optimizer)  # bypasses Keras, which looks for variables in attributes
    attributes["update_step"] = update_step
    try:
        yield
    finally:
        del attributes["update_step"]


def summed(indices: tf.Tensor, *values: tf.Tensor) -> tuple[tf.Tensor, *tuple[tf.Tensor, ...]]:
    """Sums the values of repeated rows.

    Args:
        indices: The rows, (n,), which may repeat.
        *values: Tensors, (n, ...).

    Returns:
        The different rows, (m,), and for each of `values` the sums, (m, ...).
    """
    rows, places = tf.unique(indices)
    count = tf.size(rows)
    return rows, *(tf.math.unsorted_segment_sum(value, places, count) for value in values)


def gather(variable: Any, rows: tf.Tensor) -> tf.Tensor:
    """Reads rows of a variable.

    Args:
        variable: A `tf.Variable` or a `keras.Variable`.
        rows: The rows, (m,).
    """
    return tf.gather(_native(variable), rows)


def scatter(variable: Any, rows: tf.Tensor, values: tf.Tensor) -> tf.Operation:
    """Writes rows of a variable, in place.

    Args:
        variable: A `tf.Variable` or a `keras.Variable`.
        rows: The rows, (m,), each once.
        values: Their new values, (m, ...).
    """
    handle = _native(variable).handle
    return tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=values)


def _native(variable: Any) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable


def _step_of(optimizer: keras.optimizers.Optimizer) -> _Step | None:
    """The step of an optimizer that leaves rows without a gradient as they are."""
    # Exact types only: a subclass may compute something else. Epsilon keeps the divisor above zero
    # in rows whose accumulator is zero.
    if type(optimizer) is keras.optimizers.Adagrad and optimizer.epsilon > 0:
        return _adagrad
    if type(optimizer) is keras.optimizers.Ftrl:
        # L2 shrinkage changes every row at every step.
        return None if optimizer.l2_shrinkage_regularization_strength else _ftrl
    return None


def _squares_and_sums(
    gradient: tf.IndexedSlices, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The rows, the sums of their gradients, and the sums of the squares, as Keras adds them."""
    # Keras squares the slices first and sums repeated rows afterwards; a square of the sum differs.
    values = tf.cast(gradient.values, dtype)
    rows, sums, squares = summed(gradient.indices, values, tf.square(values))
    return rows, sums, squares


def _adagrad(
    optimizer: Any, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: Any
) -> None:
    rate = keras.ops.cast(learning_rate, variable.dtype)
    accumulator = keras_objects.slot(optimizer, "accumulators", variable)
    rows, sums, squares = _squares_and_sums(gradient, variable.dtype)
    accumulated = gather(accumulator, rows) + squares
    scatter(accumulator, rows, accumulated)
    weights = gather(variable, rows) - rate * sums / tf.sqrt(accumulated + optimizer.epsilon)
    scatter(variable, rows, weights)


def _ftrl(
    optimizer: Any, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: Any
) -> None:
    rate = keras.ops.cast(learning_rate, variable.dtype)
    accumulator = keras_objects.slot(optimizer, "accumulators", variable)
    linear = keras_objects.slot(optimizer, "linears", variable)
    rows, sums, squares = _squares_and_sums(gradient, variable.dtype)
    # Read before the other rows settle, which writes the whole variable.
    before, weights = gather(accumulator, rows), gather(variable, rows)
    accumulated, power = before + squares, -optimizer.learning_rate_power
    sigma = (tf.pow(accumulated, power) - tf.pow(before, power)) / rate
    moved = gather(linear, rows) + sums - sigma * weights
    _settle_other_rows(optimizer, variable, accumulator, linear, rate)
    scatter(linear, rows, moved)
    scatter(accumulator, rows, accumulated)
    scatter(variable, rows, _ftrl_weights(optimizer, accumulated, moved, rate))


def _ftrl_weights(
    optimizer: Any, accumulated: tf.Tensor, linear: tf.Tensor, rate: tf.Tensor
) -> tf.Tensor:
    """Ftrl's weights: they only depend on its state, not on their previous values."""
    l1, power = optimizer.l1_regularization_strength, -optimizer.learning_rate_power
    l2 = optimizer.l2_regularization_strength + optimizer.beta / (2.0 * rate)
    return (tf.clip_by_value(linear, -l1, l1) - linear) / (
        tf.pow(accumulated, power) / rate + 2 * l2
    )


def _settle_other_rows(
    optimizer: Any,
    variable: tf.Variable,
    accumulator: keras.Variable,
    linear: keras.Variable,
    rate: tf.Tensor,
) -> None:
    """Gives all rows the weights that follow from their state, if these differ from their values.

    They differ at the first step, because Keras' Ftrl forgets initial weights, and after a change
    of the learning rate. A local variable keeps the last rate; no checkpoint has it.
    """
    # NaN equals no rate, so the first step after initialization settles all rows.
    settled_rate = _v1.Variable(
        tf.constant(float("nan"), variable.dtype),
        trainable=False,
        collections=[_v1.GraphKeys.LOCAL_VARIABLES],
        name="learning_rate_of_all_rows",
    )
    is_first = tf.equal(tf.convert_to_tensor(optimizer.iterations), 0)

    def settle() -> tf.Tensor:
        state = tf.convert_to_tensor(accumulator), tf.convert_to_tensor(linear)
        weights = _ftrl_weights(optimizer, *state, rate)
        with tf.control_dependencies([_assign(variable, weights)]):
            return tf.identity(rate)

    is_new = is_first | tf.not_equal(settled_rate, rate)
    # The result of the branches is used: TensorFlow's optimizer drops unused branches.
    _assign(settled_rate, tf.cond(is_new, settle, lambda: tf.identity(rate)))


def _assign(variable: tf.Variable, value: tf.Tensor) -> tf.Operation:
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def lazy_adam(
    optimizer: Any, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: Any
) -> None:
    """Adam's step, only for rows of the gradient; see `kestimator.optimizers.LazyAdam`.

    Args:
        optimizer: A `keras.optimizers.Adam`.
        gradient: The gradient; rows may repeat.
        variable: The variable.
        learning_rate: The learning rate.
    """
    dtype = variable.dtype
    rate = keras.ops.cast(learning_rate, dtype)
    step = keras.ops.cast(optimizer.iterations + 1, dtype)
    first, second = tf.cast(optimizer.beta_1, dtype), tf.cast(optimizer.beta_2, dtype)
    rate = rate * tf.sqrt(1 - tf.pow(second, step)) / (1 - tf.pow(first, step))
    rows, sums = summed(gradient.indices, tf.cast(gradient.values, dtype))
    momentum = keras_objects.slot(optimizer, "momentums", variable)
    velocity = keras_objects.slot(optimizer, "velocities", variable)
    moments = _moved(gather(momentum, rows), sums, 1 - optimizer.beta_1)
    speeds = _moved(gather(velocity, rows), tf.square(sums), 1 - optimizer.beta_2)
    scatter(momentum, rows, moments)
    scatter(velocity, rows, speeds)
    if optimizer.amsgrad:
        greatest = keras_objects.slot(optimizer, "velocity_hats", variable)
        speeds = tf.maximum(gather(greatest, rows), speeds)
        scatter(greatest, rows, speeds)
    weights = gather(variable, rows) - rate * moments / (tf.sqrt(speeds) + optimizer.epsilon)
    scatter(variable, rows, weights)


def lazy_rmsprop(
    optimizer: Any, gradient: tf.IndexedSlices, variable: tf.Variable, learning_rate: Any
) -> None:
    """RMSprop's step, only for rows of the gradient; see `kestimator.optimizers.LazyRMSprop`.

    Args:
        optimizer: A `keras.optimizers.RMSprop`.
        gradient: The gradient; rows may repeat.
        variable: The variable.
        learning_rate: The learning rate.
    """
    rate, rho = keras.ops.cast(learning_rate, variable.dtype), optimizer.rho
    rows, sums = summed(gradient.indices, tf.cast(gradient.values, variable.dtype))
    velocity = keras_objects.slot(optimizer, "velocities", variable)
    speeds = _moved(gather(velocity, rows), tf.square(sums), 1 - rho)
    scatter(velocity, rows, speeds)
    if optimizer.centered:
        average = keras_objects.slot(optimizer, "average_gradients", variable)
        averages = _moved(gather(average, rows), sums, 1 - rho)
        scatter(average, rows, averages)
        speeds = speeds - tf.square(averages)
    change = rate * sums / tf.sqrt(speeds + optimizer.epsilon)
    if optimizer.momentum > 0:
        momentum = keras_objects.slot(optimizer, "momentums", variable)
        change = optimizer.momentum * gather(momentum, rows) + change
        scatter(momentum, rows, change)
    scatter(variable, rows, gather(variable, rows) - change)


def lazy_tf1_adam(
    variable: tf.Variable,
    slots: tuple[tf.Variable, tf.Variable],
    gradient: tf.Tensor,
    rows: tf.Tensor,
    betas: tuple[Any, Any, Any, Any],
    learning_rate: tf.Tensor,
    epsilon: tf.Tensor,
) -> tf.Operation:
    """TF1 Adam's step, only for given rows; see `kestimator.optimizers.LazyAdamOptimizer`.

    Args:
        variable: The variable.
        slots: The slots m and v.
        gradient: The gradient of `rows`, (m, ...).
        rows: The rows, (m,), each once.
        betas: The powers of both betas at this step, then the betas.
        learning_rate: The learning rate.
        epsilon: Adam's epsilon.
    """
    dtype = variable.dtype.base_dtype
    first_power, second_power, first, second = (tf.cast(beta, dtype) for beta in betas)
    rate = tf.cast(learning_rate, dtype) * tf.sqrt(1 - second_power) / (1 - first_power)
    moments = _moved(gather(slots[0], rows), gradient, 1 - first)
    speeds = _moved(gather(slots[1], rows), tf.square(gradient), 1 - second)
    change = rate * moments / (tf.sqrt(speeds) + tf.cast(epsilon, dtype))
    return tf.group(
        scatter(slots[0], rows, moments),
        scatter(slots[1], rows, speeds),
        scatter(variable, rows, gather(variable, rows) - change),
    )


def _moved(value: tf.Tensor, target: tf.Tensor, part: Any) -> tf.Tensor:
    """A moving average's next value."""
    return value + (target - value) * part
