"""A small `tf.compat.v1.Session` over programs, for hooks, savers and scaffolds.

Synopsis::

    session = Session(program, batches, lambda: lock)
    session.run({"loss": loss, "names": ["dnn/bias:0"]}, feed_dict={keep_probability: 1.0})

Every set of fetches is a pruned function of the program's graph, built once and kept.

Other threads may use the variables, too. A run holds the lock while it computes, but not while it
waits for a batch. A run in another thread than that of the session holds the lock only if it
touches variables. So a thread that fills a queue never blocks the step that empties it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kestimator.engine.graphs import ordering
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import queue_runners, step_traces
from kestimator.engine.tf_internals import tf_execution, tf_variables
from kestimator.engine.tracing import execution_modes

MOST_PLANS = 64
"""How many sets of fetches are remembered."""
Guard = Callable[[], contextlib.AbstractContextManager[Any]]
"""Returns a context that protects the variables while something is computed."""


@dataclasses.dataclass(frozen=True)
class _How:
    """How a run is made.

    Attributes:
        in_step: Whether it is a step, whose reads of variables are ordered with its writes.
        is_rewritten: Whether TensorFlow optimizes its functions before it runs them.
    """

    in_step: bool = False
    is_rewritten: bool = False


_ASIDE = _How()


class Session(tf_execution.SessionInterface):
    """Runs parts of a program's graph and of its input's graph.

    Args:
        program: The program.
        batches: The source of the program's inputs, for fetches that depend on them.
        guard: The context for every run that may touch variables.

    Attributes:
        guard: The same.
        runs: A number that changes with every run that is not a step: it may change variables.
    """

    def __init__(self, program: _program.Program, batches: _batches.Batches, guard: Guard) -> None:
        self._program = program
        self._batches = batches
        self._programs = [program, *batches.programs]
        self._plans: dict[Any, tuple[Any, FetchPlan]] = {}
        self._touching: dict[_program.PrunedFunction, bool] = {}
        self._thread = threading.get_ident()
        self._counter = itertools.count(1)
        self.guard = guard
        self.runs = 0

    @property
    def graph(self) -> tf.Graph:
        """The graph of the model_fn."""
        return self._program.graph

    @property
    def input_initializers(self) -> dict[str, tf.Operation]:
        """The initializers of the variables of the input_fn, by variable name."""
        return self._batches.initializers

    @property
    def sess_str(self) -> str:
        """The address of the session: always local."""
        return ""

    def run(
        self,
        fetches: Any,
        feed_dict: dict[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Computes `fetches`, a nest of tensors, ops, variables and names.

        Args:
            fetches: What to compute. Ops give None.
            feed_dict: Values for tensors of the graph, given as tensors or names.
            options: A `RunOptions` proto; a trace level asks for `run_metadata`.
            run_metadata: A `RunMetadata` proto to fill.

        Returns:
            Numpy values in the structure of `fetches`.

        Raises:
            tf.errors.InvalidArgumentError: A placeholder is not fed.
            tf.errors.OutOfRangeError: A fetch needs a batch, and the input has ended.
        """
        return self._run(fetches, feed_dict, options, run_metadata, _ASIDE)

    def _run(self, fetches: Any, feed_dict: Any, options: Any, run_metadata: Any, how: _How) -> Any:
        plan = FetchPlan(fetches, self._find)
        feeds = self.resolve_feeds(feed_dict)
        if options is not None and options.trace_level and run_metadata is not None:
            with self.guard(), step_traces.recorded(run_metadata):
                return plan.pack(self._evaluate(plan, feeds, how))
        return plan.pack(self._evaluate(plan, feeds, how))

    def _evaluate(
        self, plan: FetchPlan, feeds: dict[int, tuple[tf.Tensor, Any]], how: _How
    ) -> list[Any]:
        # A plain read needs no function. But a feed may replace it, and a read in a step is ordered
        # with the writes of the step.
        reads = {} if feeds or how.in_step else {id(t): self._read(t) for t in plan.tensors}
        values = {key: read for key, read in reads.items() if read is not None}
        for program in self._programs:
            tensors = [t for t in plan.tensors if t.graph is program.graph and id(t) not in values]
            operations = [op for op in plan.operations if op.graph is program.graph]
            if tensors or operations:
                results = self._call(program, tensors, operations, feeds, how)
                values.update(zip(map(id, tensors), results, strict=True))
        return [_plain(values[id(tensor)]) for tensor in plan.tensors]

    def _read(self, tensor: tf.Tensor) -> tf.Tensor | None:
        """Returns the value of a tensor that only reads a variable; None for other tensors.

        Hooks read the global step often, and this needs no function.
        """
        key = tensor.ref()
        if key not in self._program.reads:
            self._program.reads[key] = _variable_read_by(tensor)
        variable = self._program.reads[key]
        if variable is None:
            return None
        with self.guard(), _program.eager_mode():
            return variable.read_value()

    def _call(
        self,
        program: _program.Program,
        tensors: Sequence[tf.Tensor],
        operations: Sequence[tf.Operation],
        feeds: dict[int, tuple[tf.Tensor, Any]],
        how: _How,
    ) -> list[tf.Tensor]:
        """Runs one pruned function, with feeds and the batch that it needs."""
        if not how.in_step:
            # The runner reads the global step again after this: such a run may have moved it.
            self.runs = next(self._counter)
        own_feeds = [pair for pair in feeds.values() if pair[0].graph is program.graph]
        function = program.function(tensors, operations, [tensor for tensor, _ in own_feeds])
        needed = function.inputs[len(own_feeds) :]
        guard = self._guard_of(program, function, operations)
        with _program.eager_mode():
            # Outside of the guard: a batch may take long to arrive, and others need the lock.
            batch = self._inputs_for(program, needed) if needed else []
            with (
                contextlib.nullcontext() if how.is_rewritten else execution_modes.as_written(),
                guard(),
            ):
                is_own_thread = threading.get_ident() == self._thread
                # An error in another thread could deadlock in TensorFlow; see `call_aside`.
                call = function if is_own_thread else function.call_aside
                return call(*(_feed_value(*pair) for pair in own_feeds), *batch)

    def _guard_of(
        self,
        program: _program.Program,
        function: _program.PrunedFunction,
        operations: Sequence[tf.Operation],
    ) -> Guard:
        """Returns the context for a function; an empty one in another thread without variables.

        Threads that fill a queue of the input get an empty one, too. Their variables, which count
        epochs, belong to the input, and the step may be waiting for their elements.
        """
        if threading.get_ident() == self._thread:
            return self.guard
        if program is not self._program:
            return contextlib.nullcontext
        if function not in self._touching:
            reached = ordering.reachable_operations(
                [*function.outputs, *operations], set(map(id, function.inputs))
            )
            views = _variables_of(program.graph)
            self._touching[function] = any(view.op in reached for view in views)
        return self.guard if self._touching[function] else contextlib.nullcontext

    def _inputs_for(
        self, program: _program.Program, needed: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        batch = self._batches.next()[: len(program.inputs)]  # predictions leave labels out
        by_input = dict(zip(map(id, program.inputs), batch, strict=True))
        return [by_input[id(tensor)] for tensor in needed]

    def resolve_feeds(self, feed_dict: dict[Any, Any] | None) -> dict[int, tuple[tf.Tensor, Any]]:
        """Returns feeds by the id of the tensor that they replace."""
        feeds: dict[int, tuple[tf.Tensor, Any]] = {}
        for key, value in (feed_dict or {}).items():
            element = self._find(key)
            parts = tf.nest.flatten(element, expand_composites=True)
            values = [value] if len(parts) == 1 else list(value)
            feeds.update({id(t): (t, v) for t, v in zip(parts, values, strict=True)})
        return feeds

    def _find(self, element: Any) -> Any:
        """Returns the tensor or op that `element` stands for, in one of the graphs."""
        if tf_variables.is_fetchable(element):
            with self.guard():  # a variable's read is made when it is first asked for
                element = tf_variables.fetched(element)
        if isinstance(element, keras.Variable):
            return self._find_variable(element.value)
        if isinstance(element, (str, bytes)):
            element = self._find_name(tf.compat.as_text(element))
        # TF1 code that fetches `w:0` means the value, but here that name is the resource handle.
        if isinstance(element, tf.Tensor) and element.dtype == tf.resource:
            element = self._value_of(element)
        graph = getattr(element, "graph", None)
        if graph is not None and all(program.graph is not graph for program in self._programs):
            raise ValueError(
                f"{element!r} belongs to another graph. Expected a tensor or an operation of this "
                "session's graph, created by the model_fn, the input_fn, or a hook's `begin`."
            )
        return element

    def _value_of(self, handle: tf.Tensor) -> tf.Tensor:
        """Returns the value of the variable behind a handle, or another handle unchanged."""
        keys = tf.compat.v1.GraphKeys
        for key in (keys.GLOBAL_VARIABLES, keys.LOCAL_VARIABLES):
            for variable in handle.graph.get_collection(key):
                if variable.op.outputs[0] is handle:
                    return tf_variables.fetched(variable)
        return handle

    def _find_variable(self, variable: tf.Variable) -> tf.Tensor:
        with (
            self.guard(),
            self.graph.unlocked(),
            self.graph.as_default(),
            tf.control_dependencies(None),
        ):
            return tf.identity(variable)

    def _find_name(self, name: str) -> Any:
        failure: Exception | None = None
        for program in self._programs:
            try:
                return program.graph.as_graph_element(name)
            except (KeyError, ValueError) as error:
                # The first failure is raised at the end: it is that of the graph of the model_fn.
                failure = failure or error
        variable = name.removesuffix("/Read/ReadVariableOp:0")
        if variable != name:  # a TF1 graph reads every variable under this name
            return self._find_name(f"{variable}:0")
        assert failure is not None
        raise failure

    def observing(
        self, fetches: Any
    ) -> tuple[_program.PrunedFunction, Callable[[Any], Any]] | None:
        """Returns a function for the fetches of a step, and a function that packs its values.

        Returns None if a fetch belongs to the graph of the input, or if it has no numpy value.
        """
        plan = self._plan(fetches)
        graph = self._program.graph
        if any(tensor.dtype in (tf.resource, tf.variant) for tensor in plan.tensors):
            return None
        if any(element.graph is not graph for element in (*plan.tensors, *plan.operations)):
            return None
        function = self._program.function(plan.tensors, plan.operations)
        return function, lambda values: plan.pack([_plain(value) for value in values])

    def _plan(self, fetches: Any) -> FetchPlan:
        """Returns the plan of fetches, kept for the next step, which usually fetches the same."""
        leaves: list[Any] = []
        key = _structure(fetches, leaves)
        if key not in self._plans:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[key] = (leaves, FetchPlan(fetches, self._find))  # keeps the ids valid
        return self._plans[key][1]

    def run_step(
        self,
        fetches: Any,
        feed_dict: Any,
        options: Any,
        run_metadata: Any,
        *,
        as_written: bool = False,
    ) -> Any:
        """Runs the fetches of a step, whose reads of variables belong to the step.

        Args:
            fetches: As for `run`.
            feed_dict: As for `run`.
            options: As for `run`.
            run_metadata: As for `run`.
            as_written: Whether to skip TensorFlow's graph optimization, which does not pay off
                for a few steps.
        """
        how = _How(in_step=True, is_rewritten=not as_written)
        return self._run(fetches, feed_dict, options, run_metadata, how)

    def start_queue_runners(self) -> contextlib.AbstractContextManager[None]:
        """Lets threads fill the queues of the input_fn until the context ends."""
        runners = [
            runner
            for program in self._programs
            for runner in program.graph.get_collection(tf.compat.v1.GraphKeys.QUEUE_RUNNERS)
        ]
        return queue_runners.filled(runners, self.run)

    def close(self) -> None:
        """Does nothing: the variables belong to the estimator."""

    def should_stop(self) -> bool:
        """Returns False: the loop around the session decides when to stop."""
        return False


class FetchPlan:
    """A flattened nest of fetches: what to compute, and how to pack the values again.

    Programs keep plans between calls, so a plan refers to nothing of a session.

    Args:
        fetches: The nest.
        find: Returns the tensor or op that an element of the nest stands for.

    Attributes:
        tensors: The dense tensors to compute.
        operations: The ops to run.
    """

    def __init__(self, fetches: Any, find: Callable[[Any], Any]) -> None:
        self.tensors: list[tf.Tensor] = []
        self.operations: list[tf.Operation] = []
        self._rebuild = self._plan(fetches, find)

    def pack(self, values: Sequence[Any]) -> Any:
        """Packs the values of `tensors` into the structure of the fetches."""
        return self._rebuild(values)

    def _plan(self, fetch: Any, find: Callable[[Any], Any]) -> Callable[[Sequence[Any]], Any]:
        if fetch is None:
            raise TypeError(
                "`fetches` contains None. Expected tensors, operations, variables, names, or "
                "nests of them."
            )
        if isinstance(fetch, dict):
            parts = {key: self._plan(value, find) for key, value in fetch.items()}
            return lambda values: type(fetch)((k, part(values)) for k, part in parts.items())
        if isinstance(fetch, tuple) and hasattr(fetch, "_fields"):
            items = [self._plan(item, find) for item in fetch]
            return lambda values: type(fetch)(*(item(values) for item in items))
        if isinstance(fetch, (list, tuple)):
            items = [self._plan(item, find) for item in fetch]
            return lambda values: type(fetch)(item(values) for item in items)
        return self._plan_element(find(fetch))

    def _plan_element(self, element: Any) -> Callable[[Sequence[Any]], Any]:
        if isinstance(element, tf.Operation):
            if element not in self.operations:
                self.operations.append(element)
            return lambda values: None
        if isinstance(element, tf.SparseTensor):
            parts = [self._add(t) for t in (element.indices, element.values, element.dense_shape)]
            return lambda values: tf.compat.v1.SparseTensorValue(*(values[i] for i in parts))
        if isinstance(element, tf.RaggedTensor):
            return self._plan_ragged(element)
        if isinstance(element, tf.IndexedSlices):
            position = self._add(tf.convert_to_tensor(element))
        elif isinstance(element, tf.Tensor):
            position = self._add(element)
        else:
            raise TypeError(
                f"Cannot fetch {element!r} of type {type(element).__name__}. Expected a tensor, "
                "an operation, a variable or the name of one."
            )
        return lambda values: values[position]

    def _plan_ragged(self, element: tf.RaggedTensor) -> Callable[[Sequence[Any]], Any]:
        flat = self._add(element.flat_values)
        splits = [self._add(split) for split in element.nested_row_splits]

        def rebuild(values: Sequence[Any]) -> Any:
            value = values[flat]
            for split in reversed(splits):
                value = tf.compat.v1.ragged.RaggedTensorValue(value, values[split])
            return value

        return rebuild

    def _add(self, tensor: tf.Tensor) -> int:
        for position, planned in enumerate(self.tensors):
            if planned is tensor:
                return position
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _structure(fetches: Any, leaves: list[Any]) -> Any:
    """Returns a key for a nest of fetches, with leaves by id; adds them to `leaves`."""
    if isinstance(fetches, dict):
        return (dict, *((key, _structure(value, leaves)) for key, value in fetches.items()))
    if isinstance(fetches, (list, tuple)):
        return (type(fetches), *(_structure(value, leaves) for value in fetches))
    # Names count by value: equal strings may be different objects.
    if isinstance(fetches, (str, bytes)):
        return fetches
    leaves.append(fetches)
    return id(fetches)


def _variable_read_by(tensor: tf.Tensor) -> tf.Variable | None:
    """Returns the variable that a tensor reads, if nothing has to run before; else None."""
    op = tensor.op
    if op.type == "AddV2" and _is_zero(op.inputs[1]):  # TensorFlow's read of the global step
        op = op.inputs[0].op
    if op.type == "Identity":
        op = op.inputs[0].op
    if op.type != "ReadVariableOp" or op.control_inputs or tensor.op.control_inputs:
        return None
    for variable in _variables_of(tensor.graph):
        if getattr(variable, "memory", None) is not None and (
            variable.op.outputs[0] is op.inputs[0]
        ):
            return variable.memory
    return None


def _variables_of(graph: tf.Graph) -> list[Any]:
    return [
        *graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES),
        *graph.get_collection(tf.compat.v1.GraphKeys.LOCAL_VARIABLES),
    ]


def _is_zero(tensor: tf.Tensor) -> bool:
    value = tf.get_static_value(tensor)
    return value is not None and not value.any()


def _feed_value(tensor: tf.Tensor, value: Any) -> tf.Tensor:
    if isinstance(value, tf.Tensor):
        return value
    if tensor.dtype == tf.string:
        return tf.convert_to_tensor(value, dtype=tf.string)
    return tf.convert_to_tensor(np.asarray(value), dtype=tensor.dtype)


def _plain(value: tf.Tensor) -> Any:
    """Returns the value of a tensor like `tf.compat.v1.Session`: numpy, also for scalars."""
    plain = value.numpy()
    return np.bool_(plain) if isinstance(plain, bool) else plain
