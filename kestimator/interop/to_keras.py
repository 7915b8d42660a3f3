"""Converts a trained canned estimator to a plain Keras model.

Synopsis::

    model = build(Blueprint(head, linear=part, network=None), value_of, inputs={})
    model.save("model.keras")

The model only has layers of Keras, and is loaded without kestimator. A layer with variables has the
name of its variable, or of their scope, with dots for slashes: `dnn.hiddenlayer_0` holds
`dnn/hiddenlayer_0/kernel` and `/bias`. So a warm start can read the weights back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors, heads
from kestimator.adapters.feature_columns import column_kinds, column_layers
from kestimator.engine.checkpoints import keras_files
from kestimator.keys import PredictionKeys

_SAME_FUNCTIONS = (
    ("elu", tf.nn.elu),
    ("exponential", tf.math.exp),
    ("leaky_relu", tf.nn.leaky_relu),
    ("linear", tf.identity),
    ("relu", tf.nn.relu),
    ("relu6", tf.nn.relu6),
    ("selu", tf.nn.selu),
    ("sigmoid", tf.math.sigmoid),
    ("silu", tf.nn.silu),
    ("softmax", tf.nn.softmax),
    ("softplus", tf.math.softplus),
    ("softsign", tf.nn.softsign),
    ("tanh", tf.math.tanh),
)
_NETWORK = "dnn"
_INPUT_LAYER = "dnn/input_from_feature_columns/input_layer"
_LINEAR = "linear/linear_model"
_BASELINE = "baseline/bias"
_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")


class Linear(Protocol):
    """A linear model over columns."""

    @property
    def columns(self) -> Sequence[column_kinds.Column]:
        """Dense and categorical columns, ordered by name."""

    @property
    def sparse_combiner(self) -> str:
        """How the weights of several ids of an example are combined."""


class Network(Protocol):
    """A network of dense layers over columns."""

    @property
    def columns(self) -> Sequence[column_kinds.Column]:
        """Dense columns, ordered by name."""

    @property
    def hidden_units(self) -> Sequence[int]:
        """The sizes of the hidden layers."""

    @property
    def activation(self) -> Callable[..., Any]:
        """The activation function of the hidden layers."""

    @property
    def dropout(self) -> float | None:
        """The fraction of activations that training drops, or None."""

    @property
    def batch_norm(self) -> bool:
        """Whether the hidden layers have batch normalization."""


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """The parts of a canned estimator; without parts it is a baseline.

    Attributes:
        head: The head.
        linear: The linear model, or None.
        network: The network, or None.
    """

    head: heads.Head
    linear: Linear | None = None
    network: Network | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Blueprint:
        """Returns itself: copies of an estimator share it, like the model_fn with its parts."""
        return self


def build(
    blueprint: Blueprint,
    value_of: Callable[[str], np.ndarray],
    inputs: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Makes the model, with its weights.

    Args:
        blueprint: The parts of the estimator.
        value_of: Returns the value of a variable by its name.
        inputs: Keras inputs by feature name, which replace the default ones of one value per
            example.

    Returns:
        A functional model from a dict of features to a dict of predictions.

    Raises:
        errors.ArgumentError: A part has no equivalent in Keras.
    """
    linear, network = blueprint.linear, blueprint.network
    columns = [*(linear.columns if linear else ()), *(network.columns if network else ())]
    inputs = _checked_inputs(inputs)
    if not columns:
        return _baseline(blueprint.head, value_of, inputs)
    layers = column_layers.ColumnLayers(columns, inputs, value_of)
    logits = []
    if network is not None:
        logits.append(_network_logits(layers, network, blueprint.head.logits_dimension))
    if linear is not None:
        logits.append(_linear_logits(layers, linear))
    outputs = _predictions(blueprint.head, _sum(logits))
    return _finished(keras.Model(layers.inputs, outputs), layers)


def _checked_inputs(inputs: Any) -> dict[str, Any]:
    usable = isinstance(inputs, Mapping) and all(
        isinstance(tensor, keras.KerasTensor) for tensor in inputs.values()
    )
    if inputs is not None and not usable:
        raise errors.ArgumentTypeError(
            errors.invalid_argument("inputs", inputs, "a dict from feature names to keras.Input")
        )
    return dict(inputs or {})


def _finished(model: keras.Model, layers: column_layers.ColumnLayers) -> keras.Model:
    for layer, values in layers.weights:
        layer.set_weights(values)
    return model


def _baseline(
    head: heads.Head, value_of: Callable[[str], np.ndarray], inputs: Mapping[str, Any]
) -> keras.Model:
    """Makes a baseline; it has no columns, and uses one feature to count the examples."""
    layers = column_layers.ColumnLayers([], {}, value_of)
    inputs = dict(inputs) or {"example": keras.Input([1], name="example")}
    logits = layers.bias(_BASELINE, next(iter(inputs.values())))
    return _finished(keras.Model(inputs, _predictions(head, logits)), layers)


def _linear_logits(layers: column_layers.ColumnLayers, part: Linear) -> Any:
    terms = []
    for column in part.columns:
        variable = f"{_LINEAR}/{column_kinds.scope_name(column)}/weights"
        if column_kinds.is_categorical(column):
            terms.append(layers.rows(column, variable, part.sparse_combiner))
        else:
            terms.append(layers.product(layers.dense(column, _LINEAR), variable))
    terms.append(layers.bias(f"{_LINEAR}/bias_weights", terms[0]))
    return _sum(terms)


def _network_logits(layers: column_layers.ColumnLayers, part: Network, units: int) -> Any:
    values = [layers.dense(column, _INPUT_LAYER) for column in part.columns]
    net = values[0] if len(values) == 1 else keras.layers.Concatenate()(values)
    activation = _activation("activation_fn", part.activation)
    for position, size in enumerate(part.hidden_units):
        name = f"{_NETWORK}/hiddenlayer_{position}"
        net = _dense(layers, net, name, size, activation)
        if part.dropout:
            net = keras.layers.Dropout(part.dropout)(net)
        if part.batch_norm:
            name = keras_files.layer_name(f"{name}/batchnorm_{position}")
            # The same numbers as in the network of the canned estimator.
            layer = keras.layers.BatchNormalization(momentum=0.999, epsilon=0.001, name=name)
            net = layers.scoped(layer, net, _NORMALIZATION)
    return _dense(layers, net, f"{_NETWORK}/logits", units, None)


def _dense(
    layers: column_layers.ColumnLayers, net: Any, scope: str, size: int, activation: Any
) -> Any:
    layer = keras.layers.Dense(size, activation=activation, name=keras_files.layer_name(scope))
    return layers.scoped(layer, net, ("kernel", "bias"))


def _sum(terms: list[Any]) -> Any:
    return terms[0] if len(terms) == 1 else keras.layers.Add()(terms)


def _activation(argument: str, function: Callable[..., Any] | None) -> Any:
    """Returns the Keras name of an activation, or a function that Keras can save.

    Raises:
        errors.ArgumentError: Keras cannot save the function.
    """
    for name, same in _SAME_FUNCTIONS:
        if function is same:
            return name
    if not _is_saved_by_keras(function):
        raise errors.ArgumentError(
            errors.invalid_argument(
                argument,
                function,
                "a function of Keras, because to_keras cannot save other functions",
                "Create the estimator with its name, such as 'relu', or with a function of "
                "keras.activations.",
            )
        )
    return function


def _is_saved_by_keras(function: Any) -> bool:
    """Returns whether it is an activation of Keras, or registered with `keras.saving`."""
    if not hasattr(function, "__name__"):
        return False
    # For a function that is not registered, Keras returns the plain name.
    is_registered = keras.saving.get_registered_name(function) != function.__name__
    return is_registered or getattr(keras.activations, function.__name__, None) is function


def _predictions(head: heads.Head, logits: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the numeric predictions of a head, by key.

    Raises:
        errors.ArgumentError: The head is not a head of kestimator.
    """
    if isinstance(head, heads.MultiHead):
        return _predictions_of_heads(head, logits)
    keys = PredictionKeys
    if isinstance(head, heads.BinaryClassHead):
        # The logit of class 0 is 0, as in the head.
        both = keras.layers.Concatenate()([keras.ops.zeros_like(logits), logits])
        return {
            keys.LOGITS: _named(prefix, keys.LOGITS, "linear", logits),
            keys.LOGISTIC: _named(prefix, keys.LOGISTIC, "sigmoid", logits),
            keys.PROBABILITIES: _named(prefix, keys.PROBABILITIES, "softmax", both),
        }
    if isinstance(head, heads.MultiClassHead | heads.MultiLabelHead):
        link = "softmax" if isinstance(head, heads.MultiClassHead) else "sigmoid"
        return {
            keys.LOGITS: _named(prefix, keys.LOGITS, "linear", logits),
            keys.PROBABILITIES: _named(prefix, keys.PROBABILITIES, link, logits),
        }
    if isinstance(
        head, heads.RegressionHead | heads.PoissonRegressionHead | heads.LogisticRegressionHead
    ):
        link = _activation("inverse_link_fn", head.inverse_link_fn or tf.identity)
        predictions = {keys.PREDICTIONS: _named(prefix, keys.PREDICTIONS, link, logits)}
        if head.inverse_link_fn is not None:
            predictions[keys.LOGITS] = _named(prefix, keys.LOGITS, "linear", logits)
        return predictions
    raise errors.ArgumentError(
        errors.invalid_argument("head", head, "a kestimator head, which has a Keras equivalent")
    )


def _predictions_of_heads(head: heads.MultiHead, logits: Any) -> dict[str, Any]:
    """Returns the predictions of all heads under `<head>/<key>`, as in an export."""
    predictions: dict[str, Any] = {}
    start = 0
    for one in head.heads:
        end = start + one.logits_dimension
        head_predictions = _predictions(one, logits[:, start:end], f"{one.name}.")
        predictions |= {f"{one.name}/{key}": value for key, value in head_predictions.items()}
        start = end
    return predictions


def _named(prefix: str, key: str, function: Any, values: Any) -> Any:
    return keras.layers.Activation(function, name=f"{prefix}{key}")(values)
