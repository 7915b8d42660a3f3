"""Distribution strategies: the classes of their variables, and their switches."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import cross_device_ops, values

# Optimizers and savers recognize a variable of several replicas only by these classes.
DistributedVariable = values.DistributedVariable
"""The class of a variable with a component per replica."""
MirroredVariable = values.MirroredVariable
"""The class of such a variable whose components are equal."""
SyncOnReadVariable = values.SyncOnReadVariable
"""The class of such a variable whose components are reduced when it is read."""


def reduction(strategy: tf.distribute.Strategy) -> Any:
    """How a strategy reduces over replicas. Public code can only set this at construction."""
    return strategy.extended._cross_device_ops


def set_reduction(strategy: tf.distribute.Strategy, ops: Any) -> None:
    """Changes how a strategy reduces. Public code can only set this at construction.

    Args:
        strategy: The strategy.
        ops: A `tf.distribute.CrossDeviceOps`.
    """
    strategy.extended._cross_device_ops = ops


def is_collective(ops: Any) -> bool:
    """Whether a reduction uses collective ops. Their class has no public name."""
    return isinstance(ops, cross_device_ops.CollectiveAllReduce)


def scaled_losses(strategy: tf.distribute.Strategy) -> contextlib.AbstractContextManager[None]:
    """Makes TF1 optimizers divide the loss by the number of replicas, since they sum gradients.

    TensorFlow made this switch for estimators, under a private name.
    """
    switch: contextlib.AbstractContextManager[None] = strategy._scale_loss_for_estimator_enabled()
    return switch


def workers_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The number of workers of a multi-worker strategy, and the position of this one.

    The chief is the first. The strategy's public `cluster_resolver` reads TF_CONFIG anew each time,
    which may have changed since the strategy connected the workers.
    """
    return strategy.extended._num_workers, strategy.extended._id_in_cluster
