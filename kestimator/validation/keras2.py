"""Objects of Keras 2, which goes on as the package `tf_keras`: known without importing it.

    >>> is_optimizer(3)
    False

The package is optional. An object of it can only be there if somebody has imported it, so the
names of its class tell.
"""

from __future__ import annotations

from typing import Any

_PACKAGE = "tf_keras."


def is_metric(value: Any) -> bool:
    """Whether it is a `tf_keras.metrics.Metric`."""
    return _is_a(value, "Metric")


def is_optimizer(value: Any) -> bool:
    """Whether it is an optimizer of `tf_keras`, an old or a new one."""
    return is_legacy_optimizer(value) or is_new_optimizer(value)


def is_legacy_optimizer(value: Any) -> bool:
    """Whether it is one of `tf_keras.optimizers.legacy`."""
    return _is_a(value, "OptimizerV2")


def is_new_optimizer(value: Any) -> bool:
    """Whether it is one of `tf_keras.optimizers` itself."""
    return _is_a(value, "_BaseOptimizer")


def is_schedule(value: Any) -> bool:
    """Whether it is a `tf_keras.optimizers.schedules.LearningRateSchedule`."""
    return _is_a(value, "LearningRateSchedule")


def _is_a(value: Any, name: str) -> bool:
    return any(
        base.__name__ == name and base.__module__.startswith(_PACKAGE)
        for base in type(value).__mro__
    )
