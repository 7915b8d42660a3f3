"""Functions of TensorFlow and Keras that behave differently while a model_fn is traced.

Synopsis::

    install()                           # once in a process, at the first trace

Where TensorFlow has no setting for what a program needs, a dispatcher replaces one of its
functions. The dispatcher asks which program the calling thread traces. Where there is none, it
calls the original: in other threads, and for all code outside of an estimator. So traces that
overlap in time do not affect each other, and nothing has to be restored.
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

from kestimator.engine.keras_internals import keras_objects, keras_rates, keras_state
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
# Callers of `get_seed` whose op is a Dataset: tf.data, and the input functions of this library.
_DATASETS = (tf_datasets.PACKAGE, "kestimator.")


def install() -> None:
    """Installs the dispatchers, if they are not installed yet."""
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
        # These two belong together: `_apply` reduces the gradients, so `_all_reduce` must not.
        _dispatch(keras.optimizers.Optimizer, "apply", _apply)
        _dispatch(*keras_objects.GRADIENT_REDUCER, _all_reduce)
        _dispatch(*tf_functions.MAKER_OF_NESTED_OPS, _create_op)
        _dispatch(*tf_meta_graphs.IMPORTER, _import_meta_graph)
        of_graphs = tf_tensors.class_in_graphs()  # eager tensors are of another class
        _dispatch(of_graphs, "__eq__", _equal)
        _dispatch(of_graphs, "__ne__", _not_equal)
        # The modules hold `get_seed` by name, so each one's own name has to be replaced.
        placed: set[Any] = set()
        for owner in tf_seeds.owners_of_get_seed():
            if owner.get_seed not in placed:  # two of them may be views of one module
                placed.add(_dispatch(owner, "get_seed", _get_seed))
        keras_state.replace_random(_PythonRandom)


def _dispatch(owner: Any, name: str, instead: Callable[..., Any]) -> Any:
    """Replaces a function by a dispatcher, which calls `instead(original, *args, **kwargs)`."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def dispatcher(*args: Any, **kwargs: Any) -> Any:
        return instead(original, *args, **kwargs)

    setattr(owner, name, dispatcher)
    return dispatcher


def _compute_gradients(
    original: Any, optimizer: Any, loss: Any, var_list: Any = None, *args: Any, **kwargs: Any
) -> Any:
    """Lets `var_list` hold variables of Keras: TF1 optimizers only work on `tf.Variable`s."""
    # Without a list, the optimizer takes the trainable variables of the graph, which are views.
    if isinstance(var_list, (list, tuple)):
        var_list = [_as_tf1(variable) for variable in var_list]
    return original(optimizer, loss, var_list, *args, **kwargs)


def _apply_gradients(
    original: Any, optimizer: Any, grads_and_vars: Any, *args: Any, **kwargs: Any
) -> Any:
    """Does what `_compute_gradients` does, for gradients that were computed in another way."""
    if traced_graph.current() is not None:
        grads_and_vars = [(gradient, _as_tf1(variable)) for gradient, variable in grads_and_vars]
    return original(optimizer, grads_and_vars, *args, **kwargs)


def _as_tf1(variable: Any) -> Any:
    """The program's view of a variable of Keras, or of its value."""
    # Only the graph of a program has a creator, and only during its trace.
    creator = getattr(traced_graph.current(), "creator", None)
    if creator is None:
        return variable
    # Views and mirrored variables have `memory`. Another `tf.Variable` is what Keras got.
    is_stored = isinstance(variable, tf.Variable) and not hasattr(variable, "memory")
    is_keras = isinstance(variable, keras.Variable)
    return creator.view_of(variable) if is_keras or is_stored else variable


def _initialize_optimizer(
    original: Any, optimizer: Any, learning_rate: Any = None, *args: Any, **kwargs: Any
) -> None:
    """Lets a rate be a tensor, as in Keras 2. Keras 3 refuses it in the base constructor."""
    if traced_graph.current() is not None:
        learning_rate = keras_rates.as_keras_takes_it(learning_rate)
    original(optimizer, learning_rate, *args, **kwargs)


def _add_loss(original: Any, layer: Any, loss: Any) -> None:
    """Tells the program about losses of layers: it cannot ask which layers it called."""
    original(layer, loss)
    # In a stateless scope Keras only computes shapes, and drops the loss.
    losses = getattr(traced_graph.current(), "keras_losses", None)
    if losses is not None and not keras_state.is_without_state():
        for value in keras.tree.flatten(loss):
            losses.record(value, layer)


def _apply(
    original: Any, optimizer: Any, grads: Sequence[Any], trainable_variables: Any = None
) -> Any:
    """Makes Keras optimizers apply the mean of the replicas' gradients, before they clip it.

    Keras sums gradients, which is right for a loss that is divided by the global batch size. The
    loss of a model_fn is that of one replica, as for TF1 optimizers. Keras has no switch for it.
    """
    if _spreads():
        grads = keras_state.mean_over_replicas(grads)
    return original(optimizer, grads, trainable_variables)


def _all_reduce(original: Any, optimizer: Any, grads_and_vars: Any) -> Any:
    return grads_and_vars if _spreads() else original(optimizer, grads_and_vars)


def _spreads() -> bool:
    """Whether a program is being traced whose steps run on several replicas, here or elsewhere."""
    is_traced = traced_graph.current() is not None
    return is_traced and tf.distribute.get_strategy().num_replicas_in_sync > 1


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
    """Lets random ops in branches, loops and functions draw from the program's state.

    Functions of tf.data are left out: each iterator has its own kernels, as in TF1.
    """
    # The cheap test comes first: every op of every nested graph in the process is made here.
    if op_type in random_ops.TYPES or op_type in random_ops.CALLS:
        program = traced_graph.current()
        if program is not None and not _is_called_by(tf_datasets.TRACER):
            stand_in = program.stand_in(op_type, inputs, attrs, name)
            if stand_in is not None:
                return stand_in
            inputs = program.inputs_of(op_type, inputs)
    return original(graph, op_type, inputs, dtypes, input_types, name, attrs, *args, **kwargs)


def _equal(original: Any, tensor: Any, other: Any) -> Any:
    """Compares identity for TF1 code (`loss in losses`), and values for Keras.

    Keras 3 writes `iterations % steps == 0`, and expects what a `tf.function` gives.
    """
    return tf.equal(tensor, other) if _compares_values(tensor, other) else original(tensor, other)


def _not_equal(original: Any, tensor: Any, other: Any) -> Any:
    if _compares_values(tensor, other):
        return tf.not_equal(tensor, other)
    return original(tensor, other)


def _compares_values(tensor: Any, other: Any) -> bool:
    is_traced = other is not None and isinstance(tensor.graph, traced_graph.TracedGraph)
    # The frames below: this function, `_equal` or `_not_equal`, the dispatcher, its caller.
    return is_traced and traced_graph.is_keras_calling(sys._getframe(3))


def _import_meta_graph(original: Any, meta_graph_or_file: Any, *args: Any, **kwargs: Any) -> Any:
    """Gives a graph that is imported into a program variables whose memory can be shared."""
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
    """Gives an input_fn that is called eagerly the seeds that it would get in a graph."""
    seeds = _seeds.current()
    if seeds is None:
        return original(op_seed)
    return seeds.get_seed(original, op_seed, is_for_data=_is_called_by_tf_data())


def _is_called_by_tf_data() -> bool:
    frame = sys._getframe(3)  # the dispatcher's caller
    return str(frame.f_globals.get("__name__")).startswith(_DATASETS)


class _PythonRandom:
    """Python's `random` for the default seeds of Keras: that of the trace, or of the process.

    Args:
        process: The module `random`.
    """

    def __init__(self, process: types.ModuleType) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(keras_state.python_random() or self._process, name)
