"""The private names of Keras 2 (`tf_keras`) that the adapter of Keras models uses.

Those of Keras 3 are in `kestimator.engine.keras_internals`. `tests/adapters/test_internals.py`
calls each function.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def is_graph_network(model: Any) -> bool:
    """Whether a model was made of inputs and outputs: its class does not tell for Sequential."""
    return bool(model._is_graph_network)


def compile_arguments(model: Any) -> dict[str, Any]:
    """The arguments of a model's `compile`, as they were given: Keras has no public record."""
    arguments = dict(model._get_compile_args())
    arguments.pop("optimizer", None)  # a model that was made in a graph does not give it
    return arguments


def has_values(model: Any) -> bool:
    """Whether a model's variables have values: in a TF1 graph they get them with a session."""
    in_graph = any(tf.is_symbolic_tensor(weight.handle) for weight in model.weights)
    return not in_graph or any(hasattr(weight, "_keras_initialized") for weight in model.weights)


def call_on(model: Any, inputs: Any) -> None:
    """Calls a model of its own class in a graph, and makes the result its outputs."""
    model._set_inputs(inputs)


def weight_losses(model: Any, sample_weights: Sequence[Any]) -> None:
    """Builds the loss of a compiled model again, with tensors as the weights of examples."""
    model._compile_weights_loss_and_weighted_metrics(list(sample_weights))


def compiled_metrics(model: Any) -> list[Any]:
    """The metrics that `compile` made, without those of `add_metric`, as in tf.estimator."""
    return list(model._compile_metric_functions) if model._compile_metrics else []


def set_learning_phase(value: bool) -> None:
    """Sets the learning phase of the default graph: the public function warns."""
    backend = importlib.import_module("tf_keras.src.backend")
    backend.deprecated_internal_set_learning_phase(int(value))


def saveables(model: Any, **others: Any) -> list[Any]:
    """The variables of a model and its optimizer, by their names in object-based checkpoints.

    Args:
        model: The model.
        **others: More objects that belong to the checkpoint, by the names of their edges.

    Returns:
        What a TF1 saver takes. Public savers of object-based checkpoints are no TF1 savers.
    """
    for name, value in others.items():
        model._track_trackable(value, name)
    view = tf.__internal__.tracking.ObjectGraphView(model)
    return list(view.frozen_saveable_objects())
