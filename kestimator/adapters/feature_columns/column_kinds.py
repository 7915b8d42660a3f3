"""The kinds of feature columns, their names, and the places where each is allowed.

Synopsis::

    columns = checked_columns("feature_columns", columns, Place.DENSE)

A feature column is one of `tf.feature_column`, or a Keras layer, model or `FeatureSpace` that
turns features into a dense tensor.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import keras

from kestimator import errors
from kestimator.adapters.feature_columns import _internals

Column: TypeAlias = Any
"""A column of `tf.feature_column`, or a Keras layer."""

_WRAP = (
    "Wrap the categorical column with tf.feature_column.embedding_column or "
    "tf.feature_column.indicator_column."
)
_KERAS = (keras.Layer, keras.utils.FeatureSpace)


class EmbeddingWithSharedTable(_internals.EmbeddingColumn):
    """A column of `tf.compat.v1.feature_column.shared_embedding_columns`.

    Other than those of `tf.feature_column.shared_embeddings`, it makes the table in the scope in
    which it is used, and the table is trained.

    Attributes:
        table: The name of the table.
    """

    table: str

    @classmethod
    def of(cls, column: Any) -> EmbeddingWithSharedTable:
        """Converts TensorFlow's column."""
        values = _internals.fields_of_shared_embedding(column)
        table = values.pop("shared_embedding_collection_name")
        embedding = cls(**values)
        embedding.table = table
        return embedding

    @property
    def name(self) -> str:
        """TensorFlow's name of the column, which decides the order of columns."""
        return f"{self.categorical_column.name}_shared_embedding"


class Place(enum.Enum):
    """A place for columns; the value says in words which columns are allowed there."""

    DENSE = "a dense column (numeric, bucketized, indicator or embedding), or a Keras layer"
    LINEAR = "a dense or categorical column, or a Keras layer"
    SEQUENCE = "a sequence column: numeric, or an embedding or indicator of a categorical column"


def is_keras(column: Column) -> bool:
    """Whether a column is a Keras layer, a model or a FeatureSpace."""
    return isinstance(column, _KERAS)


def is_numeric(column: Column) -> bool:
    """Whether a column gives a feature's numbers."""
    return isinstance(column, _internals.NumericColumn)


def is_categorical(column: Column) -> bool:
    """Whether a column gives ids."""
    return isinstance(column, _internals.CategoricalColumn)


def has_shared_table(column: Column) -> bool:
    """Whether it is a column of `tf.feature_column.shared_embeddings`."""
    return isinstance(column, _internals.SharedEmbeddingColumn)


def is_sequence(column: Column) -> bool:
    """Whether a column gives a sequence of vectors for an example."""
    # Embedding and indicator columns are SequenceDenseColumns by class; their source decides.
    source = getattr(column, "categorical_column", None)
    return isinstance(column, _internals.SequenceDenseColumn) and (
        source is None or isinstance(source, _internals.SequenceCategoricalColumn)
    )


def width(column: Column) -> int:
    """The number of values that a dense column gives per example."""
    return int(column.variable_shape.num_elements())


def scope_name(column: Column) -> str:
    """A column's name in variable names: without characters that a scope cannot have."""
    is_shared = isinstance(column, EmbeddingWithSharedTable)
    return _internals.scope_name(column.table if is_shared else column.name)


def checked_columns(argument: str, columns: Any, place: Place) -> tuple[Column, ...]:
    """Returns columns ordered by name, as the original orders them.

    Args:
        argument: The name of the caller's argument.
        columns: An iterable of columns, or one column.
        place: The place where the columns are used.

    Raises:
        errors.ArgumentError: There are none, one is of the wrong kind, or two have one name.
    """
    listed = [_current(column) for column in _listed(argument, columns)]
    for position, column in enumerate(listed):
        _check_kind(f"{argument}[{position}]", column, place)
    # The rows of a network's first kernel follow this order, so it must be the checkpoint's.
    ordered = sorted(listed, key=lambda column: str(column.name))
    names = [column.name for column in ordered]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise errors.ArgumentError(
            errors.invalid_argument(
                argument,
                names,
                "columns with unique names",
                f"Duplicate feature column name found: {', '.join(map(repr, repeated))}. "
                "Remove one of the columns, or give a Keras layer another `name`.",
            )
        )
    return tuple(ordered)


def _current(column: Column) -> Column:
    is_of_v1 = isinstance(column, _internals.SharedEmbeddingColumnOfV1)
    return EmbeddingWithSharedTable.of(column) if is_of_v1 else column


def _listed(argument: str, columns: Any) -> list[Column]:
    one = (_internals.FeatureColumn, _internals.SharedEmbeddingColumnOfV1)
    if isinstance(columns, one) or is_keras(columns):
        return [columns]
    usable = isinstance(columns, Iterable) and not isinstance(columns, Mapping | str | bytes)
    listed = list(columns) if usable else []
    if not listed:
        raise errors.ArgumentError(
            errors.invalid_argument(
                argument,
                columns,
                "a non-empty list of feature columns",
                "Create columns with functions such as tf.feature_column.numeric_column.",
            )
        )
    return listed


def _check_kind(argument: str, column: Column, place: Place) -> None:
    if place is Place.SEQUENCE:
        fits = is_sequence(column)
    elif is_keras(column) or (place is Place.LINEAR and is_categorical(column)):
        fits = True
    else:
        fits = isinstance(column, _internals.DenseColumn) and not is_sequence(column)
    if not fits:
        way_out = _way_to_sequences(column) if place is Place.SEQUENCE else _way_out(column)
        raise errors.ArgumentError(errors.invalid_argument(argument, column, place.value, way_out))


def _way_to_sequences(column: Column) -> str:
    if isinstance(column, _internals.SequenceCategoricalColumn):
        return _WRAP
    if is_keras(column) or isinstance(column, _internals.DenseColumn):
        return (
            "Pass columns with one value for all steps as `context_feature_columns`. Create "
            "sequence columns with functions such as "
            "tf.feature_column.sequence_categorical_column_with_identity."
        )
    return "Create one with a function such as tf.feature_column.sequence_numeric_column."


def _way_out(column: Column) -> str:
    if is_categorical(column):
        return _WRAP
    if is_sequence(column):
        return "Pass sequence columns as `sequence_feature_columns` of a recurrent estimator."
    if isinstance(column, str):
        return f"Create a column for the feature: tf.feature_column.numeric_column({column!r})."
    return "Columns of tf.compat.v1.feature_column are not accepted. Use tf.feature_column."
