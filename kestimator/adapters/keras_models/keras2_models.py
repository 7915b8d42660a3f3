"""A compiled model of Keras 2 (`tf_keras`) inside a model_fn, as tf.estimator ran it.

Synopsis::

    source = Source(model, make_optimizer=make)
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
        metrics: In evaluation, values and updates of the compiled metrics, by their names.
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
        make_optimizer: Makes an optimizer with the settings of the model's; gets the global step,
            which counts its steps.
        make_saver: Makes a saver of saveable objects, if checkpoints have the paths of objects
            instead of names.

    Raises:
        errors.ArgumentError: The model cannot be copied.
    """

    def __init__(
        self,
        model: Any,
        custom_objects: Mapping[str, Any] | None = None,
        *,
        make_optimizer: Callable[[tf.Variable], Any],
        make_saver: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self._model = model
        self._custom_objects = dict(custom_objects or {})
        self._make_optimizer = make_optimizer
        self._make_saver = make_saver
        self._has_layout = is_of_layers(model)
        if not self._has_layout:
            self._config = self._config_of(model)
        self._arguments = _internals.compile_arguments(model)
        has_values = model.built and _internals.has_values(model)
        self._values = model.get_weights() if has_values else []

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
                metrics=_metrics(model) if mode == ModeKeys.EVAL else {},
                scaffold=self._scaffold(model),
            )

    def with_values(self, path: str) -> Any:
        """A compiled copy with the values of a checkpoint, and a new optimizer.

        Raises:
            errors.ArgumentError: The model has no weights before it is called.
        """
        keras = importlib.import_module("tf_keras")
        with keras.utils.custom_object_scope(self._custom_objects):
            if self._has_layout:
                model = keras.models.clone_model(self._model)
            else:
                model = type(self._model).from_config(self._config)
        if not model.built:
            raise errors.ArgumentError(
                f"The Keras model {self._model.name!r} does not know its inputs, so its copy has "
                "no weights. Give it an `Input`, or call its copy and read the checkpoint "
                f"{path!r} with `get_variable_value`."
            )
        if self._make_saver is not None:
            model.load_weights(path).expect_partial()
        else:
            reader = tf.train.load_checkpoint(path)
            names = [weight.name.removesuffix(":0") for weight in model.weights]
            model.set_weights([reader.get_tensor(name) for name in names])
        model.compile(self._make_optimizer(tf.Variable(0, dtype=tf.int64)), **self._settings())
        return model

    def _settings(self) -> dict[str, Any]:
        """The arguments of `compile` but the optimizer, with new metrics."""
        settings = dict(self._arguments)
        for key in ("metrics", "weighted_metrics"):
            settings[key] = tf.nest.map_structure(_fresh, settings[key])
        return settings

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
        if self._has_layout:
            return self._clone(inputs)
        model = type(self._model).from_config(self._config)
        _internals.call_on(model, inputs)
        return model

    def _clone(self, inputs: Any) -> Any:
        keras = importlib.import_module("tf_keras")
        try:
            return keras.models.clone_model(self._model, input_tensors=inputs)
        except AttributeError as error:
            # What Keras 2 raises in a graph if the model was made with ops instead of layers.
            raise errors.ArgumentError(
                f"Keras 2 cannot copy the model {self._model.name!r} into the graph of an "
                f"Estimator: {error}. Replace operations on its tensors, such as `2.0 * x`, by "
                "layers, such as `tf_keras.layers.Lambda`."
            ) from error

    def _compile(self, model: Any, labels: Any, weights: Any) -> None:
        settings = self._settings()
        keras_io.check_labels(self._model, labels, settings["loss"])
        optimizer = self._make_optimizer(_v1.train.get_global_step())
        targets = _in_order(labels, model.output_names)
        model.compile(optimizer=optimizer, target_tensors=targets, **settings)
        if weights is not None:
            weights = _in_order(weights, model.output_names)
            _internals.weight_losses(model, weights)

    def _scaffold(self, model: Any) -> Any:
        saver = None
        if self._make_saver is not None:
            step = _v1.train.get_global_step()
            saver = self._make_saver(_internals.saveables(model, **{_GLOBAL_STEP: step}))
        weights, values = model.weights, self._values
        if values and [weight.shape for weight in weights] != [value.shape for value in values]:
            raise errors.ArgumentError(
                f"The copy of the Keras model {self._model.name!r} has other weights than the "
                f"model: {[weight.name for weight in weights]}. Make all layers in the "
                "constructor of its class, or pass a model that was not called yet."
            )

        def start(scaffold: Any, session: Any) -> None:
            """Gives the variables the values of the model."""
            del scaffold
            for weight, value in zip(weights, values, strict=True):
                # Feeds the input of the initializer, so that the graph does not hold the value.
                session.run(weight.initializer, {weight.initializer.inputs[1]: value})

        return _v1.train.Scaffold(saver=saver, init_fn=start if values else None)


def is_default() -> bool:
    """Whether `tf.keras` is Keras 2, as the variable TF_USE_LEGACY_KERAS=1 makes it."""
    return keras2.is_model_class(tf.keras.Model)


def load(path: str, custom_objects: Mapping[str, Any] | None) -> Any:
    """Loads a compiled model that Keras 2 saved.

    Raises:
        errors.KerasFileError: There is nothing at the path, or Keras 2 cannot read it.
    """
    try:
        return tf.keras.models.load_model(path, custom_objects=custom_objects)
    except Exception as error:  # whatever the classes raise that the file names
        raise errors.KerasFileError(
            errors.invalid_argument(
                "keras_model_path",
                path,
                "a SavedModel, or a '.keras' or '.h5' file, that Keras 2 wrote",
                f"{type(error).__name__}: {error}",
            )
        ) from error


def is_of_layers(model: Any) -> bool:
    """Whether a model is functional or Sequential: Keras 2 knows how to copy it."""
    is_sequential = any(kind.__name__ == "Sequential" for kind in type(model).__mro__)
    return is_sequential or _internals.is_graph_network(model)


def _train_op(model: Any) -> tf.Operation:
    with tf.name_scope("training"):
        updates = model.optimizer.get_updates(loss=model.total_loss, params=model.trainable_weights)
        updates = [
            *updates,
            *model.get_updates_for(None),
            *model.get_updates_for(model.inputs),
        ]
    with tf.control_dependencies([model.total_loss]):
        return tf.group(*updates)


def _metrics(model: Any) -> dict[str, Any]:
    # With weights of examples, Keras 2 counts weighted metrics twice. The last count has the
    # weights; tf.estimator took the first.
    return {
        metric.name: (metric.result(), metric.updates[-1])
        for metric in _internals.compiled_metrics(model)
    }


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
