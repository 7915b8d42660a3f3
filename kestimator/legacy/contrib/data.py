"""`tf.contrib.data`: transformations of Datasets that are methods or arguments today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_Transformation = Callable[[tf.data.Dataset], tf.data.Dataset]


def batch_and_drop_remainder(batch_size: Any) -> _Transformation:
    """Returns a transformation that makes batches, all of the same size."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


def padded_batch_and_drop_remainder(
    batch_size: Any, padded_shapes: Any, padding_values: Any = None
) -> _Transformation:
    """Returns a transformation that makes padded batches, all of the same size."""
    return lambda dataset: dataset.padded_batch(
        batch_size, padded_shapes, padding_values, drop_remainder=True
    )


def sloppy_interleave(
    map_func: Callable[..., tf.data.Dataset], cycle_length: Any, block_length: Any = 1
) -> _Transformation:
    """Returns a transformation that maps elements to Datasets and mixes these, in any order."""
    return lambda dataset: dataset.interleave(
        map_func,
        cycle_length,
        block_length,
        num_parallel_calls=cycle_length,
        deterministic=False,
    )
