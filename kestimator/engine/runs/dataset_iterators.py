"""Iterators over Datasets, made by functions that are kept, with options that suit a run.

Synopsis::

    make_options = options_for(dataset, steps=100)
    iterator = iterator_over(dataset, make_options)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import inputs
from kestimator.engine.graphs import pruned_function
from kestimator.engine.programs import program as _program
from kestimator.engine.tf_internals import tf_datasets
from kestimator.engine.tracing import execution_modes

FEW_STEPS = 10
"""In a run of at most this many steps, tf.data's optimizations do not pay off: rewriting a Dataset
takes 1.5 milliseconds, and stopping its autotuning 20."""
SOME_STEPS = 1_000
"""In a run of at most this many steps, batches that are slices of memory need no autotuning."""
_AT_HAND = ("TensorSlice", "Tensor", "Range", "Take", "Skip", "Repeat")
_CUT_FROM_MEMORY = (*_AT_HAND, "Batch", "Zip", "Cache")
_OF_SAME_COMPONENTS = ("Take", "Skip", "Repeat", "Cache", "Shuffle", "Prefetch", "Options", "Shard")
_BATCHES = ("Batch", "ParallelBatch", "PaddedBatch")
_OF_FILES = tuple(f"{kind}DatasetV2" for kind in ("TFRecord", "TextLine", "Csv"))
_OF_FUNCTIONS = ("Map", "ParallelMap", "Filter", "FlatMap", "Interleave", "ParallelInterleave")
_REPEATABLE = (
    *(*_CUT_FROM_MEMORY, *_OF_SAME_COMPONENTS, *_BATCHES, *_OF_FILES, *_OF_FUNCTIONS),
    *("Concatenate", "ParseExample"),
)
_REPEATABLE_OPS = (
    # They call functions, whose ops are looked at themselves, read, or only raise errors.
    *("If", "While", "Case", "StatefulPartitionedCall", "Assert"),
    *("TensorSliceDataset", "TensorDataset", "FlatMapDataset", "BatchDatasetV2"),
    *("TFRecordDataset", "TFRecordDatasetV2", "TextLineDataset", "CSVDataset", "CSVDatasetV2"),
    *("LookupTableFindV2", "LookupTableSizeV2", "ReadVariableOp"),
)
MOST_ITERATOR_MAKERS = 64
MakeOptions = Callable[[], tf.data.Options]


def _kind(dataset: Any) -> str:
    """Returns the kind of a Dataset; a cache in files is "FileCache", not "Cache"."""
    kind = tf_datasets.kind(dataset)
    is_in_files = kind == "Cache" and tf.get_static_value(tf_datasets.cache_file(dataset))
    return "FileCache" if is_in_files else kind


def _is_in_memory(dataset: Any) -> bool:
    """Returns whether a Dataset only slices tensors that it holds."""
    return _kind(dataset) in _CUT_FROM_MEMORY and all(
        map(_is_in_memory, tf_datasets.inputs(dataset))
    )


def _is_at_hand(dataset: Any) -> bool:
    """Returns whether a Dataset holds finished elements, or caches slices of tensors."""
    if _kind(dataset) == "Cache":
        return _is_in_memory(dataset)
    return _kind(dataset) in _AT_HAND and all(map(_is_at_hand, tf_datasets.inputs(dataset)))


def can_repeat(dataset: Any) -> bool:
    """Returns whether a Dataset yields the same examples, in any order, once more.

    One does that reads memory or files, and whose functions draw, count and wait for nothing.
    """
    if inputs.holds_arrays(dataset):
        return True
    return (
        _kind(dataset) in _REPEATABLE
        and all(map(_can_run_again, tf_datasets.types_of_ops(dataset)))
        and all(map(can_repeat, tf_datasets.inputs(dataset)))
    )


def _can_run_again(op_type: str) -> bool:
    return op_type in _REPEATABLE_OPS or not tf_datasets.is_stateful(op_type)


def is_batched_last(dataset: Any) -> bool:
    """Returns whether a Dataset has one op that batches, and no later one changes components."""
    sources = tf_datasets.inputs(dataset)
    if _kind(dataset) in _BATCHES:
        return not any(map(_may_batch, sources))
    return _kind(dataset) in _OF_SAME_COMPONENTS and all(map(is_batched_last, sources))


def has_single_examples(dataset: Any) -> bool:
    """Returns whether the elements of a Dataset are single examples, as far as that is certain."""
    return not _may_batch(dataset) and _starts_with_examples(dataset)


def _starts_with_examples(dataset: Any) -> bool:
    kind, sources = tf_datasets.kind(dataset), tf_datasets.inputs(dataset)
    if not sources or kind in _OF_FILES:
        return kind in ("TensorSlice", *_OF_FILES)
    return all(map(_starts_with_examples, sources))


def _may_batch(dataset: Any) -> bool:
    """Returns whether a Dataset, or one that a function of it makes, may be batched."""
    makes_others = any(
        "Dataset" in op and op != "GeneratorDataset" for op in tf_datasets.types_of_ops(dataset)
    )
    is_one = "Batch" in tf_datasets.kind(dataset) or tf_datasets.kind(dataset) == "Variant"
    return is_one or makes_others or any(map(_may_batch, tf_datasets.inputs(dataset)))


def options_for(
    dataset: tf.data.Dataset, steps: float, *, is_on_demand: bool = False
) -> MakeOptions | None:
    """Returns a function that makes the options of a Dataset for a run, or None.

    A tuned Dataset prefetches even elements that are in memory, and so wakes a thread for every
    step.

    Args:
        dataset: The Dataset.
        steps: The largest number of steps of the run.
        is_on_demand: Whether a generator is asked for an element only when the run needs it. It
            may produce what its consumer has just asked for.
    """
    if steps <= FEW_STEPS:
        return as_it_stands
    if is_on_demand and tf_datasets.has_generator(dataset):
        return without_prefetching
    if _is_at_hand(dataset) or (steps <= SOME_STEPS and _is_in_memory(dataset)):
        return without_autotuning
    return None


def without_autotuning() -> tf.data.Options:
    """Returns options that turn off autotuning."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def without_prefetching() -> tf.data.Options:
    """Returns options that read no element before it is requested.

    A generator that runs ahead in a thread of its own competes with the caller for Python's lock,
    which takes longer than the wait for an element. It would also see the requests of a server
    too early.
    """
    options = without_autotuning()
    options.experimental_optimization.inject_prefetch = False
    return options


def as_it_stands() -> tf.data.Options:
    """Returns options that turn off autotuning and graph optimization."""
    options = without_autotuning()
    options.experimental_optimization.apply_default_optimizations = False
    return options


def iterator_over(dataset: tf.data.Dataset, make_options: MakeOptions | None) -> Any:
    """Returns an iterator over a Dataset, with options if any.

    A function creates it, kept for Datasets of the same spec. An eager op that creates a Dataset,
    like that of `with_options`, costs half a millisecond each time.
    """
    spec = dataset.element_spec
    make = _iterator_maker(_SpecKey(_program.spec_key(spec), spec), make_options)
    with _program.eager_mode(), execution_modes.on_one_thread(make.is_called_on_one_thread):
        handles = make(tf.data.experimental.to_variant(dataset))
        return tf.nest.pack_sequence_as(tf.data.IteratorSpec(spec), handles, expand_composites=True)


def dataset_to_run(
    variant: tf.Tensor, spec: Any, make_options: MakeOptions | None
) -> tf.data.Dataset:
    """Returns the Dataset of a variant, with options added to those that it has."""
    dataset = tf.data.experimental.from_variant(variant, spec)
    return dataset if make_options is None else dataset.with_options(make_options())


@dataclasses.dataclass(frozen=True)
class _SpecKey:
    """An element spec as a key: nests of specs are not hashable."""

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
    operations = [op for op in graph.get_operations() if op.type == "MakeIterator"]
    return pruned_function.PrunedFunction(graph, [variant], handles, operations)
