"""The weights of examples, which a feature holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.engine.graphs import op_names
from kestimator.heads.parts import value_checks

WeightColumn: TypeAlias = Any
"""A feature's name, a `tf.feature_column.numeric_column`, or None."""


def check_weight_column(weight_column: Any) -> None:
    """Checks that it is a name, a numeric column or None.

    Raises:
        errors.ArgumentTypeError: It is something else.
    """
    is_column = hasattr(weight_column, "key") and hasattr(weight_column, "normalizer_fn")
    if weight_column is not None and not isinstance(weight_column, str) and not is_column:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "weight_column",
                weight_column,
                "the name of a feature, a tf.feature_column.numeric_column, or None",
            )
        )


def weights_of(
    weight_column: WeightColumn, features: Any, logits: Tensor, *, width: int = 1
) -> Tensor | None:
    """The weights of a batch.

    Args:
        weight_column: Which feature holds them.
        features: The features, a dict.
        logits: The logits, `[d0, ..., dn, logits dimension]`.
        width: The number of weights that an example may have instead of a single one.

    Returns:
        Float32 `[d0, ..., dn, 1]` or `[d0, ..., dn, width]`, or None if all count the same.

    Raises:
        errors.ArgumentError: The feature is missing or has another shape.
    """
    if weight_column is None:
        return None
    key = weight_column if isinstance(weight_column, str) else weight_column.key
    feature = _feature(key, features)
    # A last dimension of 1, or none, means one weight per example; otherwise each loss has its own.
    has_one_each = width == 1 or feature.shape.rank != logits.shape.rank or feature.shape[-1] == 1
    name, remedy = f"features[{key!r}]", "`weight_column` needs one weight per example."
    weights = value_checks.shaped(name, feature, logits, 1 if has_one_each else width, remedy)
    normalize = getattr(weight_column, "normalizer_fn", None)
    weights = tf.cast(normalize(weights) if normalize else weights, tf.float32)
    op_names.also_named(weights, "weights")
    return weights


def _feature(key: str, features: Any) -> Tensor:
    """The feature that holds the weights, as a dense tensor of numbers.

    Raises:
        errors.ArgumentError: There is none, or it cannot be weights.
    """
    if not isinstance(features, Mapping) or key not in features:
        received = sorted(map(str, features)) if isinstance(features, Mapping) else features
        raise errors.ArgumentError(
            errors.invalid_argument(
                "features",
                received,
                f"a dict with the `weight_column` {key!r}",
                "Return the weights as a feature from the input_fn.",
            )
        )
    if isinstance(features[key], (tf.SparseTensor, tf.RaggedTensor)):
        raise errors.ArgumentError(
            errors.invalid_argument(f"features[{key!r}]", features[key], "a dense tensor")
        )
    weights = tf.convert_to_tensor(features[key])
    if not (weights.dtype.is_floating or weights.dtype.is_integer or weights.dtype.is_bool):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"features[{key!r}]", weights, "numbers, because they are weights"
            )
        )
    return weights
