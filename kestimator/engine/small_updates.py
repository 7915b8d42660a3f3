"""Updates of small variables by plain ops, where TensorFlow's own op would wake other threads.

Synopsis::

    with tf1_adam_spares_threads():
        train_op = tf.compat.v1.train.AdamOptimizer().minimize(loss)
    update = apply_adam(var=variable.handle, m=..., v=..., ...)     # the arguments of the raw op

`ResourceApplyAdam` shares out its work from 512 elements on; waking a thread costs more than all
of the update does up to some ten thousand. Plain ops compute the same numbers where they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_training_ops as _gen_training_ops

_LEAST_ELEMENTS, _MOST_ELEMENTS = 512, 16_384
_resource_apply_adam = _gen_training_ops.resource_apply_adam


@contextlib.contextmanager
def tf1_adam_spares_threads() -> Iterator[None]:
    """Lets TensorFlow's Adam use `apply_adam`; it has no method of its own to replace."""
    _gen_training_ops.resource_apply_adam = apply_adam
    try:
        yield
    finally:
        _gen_training_ops.resource_apply_adam = _resource_apply_adam


def apply_adam(
    var: tf.Tensor,
    m: tf.Tensor,
    v: tf.Tensor,
    beta1_power: Any,
    beta2_power: Any,
    lr: Any,
    beta1: Any,
    beta2: Any,
    epsilon: Any,
    grad: tf.Tensor,
    **options: Any,
) -> tf.Operation:
    """Adam's update of a variable: Kingma and Ba, "Adam", the form at the end of section 2.

    Args:
        var: The handle of the variable.
        m: The handle of the first moment.
        v: The handle of the second moment.
        beta1_power: The power of `beta1` at this step.
        beta2_power: The power of `beta2` at this step.
        lr: The learning rate.
        beta1: The decay of the first moment.
        beta2: The decay of the second moment.
        epsilon: Is added to the root of the second moment.
        grad: The gradient, of the variable's shape.
        **options: `use_locking`, `use_nesterov` and `name`, as for the raw op.
    """
    elements = grad.shape.num_elements()
    is_small = elements is not None and _LEAST_ELEMENTS <= elements <= _MOST_ELEMENTS
    numbers = (beta1_power, beta2_power, lr, beta1, beta2, epsilon)
    if not is_small or any(options.get(name) for name in ("use_locking", "use_nesterov")):
        return _resource_apply_adam(var, m, v, *numbers, grad, **options)
    dtype = grad.dtype
    beta1_power, beta2_power, lr, beta1, beta2, epsilon = (tf.cast(n, dtype) for n in numbers)
    old_m = tf.raw_ops.ReadVariableOp(resource=m, dtype=dtype)
    old_v = tf.raw_ops.ReadVariableOp(resource=v, dtype=dtype)
    new_m = old_m + (grad - old_m) * (1 - beta1)
    new_v = old_v + (tf.square(grad) - old_v) * (1 - beta2)
    rate = lr * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
    change = rate * new_m / (tf.sqrt(new_v) + epsilon)
    return tf.group(
        tf.raw_ops.AssignVariableOp(resource=m, value=new_m),
        tf.raw_ops.AssignVariableOp(resource=v, value=new_v),
        tf.raw_ops.AssignSubVariableOp(resource=var, value=change),
    )
