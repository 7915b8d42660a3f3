"""Programs: a model_fn is traced once into a graph, and pruned functions of the graph run.

Synopsis::

    program = trace(build, element_spec=element_spec, name="train", seed=None, store=store)
    loss, train_op = program.result                         # what `build` returned
    step = program.function([loss], operations=[train_op])
    (value,) = step(*flat_batch)

The graph has graph semantics: only fetched ops run, and explicit control dependencies count. Keras
code writes to its variables and returns no op to fetch. After the trace these writes are put into
program order. They are collected in :attr:`Program.state_updates`, and run with every step.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import tensorflow as tf

from kestimator.engine.graphs import (
    custom_gradients,
    ordering,
    small_updates,
    sparse_reads,
    standalone_graph,
)
from kestimator.engine.graphs.pruned_function import PrunedFunction as PrunedFunction
from kestimator.engine.keras_internals import keras_state
from kestimator.engine.programs import dispatchers, keras_losses
from kestimator.engine.random import random_ops
from kestimator.engine.tf_internals import tf_operations, tf_seeds, tf_tensors
from kestimator.engine.tracing import traced_graph
from kestimator.engine.tracing.execution_modes import eager_mode as eager_mode
from kestimator.engine.variables import (
    imported_variables,
    keras2_state,
    lending,
    variable_creator,
    variable_store,
)

_resource_ids = itertools.count()
_WITHOUT_SHARED_NAME = ("OneShotIterator",)  # its kernel refuses one


class ProgramGraph(traced_graph.TracedGraph):
    """The graph of a program.

    Args:
        name: The name for the functions that are pruned from the graph.
        seed: The graph-level random seed, or None.
        replicas: The number of replicas in the trace.

    Attributes:
        creator: The variable creator during the trace; None after it.
        keras_losses: The losses of the Keras layers that are called in the trace.
        random_state: The state that random ops draw from.
        custom_gradients: The functions of its `tf.custom_gradient`s, by their registered names.
        optional: The names of variables that a checkpoint may lack.
        former_names: The names that earlier versions of kestimator gave to the variables of Keras,
            by name.
        replicas: The number of replicas in the trace.
    """

    def __init__(self, name: str, seed: int | None = None, replicas: int = 1) -> None:
        # The base class needs the stand-ins, so the state is made before it.
        self.random_state = random_ops.RandomState(self)
        super().__init__(name, seed, {**self.random_state.stand_ins, **small_updates.STAND_INS})
        self.replicas = replicas
        self.creator: variable_creator.VariableCreator | None = None
        self.keras_losses = keras_losses.KerasLosses(self)
        self.custom_gradients: dict[str, Callable[..., Any]] = {}
        self.optional: set[str] = set()
        self.former_names: dict[str, str] = {}
        self._thread = threading.local()

    def is_optional(self, variable: tf.Variable) -> bool:
        """Whether a checkpoint may lack a variable, which then gets its initial value.

        The state of seeds is optional: it decides nothing but which random numbers come next.
        """
        name = variable.name.removesuffix(":0")
        return name in self.optional or variable_creator.is_seed(name)

    def use_own_losses(self, owner: str) -> None:
        """Gives the calling thread its own collection of losses.

        Otherwise a replica's `get_total_loss` would also sum the losses of earlier replicas.

        Args:
            owner: The name of the replica.
        """
        self._thread.replica = owner

    @property
    def replica(self) -> str | None:
        """The replica whose losses the calling thread has; None for the losses of the graph."""
        return getattr(self._thread, "replica", None)

    def add_to_collection(self, name: str, value: Any) -> None:
        """Adds a value to a collection of the graph, or to the thread's own collection."""
        super().add_to_collection(self._own(name), value)

    def get_collection_ref(self, name: str) -> list[Any]:
        """A collection of the graph, or the thread's own collection."""
        self._complete(name)
        collection: list[Any] = super().get_collection_ref(self._own(name))
        return collection

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """A copy of a collection of the graph, or of the thread's own collection."""
        self._complete(name)
        collection: list[Any] = super().get_collection(self._own(name), scope)
        if name == keras_losses.REGULARIZATION_LOSSES and self.replicas > 1:
            other_losses = self.keras_losses.of_other_replicas()
            return [loss for loss in collection if id(loss) not in other_losses]
        return collection

    def _own(self, name: str) -> str:
        # Only `LOSSES` is separate for each thread: `get_collection` leaves out the regularization
        # losses of other replicas.
        is_losses = name == tf.compat.v1.GraphKeys.LOSSES
        return f"{name}/{self.replica}" if is_losses and self.replica else name

    def _complete(self, name: str) -> None:
        """Adds missing losses of weights: Keras does not report them by itself."""
        if name == keras_losses.REGULARIZATION_LOSSES:
            self.keras_losses.collect()

    def inputs_of(self, op_type: str, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The inputs of an op. A call of a function gets its own random state."""
        return self.random_state.inputs_of(op_type, inputs)

    def watch_variable(self, v: Any) -> None:
        """Adopts a variable. TensorFlow calls this for every variable that the graph reads."""
        if self.creator is not None:
            self.creator.adopt(v)

    def meet(self, tensor: tf.Tensor) -> None:
        """Adopts a variable from outside that a branch or a loop reads first."""
        # There TensorFlow calls `watch_variable` of the branch, and only the handle arrives here.
        is_variable = tensor.dtype == tf.resource and tf_tensors.handle_data(tensor) is not None
        if self.creator is not None and is_variable:
            variable = keras_state.variable_behind(tensor)
            if variable is not None:
                self.creator.adopt(variable)

    def constant_value(self, tensor: tf.Tensor) -> tf.Tensor | None:
        """The value of a tensor of another program, if no variable, input or state is behind it."""
        if not isinstance(tensor.graph, ProgramGraph):
            return None
        operations = ordering.reachable_operations([tensor])
        if any(op.type == "Placeholder" or op.op_def.is_stateful for op in operations):
            return None
        with eager_mode():
            (value,) = PrunedFunction(tensor.graph, [], [tensor])()
        return value

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Lets the library add ops, even after the graph was finalized for hooks."""
        was_finalized = self.finalized
        if was_finalized:
            self._unsafe_unfinalize()
        try:
            yield
        finally:
            if was_finalized:
                self.finalize()

    def reopen(self) -> None:
        """Lets hooks of another call add ops again."""
        self._unsafe_unfinalize()

    def as_graph_def(self, *args: Any, **kwargs: Any) -> Any:
        """The program as a TF1 graph, with variables and tables instead of captures."""
        # TensorFlow's savers and writers call this, so every graph that leaves is a TF1 graph.
        names = standalone_graph.variable_names(self)
        graph_def = self.random_state.restored(super().as_graph_def(*args, **kwargs))
        return standalone_graph.standalone(graph_def, self.captures, names)


class Distribution(Protocol):
    """Support for several replicas in a trace: see `kestimator.engine.programs.distribution`."""

    replicas: int

    def creator(
        self,
        graph: ProgramGraph,
        store: variable_store.VariableStore,
        local: variable_store.VariableStore,
    ) -> variable_creator.VariableCreator:
        """The creator of the trace's variables."""

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """The scope of the trace."""


class Program:
    """A traced function: its graph, its inputs and its result.

    Attributes:
        graph: The graph.
        inputs: The placeholders for the inputs, flat.
        result: The result of the traced function.
        local: The variables that belong only to this program.
        batches_per_step: The number of input batches that `inputs` takes.
        initial_writes: The ops with which Keras code wrote constants, such as loaded weights.
        reads: For fetched tensors that only read a variable: that variable.
        state_updates: The ops with which Keras code writes its state, in program order.
    """

    def __init__(
        self,
        graph: ProgramGraph,
        inputs: list[tf.Tensor],
        result: Any,
        creator: variable_creator.VariableCreator,
        local: variable_store.VariableStore,
        initial_writes: list[tf.Operation],
        state_updates: list[tf.Operation],
    ) -> None:
        self.graph = graph
        self.inputs = inputs
        self.result = result
        self.local = local
        self._creator = creator
        self.initial_writes = initial_writes
        self.state_updates = state_updates
        self.batches_per_step = 1
        self.reads: dict[Any, tf.Variable | None] = {}
        self._functions: dict[tuple[Any, ...], PrunedFunction] = {}

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Lets code after the trace, such as a hook's `begin`, make variables as in the trace."""
        with (
            eager_mode(),
            custom_gradients.kept_by(self.graph),
            self.graph.as_default(),
            tf.variable_creator_scope(self._creator),
        ):
            yield

    def function(
        self,
        tensors: Sequence[tf.Tensor],
        operations: Sequence[tf.Operation] = (),
        feeds: Sequence[tf.Tensor] = (),
    ) -> PrunedFunction:
        """The function that computes `tensors` and runs `operations`. It is made once and kept.

        Args:
            tensors: The tensors that the function returns.
            operations: The ops that it runs as well.
            feeds: The tensors that the caller feeds, besides the inputs that are needed.

        Returns:
            A function of `feeds`, followed by the inputs in `PrunedFunction.inputs[len(feeds):]`.

        Raises:
            tf.errors.InvalidArgumentError: The function needs a placeholder that is not fed.
        """
        # Ids are safe as keys: the graph keeps every tensor and op alive.
        key = (
            tuple(map(id, tensors)),
            tuple(map(id, operations)),
            tuple(map(id, feeds)),
        )
        if key not in self._functions:
            needed = self._needed_inputs([*tensors, *operations], feeds)
            self._functions[key] = PrunedFunction(
                self.graph, [*feeds, *needed], tensors, operations
            )
        return self._functions[key]

    def _needed_inputs(self, fetches: Iterable[Any], feeds: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        fed = {id(tensor) for tensor in feeds}
        reached = ordering.reachable_operations(fetches, fed)
        captures = {id(internal) for _, internal in self.graph.captures}
        inputs = {id(tensor) for tensor in self.inputs}
        for op in reached:
            if op.type != "Placeholder":
                continue
            placeholder = id(op.outputs[0])
            if placeholder not in captures and placeholder not in inputs:
                # The error that a session raises for a placeholder without a value.
                raise tf.errors.InvalidArgumentError(
                    None,
                    op,
                    f"You must feed a value for placeholder tensor {op.name!r} with dtype "
                    f"{op.outputs[0].dtype.name} and shape {op.outputs[0].shape}. Pass it in "
                    "`feed_dict`.",
                )
        return [t for t in self.inputs if t.op in reached and id(t) not in fed]


def trace(
    build: Callable[[Any], Any],
    *,
    element_spec: Any,
    name: str,
    seed: int | None,
    store: variable_store.VariableStore,
    before: Callable[[ProgramGraph], None] = lambda graph: None,
    distribution: Distribution | None = None,
    random_ops_before: int = 0,
) -> Program:
    """Traces `build` into a program.

    Args:
        build: Called with placeholders in the structure of `element_spec`.
        element_spec: A nest of `tf.TypeSpec`.
        name: The name of the graph.
        seed: The random seed of the graph, and of the default seeds that Keras draws.
        store: The store for the variables.
        before: Called in the graph before the placeholders are made.
        distribution: The distribution over replicas, if there may be more than one.
        random_ops_before: The number of random ops that the graph counts as already made.

    Returns:
        The program; `Program.result` is what `build` returned.
    """
    graph = ProgramGraph(name, seed, distribution.replicas if distribution else 1)
    tf_seeds.count_from(graph, random_ops_before)
    local = variable_store.VariableStore()
    make_creator = distribution.creator if distribution else variable_creator.VariableCreator
    creator = make_creator(graph, store, local)
    dispatchers.install()
    with (
        eager_mode(),
        keras_state.names_from_zero(seed, graph),
        custom_gradients.kept_by(graph),
        graph.as_default(),
        distribution.scope() if distribution else contextlib.nullcontext(),
        tf.variable_creator_scope(creator),
        keras2_state.keras2_variables_in_their_place(creator.store),
        lending.lending(creator),
    ):
        before(graph)
        inputs, structure = _placeholders(element_spec)
        graph.creator = creator
        result = build(structure)
        creator.check_layers(keras_state.layers_called())
        graph.creator = None
        imported_variables.take_over(graph, store, local)
        graph.random_state.take_over()
    # The order matters: sparse reads replace ops that the ordering then has to put in place.
    _share_stateful_resources(graph)
    replaced = sparse_reads.read_rows_alone(graph, result, creator.keras_handles)
    initial_writes, state_updates = ordering.order_keras_state(
        graph, creator.keras_handles, replaced
    )
    program = Program(graph, inputs, result, creator, local, initial_writes, state_updates)
    program.batches_per_step = distribution.replicas if distribution else 1
    return program


def spec_key(element_spec: Any) -> str:
    """A key that is equal for all inputs that the same program can serve."""
    return repr(element_spec)


def flatten(structure: Any) -> list[Any]:
    """The tensors (or specs) of a nest without Nones, with composites split into their parts."""
    flat = tf.nest.flatten(structure, expand_composites=True)
    return [leaf for leaf in flat if leaf is not None]


def _placeholders(element_spec: Any) -> tuple[list[tf.Tensor], Any]:
    flat = [
        # None stays None: labels may be missing.
        spec and tf.compat.v1.placeholder(spec.dtype, spec.shape, name="kestimator/input")
        for spec in tf.nest.flatten(element_spec, expand_composites=True)
    ]
    structure = tf.nest.pack_sequence_as(element_spec, flat, expand_composites=True)
    return [placeholder for placeholder in flat if placeholder is not None], structure


def _share_stateful_resources(graph: ProgramGraph) -> None:
    """Names resources (iterators, queues, writers), so that the functions of a graph share them.

    Each function has its own kernels. They find the same resource by its shared name.
    """
    writers: dict[bytes, str] = {}
    for op in graph.get_operations():
        if op.type == "SummaryWriter":
            # TensorFlow names it by its scope, which other programs have, too: a writer was of one
            # session.
            shared = op.get_attr("shared_name")
            name = writers.setdefault(shared or op.name.encode(), unique_name(op.name))
        elif op.type in _WITHOUT_SHARED_NAME or not _has_empty_shared_name(op):
            continue
        else:
            name = unique_name(op.name)
        tf_operations.set_attribute(op, "shared_name", name.encode())


def unique_name(name: str) -> str:
    """A name for a resource, unique in the process."""
    return f"kestimator_{next(_resource_ids)}/{name}"


def _has_empty_shared_name(op: tf.Operation) -> bool:
    has_one = any(attribute.name == "shared_name" for attribute in op.op_def.attr)
    return has_one and not op.get_attr("shared_name")
