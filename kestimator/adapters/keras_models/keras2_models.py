"""A compiled model of Keras 2 (`tf_keras`) inside a model_fn, as tf.estimator ran it.

Synopsis::

    source = Source(model, make_optimizer=lambda: optimizer)
    step = source.step(features, labels, mode)        # in a model_fn: a copy of the model
    step.predictions, step.loss, step.train_op, step.metrics, step.scaffold

Keras 2 has models for graphs, whose loss, metrics and updates are ops. Each mode gets a copy of
the model in its own graph, which starts with the values that the model had.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from kestimator import errors
from kestimator.adapters.keras_models import _internals, keras_io, keras_steps
from kestimator.keys import ModeKeys
from kestimator.validation import keras2

_v1 = tf.compat.v1
_GLOBAL_STEP = "estimator_global_step"  # its name in the object-based checkpoints of tf.estimator


class Step(NamedTuple):
    """What a copy of the model adds to a graph.

    Attributes:
        predictions: The outputs by their names.
        loss: The loss; None in predictions.
        train_op: In training, the op that trains.
        metrics: In evaluation, the compiled metrics by their names.
        scaffold: It gives the variables their first values, and has the saver of object-based
            checkpoints.
    """

    predictions: dict[str, tf.Tensor]
    loss: tf.Tensor | None
    train_op: tf.Operation | None
    metrics: dict[str, Any]
    scaffold: Any


class Source:
    """A compiled Keras 2 model, with the values that it has at construction.

    Args:
        model: The model; it stays as it is.
        custom_objects: Classes and functions that configurations name, by name.
        make_optimizer: Makes a legacy optimizer of Keras 2 with the settings of the model's.
        saves_objects: Whether checkpoints have the paths of objects instead of names.

    Raises:
        errors.ArgumentError: The model cannot be copied.
    """

    def __init__(
        self,
        model: Any,
        custom_objects: Mapping[str, Any] | None = None,
        *,
        make_optimizer: Callable[[], Any],
        saves_objects: bool,
    ) -> None:
        self._model = model
        self._custom_objects = dict(custom_objects or {})
        self._make_optimizer = make_optimizer
        self._saves_objects = saves_objects
        self._has_layout = is_of_layers(model)
        if not self._has_layout:
            self._config = self._config_of(model)
        self._arguments = _internals.compile_arguments(model)
        self._values = model.get_weights() if _internals.has_values(model) else []

    def __deepcopy__(self, memo: dict[int, Any]) -> Source:
        """Copies of an estimator share it, like the model_fn that uses it."""
        return self

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs; none where the model does not know them."""
        return list(getattr(self._model, "output_names", None) or [])

    def step(self, features: Any, labels: Any, mode: str) -> Step:
        """Adds a copy of the model to the default graph.

        Args:
            features: The features; `{"features": ..., "sample_weights": ...}` weights examples.
            labels: The labels.
            mode: The mode.

        Raises:
            errors.InputError: Features or labels do not fit the model.
            errors.ArgumentError: The model cannot train on several replicas.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            raise errors.ArgumentError(
                f"A model of Keras 2 cannot train on {replicas} replicas. Omit "
                "`train_distribute`, or build the model with Keras 3."
            )
        features, weights = keras_steps.split_weights(features)
        keras = importlib.import_module("tf_keras")
        with keras.utils.custom_object_scope(self._custom_objects):
            _internals.set_learning_phase(mode == ModeKeys.TRAIN)
            model = self._copy(self._inputs(features))
            if mode != ModeKeys.PREDICT:
                self._compile(model, labels, weights)
            train_op = _train_op(model) if mode == ModeKeys.TRAIN else None
            return Step(
                predictions=dict(zip(model.output_names, model.outputs, strict=True)),
                loss=None if mode == ModeKeys.PREDICT else model.total_loss,
                train_op=train_op,
                metrics={} if mode == ModeKeys.PREDICT else _metrics(model),
                scaffold=self._scaffold(model),
            )

    def _config_of(self, model: Any) -> dict[str, Any]:
        kind = type(model)
        try:
            config: dict[str, Any] = model.get_config()
            kind.from_config(config)
        except (NotImplementedError, TypeError) as error:
            raise errors.ArgumentError(
                f"The Keras model {model.name!r} cannot be copied: {error}. Define `get_config` "
                f"and `from_config` in its class {kind.__name__}, so that "
                f"`{kind.__name__}.from_config(model.get_config())` makes a model like it."
            ) from error
        return config

    def _inputs(self, features: Any) -> Any:
        names = self._model.input_names if self._model.inputs else []
        if not names:
            return features
        by_name = keras_io.features_by_name(self._model.name, names, features)
        return [by_name[name] for name in names]

    def _copy(self, inputs: Any) -> Any:
        keras = importlib.import_module("tf_keras")
        if self._has_layout:
            return keras.models.clone_model(self._model, input_tensors=inputs)
        model = type(self._model).from_config(self._config)
        _internals.call_on(model, inputs)
        return model

    def _compile(self, model: Any, labels: Any, weights: Any) -> None:
        arguments = dict(self._arguments)
        keras_io.check_labels(self._model, labels, arguments["loss"])
        for key in ("metrics", "weighted_metrics"):
            arguments[key] = tf.nest.map_structure(_fresh, arguments[key])
        optimizer = self._make_optimizer()
        optimizer.iterations = _v1.train.get_global_step()
        targets = _in_order(labels, model.output_names)
        model.compile(optimizer=optimizer, target_tensors=targets, **arguments)
        if weights is not None:
            weights = _in_order(weights, model.output_names)
            _internals.weight_losses(model, weights)

    def _scaffold(self, model: Any) -> Any:
        saver = None
        if self._saves_objects:
            step = _v1.train.get_global_step()
            keys = _internals.object_keys(model, **{_GLOBAL_STEP: step})
            saver = _v1.train.Saver(list(keys.values()), sharded=True)
        weights, values = model.weights, self._values

        def start(scaffold: Any, session: Any) -> None:
            """Gives the variables the values of the model."""
            del scaffold
            for weight, value in zip(weights, values, strict=True):
                # Feeds the input of the initializer, so that the graph does not hold the value.
                session.run(weight.initializer, {weight.initializer.inputs[1]: value})

        return _v1.train.Scaffold(saver=saver, init_fn=start if values else None)


def is_of_layers(model: Any) -> bool:
    """Whether a model is functional or Sequential: Keras 2 knows how to copy it."""
    is_sequential = any(kind.__name__ == "Sequential" for kind in type(model).__mro__)
    return is_sequential or _internals.is_graph_network(model)


def _train_op(model: Any) -> tf.Operation:
    with tf.name_scope("training"):
        updates = model.optimizer.get_updates(
            loss=model.total_loss, params=model.trainable_weights
        )
        updates = [
            *updates,
            *model.get_updates_for(None),
            *model.get_updates_for(model.inputs),
        ]
    with tf.control_dependencies([model.total_loss]):
        return tf.group(*updates)


def _metrics(model: Any) -> dict[str, Any]:
    return {metric.name: metric for metric in _internals.compiled_metrics(model)}


def _fresh(metric: Any) -> Any:
    """A new metric with the same settings; names and functions as they are."""
    return type(metric).from_config(metric.get_config()) if keras2.is_metric(metric) else metric


def _in_order(values: Any, names: list[str]) -> list[Any] | None:
    """Labels or weights as a list, in the order of the outputs."""
    if values is None:
        return None
    if isinstance(values, Mapping):
        return [values.get(name) for name in names]
    return list(values) if isinstance(values, list | tuple) else [values]
