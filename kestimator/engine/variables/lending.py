"""Lends variables of an existing Keras model to the program that is being traced.

Synopsis::

    with lending(creator):
        lend(graph, variable, initial_value=value)     # in the model_fn
        model(features)                                # reads the program's variable
    # the variable is the model's own again

One model serves all programs of an estimator, and has its variables before any trace. During a
trace, its Keras variables hold what the trace makes of them: a view, or a component per replica.
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
    """Returns their own memory to the variables that are lent inside."""
    try:
        yield
    finally:
        for variable, memory in creator.lent.values():
            keras_objects.use_memory(variable, memory)
        creator.lent.clear()


def lend(
    graph: Any, variable: keras.Variable, *, initial_value: Any, is_metric: bool = False
) -> None:
    """Makes a Keras variable a variable of the program, under its path.

    Lending the same variable again in the same trace does nothing.

    Args:
        graph: The program's graph, during its trace.
        variable: The variable. It has a value.
        initial_value: The value, or a function that returns it, that training starts from if
            there is no checkpoint.
        is_metric: Whether the variable belongs to a metric. Then no checkpoint contains it, and
            each run resets it.
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
    # A layer that the model_fn makes must not get the checkpoint name of a lent variable.
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
