"""Checks that features are those that columns need: by name, shape and dtype, as far as known.

Synopsis::

    check_features(features, columns)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_kinds
from kestimator.engine.tf_internals import tf_execution
from kestimator.validation import threads

_silence = threads.Shared(tf_execution.without_deprecations)
_UNBATCHED = "If that is a single example, add `.batch(...)` to the Dataset of the input_fn."


def check_features(features: Any, columns: Iterable[column_kinds.Column]) -> None:
    """Checks features of a program that is being traced.

    Args:
        features: The features by name.
        columns: The columns of the model. Keras layers among them are not checked.

    Raises:
        errors.NamesError: A feature is missing.
        errors.InputError: A feature has another shape or dtype, or no batch dimension.
    """
    if not isinstance(features, Mapping):
        return
    for column in columns:
        if column_kinds.is_keras(column) or column in features:  # or transformed already
            continue
        with _silence:  # the program did not call this deprecated function
            needed = tf.feature_column.make_parse_example_spec([column])
        for name, config in needed.items():
            if name not in features:
                raise errors.NamesError(
                    f"Feature {name!r} is not in features dictionary, but the column "
                    f"{column.name!r} needs it. The features are {sorted(map(str, features))}."
                )
            feature = features[name]
            if isinstance(feature, tf.Tensor) and feature.shape.rank is not None:
                _check_tensor(name, feature, column, config)


def _check_tensor(name: str, feature: tf.Tensor, column: Any, config: Any) -> None:
    argument = f"features[{name!r}]"
    if feature.shape.rank == 0:
        expected = "a batch of examples, with the batch as its first dimension"
        raise errors.InputError(errors.invalid_argument(argument, feature, expected, _UNBATCHED))
    if not isinstance(config, tf.io.FixedLenFeature):
        return
    if feature.dtype == tf.string and config.dtype != tf.string:
        expected = f"numbers, because the column {column.name!r} is numeric"
        remedy = "Convert it with tf.strings.to_number, or use a categorical column."
        raise errors.ArgumentTypeError(errors.invalid_argument(argument, feature, expected, remedy))
    sizes = list(feature.shape[1:])
    if None not in sizes and math.prod(sizes) != math.prod(config.shape):
        shape = ", ".join(map(str, ["batch", *config.shape]))
        remedy = (
            _UNBATCHED
            if None not in list(feature.shape)
            and math.prod(feature.shape) == math.prod(config.shape)
            else ""
        )
        raise errors.InputError(
            errors.invalid_argument(
                argument,
                feature,
                f"shape ({shape}), because the column {column.name!r} has the shape "
                f"{tuple(config.shape)}",
                remedy,
            )
        )
