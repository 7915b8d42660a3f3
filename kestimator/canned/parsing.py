"""Parsing specs of canned estimators, for `tf.io.parse_example`.

Synopsis::

    spec = kestimator.classifier_parse_example_spec(columns, "label", weight_column="weight")
    dataset = dataset.map(lambda text: tf.io.parse_single_example(text, spec))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_kinds
from kestimator.validation import checks, kinds


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
        errors.ArgumentError: Label or weight is among the features, a column has no spec, or the
            default does not fit.
        errors.ArgumentTypeError: An argument has another type.
    """
    label = _checked_label(1, label_dtype, label_default)
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
        errors.ArgumentError: Label or weight is among the features, a column has no spec, or the
            default does not fit.
        errors.ArgumentTypeError: An argument has another type.
    """
    size = checks.checked_int("label_dimension", label_dimension, 1, maximum=checks.LARGEST_SIZE)
    label = _checked_label(size, label_dtype, label_default)
    return _spec(feature_columns, label_key, label, weight_column)


def _spec(columns: Any, label_key: str, label: Any, weight_column: Any) -> dict[str, Any]:
    kinds.checked_text("label_key", label_key, "the name of the label")
    spec: dict[str, Any] = dict(_spec_of_columns(columns))
    _add(spec, "label_key", label_key, label)
    if weight_column is not None:
        for key, feature in _weight_spec(weight_column).items():
            _add(spec, "weight_column", key, feature)
    return spec


def _checked_label(size: int, dtype: Any, default: Any) -> tf.io.FixedLenFeature:
    message = errors.invalid_argument("label_dtype", dtype, "a dtype, such as tf.int64")
    if not isinstance(dtype, tf.DType | np.dtype | str | type):
        raise errors.ArgumentTypeError(message)
    try:
        is_text = tf.as_dtype(dtype) == tf.string
    except TypeError as error:
        raise errors.ArgumentTypeError(message) from error
    if default is not None:
        values = np.asarray(default)
        if values.size not in (1, size) or values.dtype.kind not in ("SU" if is_text else "biuf"):
            expected = f"None, or a label of {size} values of type {tf.as_dtype(dtype).name}"
            raise errors.ArgumentError(errors.invalid_argument("label_default", default, expected))
    return tf.io.FixedLenFeature((size,), dtype, default)


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
