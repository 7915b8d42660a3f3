"""Learning rates of Keras optimizers that are computed in a graph.

Synopsis::

    rate = tf.compat.v1.train.exponential_decay(0.1, global_step, 100, 0.9)
    optimizer = keras.optimizers.Adam(as_keras_takes_it(rate))

Keras 3 accepts a float, a schedule or a function. It refuses tensors, which Keras 2 accepted. A
function that returns the tensor has the same effect.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class TensorRate:
    """A learning rate that is a tensor or a variable of the graph, as a function.

    Args:
        value: The tensor or the variable.
    """

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> tf.Tensor:
        """The rate for a step."""
        return tf.convert_to_tensor(self._value)


def as_keras_takes_it(rate: Any) -> Any:
    """A learning rate in a form that Keras 3 accepts: tensors as functions, numbers as floats."""
    if isinstance(rate, tf.Tensor | tf.Variable | keras.Variable):
        return TensorRate(rate)
    is_number = isinstance(rate, int | np.number) and not isinstance(rate, bool)
    return float(rate) if is_number else rate
