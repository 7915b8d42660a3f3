"""The settings of Keras optimizers, and copies of the optimizers.

Synopsis::

    rate = learning_rate(keras.optimizers.Adam(0.1))      # 0.1
    optimizer = usable(optimizer, store)                  # itself, or a copy that can be used here
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kestimator.adapters.optimizers import _internals
from kestimator.engine.keras_internals import keras_objects, outside_programs
from kestimator.engine.tracing import traced_graph
from kestimator.engine.variables import variable_store

_users: weakref.WeakKeyDictionary[
    keras.optimizers.Optimizer, weakref.ref[variable_store.VariableStore]
] = weakref.WeakKeyDictionary()
"""Maps an optimizer to the store of the estimator that used it first, which has its state."""


def learning_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """The rate as a number, or the schedule or the function that gives it."""
    rate = keras_objects.given_rate(optimizer)
    if not isinstance(rate, keras.Variable):
        return rate
    with outside_programs.outside_of_the_trace(), _values_of_graphs(optimizer):
        return float(keras.ops.convert_to_numpy(rate))


def copied(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer with the same settings: a used one is bound to the variables of one trace."""
    rate = learning_rate(optimizer)
    with (
        outside_programs.outside_of_the_trace(),
        _values_of_graphs(optimizer),
        keras_objects.rate_not_described(optimizer),
    ):
        config = optimizer.get_config()
    if "learning_rate" in config:  # a `LossScaleOptimizer` leaves it to the one that it wraps
        config["learning_rate"] = rate
    return type(optimizer).from_config(config)


def usable(
    optimizer: keras.optimizers.Optimizer, store: variable_store.VariableStore
) -> keras.optimizers.Optimizer:
    """The optimizer, or a copy if its variables are those of another graph or estimator.

    After `tf.compat.v1.disable_v2_behavior()`, every optimizer is made in a graph.

    Args:
        optimizer: The optimizer.
        store: The variables of the estimator that uses it.
    """
    # The first estimator uses the object itself, every other one a copy: their states must not mix.
    user = _users.setdefault(optimizer, weakref.ref(store))
    return copied(optimizer) if user() is not store or _of_graphs(optimizer) else optimizer


def _of_graphs(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that live in another graph, neither in memory nor in this program."""
    handles = [(variable, variable.value.handle) for variable in optimizer.variables]
    return [
        variable
        for variable, handle in handles
        if not _internals.is_in_memory(handle) and handle.graph is not traced_graph.current()
    ]


@contextlib.contextmanager
def _values_of_graphs(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets Keras read variables that live in a graph: they have their initial values."""
    values = []
    for variable in _of_graphs(optimizer):
        with tf.compat.v1.Session(graph=variable.value.graph) as session:
            # Outside of a session, a variable of a graph has no other value.
            values.append((variable, session.run(variable.value.initial_value)))
    if not values:
        yield
        return
    with keras.StatelessScope(state_mapping=values):
        yield
