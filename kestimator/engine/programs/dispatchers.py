"""Functions of TensorFlow and Keras that do something else while a model_fn is traced.

Synopsis::

    install()                           # once in a process, at the first trace

Where TensorFlow cannot be asked for what a program needs, one of its functions is replaced by a
dispatcher. It asks which program the calling thread traces, and is the function itself where
there is none: in other threads, and for all code outside of an estimator. So traces that overlap
in time do not meet, and nothing has to be put back.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.keras_internals import keras_rates, keras_state
from kestimator.engine.random import random_ops
from kestimator.engine.random import seeds as _seeds
from kestimator.engine.tf_internals import (
    tf_datasets,
    tf_functions,
    tf_meta_graphs,
    tf_seeds,
    tf_tensors,
)
from kestimator.engine.tracing import traced_graph
from kestimator.engine.variables import imported_variables

_lock = threading.Lock()
_installed = False
_DATASETS = (tf_datasets.PACKAGE, "kestimator.")


def install() -> None:
    """Puts the dispatchers in place, if they are not there yet."""
    global _installed
    with _lock:
        if _installed:
            return
        _installed = True
        optimizer = tf.compat.v1.train.Optimizer
        _dispatch(optimizer, "compute_gradients", _compute_gradients)
        _dispatch(optimizer, "apply_gradients", _apply_gradients)
        _dispatch(keras.optimizers.Optimizer, "__init__", _initialize_optimizer)
        _dispatch(keras.Layer, "add_loss", _add_loss)
        _dispatch(keras.optimizers.Optimizer, "apply", _apply)
        _dispatch(keras.optimizers.Optimizer, "_all_reduce_sum_gradients", _all_reduce)
        _dispatch(*tf_functions.MAKER_OF_NESTED_OPS, _create_op)
        _dispatch(*tf_meta_graphs.IMPORTER, _import_meta_graph)
        of_graphs = tf_tensors.class_in_graphs()  # eager tensors are of another class
        _dispatch(of_graphs, "__eq__", _equal)
        _dispatch(of_graphs, "__ne__", _not_equal)
        placed: set[Any] = set()
        for owner in tf_seeds.owners_of_get_seed():
            if owner.get_seed not in placed:  # two of them may be faces of one module
                placed.add(_dispatch(owner, "get_seed", _get_seed))
        keras_state.replace_random(_PythonRandom)


def _dispatch(owner: Any, name: str, instead: Callable[..., Any]) -> Any:
    """Replaces a function by one that calls `instead` with it and its arguments; gives that one."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def dispatcher(*args: Any, **kwargs: Any) -> Any:
        return instead(original, *args, **kwargs)

    setattr(owner, name, dispatcher)
    return dispatcher


def _compute_gradients(
    original: Any, optimizer: Any, loss: Any, var_list: Any = None, *args: Any, **kwargs: Any
) -> Any:
    """TF1 optimizers work on `tf.Variable`s alone: `var_list` may hold Keras' variables."""
    if isinstance(var_list, (list, tuple)):
        var_list = [_as_tf1(variable) for variable in var_list]
    return original(optimizer, loss, var_list, *args, **kwargs)


def _apply_gradients(
    original: Any, optimizer: Any, grads_and_vars: Any, *args: Any, **kwargs: Any
) -> Any:
    """As of `_compute_gradients`, for gradients that were computed otherwise."""
    if traced_graph.current() is not None:
        grads_and_vars = [(gradient, _as_tf1(variable)) for gradient, variable in grads_and_vars]
    return original(optimizer, grads_and_vars, *args, **kwargs)


def _as_tf1(variable: Any) -> Any:
    """The program's view of a variable of Keras, or of its value."""
    creator = getattr(traced_graph.current(), "creator", None)
    if creator is None:
        return variable
    is_stored = isinstance(variable, tf.Variable) and not hasattr(variable, "memory")
    is_keras = isinstance(variable, keras.Variable)
    return creator.view_of(variable) if is_keras or is_stored else variable


def _initialize_optimizer(
    original: Any, optimizer: Any, learning_rate: Any = None, *args: Any, **kwargs: Any
) -> None:
    """Keras 3 refuses rates that are tensors, which Keras 2 took, in its first constructor."""
    if traced_graph.current() is not None:
        learning_rate = keras_rates.as_keras_takes_it(learning_rate)
    original(optimizer, learning_rate, *args, **kwargs)


def _add_loss(original: Any, layer: Any, loss: Any) -> None:
    """Losses of layers are told to the program, too: it cannot ask for the layers called in it."""
    original(layer, loss)
    losses = getattr(traced_graph.current(), "keras_losses", None)
    if losses is not None and not keras_state.is_without_state():
        for value in keras.tree.flatten(loss):
            losses.record(value, layer)


def _apply(
    original: Any, optimizer: Any, grads: Sequence[Any], trainable_variables: Any = None
) -> Any:
    """Keras optimizers apply the mean of the replicas' gradients, before they clip it.

    They sum gradients, which is right for a loss that is divided by the global batch size. The
    loss of a model_fn is that of one replica, as for TF1 optimizers; Keras has no switch for it.
    """
    if _spreads():
        grads = keras_state.mean_over_replicas(grads)
    return original(optimizer, grads, trainable_variables)


def _all_reduce(original: Any, optimizer: Any, grads_and_vars: Any) -> Any:
    return grads_and_vars if _spreads() else original(optimizer, grads_and_vars)


def _spreads() -> bool:
    """Whether a program with several replicas is traced."""
    return getattr(traced_graph.current(), "replicas", 1) > 1


def _create_op(
    original: Any,
    graph: Any,
    op_type: str,
    inputs: Any,
    dtypes: Any = None,
    input_types: Any = None,
    name: Any = None,
    attrs: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Random ops in branches, loops and functions draw from the program's state, too.

    Not so in functions of tf.data: each iterator has kernels of its own, as it has in TF1.
    """
    if op_type in random_ops.TYPES or op_type in random_ops.CALLS:
        program = traced_graph.current()
        if program is not None and not _is_called_by(tf_datasets.TRACER):
            stand_in = program.stand_in(op_type, inputs, attrs, name)
            if stand_in is not None:
                return stand_in
            inputs = program.inputs_of(op_type, inputs)
    return original(graph, op_type, inputs, dtypes, input_types, name, attrs, *args, **kwargs)


def _equal(original: Any, tensor: Any, other: Any) -> Any:
    """Tensors of a graph are equal if they are the same: TF1 code asks `loss in losses`.

    Keras 3 compares values, as with tensors of functions: `iterations % steps == 0`.
    """
    return tf.equal(tensor, other) if _compares_values(tensor, other) else original(tensor, other)


def _not_equal(original: Any, tensor: Any, other: Any) -> Any:
    if _compares_values(tensor, other):
        return tf.not_equal(tensor, other)
    return original(tensor, other)


def _compares_values(tensor: Any, other: Any) -> bool:
    is_traced = other is not None and isinstance(tensor.graph, traced_graph.TracedGraph)
    return is_traced and traced_graph.is_keras_calling(sys._getframe(3))


def _import_meta_graph(original: Any, meta_graph_or_file: Any, *args: Any, **kwargs: Any) -> Any:
    """A graph that is imported into a program gets variables whose memory it can share."""
    if traced_graph.current() is not None:
        if not isinstance(meta_graph_or_file, tf.compat.v1.MetaGraphDef):
            meta_graph_or_file = tf_meta_graphs.read_meta_graph(meta_graph_or_file)
        meta_graph_or_file = imported_variables.with_resources(meta_graph_or_file)
    return original(meta_graph_or_file, *args, **kwargs)


def _is_called_by(module: str) -> bool:
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False


def _get_seed(original: Any, op_seed: int | None) -> Any:
    """An input_fn that is called eagerly gets the seeds that it would get in its graph."""
    seeds = _seeds.of_input()
    if seeds is None:
        return original(op_seed)
    return seeds.get_seed(original, op_seed, is_for_data=_is_called_by_tf_data())


def _is_called_by_tf_data() -> bool:
    frame = sys._getframe(3)  # the dispatcher's caller
    return str(frame.f_globals.get("__name__")).startswith(_DATASETS)


class _PythonRandom:
    """Python's `random` as Keras draws default seeds from it: the trace's own, or the process'.

    Args:
        process: The module.
    """

    def __init__(self, process: types.ModuleType) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(keras_state.python_random() or self._process, name)
