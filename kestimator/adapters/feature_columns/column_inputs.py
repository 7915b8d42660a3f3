"""The Keras inputs that feature columns need.

Synopsis::

    inputs = inputs_of(columns, inputs={})      # keras.Input by feature name

One input serves all columns of a feature. Columns without an equivalent layer raise errors here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import _internals, column_kinds

# Columns that read no feature themselves, and the attribute with the column that does.
_INNER: dict[type, str] = {
    _internals.BucketizedColumn: "source_column",
    _internals.IndicatorColumn: "categorical_column",
    _internals.EmbeddingColumn: "categorical_column",
    _internals.WeightedCategoricalColumn: "categorical_column",
}


# Other columns that read one feature.
_PLAIN = (
    _internals.IdentityCategoricalColumn,
    _internals.HashedCategoricalColumn,
    _internals.VocabularyListCategoricalColumn,
    _internals.VocabularyFileCategoricalColumn,
)


@dataclasses.dataclass(frozen=True)
class _Need:
    """A column's requirements of a feature: the dtype (None takes any), and the shape."""

    key: str
    dtype: str | None
    shape: tuple[int, ...]
    column: str
    is_layer: bool = False


def inputs_of(columns: Sequence[column_kinds.Column], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the inputs of columns, by feature name.

    Args:
        columns: The columns.
        inputs: Inputs to use instead of new ones, by feature name.

    Raises:
        errors.ArgumentError: A column has no equivalent layer, two expect different dtypes or
            shapes of a feature, or no column reads one of `inputs`.
    """
    needs: dict[str, list[_Need]] = {}
    for column in columns:
        for need in _needs(column):
            needs.setdefault(need.key, []).append(need)
    unknown = sorted(set(inputs) - set(needs))
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "inputs", unknown, f"features that the columns read: {sorted(needs)}"
            )
        )
    return {
        key: inputs[key] if key in inputs else _input(key, group)
        for key, group in sorted(needs.items())
    }


def no_layer(column: Any, reason: str, remedy: str) -> errors.ArgumentError:
    """The error for a column without an equivalent layer: the reason, and the way out."""
    return errors.ArgumentError(
        f"Feature column {column.name!r} cannot be converted to Keras layers: {reason}. {remedy}"
    )


def _needs(column: column_kinds.Column) -> Iterator[_Need]:
    """A column's requirements of its features."""
    kind = type(column)
    if column_kinds.is_keras(column):
        yield from _needs_of_keras(column)
    elif kind in _INNER:
        yield from _needs(getattr(column, _INNER[kind]))
        if kind is _internals.WeightedCategoricalColumn:
            yield _Need(column.weight_feature_key, column.dtype.name, (1,), column.name)
    elif kind is _internals.CrossedColumn:
        for leaf in _internals.leaves_of_cross(column):
            yield from (
                [_Need(leaf, None, (1,), column.name)] if isinstance(leaf, str) else _needs(leaf)
            )
    elif kind is _internals.NumericColumn:
        yield _Need(column.key, column.dtype.name, tuple(column.shape), column.name)
    elif kind in _PLAIN:
        # Identity columns have no dtype: their features are ids.
        dtype = getattr(column, "dtype", tf.int64)
        yield _Need(column.key, dtype.name, (1,), column.name)
    else:
        raise no_layer(
            column,
            f"Keras has no equivalent of a {kind.__name__}",
            "Use another column, such as a separate embedding_column for each feature, or "
            "prepare the feature in the input_fn.",
        )


def _needs_of_keras(column: Any) -> Iterator[_Need]:
    if isinstance(column, keras.utils.FeatureSpace):
        raise no_layer(
            column,
            "a FeatureSpace is not a layer",
            "Use its encoder: keras.Model(space.get_inputs(), space.get_encoded_features()).",
        )
    structure = model_inputs(column)
    if structure is None:
        yield _Need(column.name, None, (1,), column.name, is_layer=True)
        return
    for tensor in keras.tree.flatten(structure):
        yield _Need(tensor.name, tensor.dtype, tuple(tensor.shape[1:]), column.name)


def model_inputs(column: Any) -> Any:
    """The inputs of a functional model in their structure, or None for other layers."""
    is_model = isinstance(column, keras.Model) and not isinstance(column, keras.Sequential)
    return column.input if is_model and hasattr(column, "inputs") else None


def _input(key: str, needs: list[_Need]) -> Any:
    """An input that all columns of a feature can read: it has the narrowest of their dtypes."""
    dtypes = {need.dtype for need in needs if need.dtype is not None}
    # Numeric columns cast what they read, so they can read an integer input. Only columns of
    # strings can read an input of strings.
    exact = {dtype for dtype in dtypes if not dtype.startswith("float")}
    shapes = {need.shape for need in needs}
    if len(exact) > 1 or len(shapes) > 1 or ("string" in exact and dtypes > exact):
        raise errors.ArgumentError(
            f"Feature {key!r} cannot be a single Keras input: its columns "
            f"{sorted({need.column for need in needs})} expect the dtypes "
            f"{sorted(dtypes)} and the shapes {sorted(shapes)}. Pass an input for it in `inputs`."
        )
    by_default = "float32" if any(r.dtype for r in needs) else _default_dtype(needs)
    return keras.Input(shapes.pop(), name=key, dtype=exact.pop() if exact else by_default)


def _default_dtype(needs: list[_Need]) -> str:
    """The dtype where no column names one: float32 for Keras layers, string for crosses."""
    return "float32" if any(need.is_layer for need in needs) else "string"
