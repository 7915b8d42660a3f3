"""Training on several replicas of one machine: one trace contains them all, one step runs them all.

Each replica traces the model_fn into the same graph, in its own thread. This is how
`tf.distribute.MirroredStrategy` works, so `merge_call` and all optimizers work unchanged. A
variable has one name and a component per replica. The first component is the memory that the
estimator's other programs use. Checkpoints only contain this one.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import specs
from kestimator.engine.keras_internals import keras_state
from kestimator.engine.programs import distribution, program
from kestimator.engine.tf_internals import tf_distribution
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_creator, variable_store

_v1 = tf.compat.v1
_GraphKeys = _v1.GraphKeys
# By strategy, since estimators may share one; weakly, so that a strategy is not kept alive here.
_locks: weakref.WeakKeyDictionary[tf.distribute.Strategy, threading.RLock] = (
    weakref.WeakKeyDictionary()
)


class MirroredDistribution(distribution.Distribution):
    """Training on several replicas of one machine.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        super().__init__(strategy)
        self._strategy: tf.distribute.Strategy = strategy
        # Those of this process; other workers have theirs.
        self.replicas = len(strategy.extended.worker_devices)
        # A separate store: checkpoints must not see the components of the other replicas.
        self._copies = variable_store.VariableStore()

    def element_spec(self, element_spec: Any) -> Any:
        """The spec of one batch for each replica."""
        return (element_spec,) * self.replicas

    def creator(
        self,
        graph: program.ProgramGraph,
        store: variable_store.VariableStore,
        local: variable_store.VariableStore,
    ) -> variable_creator.VariableCreator:
        """The creator of mirrored variables."""
        return MirroredCreator(graph, store, local, self._strategy, self._copies)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """The scope of a trace: the strategy, with gradients scaled for the sum over replicas.

        The scope changes the strategy, so estimators that share one trace one after the other.
        """
        with (
            _locks.setdefault(self._strategy, threading.RLock()),
            self.reduction(),
            tf_distribution.scaled_losses(self._strategy),
            self._strategy.scope(),
        ):
            yield

    def reduction(self) -> contextlib.AbstractContextManager[None]:
        """The scope of a trace in which gradients are reduced without waiting forever."""
        return _reduction_that_does_not_hang(self._strategy)

    def run(self, replica: distribution.Replica, inputs: Any) -> specs.EstimatorSpec:
        """Calls `replica` in a thread per replica, and combines the specs that they return."""
        results: dict[int, specs.EstimatorSpec] = {}
        # Keras keeps its settings and its seeds per thread: a replica's thread starts without them.
        settings, seeds = keras_state.settings(), keras_state.python_random()

        def run_one() -> None:
            position = _replica_id() % self.replicas
            keras_state.use_settings(settings)
            # Each replica starts from the same point, so it draws what one replica would draw.
            keras_state.draw_seeds_like(seeds)
            graph = _v1.get_default_graph()
            keras_state.count_names_by_scope(graph)
            if position > 0:
                graph.use_own_losses(f"replica_{position}")
            results[position] = replica(*inputs[position])

        self._strategy.extended.call_for_each_replica(
            tf.autograph.experimental.do_not_convert(run_one)
        )
        return self.combined([results[position] for position in range(self.replicas)])

    def combined(self, replicas: Sequence[specs.EstimatorSpec]) -> specs.EstimatorSpec:
        """Combines specs: the mean loss, all train ops, and all else of the first replica."""
        loss = tf.add_n([spec.loss for spec in replicas]) / len(replicas)
        train_op = tf.group(*(spec.train_op for spec in replicas))
        return replicas[0]._replace(loss=loss, train_op=train_op)

    def broadcast(self, graph: tf.Graph) -> None:
        """Copies the values of the first replica, which loads and hooks set, to all others."""
        with program.eager_mode():
            for variable in graph.get_collection(_GraphKeys.GLOBAL_VARIABLES):
                if isinstance(variable, MirroredVariable) and has_value(variable.memory):
                    for copy in variable.values[1:]:
                        copy.memory.assign(variable.memory)


class MirroredVariable(tf_distribution.MirroredVariable):
    """A variable with a component per replica. Its memory is that of the first component."""

    @property
    def memory(self) -> tf.Variable:
        """The memory that the variable shares with the estimator's other programs."""
        return self._values[0].memory


class MirroredCreator(variable_creator.VariableCreator):
    """A variable creator that makes a component per replica for every variable.

    Args:
        graph: The program's graph.
        store: The store of the variables that checkpoints contain.
        local: The store of the variables that belong only to this program.
        strategy: The strategy.
        copies: The store of the other replicas' components.
    """

    def __init__(
        self,
        graph: program.ProgramGraph,
        store: variable_store.VariableStore,
        local: variable_store.VariableStore,
        strategy: tf.distribute.Strategy,
        copies: variable_store.VariableStore,
    ) -> None:
        super().__init__(graph, store, local)
        self._strategy = strategy
        self._copies = copies
        self._containers: list[Any] = []  # keeps them alive: components only hold weak references

    def finished(
        self,
        primary: variable_store.ProgramVariable,
        keras_variable: keras.Variable | None,
        kwargs: dict[str, Any],
    ) -> tf.Variable:
        """Makes the other components, and the variable that combines all of them.

        All variables but local ones are equal on all replicas at all times. So the memory of the
        first component is what a checkpoint contains. This includes variables that ask to be
        reduced only when they are read.
        """
        devices = self._strategy.extended.worker_devices
        copies = [self._copy(primary, i, device) for i, device in enumerate(devices) if i > 0]
        aggregation = _aggregation(primary, keras_variable, kwargs.get("aggregation"))
        is_local = keras_variable is None and kwargs["is_local"]
        on_read = kwargs.get("synchronization") == tf.VariableSynchronization.ON_READ
        kind = tf_distribution.SyncOnReadVariable if on_read and is_local else MirroredVariable
        container = kind(self._strategy, (primary, *copies), aggregation)
        self._containers.append(container)
        if keras_variable is not None:
            # TensorFlow makes their assignments on behalf of Keras: see `order_keras_state`.
            self.keras_handles.update(id(view.op.outputs[0]) for view in (primary, *copies))
        return container

    def memory(self, name: str, kwargs: dict[str, Any]) -> tf.Variable:
        """Makes the first component's memory, on its device."""
        with execution_modes.eager_mode(), tf.device(self._strategy.extended.worker_devices[0]):
            return variable_creator.stored_variable(name, kwargs)

    def given_to_keras(self, memory: tf.Variable, view: Any) -> tf.Variable:
        """Gives Keras the mirrored variable, in which each replica finds its component."""
        del memory
        return view

    def _copy(
        self, primary: variable_store.ProgramVariable, position: int, device: str
    ) -> variable_store.ProgramVariable:
        """A component of another replica, initialized like the first component."""
        name = f"{primary.name.split(':')[0]}/replica_{position}"
        with tf.device(device):
            slot = self._copies.uninitialized(name, primary.shape, primary.dtype)
            return _component(self._graph, primary, slot.variable, name)


def _component(
    graph: program.ProgramGraph,
    primary: variable_store.ProgramVariable,
    memory: tf.Variable,
    name: str,
) -> variable_store.ProgramVariable:
    """A view of another replica's memory, initialized like the first component."""
    handle = variable_store.memory_handle(memory)
    placeholder = graph.placeholder_for(handle, f"{name}/")  # the slash: exactly this name
    # A view of memory that holds its value already has a no-op for an initializer.
    source = primary.initializer
    with tf.name_scope(f"{name}/"):
        initializer = (
            tf.raw_ops.AssignVariableOp(resource=placeholder, value=source.inputs[1], name="Assign")
            if source.type == "AssignVariableOp"
            else tf.no_op(name="Assign")
        )
    return variable_store.ProgramVariable(
        memory=memory,
        graph=graph,
        name=name,
        placeholder=placeholder,
        initial_value=primary.initial_value,
        initializer=initializer,
        trainable=primary.trainable,
        constraint=primary.constraint,
        synchronization=primary.synchronization,
        aggregation=primary.aggregation,
    )


def _aggregation(
    primary: variable_store.ProgramVariable,
    keras_variable: keras.Variable | None,
    requested: tf.VariableAggregation | None,
) -> tf.VariableAggregation:
    """How the values that replicas assign become one value.

    Keras layers do not say how to combine moving statistics. Their mean keeps replicas equal.
    """
    aggregation = requested or tf.VariableAggregation.NONE
    is_state = keras_variable is not None and not keras_variable.trainable
    if is_state and aggregation == tf.VariableAggregation.NONE and primary.dtype.is_floating:
        return tf.VariableAggregation.MEAN
    return aggregation


def _replica_id() -> int:
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))


def has_value(memory: tf.Variable) -> bool:
    """Whether the memory of a variable has been given a value."""
    # A slot without a name, in no store: it only offers the test.
    return variable_store.Slot("", memory).is_initialized


@contextlib.contextmanager
def _reduction_that_does_not_hang(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Lets several CPU devices of one process reduce on one of them.

    Without `cross_device_ops`, MirroredStrategy uses collective ops. On logical CPUs these wait
    for each other forever.
    """
    original = tf_distribution.reduction(strategy)
    on_cpus = any("CPU" in device.upper() for device in strategy.extended.worker_devices)
    if on_cpus and tf_distribution.is_collective(original):
        tf_distribution.set_reduction(strategy, tf.distribute.ReductionToOneDevice())
    try:
        yield
    finally:
        tf_distribution.set_reduction(strategy, original)
