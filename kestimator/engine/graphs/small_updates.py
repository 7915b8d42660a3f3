"""Updates of small variables by plain ops, where TensorFlow's fused op would wake other threads.

Synopsis::

    from kestimator.engine.tracing.traced_graph import TracedGraph

    graph = TracedGraph("model_train", seed, STAND_INS)      # ResourceApplyAdam becomes plain ops

From 512 elements on, `ResourceApplyAdam` shares its work among threads. Up to some ten thousand
elements, waking a thread costs more than the whole update. Plain ops compute the same numbers on
the calling thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

_LEAST_ELEMENTS, _MOST_ELEMENTS = 512, 16_384


def _adam(inputs: Sequence[tf.Tensor], attrs: Mapping[str, Any], name: str) -> tf.Operation | None:
    """Adam's update of a variable: Kingma and Ba, "Adam", the form at the end of section 2.

    Args:
        inputs: The inputs of `tf.raw_ops.ResourceApplyAdam`, in the op's order.
        attrs: The op's attributes.
        name: The op's name.
    """
    var, m, v, *numbers, grad = inputs
    elements = grad.shape.num_elements()
    # Only the size decides, not the executor: numbers must not depend on which one runs the step.
    is_small = elements is not None and _LEAST_ELEMENTS <= elements <= _MOST_ELEMENTS
    if not is_small or any(attrs[option].b for option in ("use_locking", "use_nesterov")):
        return None
    dtype = grad.dtype
    with tf.name_scope(name if name.endswith("/") else f"{name}/"):
        beta1_power, beta2_power, lr, beta1, beta2, epsilon = numbers
        old_m = tf.raw_ops.ReadVariableOp(resource=m, dtype=dtype)
        old_v = tf.raw_ops.ReadVariableOp(resource=v, dtype=dtype)
        new_m = old_m + (grad - old_m) * (1 - beta1)
        new_v = old_v + (tf.square(grad) - old_v) * (1 - beta2)
        rate = lr * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        change = rate * new_m / (tf.sqrt(new_v) + epsilon)
        updates = [
            tf.raw_ops.AssignVariableOp(resource=m, value=new_m),
            tf.raw_ops.AssignVariableOp(resource=v, value=new_v),
            tf.raw_ops.AssignSubVariableOp(resource=var, value=change),
        ]
    return tf.group(*updates, name=name)


STAND_INS = {"ResourceApplyAdam": _adam}
"""The functions that make plain ops, by the type of the op that they replace."""
