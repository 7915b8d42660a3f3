"""Recognizes objects of Keras 2 (the package `tf_keras`) without importing it.

    >>> is_optimizer(3)
    False

The package is optional. An object of it exists only if the package was imported. So the name and
the module of its class are enough to recognize it.
"""

from __future__ import annotations

from typing import Any

_PACKAGE = "tf_keras."


def is_metric(value: Any) -> bool:
    """Whether it is a `tf_keras.metrics.Metric`."""
    return _is_a(value, "Metric")


def is_model(value: Any) -> bool:
    """Whether it is a `tf_keras.Model`."""
    return _is_a(value, "Model")


def is_model_class(kind: type) -> bool:
    """Whether it is the class `tf_keras.Model` or one that derives from it."""
    return _is_kind(kind, "Model")


def is_optimizer(value: Any) -> bool:
    """Returns whether it is an optimizer of `tf_keras`, legacy or new."""
    return is_legacy_optimizer(value) or is_new_optimizer(value)


def is_legacy_optimizer(value: Any) -> bool:
    """Returns whether it is an optimizer of `tf_keras.optimizers.legacy`."""
    return _is_a(value, "OptimizerV2")


def is_new_optimizer(value: Any) -> bool:
    """Returns whether it is an optimizer of `tf_keras.optimizers`, not of `legacy`."""
    return _is_a(value, "_BaseOptimizer")


def is_schedule(value: Any) -> bool:
    """Whether it is a `tf_keras.optimizers.schedules.LearningRateSchedule`."""
    return _is_a(value, "LearningRateSchedule")


def _is_a(value: Any, name: str) -> bool:
    return _is_kind(type(value), name)


def _is_kind(kind: type, name: str) -> bool:
    return any(
        base.__name__ == name and base.__module__.startswith(_PACKAGE) for base in kind.__mro__
    )
