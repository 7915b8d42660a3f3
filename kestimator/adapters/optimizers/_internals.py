"""The private names of TensorFlow and of Keras 2 that the adapter of optimizers uses.

Those of Keras 3 are in `kestimator.engine.keras_internals`. `tests/adapters/test_internals.py`
calls each function.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def saveable(table: tf.lookup.experimental.DenseHashTable, name: str) -> Any:
    """The object with which a TF1 saver saves a table: its class has no public name.

    Args:
        table: The table.
        name: Its name in the checkpoint.
    """
    return tf.lookup.experimental.DenseHashTable._Saveable(table, name)


def is_in_memory(handle: Any) -> bool:
    """Whether a tensor is eager: `tf.Tensor` includes the tensors of graphs."""
    return isinstance(handle, tf.__internal__.EagerTensor)


def as_legacy_of_keras2(optimizer: Any) -> Any:
    """Converts a new `tf_keras` optimizer to a legacy one: the conversion only exists in Keras 2.

    Raises:
        ValueError: There is no legacy optimizer of that name.
    """
    return sys.modules["tf_keras"].__internal__.optimizers.convert_to_legacy_optimizer(optimizer)


def has_rate_of_keras2(optimizer: Any) -> bool:
    """Whether a legacy optimizer has settings of its own: one that wraps another has none."""
    return "learning_rate" in getattr(optimizer, "_hyper", {})


def given_rate_of_keras2(optimizer: Any) -> Any:
    """The original rate of a legacy optimizer: `learning_rate` turns it into a variable."""
    return optimizer._hyper["learning_rate"]


@contextlib.contextmanager
def rate_not_described_of_keras2(optimizer: Any) -> Iterator[None]:
    """Lets `get_config` skip the rate, which it would compute: it has no option for that."""
    settings = optimizer._hyper
    rate, settings["learning_rate"] = settings["learning_rate"], 0.0
    try:
        yield
    finally:
        settings["learning_rate"] = rate
