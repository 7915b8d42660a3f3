"""Distribution strategies: the classes of their variables, and their switches."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import cross_device_ops, values

# Optimizers and savers know a variable of several replicas by these classes alone.
DistributedVariable = values.DistributedVariable
"""The class of a variable with a component per replica."""
MirroredVariable = values.MirroredVariable
"""The class of one whose components are equal."""
SyncOnReadVariable = values.SyncOnReadVariable
"""The class of one whose components are reduced when it is read."""


def reduction(strategy: tf.distribute.Strategy) -> Any:
    """How a strategy reduces over replicas; in public, that is said when it is made."""
    return strategy.extended._cross_device_ops


def set_reduction(strategy: tf.distribute.Strategy, ops: Any) -> None:
    """Lets a strategy reduce in another way; in public, that is said when it is made.

    Args:
        strategy: The strategy.
        ops: A `tf.distribute.CrossDeviceOps`.
    """
    strategy.extended._cross_device_ops = ops


def is_collective(ops: Any) -> bool:
    """Whether a reduction is made of collective ops, whose class has no public name."""
    return isinstance(ops, cross_device_ops.CollectiveAllReduce)


def scaled_losses(strategy: tf.distribute.Strategy) -> contextlib.AbstractContextManager[None]:
    """Lets TF1 optimizers divide the loss by the replicas, whose gradients they sum.

    It is the switch that TensorFlow made for estimators, under a private name.
    """
    switch: contextlib.AbstractContextManager[None] = strategy._scale_loss_for_estimator_enabled()
    return switch
