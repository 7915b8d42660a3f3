"""What the engine has to know of Keras: its names, its variables in the making, their owners.

Keras 3 makes its variables eagerly under names that count per process, and has no hook for
either. Each function here answers one question and says why it has to look inside.
"""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state as _global_state

_local = threading.local()
_SETTINGS = ("dtype_policy", "flash_attention", "custom_objects_scope_dict")


@contextlib.contextmanager
def names_from_zero(seed: int | None) -> Iterator[None]:
    """Lets Keras count automatic names from zero, and draw seeds from `seed`, while it traces.

    Names such as `dense_1` end up in checkpoints, so they must not depend on what else the
    process made. Keras keeps the counts for each thread, in a global that has no public face.
    """
    attributes = ("object_name_uids", "global_seed_generator", "name_scope_stack")
    kept = {key: _global_state.get_global_attribute(key) for key in attributes}
    outer = python_random()
    for key in attributes:
        _global_state.set_global_attribute(key, None)
    _local.random = outer if seed is None else random.Random(seed)
    try:
        yield
    finally:
        _local.random = outer
        for key, value in kept.items():
            _global_state.set_global_attribute(key, value)


def python_random() -> random.Random | None:
    """What Keras draws default seeds from in the trace of the calling thread; None for `random`."""
    return getattr(_local, "random", None)


def variable_being_made() -> keras.Variable | None:
    """The Keras variable whose constructor is running, or None.

    A creator sees the `tf.Variable` that Keras asks for, not the Keras variable that carries the
    path; Keras has no hook for it, so the constructor's frame is looked up.
    """
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "_initialize":
            candidate = frame.f_locals.get("self")
            if isinstance(candidate, keras.Variable):
                return candidate
        frame = frame.f_back
    return None


def is_metric_being_made() -> bool:
    """Whether a Keras metric is asking for a variable: its state is no part of a checkpoint."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), keras.metrics.Metric):
            return True
        frame = frame.f_back
    return False


def owner_of(variable: tf.Variable) -> keras.Variable | None:
    """The Keras variable that holds `variable`: it carries the path, and nothing points back."""
    for referrer in gc.get_referrers(variable):
        if isinstance(referrer, keras.Variable):
            return referrer
        if isinstance(referrer, dict) and referrer.get("_value") is variable:
            for owner in gc.get_referrers(referrer):
                if isinstance(owner, keras.Variable):
                    return owner
    return None


def variable_behind(handle: tf.Tensor) -> tf.Variable | None:
    """The eager variable whose handle this is: nothing points back to it from there."""
    for referrer in gc.get_referrers(handle):
        if isinstance(referrer, tf.Variable):
            return referrer
        if isinstance(referrer, dict) and referrer.get("_handle") is handle:
            for owner in gc.get_referrers(referrer):
                if isinstance(owner, tf.Variable):
                    return owner
    return None


def settings() -> dict[str, Any]:
    """The settings of the user that Keras keeps for one thread alone."""
    kept = {key: _global_state.get_global_attribute(key) for key in _SETTINGS}
    return {key: value for key, value in kept.items() if value is not None}


def use_settings(settings: dict[str, Any]) -> None:
    """Lets the calling thread, which is new to Keras, use the settings of another one."""
    for key, value in settings.items():
        _global_state.set_global_attribute(key, value)


def mean_over_replicas(gradients: Sequence[Any]) -> list[Any]:
    """The means of gradients over the replicas; None stays None."""
    context = tf.distribute.get_replica_context()
    given = [gradient for gradient in gradients if gradient is not None]
    if context is None or not given:
        return list(gradients)
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, given))
    return [None if gradient is None else next(reduced) for gradient in gradients]
