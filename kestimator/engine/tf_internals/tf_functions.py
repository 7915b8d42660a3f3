"""Functions made of ops of a graph, and the functions that ops call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.function.polymorphism import function_type
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.eager import context
from tensorflow.python.eager.polymorphic_function import atomic_function
from tensorflow.python.framework import func_graph

MAKER_OF_NESTED_OPS = (func_graph.FuncGraph, "_create_op_internal")
"""The class and the method that make each op of a function, a branch or a loop. TensorFlow has no
public hook that could make another op instead."""


def function_graph(name: str) -> Any:
    """Makes a TensorFlow graph for a function. Public code only gets one for a Python function."""
    # Without `collections`, it would share those of the graph that is the default one now.
    return func_graph.FuncGraph(name, collections={})


def called_functions(graph: Any) -> list[Any]:
    """The functions that ops of a graph call. The graph only lists them under a private name."""
    return list(graph._functions.values())


def add_function(graph: Any, function: Any) -> None:
    """Adds a function for the ops of a graph to call. Public code only adds one by calling it."""
    graph._add_function(function)


def function_of_ops(
    graph: Any,
    name: str,
    body: Sequence[tf.Operation],
    inputs: Sequence[tf.Tensor],
    outputs: Sequence[tf.Tensor],
    operations: Sequence[tf.Operation],
) -> Any:
    """Makes a function of some ops of a graph, in place.

    TensorFlow's runtime accepts any part of a graph, but its public API only whole graphs.

    Args:
        graph: The graph.
        name: The name of the function. No other function may have it.
        body: The ops.
        inputs: The tensors that a call feeds.
        outputs: The tensors that a call returns.
        operations: The ops of `body` that a call always runs.

    Returns:
        The function. Its `call_flat` takes and returns tensors.
    """
    eager_context = context.context()
    functions = called_functions(graph)
    # The runtime finds the functions that the body calls by name, so it must know them.
    for function in functions:
        eager_context.add_function_def(function.cached_definition)
    with graph._c_graph.get() as c_graph:
        record = pywrap_tf_session.TF_GraphToFunction_wrapper(
            c_graph,
            name,
            False,  # append a hash to the name
            [op._c_op for op in body],
            [tensor._as_tf_output() for tensor in inputs],
            [tensor._as_tf_output() for tensor in outputs],
            [],  # names of the outputs
            [op._c_op for op in operations],
            [],  # names of the control outputs
            None,
            "",
        )
    eager_context.add_c_function(record)
    # The eager context has registered the function by now; nothing else frees the record.
    pywrap_tf_session.TF_DeleteFunction(record)
    return atomic_function.AtomicFunction(
        name,
        eager_context,
        function_type.from_structured_signature((tuple(inputs), {}), tuple(outputs)),
        functions,
        atomic_function.CallOptions(is_stateful=any(op._is_stateful for op in body)),
    )


def call_by_name(name: str, arguments: Sequence[tf.Tensor], outputs: int) -> Any:
    """Calls a function, but does not look up where an op was made if it fails. No public call can.

    Args:
        name: The name of the function.
        arguments: Its arguments, flat.
        outputs: How many tensors it returns.
    """
    return context.context().call_function(name, arguments, outputs)
