"""`tf.contrib.framework`: what is neither in TensorFlow nor in `tf_slim`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_v1 = tf.compat.v1


def assert_or_get_global_step(global_step_tensor: Any = None) -> Any:
    """Returns the global step that is given, or that of the graph.

    Raises:
        TypeError: It is not an integer scalar.
    """
    if global_step_tensor is None:
        return _v1.train.get_global_step()
    _v1.train.assert_global_step(global_step_tensor)
    return global_step_tensor


def is_tensor(x: Any) -> bool:
    """Whether an object is a tensor, a sparse one or a variable."""
    return bool(tf.is_tensor(x)) or isinstance(x, tf.Variable)


def smart_cond(
    pred: Any,
    true_fn: Callable[[], Any] | None = None,
    false_fn: Callable[[], Any] | None = None,
    name: str | None = None,
) -> Any:
    """Calls one of two functions; as `tf.cond` if the condition is not known in advance."""
    value = tf.get_static_value(pred) if tf.is_tensor(pred) else pred
    if value is None or isinstance(value, tf.Variable):
        return _v1.cond(pred, true_fn=true_fn, false_fn=false_fn, name=name)
    function = true_fn if value else false_fn
    return function() if function is not None else None
