"""Functions made of parts of a graph: called, or copied into another graph op by op.

Synopsis::

    step = PrunedFunction(graph, feeds, [loss], [train_op])
    (loss,) = step(*batch)                       # runs it
    (loss,), operations = step.inlined(*batch)   # its ops, in the graph that is being built
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.graphs import ordering
from kestimator.engine.tf_internals import tf_functions, tf_tensors
from kestimator.engine.tracing import execution_modes

_function_ids = itertools.count()
# TensorFlow rewrites a loop or branch with this attribute into the control flow ops of TF1.
_LOWERED = "_lower_using_switch_merge"
_LOOPS = ("While", "StatelessWhile")
_NEED_THREADS = (
    *("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"),  # control flow of TF1
    *("_Send", "_Recv", "_HostSend", "_HostRecv", "VariableV2", "Variable"),
)


class PrunedFunction:
    """The part of a graph between some feeds and some fetches, as a function of flat tensors.

    Args:
        graph: The graph.
        feeds: The tensors of the graph that a call feeds.
        tensors: The tensors of the graph that a call returns.
        operations: The ops that a call runs as well.

    Attributes:
        inputs: The tensors of the graph that a call feeds, in order.
        outputs: The tensors of the graph whose values a call returns.
    """

    def __init__(
        self,
        graph: Any,
        feeds: Sequence[tf.Tensor],
        tensors: Sequence[tf.Tensor],
        operations: Sequence[tf.Operation] = (),
    ) -> None:
        self.inputs = list(feeds)
        self.outputs = list(tensors)
        self._operations = list(operations)
        self._graph = graph
        reached = ordering.reachable_operations(
            [*tensors, *operations], {id(feed) for feed in feeds}
        )
        captures = [pair for pair in graph.captures if pair[1].op in reached]
        self._captured = [external for external, _ in captures]
        self._arguments = [*feeds, *(internal for _, internal in captures)]
        # NoOps have no effect: an empty `tf.group()` needs no call.
        self._does_nothing = not tensors and all(op.type == "NoOp" for op in reached)
        # An op with several outputs of which one is fed still computes the others.
        outside = {
            tensor.op
            for tensor in self._arguments
            if len(tensor.op.outputs) == 1 or tensor.op not in reached
        }
        self._body = [op for op in graph.get_operations() if op in reached and op not in outside]
        # TensorFlow's C API cannot make a function in place if a control edge enters the body from
        # an op outside of it.
        self._stands_alone = all(len(feed.op.outputs) == 1 for feed in feeds) and not any(
            control in outside for op in self._body for control in op.control_inputs
        )

    def __call__(self, *feeds: tf.Tensor) -> list[tf.Tensor]:
        """Runs the function, or adds a call of it to the graph that is being built."""
        if self._does_nothing:
            return []
        result = self._function.call_flat(*feeds, *self._captured)
        return list(result) if self.outputs else []

    def call_aside(self, *feeds: tf.Tensor) -> list[tf.Tensor]:
        """Runs the function in a thread other than the one that runs steps.

        An error does not say where its op was made. To find that out, TensorFlow 2.21 holds
        Python's lock while it waits for a thread that prepares a function. That thread waits for
        the same lock. The process would hang when one queue ends while another is first filled.
        """
        if self._does_nothing:
            return []
        name, outputs = self._function.name, len(self.outputs)
        result = tf_functions.call_by_name(name, [*feeds, *self._captured], outputs)
        return list(result) if outputs else []

    @functools.cached_property
    def runs_on_one_thread(self) -> bool:
        """Whether a single thread can run the function, without waiting for another thread."""
        if len(tf.config.list_logical_devices()) > 1:
            return False
        # A loop in the body stays a loop when it is copied (see `_graph_def`). In a called
        # function it does not, so `_LOWERED` counts there.
        inside = (
            node
            for function in tf_functions.called_functions(self._graph)
            for node in function.cached_definition.node_def
        )
        return not (
            any(_needs_threads(op.node_def) for op in self._body)
            or any(_needs_threads(node) or _LOWERED in node.attr for node in inside)
        )

    @functools.cached_property
    def is_called_on_one_thread(self) -> bool:
        """Whether a single thread can run a call, in which TensorFlow may rewrite the loops.

        Where the ops are copied into another graph `on_one_thread`, loops stay loops.
        """
        return self.runs_on_one_thread and not any(
            _LOWERED in op.node_def.attr for op in self._body
        )

    @functools.cached_property
    def _function(self) -> Any:
        """The function, made at the first call.

        Most parts become functions in place. TensorFlow cannot do this for control edges from
        inputs, for example. Such a part is first copied into a separate graph.
        """
        with execution_modes.eager_mode():
            if self._stands_alone:
                return _function_of_part(
                    self._graph, self._body, self._arguments, self.outputs, self._operations
                )
            return self._copied()

    def _copied(self) -> Any:
        graph = plain_graph(self._graph.name)
        with graph.as_default():
            arguments = [tf.compat.v1.placeholder(t.dtype, t.shape) for t in self._arguments]
            for argument, original in zip(arguments, self._arguments, strict=True):
                tf_tensors.copy_handle_data(original, argument)
            tensors, operations = self._imported(arguments)
        inside = [op for op in graph.get_operations() if op.type != "Placeholder"]
        return _function_of_part(graph, inside, arguments, tensors, operations)

    def inlined(
        self, *feeds: tf.Tensor, waits: bool = False
    ) -> tuple[list[tf.Tensor], list[tf.Operation]]:
        """Copies the function's ops into the graph that is being built, instead of a call.

        Args:
            *feeds: The values of `inputs`.
            waits: Whether all writes wait for the feeds. Computing the feeds may raise that the
                data has ended, and then the step must not have begun.

        Returns:
            The copies of `outputs`, and the ops that have to run.
        """
        target = tf.compat.v1.get_default_graph()
        captured = [target.capture(external) for external in self._captured]
        if waits:
            # An imported op takes no control inputs from here. An identity of its handle does,
            # and the write waits for that.
            with tf.control_dependencies(list(feeds)):
                captured = [
                    tf.identity(handle) if id(internal) in self._written_without_feeds else handle
                    for handle, internal in zip(
                        captured, self._arguments[len(feeds) :], strict=True
                    )
                ]
        return self._imported([*feeds, *captured])

    @functools.cached_property
    def _written_without_feeds(self) -> set[int]:
        """The ids of the placeholders of variables that an op writes without using a feed."""
        feeds = {feed.op for feed in self.inputs}
        return {
            id(handle)
            for op in self._body
            if ordering.writes_a_variable(op) and not ordering.reachable_operations([op]) & feeds
            for handle in op.inputs
            if handle.dtype == tf.resource
        }

    def _imported(
        self, arguments: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Operation]]:
        target = tf.compat.v1.get_default_graph()
        for function in tf_functions.called_functions(self._graph):
            tf_functions.add_function(target, function)
        values = dict(zip(map(id, self._arguments), arguments, strict=True))
        definition, used = _graph_def(self._graph, self._body)
        # An output may be an argument itself. It has no op in the body, and is returned unchanged.
        computed = [tensor for tensor in self.outputs if id(tensor) not in values]
        elements = tf.graph_util.import_graph_def(
            definition,
            {tensor.name: values[id(tensor)] for tensor in self._arguments if tensor.name in used},
            [tensor.name for tensor in computed] + [op.name for op in self._operations],
            name=self._graph.name,
        )
        # `elements` is longer than `computed`: the ops follow the tensors.
        for tensor, element in zip(computed, elements, strict=False):
            element.set_shape(tensor.shape)  # someone may have set it; the ops do not imply it
            values[id(tensor)] = element
        return [values[id(tensor)] for tensor in self.outputs], elements[len(computed) :]


def plain_graph(name: str) -> Any:
    """A graph for a function, in which only fetched ops run."""
    with execution_modes.outside():
        return tf_functions.function_graph(name)


def _graph_def(graph: Any, body: Sequence[tf.Operation]) -> tuple[Any, set[str]]:
    """The definitions of some ops of a graph, and the names of the tensors that they use."""
    definition = tf.compat.v1.GraphDef()
    used: set[str] = set()
    definition.versions.CopyFrom(graph.graph_def_versions)
    for op in body:
        used.update(tensor.name for tensor in op.inputs)
        definition.node.append(op.node_def)
    names = {op.name for op in body}
    for node in definition.node:
        node.attr.pop("_class", None)  # may name a colocated op outside of this part
        if execution_modes.is_on_one_thread():
            node.attr.pop(_LOWERED, None)  # a loop stays a loop there
        # A control edge from an argument would name an op that the import does not know.
        inputs = [i for i in node.input if not i.startswith("^") or i[1:] in names]
        if len(inputs) < len(node.input):
            node.input[:] = inputs
    return definition, used


def _function_of_part(
    graph: Any,
    body: Sequence[tf.Operation],
    inputs: Sequence[tf.Tensor],
    tensors: Sequence[tf.Tensor],
    operations: Sequence[tf.Operation],
) -> Any:
    """Makes a function of ops of a graph, in place.

    TensorFlow's runtime accepts any part of a graph, but its Python API only whole graphs.
    Copying a part first, op by op, took half of the time to the first step.
    """
    name = f"__{graph.name}_part_{next(_function_ids)}"
    return tf_functions.function_of_ops(graph, name, body, inputs, tensors, operations)


def _needs_threads(node: Any) -> bool:
    """Whether an op waits for a function that another thread runs, or for another device.

    A loop runs its body on the thread that runs the loop.
    """
    if node.op in _NEED_THREADS or node.op.startswith("Collective"):
        return True
    return node.op not in _LOOPS and any(
        value.HasField("func") or value.list.func for value in node.attr.values()
    )
