"""What a Dataset does, and which code is that of tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

PACKAGE = "tensorflow.python.data."
"""What the names of tf.data's own modules begin with: frames tell no other way who calls."""
TRACER = "tensorflow.python.data.ops.structured_function"
"""The name of the module that traces the functions of Datasets."""


def kind(dataset: tf.data.Dataset) -> str:
    """What a Dataset does, by the name of TensorFlow's class for it; no public name tells."""
    return type(dataset).__name__.removeprefix("_").removesuffix("Dataset")


def inputs(dataset: tf.data.Dataset) -> Sequence[Any]:
    """The Datasets that a Dataset is made of, which only a private method tells."""
    datasets: Sequence[Any] = dataset._inputs()
    return datasets


def cache_file(dataset: tf.data.Dataset) -> tf.Tensor:
    """The file of a Dataset made by `cache`, empty for memory; no public name tells."""
    return dataset._filename
