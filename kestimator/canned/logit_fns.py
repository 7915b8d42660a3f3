"""The models of canned estimators as functions, for a user's own model_fn.

Synopsis::

    def model_fn(features, labels, mode):
        head = kestimator.MultiClassHead(3)
        logit_fn = kestimator.experimental.dnn_logit_fn_builder(
            head.logits_dimension, [128, 64], columns, tf.nn.relu, None, None, False
        )
        logits = logit_fn(features, mode)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters.feature_columns import column_features
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.canned.parts.networks import NetworkPart
from kestimator.validation import checks, kinds, signatures

_v1 = tf.compat.v1


def call_logit_fn(
    logit_fn: Callable[..., Any], features: Any, mode: str, params: Any, config: Any
) -> Any:
    """Calls a logit_fn with those of the arguments that it takes.

    Example:
        >>> import kestimator
        >>> def logit_fn(features, mode):
        ...     return 2.0 * features["x"]
        >>> features = {"x": tf.constant([[1.0]])}
        >>> kestimator.experimental.call_logit_fn(logit_fn, features, "train", {}, None).numpy()
        array([[2.]], dtype=float32)

    Args:
        logit_fn: Takes `features`, and may take `mode`, `params` and `config`.
        features: The features.
        mode: One of `ModeKeys`.
        params: Hyperparameters.
        config: A `RunConfig`.

    Returns:
        What the function returned.

    Raises:
        errors.ArgumentError: It returned neither a tensor nor a dict of tensors by name.
        errors.ArgumentTypeError: It does not take `features`.
    """
    if "features" not in signatures.accepted_arguments(logit_fn, "logit_fn"):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("logit_fn", logit_fn, "a function with an argument `features`")
        )
    logits: Any = signatures.call_with_accepted(
        logit_fn, features=features, mode=mode, params=params, config=config
    )
    values = logits.values() if isinstance(logits, dict) else [logits]
    has_other_keys = isinstance(logits, dict) and not all(isinstance(key, str) for key in logits)
    if has_other_keys or not all(isinstance(value, tf.Tensor) for value in values):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "logit_fn's result", logits, "a Tensor, or a dict that maps strings to Tensors"
            )
        )
    return logits


def dnn_logit_fn_builder(
    units: int,
    hidden_units: Sequence[int],
    feature_columns: Any,
    activation_fn: Any,
    dropout: float | None,
    input_layer_partitioner: Any,
    batch_norm: bool,
) -> Callable[[Any, str], Tensor]:
    """Makes the logit_fn of a network.

    Args:
        units: The number of logits per example.
        hidden_units: The sizes of the hidden layers.
        feature_columns: As for `DNNClassifier`.
        activation_fn: The hidden layers' activation: a function, a name that Keras knows, or None.
        dropout: The fraction of units to drop in training, or None.
        input_layer_partitioner: A partitioner for embeddings, or None.
        batch_norm: Whether to normalize hidden layers. The updates of the moving statistics are
            added to `tf.compat.v1.GraphKeys.UPDATE_OPS`.

    Returns:
        A function of (features, mode) that gives (batch, units). It makes its variables in the
        variable scope that is open.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """
    size = _checked_units(units)
    if input_layer_partitioner is not None:
        kinds.checked_function(
            "input_layer_partitioner",
            input_layer_partitioner,
            "a function of `shape` and `dtype` that returns the number of parts, or None",
            names=["shape", "dtype"],
        )
    part = NetworkPart.checked(feature_columns, hidden_units, activation_fn, dropout, batch_norm)

    def dnn_logit_fn(features: Any, mode: str) -> Tensor:
        built = part.build(
            column_features.Features(features),
            units=size,
            mode=mode,
            partitioner=input_layer_partitioner,
        )
        for update in built.update_ops:
            _v1.add_to_collection(_v1.GraphKeys.UPDATE_OPS, update)
        return built.logits

    return dnn_logit_fn


def linear_logit_fn_builder(
    units: int, feature_columns: Any, sparse_combiner: str = "sum"
) -> Callable[[Any], Tensor]:
    """Makes the logit_fn of a linear model.

    Args:
        units: The number of logits per example.
        feature_columns: As for `LinearClassifier`.
        sparse_combiner: As for `LinearClassifier`.

    Returns:
        A function of features that gives (batch, units). It makes its variables below
        `linear_model`, in the variable scope that is open.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """
    size = _checked_units(units)
    part = LinearPart.checked("feature_columns", feature_columns, sparse_combiner)

    def linear_logit_fn(features: Any) -> Tensor:
        return part.build(column_features.Features(features), units=size, mode=None).logits

    return linear_logit_fn


def _checked_units(units: Any) -> int:
    return checks.checked_int(
        "units",
        units,
        1,
        maximum=checks.LARGEST_SIZE,
        expected="a positive integer: the number of logits per example",
        type_error=errors.ArgumentError,
    )
