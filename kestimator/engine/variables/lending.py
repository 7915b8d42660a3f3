"""Variables of a Keras model that was made beforehand, lent to the program that is traced.

Synopsis::

    with lending(creator):
        lend(graph, variable, initial_value=value)     # in the model_fn
        model(features)                                # reads the program's variable
    # the variable is the model's own again

A model that is made once, and serves all programs of an estimator, has its variables before any
trace. What a trace makes of them (a view, or a component for each replica) is theirs meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.keras_internals import keras_objects
from kestimator.engine.variables import variable_creator, variable_store

_GraphKeys = tf.compat.v1.GraphKeys
_AGGREGATIONS = {
    "none": tf.VariableAggregation.NONE,
    "sum": tf.VariableAggregation.SUM,
    "mean": tf.VariableAggregation.MEAN,
    "only_first_replica": tf.VariableAggregation.ONLY_FIRST_REPLICA,
}


@contextlib.contextmanager
def lending(creator: variable_creator.VariableCreator) -> Iterator[None]:
    """Gives variables that are lent meanwhile their own memory back."""
    try:
        yield
    finally:
        for variable, memory in creator.lent.values():
            keras_objects.use_memory(variable, memory)
        creator.lent.clear()


def lend(
    graph: Any, variable: keras.Variable, *, initial_value: Any, is_metric: bool = False
) -> None:
    """Makes a Keras variable one of the program's, under its path; once for a trace.

    Args:
        graph: The program's graph, amid its trace.
        variable: The variable; it has a value.
        initial_value: What training starts from where there is no checkpoint: a value, or a
            function that gives it.
        is_metric: Whether it is a metric's, which no checkpoint holds and each run starts afresh.
    """
    creator = graph.creator
    if id(variable) in creator.lent:
        return
    memory = keras_objects.memory_of(variable)
    store = creator.local if is_metric else creator.store
    slot = store.get(variable.path) or store.add(
        variable_store.Slot(variable.path, memory, variable, initial_value)
    )
    creator.lent[id(variable)] = (variable, memory)
    creator.reserve(variable.path)
    aggregation = _AGGREGATIONS[variable.aggregation]
    view = creator.view(
        slot, resets=is_metric, keras_variable=variable, kwargs={"aggregation": aggregation}
    )
    collections = [_GraphKeys.LOCAL_VARIABLES if is_metric else _GraphKeys.GLOBAL_VARIABLES]
    if variable.trainable and not is_metric:
        collections.append(_GraphKeys.TRAINABLE_VARIABLES)
    graph.add_to_collections(collections, view)
    keras_objects.use_memory(variable, view)
