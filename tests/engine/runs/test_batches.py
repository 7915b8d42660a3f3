import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import dataset_options_pb2

from kestimator.engine.runs import batches as inputs
from kestimator.engine.runs import dataset_iterators, elements

ROWS = np.arange(4_000, dtype=np.float32)


def in_memory():
    return tf.data.Dataset.from_tensor_slices({"x": ROWS})


DATASETS = {
    "slices": (in_memory, False),
    "batches": (lambda: in_memory().batch(10).take(100), False),
    "of TF1": (lambda: tf.compat.v1.data.Dataset.from_tensor_slices(ROWS).batch(10), True),
    "pairs": (lambda: tf.data.Dataset.zip((in_memory(), in_memory())).repeat(2).batch(10), False),
    "mapped": (lambda: in_memory().map(lambda row: row).batch(10), True),
    "shuffled": (lambda: in_memory().shuffle(10).batch(10), True),
    "generated": (lambda: tf.data.Dataset.from_generator(lambda: iter(ROWS), tf.float32), True),
    "mapped, then zipped": (
        lambda: tf.data.Dataset.zip((in_memory(), in_memory().map(lambda row: row))),
        True,
    ),
}


def options(make, steps):
    return dataset_iterators.options_for(make(), steps)


@pytest.mark.parametrize(("make", "is_tuned"), DATASETS.values(), ids=DATASETS)
def test_what_is_cut_from_memory_is_not_tuned_in_some_steps(make, is_tuned):
    assert options(make, 100) is (None if is_tuned else dataset_iterators.without_autotuning)
    assert dataset_iterators.without_autotuning().autotune.enabled is False


@pytest.mark.parametrize("name", DATASETS)
def test_a_generator_that_python_reads_does_not_run_ahead(name):
    make, _ = DATASETS[name]
    data = make().map(lambda *row: row).batch(1)
    made = dataset_iterators.options_for(data, math.inf, is_on_demand=True)
    assert made is (dataset_iterators.without_prefetching if name == "generated" else None)
    options = dataset_iterators.without_prefetching()
    assert options.experimental_optimization.inject_prefetch is False


AT_HAND = {
    "slices": in_memory,
    "slices again and again": lambda: in_memory().repeat(),
    "batches kept": lambda: in_memory().batch(10).cache().repeat(),
}
NOT_AT_HAND = {
    "batches": lambda: in_memory().batch(10).repeat(),
    "computed and kept": lambda: in_memory().map(lambda row: row).cache().repeat(),
    "kept and shuffled": lambda: in_memory().cache().shuffle(10).repeat(),
    "kept in a file": lambda: in_memory().batch(10).cache("a file").repeat(),
}


@pytest.mark.parametrize("steps", [100_000, math.inf])
def test_a_long_run_is_tuned_unless_batches_are_at_hand(steps):
    at_hand = {name: options(make, steps) is not None for name, make in AT_HAND.items()}
    assert at_hand == dict.fromkeys(AT_HAND, True)
    others = {name: options(make, steps) is not None for name, make in NOT_AT_HAND.items()}
    assert others == dict.fromkeys(NOT_AT_HAND, False)


@pytest.mark.parametrize("steps", [3, 100, None])
def test_what_the_user_said_stays(steps):
    """What is run has the user's options and the engine's, merged by TensorFlow."""
    said = tf.data.Options()
    said.deterministic = False
    said.threading.private_threadpool_size = 3
    make = dataset_iterators.options_for(in_memory().batch(10), steps or math.inf)
    dataset = in_memory().batch(10).with_options(said)
    variant = tf.data.experimental.to_variant(dataset)
    run = dataset_iterators.dataset_to_run(variant, dataset.element_spec, make)
    text = tf.raw_ops.GetOptions(input_dataset=tf.data.experimental.to_variant(run)).numpy()
    found = dataset_options_pb2.Options.FromString(text)
    assert found.deterministic is False
    assert found.threading_options.private_threadpool_size == 3
    assert found.autotune_options.HasField("enabled") is (steps is not None)
    assert not found.autotune_options.enabled


DATA = {
    "numbers": lambda: tf.data.Dataset.range(3),
    "a dict": lambda: in_memory().take(3),
    "pairs": lambda: tf.data.Dataset.zip((in_memory(), in_memory())).take(3),
    "sparse": lambda: tf.data.Dataset.from_tensor_slices(tf.sparse.eye(3)),
    "ragged": lambda: tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [], [2, 3]])),
    "none": lambda: tf.data.Dataset.range(3).map(lambda row: (row, None)),
    "generated": lambda: tf.data.Dataset.from_generator(
        lambda: iter(range(3)), output_signature=tf.TensorSpec((), tf.int64)
    ),
    "of TF1": lambda: tf.compat.v1.data.Dataset.range(3),
}


@pytest.mark.parametrize("steps", [3, 100, None])
@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_an_iterator_gives_what_the_dataset_holds(make, steps):
    batches = inputs.DatasetBatches(make, elements.features_and_labels(make().element_spec), [])
    for _ in range(2):
        batches.initialize(steps)
        found = list(batches.iterator)
        wanted = list(make())
        assert len(found) == len(wanted) == 3
        tf.nest.assert_same_structure(found, wanted, expand_composites=True)
        for one, other in zip(
            tf.nest.flatten(found, expand_composites=True),
            tf.nest.flatten(wanted, expand_composites=True),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_datasets_of_one_spec_are_told_apart():
    found = []
    for first in (0, 10):
        make = functools.partial(tf.data.Dataset.range, first, first + 2)
        batches = inputs.DatasetBatches(make, (make().element_spec, None), [])
        batches.initialize()
        found.append([int(row) for row in batches.iterator])
    assert found == [[0, 1], [10, 11]]


def test_one_batch():
    batches = inputs.OneBatch(({"x": tf.constant([[1.0], [2.0]])}, tf.constant([1, 2])))
    features, labels = batches.element_spec
    assert features == {"x": tf.TensorSpec([None, 1], tf.float32)}
    assert labels == tf.TensorSpec([None], tf.int32)
    for _ in range(2):
        batches.initialize()
        flat = batches.next()
        np.testing.assert_array_equal(flat[0], [[1.0], [2.0]])
        np.testing.assert_array_equal(flat[1], [1, 2])
        with pytest.raises(tf.errors.OutOfRangeError):
            batches.next()
