"""What the engine has to know of Keras: its names, its variables in the making, their owners.

Keras 3 makes its variables eagerly under names that count per process, and has no hook for
either. Each function here answers one question and says why it has to look inside.
"""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state as _global_state

_SETTINGS = ("dtype_policy", "flash_attention", "custom_objects_scope_dict")


@contextlib.contextmanager
def names_from_zero(seed: int | None) -> Iterator[None]:
    """Lets Keras count automatic names from zero, and draw seeds from `seed`, while it traces.

    Names such as `dense_1` end up in checkpoints, so they must not depend on what else the
    process made. Keras keeps the counts in a global of its own that has no public face.
    """
    attributes = ("object_name_uids", "global_seed_generator", "name_scope_stack")
    kept = {key: _global_state.get_global_attribute(key) for key in attributes}
    python_random = random.getstate()
    for key in attributes:
        _global_state.set_global_attribute(key, None)
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        for key, value in kept.items():
            _global_state.set_global_attribute(key, value)
        if seed is not None:
            random.setstate(python_random)


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


@contextlib.contextmanager
def tf1_optimizers_take_keras_variables(
    view_of: Callable[[keras.Variable], tf.Variable],
) -> Iterator[None]:
    """Lets `var_list=model.trainable_variables` reach TF1 optimizers.

    They work on `tf.Variable`s alone, so what they are given is looked up while a model_fn runs.

    Args:
        view_of: The program's view of a Keras variable.
    """
    optimizer = tf.compat.v1.train.Optimizer
    compute, apply = optimizer.compute_gradients, optimizer.apply_gradients

    def convert(variable: Any) -> Any:
        return view_of(variable) if isinstance(variable, keras.Variable) else variable

    def compute_gradients(self: Any, loss: Any, var_list: Any = None, **kwargs: Any) -> Any:
        if isinstance(var_list, (list, tuple)):
            var_list = [convert(variable) for variable in var_list]
        return compute(self, loss, var_list=var_list, **kwargs)

    def apply_gradients(self: Any, grads_and_vars: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        pairs = [(gradient, convert(variable)) for gradient, variable in grads_and_vars]
        return apply(self, pairs, *args, **kwargs)

    optimizer.compute_gradients, optimizer.apply_gradients = compute_gradients, apply_gradients
    try:
        yield
    finally:
        optimizer.compute_gradients, optimizer.apply_gradients = compute, apply


def settings() -> dict[str, Any]:
    """The settings of the user that Keras keeps for one thread alone."""
    kept = {key: _global_state.get_global_attribute(key) for key in _SETTINGS}
    return {key: value for key, value in kept.items() if value is not None}


def use_settings(settings: dict[str, Any]) -> None:
    """Lets the calling thread, which is new to Keras, use the settings of another one."""
    for key, value in settings.items():
        _global_state.set_global_attribute(key, value)


@contextlib.contextmanager
def optimizers_take_mean_gradients() -> Iterator[None]:
    """Lets Keras optimizers apply the mean of the replicas' gradients, before they clip it.

    They sum gradients, which is right for a loss that is divided by the global batch size. The
    loss of a model_fn is that of one replica, as for TF1 optimizers; Keras has no switch for it.
    """
    optimizer = keras.optimizers.Optimizer
    apply, reduce = optimizer.apply, optimizer._all_reduce_sum_gradients

    def apply_mean(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        return apply(self, _mean_over_replicas(grads), trainable_variables)

    optimizer.apply = apply_mean
    optimizer._all_reduce_sum_gradients = lambda self, grads_and_vars: grads_and_vars
    try:
        yield
    finally:
        optimizer.apply, optimizer._all_reduce_sum_gradients = apply, reduce


def _mean_over_replicas(gradients: Sequence[Any]) -> list[Any]:
    context = tf.distribute.get_replica_context()
    given = [gradient for gradient in gradients if gradient is not None]
    if context is None or not given:
        return list(gradients)
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, given))
    return [None if gradient is None else next(reduced) for gradient in gradients]
