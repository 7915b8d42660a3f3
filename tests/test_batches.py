import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine import inputs

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
    batches = inputs.DatasetBatches(make, (make().element_spec, None), [])
    batches.initialize(steps)
    return batches.iterator._dataset.options()


@pytest.mark.parametrize(("make", "is_tuned"), DATASETS.values(), ids=DATASETS)
def test_what_is_cut_from_memory_is_not_tuned_in_some_steps(make, is_tuned):
    assert options(make, 100).autotune.enabled is (None if is_tuned else False)


def test_a_long_run_is_tuned():
    assert options(lambda: in_memory().repeat(), 100_000).autotune.enabled is None
    assert options(lambda: in_memory().repeat(), None).autotune.enabled is None


def test_what_the_user_said_stays():
    said = tf.data.Options()
    said.deterministic = False
    assert options(lambda: in_memory().with_options(said), 100).deterministic is False
