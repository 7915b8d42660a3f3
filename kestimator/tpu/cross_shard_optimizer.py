"""The optimizer that sums gradients over the shards of a TPU, where there is one shard.

Synopsis::

    optimizer = CrossShardOptimizer(tf.compat.v1.train.AdamOptimizer(0.001))
    optimizer.minimize(loss, global_step)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.validation import kinds

_Base: Any = tf.compat.v1.tpu.CrossShardOptimizer


class CrossShardOptimizer(_Base):
    """An optimizer of TensorFlow 1, wrapped as for a TPU.

    Without a TPU there is one shard, so it does what the wrapped optimizer does.
    `tf.compat.v1.tpu.CrossShardOptimizer` needs an op that only a TPU has.

    Args:
        opt: A `tf.compat.v1.train.Optimizer`.
        reduction: How gradients of shards are combined: `tf.compat.v1.losses.Reduction.SUM` or
            MEAN.
        name: A name for ops.
        group_assignment: Groups of shards.

    Raises:
        ArgumentTypeError: `opt` is no such optimizer, or another argument has a wrong type.
        ValueError: `reduction` is another one.
    """

    def __init__(
        self,
        opt: tf.compat.v1.train.Optimizer,
        reduction: str = tf.compat.v1.losses.Reduction.MEAN,
        name: str = "CrossShardOptimizer",
        group_assignment: list[list[int]] | None = None,
    ) -> None:
        kinds.checked_instance(
            "opt",
            opt,
            tf.compat.v1.train.Optimizer,
            "a tf.compat.v1.train.Optimizer; pass an optimizer of Keras as `train_op` instead",
        )
        kinds.checked_text("reduction", reduction, "tf.compat.v1.losses.Reduction.SUM or MEAN")
        kinds.checked_text("name", name, "a string")
        if group_assignment is not None:
            kinds.checked_instance(
                "group_assignment", group_assignment, list, "a list of lists, or None"
            )
        super().__init__(opt, reduction, name, group_assignment)
        self._wrapped = opt

    def compute_gradients(
        self, loss: tf.Tensor, var_list: Any = None, **kwargs: Any
    ) -> list[tuple[Any, Any]]:
        """Returns the gradients of the wrapped optimizer."""
        gradients: list[tuple[Any, Any]] = self._wrapped.compute_gradients(
            loss, var_list=var_list, **kwargs
        )
        return gradients

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Any]],
        global_step: Any = None,
        name: str | None = None,
    ) -> tf.Operation:
        """Applies gradients with the wrapped optimizer."""
        return self._wrapped.apply_gradients(grads_and_vars, global_step, name)


def check_graph(graph: tf.Graph) -> None:
    """Checks that a graph has no op of TensorFlow's own CrossShardOptimizer.

    Raises:
        ArgumentError: It has one.
    """
    if any(op.type == "CrossReplicaSum" for op in graph.get_operations()):
        raise errors.ArgumentError(
            "The model_fn uses tf.compat.v1.tpu.CrossShardOptimizer or cross_replica_sum, whose op "
            "runs only on a TPU. Wrap the optimizer only `if params['use_tpu']`, or use "
            "kestimator.tpu.CrossShardOptimizer."
        )
