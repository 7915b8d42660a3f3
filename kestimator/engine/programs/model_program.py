"""A model_fn as a program: traced for one mode and one input spec, with all that a run needs.

Synopsis::

    model = ModelProgram.trace(source, mode="train", element_spec=spec, seed=None, store=store)
    model.spec            # the EstimatorSpec
    model.operations      # what a step runs
    model.fetches         # the step, for hooks to see
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from kestimator import errors, specs
from kestimator.engine.graphs import ordering
from kestimator.engine.programs import distribution as _distribution
from kestimator.engine.programs import program as _program
from kestimator.engine.programs import tf2_summaries
from kestimator.engine.tf_internals import tf_variables
from kestimator.engine.variables import keras2_state, variable_creator, variable_store
from kestimator.keys import ModeKeys
from kestimator.validation import keras2

_v1 = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_OF_ONE_SESSION = (
    *("FIFOQueue", "PaddingFIFOQueue", "PriorityQueue", "RandomShuffleQueue", "Barrier", "Stack"),
    *("ConditionalAccumulator", "SparseConditionalAccumulator"),
)
"""Ops whose state cannot be reset. In tf.estimator it started empty with every call, so a program
with such an op is traced again for each call."""


class ModelSource(Protocol):
    """A model_fn that becomes a program, and the functions that complete its spec.

    Attributes:
        is_served: Whether the graph is exported to a SavedModel and does not run here.
        summary_writer: The writer for `tf.summary` in the model_fn; None if there is none.
    """

    is_served: bool
    summary_writer: tf2_summaries.LazyWriter | None

    def call(self, features: Any, labels: Any) -> specs.EstimatorSpec:
        """Calls the model_fn in the graph, once for each replica."""

    def complete(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Completes the spec of a replica in the graph: its loss, its train op."""

    def finish(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Completes the spec of all replicas in the graph: summaries, a saver."""


class ModelProgram:
    """A model_fn's program.

    Attributes:
        mode: The mode it was traced for.
        program: The program.
        spec: What the model_fn returned.
        global_step: The program's view of the global step.
        locals_are_ready: Whether tables and local variables have been initialized once.
        warm_started: Whether the initializers read the checkpoint of a warm start.
        summary_writer: The writer of TF2 summaries.
        is_stale: Whether another call must trace again, because hooks added ops or ops keep state.
        random_ops_before: The number of random ops that its graph counts before its own.
        input_variables: The names of the input_fn's variables, which it saves and restores.
    """

    def __init__(
        self, mode: str, program: _program.Program, store: variable_store.VariableStore
    ) -> None:
        self.mode = mode
        self.program = program
        self.spec: specs.EstimatorSpec = program.result
        self.global_step = _v1.train.get_global_step(program.graph)
        self.keras_optimizer: keras.optimizers.Optimizer | None = None
        self.locals_are_ready = False
        self.warm_started = False
        self.is_stale = False
        self.random_ops_before = 0
        self.input_variables: tuple[str, ...] = ()
        self.summary_writer: tf2_summaries.LazyWriter | None = None
        self._store = store
        self._cache: dict[Any, Any] = {}
        self._metrics: dict[str, tuple[Any, tf.Operation | None]] = {}

    @classmethod
    def trace(
        cls,
        source: ModelSource,
        *,
        mode: str,
        element_spec: Any,
        seed: int | None,
        store: variable_store.VariableStore,
        distribution: _distribution.Distribution | None = None,
        random_ops_before: int = 0,
        input_variables: Sequence[str] = (),
    ) -> ModelProgram:
        """Traces a model_fn.

        Args:
            source: The model_fn, and what completes its spec.
            mode: The mode.
            element_spec: The spec of `(features, labels)`.
            seed: The graph-level seed.
            store: The variables of the estimator.
            distribution: The distribution of training over replicas.
            random_ops_before: The number of random ops that the input_fn made. They come first
                in the order by which ops get their seeds.
            input_variables: The names of the variables that the input_fn made.

        Raises:
            errors.ArgumentError: The model_fn returned no EstimatorSpec of this mode, or a metric
                that was made outside of it.
        """
        train_ops: list[Any] = []
        distribution = distribution or _distribution.Distribution()

        def replica(features: Any, labels: Any) -> specs.EstimatorSpec:
            spec = _checked_spec(source.call(features, labels), mode)
            # `complete` turns a Keras optimizer into ops, so the optimizer is kept here.
            train_ops.append(spec.train_op)
            _check_metrics_are_new(spec, store)
            return source.complete(spec)._replace(eval_metric_ops=_as_tuples(spec))

        def before(graph: _program.ProgramGraph) -> None:
            # The input_fn has made its variables already: the program only views them.
            _make_global_step(graph)
            creator = variable_creator.VariableCreator(graph, store, store)
            for key in input_variables:
                graph.add_to_collection(_GraphKeys.GLOBAL_VARIABLES, creator.view(store[key]))

        program = _program.trace(
            lambda structure: source.finish(distribution.run(replica, structure)),
            element_spec=distribution.element_spec(element_spec),
            name=f"model_{mode}",
            seed=seed,
            store=store,
            before=before,
            distribution=distribution,
            random_ops_before=random_ops_before,
        )
        model = cls(mode, program, store)
        model.random_ops_before = random_ops_before
        model.input_variables = tuple(input_variables)
        model.is_stale = any(
            op.type.startswith(_OF_ONE_SESSION) for op in model.graph.get_operations()
        )
        if isinstance(train_ops[0], keras.optimizers.Optimizer):
            model.keras_optimizer = train_ops[0]
        model._offer_global_step_read()
        if mode == ModeKeys.EVAL:
            model._metrics = model._evaluation_metrics()
            if not source.is_served:
                model._initialize_own_metrics()
        model.summary_writer = source.summary_writer
        return model

    def _offer_global_step_read(self) -> None:
        """Gives stock hooks a plain read of the global step.

        Otherwise they would make one themselves, with a guard against an uninitialized variable.
        They keep it in the collection with the same private key.
        """
        with self.graph.as_default(), tf.control_dependencies(None):
            read = self.global_step.read_value()
            tf_variables.fetched(self.global_step)  # makes the read for fetches by name in time
        self.graph.add_to_collection("global_step_read_op_cache", read)

    @property
    def graph(self) -> _program.ProgramGraph:
        """The program's graph."""
        return self.program.graph

    @property
    def scaffold(self) -> Any:
        """The spec's scaffold."""
        return self.spec.scaffold

    @functools.cached_property
    def operations(self) -> list[tf.Operation]:
        """The ops of one step: the train op or the metric updates, and the writes of Keras."""
        updates = {
            ModeKeys.TRAIN: [_operation(self.spec.train_op)],
            ModeKeys.EVAL: [update for _, update in self._metrics.values() if update],
            ModeKeys.PREDICT: [],
        }[self.mode]
        operations = [*updates, *self._state_updates()]
        return [*operations, *self._dumps(operations)]

    def _dumps(self, operations: Sequence[tf.Operation]) -> list[tf.Operation]:
        """The ops with which `tf.debugging.experimental.enable_dump_debug_info` sees a step."""
        # No fetch reaches them, because the ops that the debugger watches do not depend on them.
        dumps = [op for op in self.graph.get_operations() if op.type == "DebugIdentityV2"]
        if not dumps:
            return []
        of_spec = self.spec.predictions if self.mode == ModeKeys.PREDICT else self.spec.loss
        reached = ordering.reachable_operations([*operations, *tf.nest.flatten(of_spec)])
        return [op for op in dumps if op.inputs[0].op in reached]

    def _state_updates(self) -> list[tf.Operation]:
        """The writes of Keras in this mode. Only training changes what a checkpoint contains."""
        if self.mode == ModeKeys.TRAIN:
            return self.program.state_updates
        saved_handles = {
            id(view.op.outputs[0])
            for view in self.graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
            # Seeds are the exception: they move on in every mode.
            if not variable_creator.is_seed(name(view))
        }
        return [
            op
            for op in self.program.state_updates
            if not any(id(tensor) in saved_handles for tensor in op.inputs)
        ]

    @property
    def irregular_global_step(self) -> tf.Variable | None:
        """The variable that counts steps, if a step may not advance it by exactly 1; else None."""
        return None if self.advances_by_one else self._store["global_step"].variable

    def made_once(self, key: Any, make: Callable[[], Any]) -> Any:
        """The result of `make`, which is called once and kept with the program."""
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    @functools.cached_property
    def fetches(self) -> dict[str, Any]:
        """The values that the loop itself needs of an observed step."""
        if self.mode == ModeKeys.PREDICT:
            return {"predictions": self.spec.predictions, "operations": self.operations}
        return {"loss": self.spec.loss, "operations": self.operations}

    @property
    def metric_values(self) -> dict[str, Any]:
        """The values of the metrics, tensors or nests, after all batches have been counted."""
        return {name: value for name, (value, _) in self._metrics.items()}

    def _evaluation_metrics(self) -> dict[str, tuple[Any, tf.Operation | None]]:
        metrics: dict[str, tuple[Any, tf.Operation | None]] = {}
        # A separate local store: no checkpoint contains the variables of these metrics.
        local = variable_store.VariableStore()
        creator = variable_creator.VariableCreator(self.graph, self._store, local)
        with (
            _program.eager_mode(),
            self.graph.as_default(),
            tf.variable_creator_scope(creator),
        ):
            for name, metric in _named_metrics(self.spec):
                self._check_is_updated(name, metric)
                metrics[name] = _value_and_update(metric)
        return metrics

    def _check_is_updated(self, name: str, metric: Any) -> None:
        """Checks that a Keras metric counts something.

        Raises:
            errors.ArgumentError: The model_fn did not update it, or only in a function, a branch or
                a loop, whose writes are not ops of the graph.
        """
        has_state = isinstance(metric, keras.metrics.Metric) and metric.variables
        if has_state and not self._writes_of(metric):
            raise errors.ArgumentError(
                f"The metric {name!r} of `eval_metric_ops` counts nothing. Call its "
                "`update_state(...)` in the model_fn itself: updates in a `tf.function`, "
                "`tf.cond`, `tf.map_fn` or loop do not count. Compute the values there, and "
                "update the metric outside of it."
            )

    def _initialize_own_metrics(self) -> None:
        """Makes a `local_init_op` of the model_fn initialize the library's variables as well."""
        # Without this, the metrics of an evaluation would have no values.
        scaffold = self.spec.scaffold
        if scaffold.local_init_op is None:
            return
        with self.graph.as_default():
            default = _v1.train.Scaffold.default_local_init_op()
            both = tf.group(scaffold.local_init_op, default)
            scaffold = _v1.train.Scaffold(local_init_op=both, copy_from_scaffold=scaffold)
            self.spec = self.spec._replace(scaffold=scaffold)

    def metrics_to_export(self) -> dict[str, tuple[tf.Tensor, Any]]:
        """The value and the update of each metric, for code that runs the graph by itself.

        Must be called in the graph. The value of a Keras metric is read again, because it does not
        count the batch. Its update is everything that the model_fn made it write.
        """
        return {
            name: (tf.convert_to_tensor(metric.result()), tf.group(*self._writes_of(metric)))
            if isinstance(metric, keras.metrics.Metric)
            else metric
            for name, metric in self.spec.eval_metric_ops.items()
        }

    def _writes_of(self, metric: keras.metrics.Metric) -> list[tf.Operation]:
        state = {id(self.graph.capture(variable.value.handle)) for variable in metric.variables}
        return [
            op
            for op in self.program.state_updates
            if any(id(tensor) in state for tensor in op.inputs)
        ]

    @property
    def operation_to_export(self) -> Any:
        """The spec's train op, for code that runs the graph by itself.

        Must be asked for in the graph. In training, the op also runs the writes of Keras code.
        """
        if self.mode == ModeKeys.TRAIN and self.program.state_updates:
            return tf.group(*self.operations, name="train_op")
        train_op = self.spec.train_op
        return None if isinstance(train_op, keras.optimizers.Optimizer) else train_op

    def serves(self, random_ops_before: int, input_variables: Sequence[str]) -> bool:
        """Whether the program may run again, after an input_fn with these random ops and variables.

        Args:
            random_ops_before: The number of random ops that the input_fn made.
            input_variables: The names of the variables that the input_fn made.
        """
        if self.is_stale or self.input_variables != tuple(input_variables):
            return False
        # The count of the input's random ops only matters if ops of a step get their seeds by it.
        draws = self.graph.seed is not None and self.graph.random_state.is_used_by_steps
        return self.random_ops_before == random_ops_before or not draws

    @contextlib.contextmanager
    def stale_on_failure(self) -> Iterator[None]:
        """A program is not used again if a call fails in this context: it may be half changed."""
        try:
            yield
        except BaseException:
            self.is_stale = True
            raise

    @contextlib.contextmanager
    def changing(self, hooks: Sequence[Any]) -> Iterator[None]:
        """Lets hooks add ops in `begin`. A program that a user's hook extends is not kept."""
        has_user_hooks = any(map(_begins_by_itself, hooks))
        if self.graph.finalized:
            self.graph.reopen()
        before = len(self.graph.get_operations())
        with self.program.growing():
            yield
        self.is_stale |= has_user_hooks and len(self.graph.get_operations()) > before

    @property
    def keras_variables(self) -> list[keras.Variable]:
        """The Keras variables that the program uses."""
        names = [name(view) for view in self.graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)]
        slots = [self._store.get(key) for key in names]
        return [slot.keras_variable for slot in slots if slot and slot.keras_variable is not None]

    def settle_global_step(self) -> None:
        """Makes hooks and summaries see the global step from before their step."""
        for view in _distribution.components(self.global_step):
            ordering.read_before_writes(self.graph, view.op.outputs[0])

    @functools.cached_property
    def advances_by_one(self) -> bool:
        """Whether the global step after each step is known beforehand.

        It is if the step has a single write, which adds the constant 1. In modes that do not train,
        the global step does not move.
        """
        if self.mode != ModeKeys.TRAIN:
            return True
        writers = self._global_step_writers()
        return (
            len(writers) == 1
            and writers[0].type == "AssignAddVariableOp"
            and tf.get_static_value(writers[0].inputs[1]) == 1
        )

    def _global_step_writers(self) -> list[tf.Operation]:
        placeholder = self.global_step.op.outputs[0]
        return [
            op
            for op in ordering.reachable_operations(self.operations)
            if any(tensor is placeholder for tensor in op.inputs) and op.type != "ReadVariableOp"
        ]

    @functools.cached_property
    def moves_global_step(self) -> bool:
        """Whether the train op writes the global step. If not, a hook has to."""
        return bool(self._global_step_writers())


def _make_global_step(graph: tf.Graph) -> None:
    _v1.train.get_or_create_global_step(graph)


def name(view: Any) -> str:
    """The checkpoint name of a program's variable."""
    return str(view.name).split(":")[0]


def _begins_by_itself(hook: Any) -> bool:
    """Whether the hook is the user's, and may add ops. Stock hooks add theirs once per graph."""
    module = type(hook).__module__
    is_stock = module.startswith(("tensorflow.", "kestimator."))
    return not is_stock or "begin" in getattr(hook, "__dict__", {})


def _checked_spec(spec: Any, mode: str) -> specs.EstimatorSpec:
    if not isinstance(spec, specs.EstimatorSpec):
        raise errors.ArgumentError(
            errors.invalid_argument("model_fn's result", spec, "an EstimatorSpec")
        )
    if spec.mode is None:
        return spec._replace(mode=mode)
    if spec.mode != mode:
        raise errors.ArgumentError(
            f"`model_fn` was called with mode {mode!r} but returned an EstimatorSpec of mode "
            f"{spec.mode!r}. Pass `mode=mode` to EstimatorSpec."
        )
    return spec


def _operation(train_op: Any) -> tf.Operation | None:
    return getattr(train_op, "op", train_op)


def _named_metrics(spec: specs.EstimatorSpec) -> list[tuple[str, Any]]:
    metrics: Mapping[str, Any] = spec.eval_metric_ops
    for reserved in ("loss", "global_step"):
        if reserved in metrics:
            raise errors.ArgumentError(
                f"`eval_metric_ops` has a metric named {reserved!r}, but kestimator adds a metric "
                "with this name itself. Choose another name."
            )
    # tf.estimator sorted metrics as well, so that the graph is the same every time.
    named = sorted([*metrics.items(), ("loss", None)], key=lambda item: str(item[0]))
    return [
        (name, _v1.metrics.mean(spec.loss) if name == "loss" else metric) for name, metric in named
    ]


def _check_metrics_are_new(spec: specs.EstimatorSpec, store: variable_store.VariableStore) -> None:
    """Refuses metrics made outside of the model_fn, because their counts would never restart."""
    outside = {id(slot.variable) for slot in store.outside}
    for name, metric in spec.eval_metric_ops.items():
        if not isinstance(metric, keras.metrics.Metric):
            continue
        if any(id(variable.value) in outside for variable in metric.variables):
            raise errors.ArgumentError(
                f"`eval_metric_ops[{name!r}]` is the metric {metric.name!r}, which was created "
                "outside of the model_fn. Its state would not be reset for each evaluation. Create "
                "the metric in the model_fn, before its `update_state` is called."
            )


def _as_tuples(spec: specs.EstimatorSpec) -> dict[str, Any]:
    """The metrics of a spec, with metrics of Keras 2 as tuples, like TF1 metrics."""
    graph = _v1.get_default_graph()
    return {
        name: keras2_state.value_and_update(metric, graph) if keras2.is_metric(metric) else metric
        for name, metric in spec.eval_metric_ops.items()
    }


def _value_and_update(metric: Any) -> tuple[Any, tf.Operation | None]:
    if isinstance(metric, keras.metrics.Metric):
        return tf.convert_to_tensor(metric.result()), None
    value, update = metric
    value = tf.nest.map_structure(tf.convert_to_tensor, value)
    return value, update if isinstance(update, tf.Operation) else update.op
