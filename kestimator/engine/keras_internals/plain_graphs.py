"""Keras metrics in the caller's own TF1 graph, where a model_fn or a head is called by hand.

Synopsis::

    with tf.Graph().as_default(), metrics_are_local():
        metric = keras.metrics.Mean()
        metric.update_state(loss)
        updates_of(metric.variables)             # the ops that count a batch

A program knows which variables belong to a metric, and runs the writes of Keras with every step. A
plain graph does neither. A saver would look for the variables in a checkpoint, and a session has to
be told which ops to run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.keras_internals import keras_state
from kestimator.engine.tracing import traced_graph

_Keys = tf.compat.v1.GraphKeys


@contextlib.contextmanager
def metrics_are_local() -> Iterator[None]:
    """Makes variables of Keras metrics local variables and metric variables, like in Keras 2.

    Nothing changes in eager mode, in functions and in programs.
    """
    if not _is_plain():
        yield
        return
    with tf.variable_creator_scope(_local_for_metrics):
        yield


def updates_of(variables: Sequence[keras.Variable]) -> list[tf.Operation]:
    """The ops of a plain graph that change Keras variables, without initializers; else none."""
    if not _is_plain():
        return []
    return [
        op
        for variable in variables
        for op in variable.value.handle.consumers()
        if op.type.startswith("Assign") and op is not variable.value.initializer
    ]


def as_tuples(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Turns metrics into tuples of a value and an update op, which TF1 code runs in a plain graph.

    Elsewhere the metrics stay as they are.

    Args:
        metrics: Keras metrics by name.
    """
    if not _is_plain():
        return dict(metrics)
    return {name: (metric.result(), tf.group(_updates(metric))) for name, metric in metrics.items()}


def _updates(metric: Any) -> Sequence[tf.Operation]:
    # Metrics of heads and of Keras 2 know their ops.
    updates: Sequence[tf.Operation] | None = getattr(metric, "updates", None)
    return updates_of(metric.variables) if updates is None else updates


def _is_plain() -> bool:
    if tf.executing_eagerly() or traced_graph.current() is not None:
        return False
    return not tf.compat.v1.get_default_graph().building_function


def _local_for_metrics(next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    variable = next_creator(**kwargs)
    if keras_state.is_metric_being_made():
        graph = tf.compat.v1.get_default_graph()
        # In place: a collection can only be changed through its own list.
        global_variables = graph.get_collection_ref(_Keys.GLOBAL_VARIABLES)
        # By identity: in a plain graph `==` of variables may build an op.
        global_variables[:] = [other for other in global_variables if other is not variable]
        graph.add_to_collections([_Keys.LOCAL_VARIABLES, _Keys.METRIC_VARIABLES], variable)
    return variable
