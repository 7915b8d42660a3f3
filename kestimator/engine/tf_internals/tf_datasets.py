"""What a Dataset does, and which code belongs to tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

PACKAGE = "tensorflow.python.data."
"""The prefix of the names of tf.data's modules. Only a frame's module shows who the caller is."""
TRACER = "tensorflow.python.data.ops.structured_function"
"""The name of the module that traces the functions of Datasets."""


def kind(dataset: tf.data.Dataset) -> str:
    """What a Dataset does, by the name of its TensorFlow class. There is no public way."""
    return type(dataset).__name__.removeprefix("_").removesuffix("Dataset")


def inputs(dataset: tf.data.Dataset) -> Sequence[Any]:
    """The Datasets that a Dataset is made of. Only a private method returns them."""
    datasets: Sequence[Any] = dataset._inputs()
    return datasets


def has_generator(dataset: tf.data.Dataset) -> bool:
    """Whether a Dataset, or one that it is made of, calls a Python generator.

    `from_generator` makes the Dataset of the generator in a function, which no public name shows.
    """
    is_one = "GeneratorDataset" in types_of_ops(dataset)
    return is_one or any(map(has_generator, inputs(dataset)))


def types_of_ops(dataset: tf.data.Dataset) -> set[str]:
    """The types of the ops in the functions of a Dataset. Only a private method returns them."""
    functions = dataset._functions()
    return {op.type for each in functions for op in each.function.graph.get_operations()}


def cache_file(dataset: tf.data.Dataset) -> tf.Tensor:
    """The file of a Dataset made by `cache`, empty for memory. There is no public way."""
    return dataset._filename
