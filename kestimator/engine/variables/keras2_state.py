"""The variables of Keras 2 (`tf_keras`) in a program.

Synopsis::

    with tf.variable_creator_scope(creator), keras2_variables_in_their_place():
        metric = tf_keras.metrics.Mean()
        metric.update_state(loss)
        value, update = value_and_update(metric, graph)

Its legacy optimizers and its metrics are written for graphs, so that a program takes their
variables as any others. Metrics do not say that their variables are local; optimizers of the new
kind make a counter and a rate that nobody uses, as they are turned into legacy ones.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kestimator.engine.variables import variable_creator
from kestimator.validation import keras2

_Keys = tf.compat.v1.GraphKeys


@contextlib.contextmanager
def keras2_variables_in_their_place() -> Iterator[None]:
    """Makes variables of metrics local ones, and those of new optimizers outside of the trace."""
    with tf.variable_creator_scope(_in_its_place):
        yield


def value_and_update(metric: Any, graph: tf.Graph) -> tuple[tf.Tensor, tf.Operation]:
    """The value of a metric of a graph, and the op that counts what the model_fn had it count.

    Called in the graph.

    Args:
        metric: A `tf_keras.metrics.Metric`.
        graph: The graph.
    """
    made = [
        *graph.get_collection(_Keys.LOCAL_VARIABLES),
        *graph.get_collection(_Keys.GLOBAL_VARIABLES),
    ]
    views = {id(view): view for view in made}
    own = [views[id(variable)] for variable in metric.variables if id(variable) in views]
    updates = [
        op
        for view in own
        for op in view.op.outputs[0].consumers()
        if op.type.startswith("Assign") and op is not view.initializer
    ]
    return tf.convert_to_tensor(metric.result()), tf.group(*updates)


def _in_its_place(next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    maker = _maker() if "tf_keras" in sys.modules else None
    if keras2.is_metric(maker):
        kwargs["collections"] = [_Keys.LOCAL_VARIABLES, _Keys.METRIC_VARIABLES]
    elif keras2.is_new_optimizer(maker):
        return variable_creator.stored_variable(kwargs["name"], kwargs)
    return next_creator(**kwargs)


def _maker() -> Any:
    """The metric or optimizer that is asking for a variable: nothing but its frame tells."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if keras2.is_metric(candidate) or keras2.is_new_optimizer(candidate):
            return candidate
        frame = frame.f_back
    return None
