"""Parsing specs of canned estimators, for `tf.io.parse_example`.

Synopsis::

    spec = kestimator.classifier_parse_example_spec(columns, "label", weight_column="weight")
    dataset = dataset.map(lambda text: tf.io.parse_single_example(text, spec))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_kinds


def classifier_parse_example_spec(
    feature_columns: Any,
    label_key: str,
    label_dtype: tf.DType = tf.int64,
    label_default: Any = None,
    weight_column: Any = None,
) -> dict[str, Any]:
    """The parsing spec for a classifier's data.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> sorted(kestimator.classifier_parse_example_spec(columns, "label"))
        ['age', 'label']

    Args:
        feature_columns: The columns of the model.
        label_key: The name of the label in an example.
        label_dtype: The label's type: tf.int64, or tf.string with a vocabulary.
        label_default: The label of examples that have none; None to require one.
        weight_column: The feature with the weights of examples: its name or a numeric column.

    Returns:
        A dict by feature name; the label is of shape (1,).

    Raises:
        errors.ArgumentError: Label or weight is among the features, or a column has no spec.
    """
    label = tf.io.FixedLenFeature((1,), label_dtype, label_default)
    return _spec(feature_columns, label_key, label, weight_column)


def regressor_parse_example_spec(
    feature_columns: Any,
    label_key: str,
    label_dtype: tf.DType = tf.float32,
    label_default: Any = None,
    label_dimension: int = 1,
    weight_column: Any = None,
) -> dict[str, Any]:
    """The parsing spec for a regressor's data.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> spec = kestimator.regressor_parse_example_spec(columns, "sizes", label_dimension=2)
        >>> spec["sizes"].shape
        (2,)

    Args:
        feature_columns: The columns of the model.
        label_key: The name of the label in an example.
        label_dtype: The label's type.
        label_default: The label of examples that have none; None to require one.
        label_dimension: The number of values in a label.
        weight_column: The feature with the weights of examples: its name or a numeric column.

    Returns:
        A dict by feature name; the label is of shape (label_dimension,).

    Raises:
        errors.ArgumentError: Label or weight is among the features, or a column has no spec.
    """
    label = tf.io.FixedLenFeature((label_dimension,), label_dtype, label_default)
    return _spec(feature_columns, label_key, label, weight_column)


def _spec(columns: Any, label_key: str, label: Any, weight_column: Any) -> dict[str, Any]:
    spec: dict[str, Any] = dict(_spec_of_columns(columns))
    _add(spec, "label_key", label_key, label)
    if weight_column is not None:
        for key, feature in _weight_spec(weight_column).items():
            _add(spec, "weight_column", key, feature)
    return spec


def _spec_of_columns(columns: Any) -> dict[str, Any]:
    listed = list(columns) if isinstance(columns, Iterable) else [columns]
    for column in listed:
        if column_kinds.is_keras(column):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "feature_columns",
                    column,
                    "columns of tf.feature_column, because a Keras layer has no parsing spec",
                    "Omit the layer, and add the features that it reads to the result.",
                )
            )
    spec: dict[str, Any] = tf.feature_column.make_parse_example_spec(listed)
    return spec


def _weight_spec(weight_column: Any) -> dict[str, Any]:
    if isinstance(weight_column, str):
        weight_column = tf.feature_column.numeric_column(weight_column)
    if not column_kinds.is_numeric(weight_column):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "weight_column", weight_column, "the name of a feature, or a numeric column"
            )
        )
    spec: dict[str, Any] = tf.feature_column.make_parse_example_spec([weight_column])
    return spec


def _add(spec: dict[str, Any], argument: str, key: str, feature: Any) -> None:
    if key in spec:
        raise errors.ArgumentError(
            errors.invalid_argument(
                argument,
                key,
                f"a name other than those of the features, {sorted(map(str, spec))}",
            )
        )
    spec[key] = feature
