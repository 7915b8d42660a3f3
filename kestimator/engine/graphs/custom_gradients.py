"""The life of custom gradients: that of their graph, not that of the process.

Synopsis::

    with kept_by(graph):
        ...                       # code that may use `tf.custom_gradient`

TensorFlow registers the function of a `tf.custom_gradient` for the whole process. The function
holds the tensors it was made for, and through them the graph and all that belongs to it: up to
4 MB for each dropped estimator. Here the graph holds the function, and the registry finds it there.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from kestimator.engine.tf_internals import tf_gradients

_Gradient = Callable[..., Any]


class _GradientGraph(Protocol):
    custom_gradients: dict[str, _Gradient]


@contextlib.contextmanager
def kept_by(graph: Any) -> Iterator[None]:
    """Makes a graph the owner of the custom gradients that are made in it in this context.

    Args:
        graph: A graph with a dict `custom_gradients`.
    """
    before = tf_gradients.registered_gradients()
    try:
        yield
    finally:
        # Other threads may have registered gradients of other graphs, so only the names that the
        # graph's ops ask for are its own. Functions are searched only if names are left over.
        new = tf_gradients.registered_gradients() - before
        names = new & tf_gradients.gradients_of_ops(graph) if new else set()
        if new - names:
            names |= new & tf_gradients.gradients_of_functions(graph)
        for name in names:
            tf_gradients.exchange_gradient(name, functools.partial(_kept, graph, name))
            weakref.finalize(graph, tf_gradients.forget_gradient, name)


def _kept(graph: _GradientGraph, name: str, gradient: _Gradient) -> _Gradient:
    graph.custom_gradients[name] = gradient
    return functools.partial(_call, weakref.ref(graph), name)


def _call(
    reference: weakref.ref[_GradientGraph], name: str, op: tf.Operation, *upstream: Any
) -> Any:
    graph = reference()
    assert graph is not None, "its op is a part of the graph"
    return graph.custom_gradients[name](op, *upstream)
