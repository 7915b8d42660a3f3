"""The Keras inputs that feature columns need.

Synopsis::

    inputs = inputs_of(columns, given={})       # keras.Input by feature name

One input serves all columns of a feature. Columns that cannot become Keras layers are refused here.
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
class _Wanted:
    """A column's requirements of a feature: the dtype (None takes any), and the shape."""

    key: str
    dtype: str | None
    shape: tuple[int, ...]
    column: str
    is_layer: bool = False


def inputs_of(columns: Sequence[column_kinds.Column], given: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the inputs of columns, by feature name.

    Args:
        columns: The columns.
        given: Inputs to use instead of new ones, by feature name.

    Raises:
        errors.ArgumentError: A column has no equal layer, two want different dtypes or shapes of
            a feature, or an input is given that no column reads.
    """
    wanted: dict[str, list[_Wanted]] = {}
    for column in columns:
        for one in _wanted(column):
            wanted.setdefault(one.key, []).append(one)
    unknown = sorted(set(given) - set(wanted))
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "inputs", unknown, f"inputs for features of the columns: {sorted(wanted)}"
            )
        )
    return {
        key: given[key] if key in given else _input(key, requests)
        for key, requests in sorted(wanted.items())
    }


def no_layer(column: Any, reason: str, remedy: str) -> errors.ArgumentError:
    """The error for a column without an equal layer: why, and what to do."""
    return errors.ArgumentError(
        f"Feature column {column.name!r} cannot become Keras layers: {reason}. {remedy}"
    )


def _wanted(column: column_kinds.Column) -> Iterator[_Wanted]:
    """A column's requirements of its features."""
    kind = type(column)
    if column_kinds.is_keras(column):
        yield from _wanted_by_keras(column)
    elif kind in _INNER:
        yield from _wanted(getattr(column, _INNER[kind]))
        if kind is _internals.WeightedCategoricalColumn:
            yield _Wanted(column.weight_feature_key, column.dtype.name, (1,), column.name)
    elif kind is _internals.CrossedColumn:
        for leaf in _internals.leaves_of_cross(column):
            yield from (
                [_Wanted(leaf, None, (1,), column.name)] if isinstance(leaf, str) else _wanted(leaf)
            )
    elif kind is _internals.NumericColumn:
        yield _Wanted(column.key, column.dtype.name, tuple(column.shape), column.name)
    elif kind in _PLAIN:
        # Identity columns have no dtype: their features are ids.
        dtype = getattr(column, "dtype", tf.int64)
        yield _Wanted(column.key, dtype.name, (1,), column.name)
    else:
        raise no_layer(
            column,
            f"Keras has no layer that equals a {kind.__name__}",
            "Take another column, such as an embedding_column of each feature by itself, or "
            "prepare the feature in the input_fn.",
        )


def _wanted_by_keras(column: Any) -> Iterator[_Wanted]:
    if isinstance(column, keras.utils.FeatureSpace):
        raise no_layer(
            column,
            "a FeatureSpace is no layer",
            "Take its encoder: keras.Model(space.get_inputs(), space.get_encoded_features()).",
        )
    structure = model_inputs(column)
    if structure is None:
        yield _Wanted(column.name, None, (1,), column.name, is_layer=True)
        return
    for tensor in keras.tree.flatten(structure):
        yield _Wanted(tensor.name, tensor.dtype, tuple(tensor.shape[1:]), column.name)


def model_inputs(column: Any) -> Any:
    """The inputs of a functional model in their structure, or None for other layers."""
    is_model = isinstance(column, keras.Model) and not isinstance(column, keras.Sequential)
    return column.input if is_model and hasattr(column, "inputs") else None


def _input(key: str, requests: list[_Wanted]) -> Any:
    """An input that all columns of a feature can read: it has the narrowest of their dtypes."""
    dtypes = {request.dtype for request in requests if request.dtype is not None}
    # Numeric columns cast what they read, so an integer input serves float columns too. An input of
    # strings serves no other columns.
    exact = {dtype for dtype in dtypes if not dtype.startswith("float")}
    shapes = {request.shape for request in requests}
    if len(exact) > 1 or len(shapes) > 1 or ("string" in exact and dtypes > exact):
        raise errors.ArgumentError(
            f"Feature {key!r} cannot be one Keras input: its columns "
            f"{sorted({request.column for request in requests})} want the dtypes "
            f"{sorted(dtypes)} and the shapes {sorted(shapes)}. Pass one in `inputs`."
        )
    by_default = "float32" if any(r.dtype for r in requests) else _default_dtype(requests)
    return keras.Input(shapes.pop(), name=key, dtype=exact.pop() if exact else by_default)


def _default_dtype(requests: list[_Wanted]) -> str:
    """The dtype where no column names one: float32 for Keras layers, string for crosses."""
    return "float32" if any(request.is_layer for request in requests) else "string"
