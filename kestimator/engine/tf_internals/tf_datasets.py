"""What a Dataset does, and which code belongs to tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

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
    """The types of the ops in the functions of a Dataset, and in the functions that those call.

    Only a private method returns the functions.
    """
    types: set[str] = set()
    for each in dataset._functions():
        graph_def = each.function.graph.as_graph_def()
        types.update(node.op for node in graph_def.node)
        for called in graph_def.library.function:
            types.update(node.op for node in called.node_def)
    return types


def is_stateful(op_type: str) -> bool:
    """Whether ops of a type have a state or an effect. No public name finds a type by its name."""
    definition = op_def_registry.get(op_type)
    return definition is None or bool(definition.is_stateful)


def cache_file(dataset: tf.data.Dataset) -> tf.Tensor:
    """The file of a Dataset made by `cache`, empty for memory. There is no public way."""
    return dataset._filename
