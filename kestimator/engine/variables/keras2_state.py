"""The variables of Keras 2 (`tf_keras`) in a program.

Synopsis::

    with tf.variable_creator_scope(creator), keras2_variables_in_their_place(creator.store):
        metric = tf_keras.metrics.Mean()
        metric.update_state(loss)
        value, update = value_and_update(metric, graph)

The optimizers and the metrics of Keras 2 are written for graphs. So a program treats their
variables like any others, with two exceptions. Metrics do not declare their variables as local. New
optimizers make their counter and their rate at once. Where they are turned into legacy ones, nobody
uses these two, so they join the program only when it reads them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.keras_internals import keras2_variables, keras_names
from kestimator.engine.variables import variable_creator, variable_store
from kestimator.validation import keras2

_Keys = tf.compat.v1.GraphKeys
_OF_ALL_NEW_OPTIMIZERS = ("iteration", "learning_rate")


@contextlib.contextmanager
def keras2_variables_in_their_place(store: variable_store.VariableStore) -> Iterator[None]:
    """Makes variables of metrics local, and some of new optimizers outside of the trace.

    Afterwards the classes of Keras 2 are what they were.

    Args:
        store: The variables that checkpoints contain.
    """
    with _bases.kept(), tf.variable_creator_scope(functools.partial(_in_its_place, store, set())):
        yield


class _Bases:
    """The base classes of the layers and models of Keras 2.

    Where a layer or model is made, Keras 2 exchanges the bases of its class, and so the methods of
    all its objects: one set is for graphs, and one for eager execution. A trace would leave those
    for graphs to objects that were made eagerly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces = 0
        self._before: dict[type, tuple[type, ...]] = {}

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Restores the bases when no thread traces any longer."""
        with self._lock:
            if self._traces == 0:
                self._before = {kind: kind.__bases__ for kind in _layers()}
            self._traces += 1
        try:
            yield
        finally:
            with self._lock:
                self._traces -= 1
                if self._traces == 0:
                    for kind, bases in self._before.items():
                        if kind.__bases__ != bases:
                            kind.__bases__ = bases
                    self._before = {}


_bases = _Bases()


def _layers() -> set[type]:
    """All classes of layers and models that exist; none if nobody has imported Keras 2."""
    keras = sys.modules.get("tf_keras")
    found: set[type] = set()
    waiting = [] if keras is None else [keras.layers.Layer]
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting += type.__subclasses__(kind)
    return found


def value_and_update(metric: Any, graph: tf.Graph) -> tuple[tf.Tensor, tf.Operation]:
    """The value of a metric, and the op that runs the updates that the model_fn made.

    Must be called in the graph.

    Args:
        metric: A `tf_keras.metrics.Metric`.
        graph: The graph.
    """
    variables = [
        *graph.get_collection(_Keys.LOCAL_VARIABLES),
        *graph.get_collection(_Keys.GLOBAL_VARIABLES),
    ]
    views = {id(view): view for view in variables}
    metric_views = [views[id(variable)] for variable in metric.variables if id(variable) in views]
    updates = [
        op
        for view in metric_views
        for op in view.op.outputs[0].consumers()
        if op.type.startswith("Assign") and op is not view.initializer
    ]
    return tf.convert_to_tensor(metric.result()), tf.group(*updates)


def _in_its_place(
    store: variable_store.VariableStore,
    used: set[str],
    next_creator: Callable[..., tf.Variable],
    **kwargs: Any,
) -> tf.Variable:
    # Keras 2 is never imported here: if nobody has imported it, no frame can belong to it.
    maker = _maker() if "tf_keras" in sys.modules else None
    if keras2.is_metric(maker):
        kwargs["collections"] = [_Keys.LOCAL_VARIABLES, _Keys.METRIC_VARIABLES]
    elif keras2.is_optimizer(maker):
        if keras2.is_new_optimizer(maker) and kwargs["name"] in _OF_ALL_NEW_OPTIMIZERS:
            return _joining_when_read(store, keras_names.unused_name(kwargs["name"], used), kwargs)
        _check_one_replica(maker)
    return keras2_variables.left_to_the_program(next_creator(**kwargs))


def _joining_when_read(
    store: variable_store.VariableStore, name: str, kwargs: dict[str, Any]
) -> tf.Variable:
    """The variable that an earlier trace made and read, or a new one outside of the trace."""
    slot = store.get(name)
    if slot is not None and slot.is_outside:
        return slot.variable
    return variable_creator.stored_variable(name, kwargs)


def _check_one_replica(optimizer: Any) -> None:
    """Checks that an optimizer, which a model_fn calls by itself, need not join replicas.

    Raises:
        errors.ArgumentError: There are several replicas: each would make its own step.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        name = type(optimizer).__name__
        raise errors.ArgumentError(
            f"The optimizer {name} of Keras 2 cannot join the gradients of "
            f"{replicas} replicas in a model_fn. Return it as the `train_op` of the EstimatorSpec, "
            "use an optimizer of tf.compat.v1.train or of Keras 3, or omit `train_distribute`."
        )


def _maker() -> Any:
    """The metric or optimizer that asks for a variable. Only its frame identifies it."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if keras2.is_metric(candidate) or keras2.is_optimizer(candidate):
            return candidate
        frame = frame.f_back
    return None
