"""What an input_fn returns, as a stream of batches.

Synopsis::

    batches = open_input(call, seed=None, store=store)
    batches.initialize()
    features_and_labels = batches.next()       # flat tensors

A Dataset is made and iterated eagerly. Tensors (`get_next()` of an iterator, constants) are
computed by a function of the graph that the input_fn builds, called each step.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import errors, inputs
from kestimator.engine.graphs import pruned_function
from kestimator.engine.programs import dispatchers
from kestimator.engine.programs import program as _program
from kestimator.engine.random import seeds as _seeds
from kestimator.engine.tf_internals import tf_datasets, tf_operations, tf_seeds
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_creator, variable_store

_logger = logging.getLogger("kestimator")
FEW_STEPS = 10
"""A run of so few steps ends before what tf.data does for throughput pays: to rewrite a Dataset
takes 1.5 milliseconds, and to stop its autotuning 20."""
SOME_STEPS = 1_000
"""Nor is there anything to tune in so few batches that are cut from memory."""
_AT_HAND = ("TensorSlice", "Tensor", "Range", "Take", "Skip", "Repeat")
_CUT_FROM_MEMORY = (*_AT_HAND, "Batch", "Zip", "Cache")
MOST_ITERATOR_MAKERS = 64
_MAY_END = ("Iterator", "Queue", "Reader", "CountUpTo", "PyFunc")
"""What ops are called, in part, that can say that the data has ended."""
MakeOptions = Callable[[], tf.data.Options]
_DATASETS = (tf.data.Dataset, tf.compat.v1.data.Dataset)


class Batches(abc.ABC):
    """A stream of batches, all of one spec.

    Attributes:
        element_spec: The nest of `tf.TypeSpec` of `(features, labels)`.
        programs: The programs behind the stream, for fetches and feeds of hooks.
        is_finite: Whether the stream can end.
        remaining: For how many steps there are batches left, where that is known; None otherwise.
        per_step: How many batches a step takes: one for each replica.
        random_ops: How many ops of the input_fn took a random seed by their order.
        has_iterator: Whether a loop on the device can take the batches from `iterator`.
        function: What computes a batch anew each time, where a graph does; None otherwise.
        loops: Loops on the device that compute the batches themselves, by the loops of their steps.
    """

    element_spec: tuple[Any, Any]
    programs: list[_program.Program]
    is_finite: bool
    remaining: int | None = None
    per_step = 1
    random_ops = 0
    has_iterator = False
    function: _program.PrunedFunction | None = None

    def __init__(self) -> None:
        self.loops: dict[Any, Any] = {}

    @property
    def iterator(self) -> Any:
        """The iterator, for a loop on the device; made when it is first needed."""
        raise AttributeError("These batches come from no iterator; see `has_iterator`.")

    def consumed(self, steps: int) -> None:
        """Notes that a loop on the device took the batches of so many steps."""
        if self.remaining is not None:
            self.remaining -= steps

    @property
    def initializers(self) -> dict[str, tf.Operation]:
        """What gives the variables that the input_fn made their first values, by their names."""
        views = global_variables(self.programs)
        return {view.name.split(":")[0]: view.initializer for view in views}

    @abc.abstractmethod
    def initialize(self, steps: float | None = None) -> None:
        """Makes the stream ready: tables and iterators that ask for it.

        Args:
            steps: How many steps the run makes at most; None if that is not known.
        """

    def next(self) -> list[tf.Tensor]:
        """What the next step takes: a batch, or one for each replica after the other; flat.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        return [tensor for _ in range(self.per_step) for tensor in self._next_batch()]

    @abc.abstractmethod
    def _next_batch(self) -> list[tf.Tensor]:
        """The next batch, flat."""


class DatasetBatches(Batches):
    """The batches of a `tf.data.Dataset`.

    Args:
        make: Makes the Dataset, once tables are ready.
        element_spec: Its spec, as `(features, labels)`.
        programs: The program that makes it, if any.
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
        self._options: MakeOptions | None = None
        self._iterator: Any = None

    def initialize(self, steps: float | None = None) -> None:
        """Runs table initializers and makes the Dataset."""
        _run_initializers(self.programs)
        with _program.eager_mode():
            self._dataset, self._iterator = self._make(), None
            cardinality = int(self._dataset.cardinality())
            self.is_finite = cardinality != tf.data.INFINITE_CARDINALITY
            self.remaining = _remaining(cardinality, self.per_step)
            known = [count for count in (steps, self.remaining) if count is not None]
            self._options = options_for(self._dataset, min(known, default=math.inf))

    @property
    def iterator(self) -> Any:
        """The iterator, for a loop on the device; made when it is first needed."""
        assert self._dataset is not None, "`initialize` comes first"
        if self._iterator is None:
            self._iterator = _iterator_over(self._dataset, self._options)
        return self._iterator

    def next(self) -> list[tf.Tensor]:
        """What the next step takes, flat."""
        flat = super().next()
        self.consumed(1)
        return flat

    def _next_batch(self) -> list[tf.Tensor]:
        assert self._dataset is not None, "`initialize` comes first"
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
        return _program.flatten(features_and_labels(element))


class OneBatch(Batches):
    """A single batch that is there already.

    Args:
        element: Features, or (features, labels): nests of eager tensors whose first dimension is
            that of the examples.
    """

    def __init__(self, element: Any) -> None:
        super().__init__()
        batch = features_and_labels(element)
        self._flat = _program.flatten(batch)
        self.element_spec = tf.nest.map_structure(_batch_spec, batch)
        self.programs = []
        self.is_finite = True

    def initialize(self, steps: float | None = None) -> None:
        """Puts the batch back."""
        self.remaining = 1

    def _next_batch(self) -> list[tf.Tensor]:
        if self.remaining == 0:
            raise end_of_input()
        self.remaining = 0
        return self._flat


class TensorBatches(Batches):
    """Batches computed by a graph: each call computes the input_fn's tensors once."""

    def __init__(self, program: _program.Program) -> None:
        super().__init__()
        self.programs = [program]
        self._structure = features_and_labels(program.result)
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
    call: Callable[[], Any], *, seed: int | None, store: variable_store.VariableStore
) -> Batches:
    """Calls an input_fn and opens what it returns.

    It is called eagerly, which a Dataset needs no more than. What is made for a TF1 graph
    (iterators, placeholders, tensors) shows by an exception or by tensors in the result; then it
    is called once more, in a graph of its own.

    Args:
        call: The input_fn, bound to its arguments.
        seed: The graph-level seed.
        store: The variables of the estimator; the input_fn may read the global step.

    Raises:
        errors.InputError: It returned something that is no Dataset, tensors or pair of them.
    """
    result, problem, seeds = _call_eagerly(call, seed)
    is_eager = isinstance(result, _DATASETS)
    if is_eager and not seeds.drew:
        return _counting(_open_dataset(result, []), seeds.used)
    try:
        program = _trace(call, seed, store)
    except Exception as error:
        if is_eager:  # it draws random numbers by itself, and can do so eagerly alone
            return _counting(_open_dataset(result, []), seeds.used)
        if problem is not None and (type(problem), problem.args) != (type(error), error.args):
            error.add_note(f"Before that, called eagerly, `input_fn` raised {problem!r}.")
        raise
    random_ops = tf_seeds.counted(program.graph)
    if isinstance(program.result, _DATASETS):
        return _counting(_open_dataset(program.result, [program]), random_ops)
    _share_one_shot_iterators(program.graph)
    _check_not_trainable(program)
    return _counting(TensorBatches(program), random_ops)


def _check_not_trainable(program: _program.Program) -> None:
    """Checks that training need not reach into the input.

    Raises:
        errors.InputError: The input_fn made a variable to be trained.
    """
    trainable = program.graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES)
    if trainable:
        names = [variable.name.split(":")[0] for variable in trainable]
        raise errors.InputError(
            f"`input_fn` made the trainable variables {names}, whose gradients would have to pass "
            "through the input. Make them in the model_fn, or with trainable=False."
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
        except (
            Exception
        ) as problem:  # whatever it is, it is raised by the call in a graph, if it is real
            _logger.debug(
                "The input_fn does not run eagerly; calling it in a graph.", exc_info=True
            )
            return None, problem, seeds


def _trace(
    call: Callable[[], Any], seed: int | None, store: variable_store.VariableStore
) -> _program.Program:
    def build(_: Any) -> Any:
        with tf.device("/cpu:0"), inputs.called_by_estimator():
            result = _as_dataset(call())
        if isinstance(result, _DATASETS):
            tf.data.experimental.to_variant(result)
            return result
        return _as_tensors(result)

    def with_global_step(graph: _program.ProgramGraph) -> None:
        slot = store.uninitialized("global_step", tf.TensorShape([]), tf.int64)
        creator = variable_creator.VariableCreator(graph, store, store)
        view = creator.view(slot)
        graph.add_to_collection(tf.compat.v1.GraphKeys.GLOBAL_STEP, view)

    return _program.trace(
        build, element_spec=(), name="input", seed=seed, store=store, before=with_global_step
    )


def _as_dataset(result: Any) -> Any:
    """Turns a Keras `PyDataset` into a Dataset; leaves everything else alone."""
    import keras

    if isinstance(result, keras.utils.PyDataset):
        with execution_modes.outside():
            return inputs.keras_input_fn(result)()
    return result


def _as_tensors(result: Any) -> Any:
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
                    "tf.data.Dataset.from_generator makes a Dataset of a generator, and "
                    "tf.data.Dataset.zip one of features and labels.",
                )
            ) from error

    if result is None:
        raise errors.InputError(
            "`input_fn` returned None. Expected a tf.data.Dataset, features, or a pair "
            "(features, labels)."
        )
    _check_pair(result)
    return tf.nest.map_structure(convert, result)


def _open_dataset(dataset: tf.data.Dataset, programs: list[_program.Program]) -> DatasetBatches:
    spec = dataset.element_spec
    _check_pair(spec)
    make: Callable[[], tf.data.Dataset]
    if programs:
        function = programs[0].function([tf.data.experimental.to_variant(dataset)])

        def make() -> tf.data.Dataset:
            return tf.data.experimental.from_variant(function()[0], spec)

    else:

        def make() -> tf.data.Dataset:
            return dataset

    return DatasetBatches(make, features_and_labels(spec), programs)


def end_of_input() -> tf.errors.OutOfRangeError:
    """The error that says that the data has ended."""
    return tf.errors.OutOfRangeError(None, None, "End of the input.")


def features_and_labels(element: Any) -> tuple[Any, Any]:
    """Reads an element of an input as `(features, labels)`, labels being None if absent."""
    if isinstance(element, (list, tuple)) and not hasattr(element, "_fields"):
        return element[0], element[1]
    return element, None


def _check_pair(element: Any) -> None:
    if isinstance(element, (list, tuple)) and len(element) != 2:
        raise errors.InputError(
            "`input_fn` should return (features, labels), or a Dataset of such pairs. Received "
            f"a {type(element).__name__} of {len(element)} elements. To pass several features, "
            "put them into a dict, or nest them: ((first, second), labels)."
        )


def _kind(dataset: Any) -> str:
    """What a Dataset does; a cache in files is none that is meant here."""
    kind = tf_datasets.kind(dataset)
    is_in_files = kind == "Cache" and tf.get_static_value(tf_datasets.cache_file(dataset))
    return "FileCache" if is_in_files else kind


def _is_in_memory(dataset: Any) -> bool:
    """Whether a Dataset does nothing but cut up tensors that it holds."""
    return _kind(dataset) in _CUT_FROM_MEMORY and all(
        map(_is_in_memory, tf_datasets.inputs(dataset))
    )


def _is_at_hand(dataset: Any) -> bool:
    """Whether a Dataset holds its elements whole, or does after it cut them from memory once."""
    if _kind(dataset) == "Cache":
        return _is_in_memory(dataset)
    return _kind(dataset) in _AT_HAND and all(map(_is_at_hand, tf_datasets.inputs(dataset)))


def options_for(dataset: tf.data.Dataset, steps: float) -> MakeOptions | None:
    """What makes the options of a Dataset that is to run for so many steps at most, if any.

    To fetch ahead what is at hand, as a tuned Dataset does, wakes a thread for every step.
    """
    if steps <= FEW_STEPS:
        return as_it_stands
    if _is_at_hand(dataset) or (steps <= SOME_STEPS and _is_in_memory(dataset)):
        return without_autotuning
    return None


def without_autotuning() -> tf.data.Options:
    """Options for a Dataset that is not tuned while it runs."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def as_it_stands() -> tf.data.Options:
    """Options for a Dataset that is run as the user wrote it."""
    options = without_autotuning()
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _iterator_over(dataset: tf.data.Dataset, make_options: MakeOptions | None) -> Any:
    """An iterator over a Dataset, with options if any.

    A function makes it, kept for Datasets of the same spec: what makes a Dataset eagerly, as its
    `with_options` does, costs TensorFlow half a millisecond each time.
    """
    spec = dataset.element_spec
    make = _iterator_maker(_SpecKey(_program.spec_key(spec), spec), make_options)
    with _program.eager_mode(), execution_modes.on_one_thread(make.is_called_on_one_thread):
        handles = make(tf.data.experimental.to_variant(dataset))
        return tf.nest.pack_sequence_as(tf.data.IteratorSpec(spec), handles, expand_composites=True)


def dataset_to_run(
    variant: tf.Tensor, spec: Any, make_options: MakeOptions | None
) -> tf.data.Dataset:
    """A Dataset given by its variant, with options besides those that it has."""
    dataset = tf.data.experimental.from_variant(variant, spec)
    return dataset if make_options is None else dataset.with_options(make_options())


@dataclasses.dataclass(frozen=True)
class _SpecKey:
    """An element spec as a key: nests of specs have no hash."""

    key: str
    spec: Any = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=MOST_ITERATOR_MAKERS)
def _iterator_maker(
    spec_key: _SpecKey, make_options: MakeOptions | None
) -> pruned_function.PrunedFunction:
    graph = pruned_function.plain_graph("iterator")
    with graph.as_default(), tf.device("/cpu:0"):
        variant = tf.compat.v1.placeholder(tf.variant, ())
        dataset = dataset_to_run(variant, spec_key.spec, make_options)
        handles = tf.nest.flatten(iter(dataset), expand_composites=True)
    made = [op for op in graph.get_operations() if op.type == "MakeIterator"]
    return pruned_function.PrunedFunction(graph, [variant], handles, made)


def _remaining(cardinality: int, per_step: int) -> int | None:
    if cardinality == tf.data.UNKNOWN_CARDINALITY:
        return None
    return 2**62 if cardinality == tf.data.INFINITE_CARDINALITY else cardinality // per_step


def _spec(value: Any) -> Any:
    return None if value is None else tf.type_spec_from_value(value)


def _batch_spec(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
    return None if tensor is None else tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _run_initializers(programs: list[_program.Program]) -> None:
    """Makes what an input_fn built ready: local variables, tables, streams of random numbers.

    Raises:
        tf.errors.FailedPreconditionError: A variable has no value. To read it would give an
            empty tensor.
    """
    for program in programs:
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
                        "Expected one from its initializer or from the checkpoint.",
                    )


def global_variables(programs: list[_program.Program]) -> list[Any]:
    """The variables that an input_fn made to be saved with the model's."""
    found: list[Any] = []
    for program in programs:
        (step,) = program.graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_STEP)
        views = program.graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES)
        found.extend(view for view in views if view is not step)
    return found


def _share_one_shot_iterators(graph: _program.ProgramGraph) -> None:
    """Lets all functions of a graph take from the same one-shot iterators.

    The op keeps its iterator in its kernel, and every function has kernels of its own. An
    iterator with a name, made from the same Dataset by an initializer, stands in for it.
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
