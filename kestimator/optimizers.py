"""Lazy optimizers: Adam and RMSprop that only update the rows of a batch.

Synopsis::

    kestimator.EstimatorSpec(mode, loss=loss, train_op=kestimator.optimizers.LazyAdam(0.001))
    kestimator.optimizers.LazyAdamOptimizer(0.001).minimize(loss, global_step)

Adam and RMSprop decay the moments of every row in every step. So the cost of a step grows with the
size of an embedding. The lazy forms only update weights and moments of the rows that a batch looks
up. The results differ slightly, and the cost of a step depends only on these rows. For variables
with dense gradients, they equal their base classes.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kestimator.adapters.optimizers import sparse_updates as _sparse_updates

__all__ = [
    "LazyAdam",
    "LazyAdamOptimizer",
    "LazyRMSPropOptimizer",
    "LazyRMSprop",
]

_RMSPROP = "rm_sprop"
"""What Keras calls an RMSprop without a name: a lazy one has the same names in checkpoints."""


class LazyAdam(keras.optimizers.Adam):
    """Keras' Adam, which only updates the rows of a batch.

    With g the sum of a row's gradients in the batch, and t the number of the step::

        m = m + (1 - beta_1) (g - m)
        v = v + (1 - beta_2) (g^2 - v)
        w = w - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

    A row that is not in the batch keeps w, m and v. With `amsgrad`, the greatest v so far replaces
    v in the last line.

    Args:
        learning_rate: As for `keras.optimizers.Adam`.
        **kwargs: As for `keras.optimizers.Adam`. The default name is also the same,
            so that each class can read the checkpoints of the other.

    Example:
        >>> optimizer = LazyAdam(0.1)
        >>> table = keras.Variable([[1.0], [2.0], [3.0]])
        >>> gradient = tf.IndexedSlices(tf.constant([[1.0]]), tf.constant([1]), tf.constant([3, 1]))
        >>> optimizer.apply([gradient], [table])
        >>> [round(float(row), 4) for row in table.numpy()[:, 0]]
        [1.0, 1.9, 3.0]
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        super().__init__(learning_rate, **{"name": "adam", **kwargs})

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates a variable, or its rows that have a gradient."""
        if isinstance(gradient, tf.IndexedSlices):
            _sparse_updates.lazy_adam(self, gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)


class LazyRMSprop(keras.optimizers.RMSprop):
    """Keras' RMSprop, which only updates the rows of a batch.

    With g the sum of a row's gradients in the batch::

        v = rho v + (1 - rho) g^2
        w = w - learning_rate g / sqrt(v + epsilon)

    With `momentum`, `p = momentum p + learning_rate g / sqrt(v + epsilon)` of the row is
    subtracted instead. If `centered`, `v - a^2` replaces v in the divisor, with
    `a = rho a + (1 - rho) g`. A row that is not in the batch keeps w, v, p and a.

    Args:
        learning_rate: As for `keras.optimizers.RMSprop`.
        **kwargs: As for `keras.optimizers.RMSprop`. The default name is also the same,
            so that each class can read the checkpoints of the other.

    Example:
        >>> optimizer = LazyRMSprop(0.1)
        >>> table = keras.Variable([[1.0], [2.0], [3.0]])
        >>> gradient = tf.IndexedSlices(tf.constant([[1.0]]), tf.constant([1]), tf.constant([3, 1]))
        >>> optimizer.apply([gradient], [table])
        >>> [round(float(row), 4) for row in table.numpy()[:, 0]]
        [1.0, 1.6838, 3.0]
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        super().__init__(learning_rate, **{"name": _RMSPROP, **kwargs})

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates a variable, or its rows that have a gradient."""
        if isinstance(gradient, tf.IndexedSlices):
            _sparse_updates.lazy_rmsprop(self, gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)


class LazyAdamOptimizer(tf.compat.v1.train.AdamOptimizer):
    """TF1's Adam, which only updates the rows of a batch.

    The formulas are those of `LazyAdam`. Slots have the names of those of
    `tf.compat.v1.train.AdamOptimizer`, so that each class can read the checkpoints of the other.

    Args:
        *args: As for `tf.compat.v1.train.AdamOptimizer`.
        **kwargs: As for `tf.compat.v1.train.AdamOptimizer`.

    Example:
        >>> optimizer = LazyAdamOptimizer(learning_rate=0.1)
        >>> optimizer.get_name()
        'Adam'
    """

    def _resource_apply_sparse(
        self, grad: tf.Tensor, handle: Any, indices: tf.Tensor
    ) -> tf.Operation:
        """Updates distinct rows with their summed gradients; overrides a method of TF1."""
        settings = (*self._get_beta_accumulators(), self._beta1_t, self._beta2_t)
        slots = self.get_slot(handle, "m"), self.get_slot(handle, "v")
        return _sparse_updates.lazy_tf1_adam(
            handle, slots, grad, indices, settings, self._lr_t, self._epsilon_t
        )


class LazyRMSPropOptimizer(tf.compat.v1.train.RMSPropOptimizer):
    """TF1's RMSProp, whose sparse updates are already limited to the rows of a batch.

    With g the sum of a row's gradients in the batch, a row's v, p and w become::

        v = decay v + (1 - decay) g^2
        p = momentum p + learning_rate g / sqrt(v + epsilon)
        w = w - p

    A row that is not in the batch keeps them. This class exists so that the name says what it does.

    Args:
        *args: As for `tf.compat.v1.train.RMSPropOptimizer`.
        **kwargs: As for `tf.compat.v1.train.RMSPropOptimizer`.

    Example:
        >>> optimizer = LazyRMSPropOptimizer(learning_rate=0.1)
        >>> optimizer.get_name()
        'RMSProp'
    """
