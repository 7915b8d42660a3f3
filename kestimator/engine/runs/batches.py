"""Converts the result of an input_fn to a stream of batches.

Synopsis::

    batches = open_input(call, seed=None, store=store)
    batches.initialize()
    features_and_labels = batches.next()       # flat tensors

A Dataset is created and iterated eagerly. For tensors (`get_next()` of an iterator, constants), the
input_fn builds a graph, and a function of that graph is called in each step.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import errors, inputs, logs
from kestimator.engine.programs import dispatchers
from kestimator.engine.programs import program as _program
from kestimator.engine.random import seeds as _seeds
from kestimator.engine.runs import dataset_iterators, elements
from kestimator.engine.tf_internals import tf_operations, tf_seeds
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_creator, variable_store

# Substrings, because types have versions: IteratorGetNext, QueueDequeueV2, ReaderReadV2.
_MAY_END = ("Iterator", "Queue", "Reader", "CountUpTo", "PyFunc")
"""Parts of the types of ops that can report the end of the data."""
_DATASETS = (tf.data.Dataset, tf.compat.v1.data.Dataset)


class Batches(abc.ABC):
    """A stream of batches, all of one spec.

    Attributes:
        element_spec: The nest of `tf.TypeSpec` of `(features, labels)`.
        programs: The programs behind the stream, for fetches and feeds of hooks.
        is_finite: Whether the stream can end, as far as it is known.
        remaining: The number of steps for which batches are left; None if it is unknown.
        per_step: How many batches a step takes: one per replica.
        random_ops: How many ops of the input_fn got a random seed by their order.
        is_on_demand: Whether the consumer waits for each batch, as in predictions.
        has_iterator: Whether a loop on the device can take the batches from `iterator`.
        source: The Dataset, if there is one: as the input_fn returned it, until `initialize` makes
            the one that is read.
        function: The function that computes a batch, if a graph does; None otherwise.
        constants: The nest of `(features, labels)` as the input_fn returned it, with its arrays and
            numbers, if there are any; None otherwise.
        loops: Loops on the device that compute the batches themselves, by their `DeviceLoop`.
    """

    element_spec: tuple[Any, Any]
    programs: list[_program.Program]
    is_finite: bool
    remaining: int | None = None
    per_step = 1
    random_ops = 0
    is_on_demand = False
    has_iterator = False
    source: tf.data.Dataset | None = None
    function: _program.PrunedFunction | None = None
    constants: Any = None

    def __init__(self) -> None:
        self.loops: dict[Any, Any] = {}
        self._ahead: list[tf.Tensor] | None = None  # the tensors of `has_next`

    @property
    def iterator(self) -> Any:
        """The iterator, for a loop on the device; made when it is first needed."""
        raise AttributeError("These batches have no iterator; check `has_iterator` first.")

    def consumed(self, steps: int) -> None:
        """Notes that a loop on the device took the batches of `steps` steps."""
        if self.remaining is not None:
            self.remaining -= steps

    @property
    def initializers(self) -> dict[str, tf.Operation]:
        """The initializers of the variables that the input_fn created, by variable name."""
        views = global_variables(self.programs)
        return {view.name.split(":")[0]: view.initializer for view in views}

    @abc.abstractmethod
    def initialize(self, steps: float | None = None) -> None:
        """Initializes the stream, with its tables and iterators.

        Args:
            steps: The largest number of steps of the run; None if it is unknown.
        """

    def next(self) -> list[tf.Tensor]:
        """Returns the flat tensors for the next step: a batch, or one per replica in a row.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        if self._ahead is not None:
            flat, self._ahead = self._ahead, None
            return flat
        return [tensor for _ in range(self.per_step) for tensor in self._next_batch()]

    def has_next(self) -> bool:
        """Whether there are batches for another step. They are kept for `next`, which must follow.

        A loop on the device does not get them.
        """
        try:
            self._ahead = self.next()
        except tf.errors.OutOfRangeError:
            return False
        return True

    @abc.abstractmethod
    def _next_batch(self) -> list[tf.Tensor]:
        """Returns the next batch, flat."""


class DatasetBatches(Batches):
    """The batches of a `tf.data.Dataset`.

    Args:
        make: Creates the Dataset; called when tables are initialized.
        element_spec: Its spec, as `(features, labels)`.
        programs: The program that creates it, if any.
    """

    has_iterator = True

    def __init__(
        self,
        make: Callable[[], tf.data.Dataset],
        element_spec: tuple[Any, Any],
        programs: list[_program.Program],
    ) -> None:
        super().__init__()
        self._make = make
        self.element_spec = element_spec
        self.programs = programs
        self.is_finite = True
        self._dataset: tf.data.Dataset | None = None
        self._options: dataset_iterators.MakeOptions | None = None
        self._iterator: Any = None

    def initialize(self, steps: float | None = None) -> None:
        """Runs table initializers and creates the Dataset."""
        _run_initializers(self.programs)
        with _program.eager_mode():
            self._dataset = self.source = self._make()
            self._iterator = None
            cardinality = int(self._dataset.cardinality())
            self.is_finite = cardinality != tf.data.INFINITE_CARDINALITY
            self.remaining = _remaining(cardinality, self.per_step)
            limits = [count for count in (steps, self.remaining) if count is not None]
            self._options = dataset_iterators.options_for(
                self._dataset,
                min(limits, default=math.inf),
                is_on_demand=self.is_on_demand,
            )

    @property
    def iterator(self) -> Any:
        """The iterator, for a loop on the device; made when it is first needed."""
        assert self._dataset is not None, "`initialize` must be called first"
        if self._iterator is None:
            self._iterator = dataset_iterators.iterator_over(self._dataset, self._options)
        return self._iterator

    def next(self) -> list[tf.Tensor]:
        """Returns the flat tensors for the next step."""
        flat = super().next()
        self.consumed(1)
        return flat

    def _next_batch(self) -> list[tf.Tensor]:
        assert self._dataset is not None, "`initialize` must be called first"
        # Data with a known end needs no iterator to find it.
        if self.remaining == 0:
            raise end_of_input()
        with _program.eager_mode():
            if self._iterator is None and self.remaining == 1 and self.per_step == 1:
                element = self._dataset.get_single_element()  # needs no iterator
            else:
                try:
                    element = next(self.iterator)
                except StopIteration:
                    raise end_of_input() from None
        return _program.flatten(elements.features_and_labels(element))


class OneBatch(Batches):
    """A single batch in memory.

    Args:
        element: Features, or (features, labels): nests of eager tensors whose first dimension is
            the batch.
    """

    def __init__(self, element: Any) -> None:
        super().__init__()
        batch = elements.features_and_labels(element)
        self._flat = _program.flatten(batch)
        self.element_spec = tf.nest.map_structure(_batch_spec, batch)
        self.programs = []
        self.is_finite = True

    def initialize(self, steps: float | None = None) -> None:
        """Makes the batch available again."""
        self.remaining = 1

    def _next_batch(self) -> list[tf.Tensor]:
        if self.remaining == 0:
            raise end_of_input()
        self.remaining = 0
        return self._flat


class TensorBatches(Batches):
    """Batches that a graph computes: each call computes the tensors of the input_fn once.

    Args:
        program: The program of the input_fn; its result is the tensors.
        result: What the input_fn returned for them.
    """

    def __init__(self, program: _program.Program, result: Any) -> None:
        super().__init__()
        self.programs = [program]
        self._structure = elements.features_and_labels(program.result)
        constants = elements.features_and_labels(result)
        self.constants = constants if elements.constants_key(constants) else None
        self.element_spec = tf.nest.map_structure(_spec, self._structure, expand_composites=False)
        self.is_finite = any(
            word in op.type for op in program.graph.get_operations() for word in _MAY_END
        )
        flat = _program.flatten(self._structure)
        self.function: _program.PrunedFunction = program.function(flat)

    def initialize(self, steps: float | None = None) -> None:
        """Runs the initializers of tables and iterators that the input_fn registered."""
        _run_initializers(self.programs)

    def _next_batch(self) -> list[tf.Tensor]:
        with _program.eager_mode():
            return self.function()


def open_input(
    call: Callable[[], Any],
    *,
    seed: int | None,
    store: variable_store.VariableStore,
    takes_weights: bool = False,
) -> Batches:
    """Calls an input_fn and opens what it returns.

    It is called eagerly first, which is enough for a Dataset. Code for a TF1 graph (iterators,
    placeholders, tensors) then raises an exception or returns tensors. In this case the input_fn
    is called again, in a separate graph.

    Args:
        call: The input_fn, bound to its arguments.
        seed: The graph-level seed.
        store: The variables of the estimator; the input_fn may read the global step.
        takes_weights: Whether the model takes triples with sample weights.

    Raises:
        errors.InputError: It returned something else than a Dataset, tensors or a pair of them.
    """
    result, problem, seeds = _call_eagerly(call, seed)
    is_eager = isinstance(result, _DATASETS)
    # An op that drew eagerly would draw once; in a graph it draws in every step.
    if is_eager and not seeds.drew:
        return _counting(_open_dataset(result, [], takes_weights), seeds.used)
    try:
        results: list[Any] = []
        program = _trace(call, seed, store, takes_weights, results.append)
    except Exception as error:
        if is_eager:  # it draws random numbers itself, and only runs eagerly
            return _counting(_open_dataset(result, [], takes_weights), seeds.used)
        if problem is not None and (type(problem), problem.args) != (type(error), error.args):
            error.add_note(f"Before that, `input_fn` was called eagerly and raised {problem!r}.")
        raise
    random_ops = tf_seeds.counted(program.graph)
    if isinstance(program.result, _DATASETS):
        return _counting(_open_dataset(program.result, [program], takes_weights), random_ops)
    _share_one_shot_iterators(program.graph)
    _check_not_trainable(program)
    return _counting(TensorBatches(program, results[-1]), random_ops)


def _check_not_trainable(program: _program.Program) -> None:
    """Checks that the input has nothing to train.

    Raises:
        errors.InputError: The input_fn created a trainable variable.
    """
    trainable = program.graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES)
    if trainable:
        names = [variable.name.split(":")[0] for variable in trainable]
        raise errors.InputError(
            f"`input_fn` created the trainable variables {names}. Their gradients would have to "
            "flow through the input. Create them in the model_fn, or with trainable=False."
        )


def _counting(batches: Batches, random_ops: int) -> Batches:
    batches.random_ops = random_ops
    return batches


def _call_eagerly(
    call: Callable[[], Any], seed: int | None
) -> tuple[Any, Exception | None, _seeds.InputSeeds]:
    dispatchers.install()
    with _program.eager_mode(), _seeds.for_input(seed) as seeds, tf.device("/cpu:0"):
        try:
            with inputs.called_by_estimator():
                return _as_dataset(call()), None, seeds
        except Exception as problem:
            # If the problem is real, the call in a graph raises it again.
            logs.debug("The input_fn does not run eagerly; calling it in a graph.", exc_info=True)
            return None, problem, seeds


def _trace(
    call: Callable[[], Any],
    seed: int | None,
    store: variable_store.VariableStore,
    takes_weights: bool,
    keep: Callable[[Any], None],
) -> _program.Program:
    def build(_: Any) -> Any:
        with tf.device("/cpu:0"), inputs.called_by_estimator():
            result = _as_dataset(call())
        if isinstance(result, _DATASETS):
            tf.data.experimental.to_variant(result)
            return result
        keep(result)
        return _as_tensors(result, takes_weights)

    def with_global_step(graph: _program.ProgramGraph) -> None:
        # The original put the input_fn into the graph of the model, where the global step was.
        slot = store.uninitialized("global_step", tf.TensorShape([]), tf.int64)
        creator = variable_creator.VariableCreator(graph, store, store)
        view = creator.view(slot)
        graph.add_to_collection(tf.compat.v1.GraphKeys.GLOBAL_STEP, view)

    return _program.trace(
        build, element_spec=(), name="input", seed=seed, store=store, before=with_global_step
    )


def _as_dataset(result: Any) -> Any:
    """Converts a Keras `PyDataset` into a Dataset; returns everything else unchanged."""
    import keras

    if isinstance(result, keras.utils.PyDataset):
        with execution_modes.outside():
            return inputs.keras_input_fn(result)()
    return result


def _as_tensors(result: Any, takes_weights: bool) -> Any:
    def convert(value: Any) -> Any:
        if value is None or tf.is_tensor(value):
            return tf.convert_to_tensor(value) if isinstance(value, tf.Variable) else value
        try:
            return tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    "input_fn's result",
                    value,
                    "one tf.data.Dataset, or nests of tensors or arrays",
                    "Convert a generator with tf.data.Dataset.from_generator, and combine Datasets "
                    "of features and labels with tf.data.Dataset.zip.",
                )
            ) from error

    if result is None:
        raise errors.InputError(
            "`input_fn` returned None. Expected a tf.data.Dataset, features, or a pair "
            "(features, labels)."
        )
    elements.check(result, takes_weights=takes_weights)
    return tf.nest.map_structure(convert, result)


def _open_dataset(
    dataset: tf.data.Dataset, programs: list[_program.Program], takes_weights: bool
) -> DatasetBatches:
    spec = dataset.element_spec
    elements.check(spec, takes_weights=takes_weights)
    make: Callable[[], tf.data.Dataset]
    if programs:
        function = programs[0].function([tf.data.experimental.to_variant(dataset)])

        def make() -> tf.data.Dataset:
            return tf.data.experimental.from_variant(function()[0], spec)

    else:

        def make() -> tf.data.Dataset:
            return dataset

    batches = DatasetBatches(make, elements.features_and_labels(spec), programs)
    batches.source = dataset
    if not programs:
        with _program.eager_mode():
            batches.is_finite = int(dataset.cardinality()) != tf.data.INFINITE_CARDINALITY
    return batches


def end_of_input() -> tf.errors.OutOfRangeError:
    """Returns the error that signals the end of the data."""
    return tf.errors.OutOfRangeError(None, None, "End of the input.")


def _remaining(cardinality: int, per_step: int) -> int | None:
    if cardinality == tf.data.UNKNOWN_CARDINALITY:
        return None
    return 2**62 if cardinality == tf.data.INFINITE_CARDINALITY else cardinality // per_step


def _spec(value: Any) -> Any:
    return None if value is None else tf.type_spec_from_value(value)


def _batch_spec(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
    # The spec is part of the key of programs: arrays of all lengths share one.
    return None if tensor is None else tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _run_initializers(programs: list[_program.Program]) -> None:
    """Initializes what an input_fn built: local variables, tables, streams of random numbers.

    Raises:
        tf.errors.FailedPreconditionError: A variable has no value. Reading it would return an
            empty tensor.
    """
    for program in programs:
        # The random streams of a session started again with each call of the original.
        program.graph.random_state.restart()
        keys = tf.compat.v1.GraphKeys
        variables = program.graph.get_collection(keys.LOCAL_VARIABLES)
        tables = program.graph.get_collection(keys.TABLE_INITIALIZERS)
        for operations in ([variable.initializer for variable in variables], tables):
            if operations:
                with _program.eager_mode():
                    program.function([], operations)()
        with _program.eager_mode():
            for variable in [*variables, *global_variables([program])]:
                if not variable.memory.is_initialized():
                    raise tf.errors.FailedPreconditionError(
                        None,
                        variable.op,
                        f"Variable {variable.name.split(':')[0]!r} of the input_fn has no value. "
                        "Expected a value from its initializer or from the checkpoint.",
                    )


def global_variables(programs: list[_program.Program]) -> list[Any]:
    """Returns the variables that an input_fn created to be saved with those of the model."""
    variables: list[Any] = []
    for program in programs:
        (step,) = program.graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_STEP)
        views = program.graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES)
        variables.extend(view for view in views if view is not step)
    return variables


def _share_one_shot_iterators(graph: _program.ProgramGraph) -> None:
    """Lets all functions of a graph share its one-shot iterators.

    The op keeps its iterator in its kernel, and every function has its own kernels. So a named
    iterator replaces it, which an initializer creates from the same Dataset.
    """
    for op in graph.get_operations():
        if op.type != "OneShotIterator":
            continue
        types, shapes = op.get_attr("output_types"), op.get_attr("output_shapes")
        with graph.as_default(), tf.control_dependencies(None), tf.device("/cpu:0"):
            shared = tf.raw_ops.IteratorV2(
                shared_name=_program.unique_name(op.name),
                container="",
                output_types=types,
                output_shapes=[tf.TensorShape(shape) for shape in shapes],
            )
            (dataset,) = tf.raw_ops.PartitionedCall(
                args=[], Tout=[tf.variant], f=op.get_attr("dataset_factory")
            )
            initializer = tf.raw_ops.MakeIterator(dataset=dataset, iterator=shared)
        graph.add_to_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS, initializer)
        for consumer in op.outputs[0].consumers():
            position = [tensor is op.outputs[0] for tensor in consumer.inputs].index(True)
            tf_operations.replace_input(consumer, position, shared)
