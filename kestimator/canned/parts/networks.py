"""The network of deep and combined estimators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters.feature_columns import column_features, column_kinds, input_layers
from kestimator.canned.parts import model_fns
from kestimator.engine.graphs import op_names
from kestimator.keys import ModeKeys
from kestimator.validation import checks, kinds

_v1 = tf.compat.v1
# The settings of batch normalization in the original's networks.
_MOMENTUM, _EPSILON = 0.999, 0.001


@dataclasses.dataclass(frozen=True)
class NetworkPart:
    """A network of dense layers over feature columns.

    Attributes:
        columns: Dense columns, ordered by name.
        hidden_units: The sizes of the hidden layers.
        activation: The activation of hidden layers.
        dropout: The fraction of units to drop in training, or None.
        batch_norm: Whether hidden layers are normalized.
    """

    columns: Sequence[column_kinds.Column]
    hidden_units: Sequence[int]
    activation: Callable[[Tensor], Tensor]
    dropout: float | None = None
    batch_norm: bool = False

    @classmethod
    def checked(
        cls,
        columns: Any,
        hidden_units: Any,
        activation_fn: Any,
        dropout: float | None,
        batch_norm: bool,
        *,
        prefix: str = "",
    ) -> NetworkPart:
        """Checks the arguments of a caller.

        Args:
            columns: Dense columns.
            hidden_units: Sizes.
            activation_fn: A function of a tensor, or a name that Keras knows; None for none.
            dropout: In [0, 1), or None.
            batch_norm: Whether to normalize hidden layers.
            prefix: A prefix of the names of the caller's arguments.

        Raises:
            errors.ArgumentError: One of them is invalid.
        """
        ordered = column_kinds.checked_columns(
            f"{prefix}feature_columns", columns, column_kinds.Place.DENSE
        )
        units = _checked_units(f"{prefix}hidden_units", hidden_units)
        activation = _checked_activation(f"{prefix}activation_fn", activation_fn)
        rate = _checked_dropout(f"{prefix}dropout", dropout)
        return cls(ordered, units, activation, rate, kinds.checked_flag("batch_norm", batch_norm))

    def _hidden_layer(self, net: Tensor, size: int, name: str, *, nests: bool) -> Tensor:
        """A dense layer and its activation, whose variables may be those of the layer's scope."""
        with _v1.variable_scope(name) as scope:
            net = _dense(net, size)
            if nests:
                return self.activation(net)
        with tf.name_scope(scope.original_name_scope):
            return self.activation(net)

    def build(
        self,
        features: column_features.Features,
        *,
        units: int,
        mode: str | None,
        partitioner: Any = None,
        ops: str | None = None,
    ) -> model_fns.Built:
        """Adds the network to the graph, in the variable scope that is open.

        Args:
            features: The features.
            units: The number of logits per example.
            mode: One of `ModeKeys`.
            partitioner: A partitioner for the variables of columns, or None.
            ops: A name scope for the ops of layers, but not for summaries.
        """
        training = mode == ModeKeys.TRAIN
        updates: list[tf.Operation] = []
        layers: dict[str, Tensor] = {}
        with (
            input_layers.trainable_variables_made(self.columns) as variables,
            op_names.scope(ops),
        ):
            scope = "input_from_feature_columns/input_layer"
            with _v1.variable_scope(scope, partitioner=partitioner):
                net = input_layers.input_layer(features, self.columns, training=training)
            for position, size in enumerate(self.hidden_units):
                name = f"hiddenlayer_{position}"
                # Activation, dropout, normalization: the original's order.
                net = self._hidden_layer(net, size, name, nests=ops is None)
                if self.dropout is not None and training:
                    net = tf.nn.dropout(net, self.dropout)
                if self.batch_norm:
                    scope = f"{name}/batchnorm_{position}"
                    net, moved = _normalized(net, scope, training=training)
                    updates += moved
                layers[name] = net
            with _v1.variable_scope("logits"):
                layers["logits"] = _dense(net, units)
        scope = _v1.get_variable_scope().name
        for name, value in layers.items():
            model_fns.summarize_layer(f"{scope}/{name}" if scope else name, value)
        return model_fns.Built(layers["logits"], variables, updates)


def _dense(net: Tensor, units: int) -> Tensor:
    kernel = _v1.get_variable(
        "kernel", [net.shape[1], units], initializer=_v1.glorot_uniform_initializer()
    )
    bias = _v1.get_variable("bias", [units], initializer=_v1.zeros_initializer())
    return tf.nn.bias_add(tf.matmul(net, kernel), bias)


def _normalized(net: Tensor, name: str, *, training: bool) -> tuple[Tensor, list[tf.Operation]]:
    """Normalizes over the batch, or by moving statistics; and what moves them."""
    zeros, ones = _v1.zeros_initializer(), _v1.ones_initializer()
    shape, options = (
        [net.shape[1]],
        {"trainable": False, "aggregation": tf.VariableAggregation.MEAN},
    )
    with _v1.variable_scope(name):
        gamma = _v1.get_variable("gamma", shape, initializer=ones)
        beta = _v1.get_variable("beta", shape, initializer=zeros)
        moving_mean = _v1.get_variable("moving_mean", shape, initializer=zeros, **options)
        moving_variance = _v1.get_variable("moving_variance", shape, initializer=ones, **options)
        if not training:
            normal = tf.nn.batch_normalization(
                net, moving_mean, moving_variance, beta, gamma, _EPSILON
            )
            return normal, []
        mean, variance = tf.nn.moments(net, [0])
        normal = tf.nn.batch_normalization(net, mean, variance, beta, gamma, _EPSILON)
        updates = [
            moving.assign_sub((moving - value) * (1.0 - _MOMENTUM), read_value=False)
            for moving, value in ((moving_mean, mean), (moving_variance, variance))
        ]
        return normal, updates


def _checked_units(argument: str, hidden_units: Any) -> tuple[int, ...]:
    expected = "a list of positive integers, one for each hidden layer, such as [128, 64]"
    if not isinstance(hidden_units, Iterable) or checks.plain_number(hidden_units) is not None:
        raise errors.ArgumentTypeError(errors.invalid_argument(argument, hidden_units, expected))
    remedy = "For a model without hidden layers, use a linear estimator."
    return tuple(checks.checked_sizes(argument, hidden_units, expected, remedy))


def _checked_activation(argument: str, activation: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str) or activation is None:
        try:
            activation = keras.activations.get(activation)
        except ValueError as error:
            raise errors.ArgumentError(
                errors.invalid_argument(argument, activation, "a function, or a Keras activation")
            ) from error
    expected = "a function that takes a tensor, or None"
    return kinds.checked_function(
        argument, activation, expected, 1, type_error=errors.ArgumentError
    )


def _checked_dropout(argument: str, dropout: Any) -> Any:
    if dropout is None:
        return None
    return checks.checked_number(
        argument,
        dropout,
        "a number in [0, 1), or None",
        lambda number: not isinstance(number, bool) and 0 <= number < 1,
        type_error=errors.ArgumentError,
    )
