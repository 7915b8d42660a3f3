"""Learning rates of Keras optimizers that a graph computes.

Synopsis::

    with keras_optimizers_take_tensors():
        rate = tf.compat.v1.train.exponential_decay(0.1, global_step, 100, 0.9)
        optimizer = keras.optimizers.Adam(rate)

Keras 3 takes a float, a schedule or a function, and refuses the tensors that Keras 2 took. A
function that returns the tensor says the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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
        """The rate of a step."""
        return tf.convert_to_tensor(self._value)


@contextlib.contextmanager
def keras_optimizers_take_tensors() -> Iterator[None]:
    """Lets `learning_rate` of a Keras optimizer be a tensor, a variable or any number.

    The optimizers check it in a constructor that they all call, and have no hook before it.
    """
    optimizer = keras.optimizers.Optimizer
    given = vars(optimizer).get("__init__")
    initialize = optimizer.__init__

    def __init__(self: Any, learning_rate: Any = None, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        initialize(self, _as_keras_takes_it(learning_rate), *args, **kwargs)

    optimizer.__init__ = __init__
    try:
        yield
    finally:
        if given is None:
            del optimizer.__init__
        else:
            optimizer.__init__ = given


def _as_keras_takes_it(rate: Any) -> Any:
    if isinstance(rate, tf.Tensor | tf.Variable | keras.Variable):
        return TensorRate(rate)
    is_number = isinstance(rate, int | np.number) and not isinstance(rate, bool)
    return float(rate) if is_number else rate
