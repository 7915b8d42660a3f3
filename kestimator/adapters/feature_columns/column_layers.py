"""Feature columns as Keras layers, for a model that no longer needs feature columns.

Synopsis::

    layers = ColumnLayers([*linear_columns, *deep_columns], inputs={}, value_of=value_of)
    values = layers.dense(column, scope)             # (batch, n), float32
    rows = layers.rows(column, variable, "mean")     # (batch, n), of a categorical column
    model = keras.Model(layers.inputs, ...)

A layer with variables has a name made of theirs by `keras_files.layer_name`. A column without an
equivalent Keras layer raises an error that names the column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import _internals, column_inputs, column_kinds
from kestimator.engine.checkpoints import keras_files

_HASH_KEY = 0xDECAFCAFFE
"""TensorFlow's key for hashing crosses. `keras.layers.HashedCrossing` supports no other key."""

Symbolic: TypeAlias = Any
"""A `keras.KerasTensor`."""


@dataclasses.dataclass(frozen=True)
class _Ids:
    """The ids of a categorical column.

    Attributes:
        values: (batch, k), int64, as a cross sees them; negative where there is nothing to look up.
        present: (batch, k), bool: which are values; None if all are.
        weights: (batch, k), float32; None for 1.
    """

    values: Symbolic
    present: Symbolic | None = None
    weights: Symbolic | None = None


class ColumnLayers:
    """Makes the layers of feature columns, and the inputs that they need.

    Args:
        columns: All columns that will be used.
        inputs: Inputs by feature name, which replace the default ones of one value per example.
        value_of: Gives the value of a variable by its name.

    Attributes:
        inputs: The inputs by feature name.
        weights: Each layer that has variables, with their values.

    Raises:
        errors.ArgumentError: A column has no equivalent layer, or two expect different dtypes.
    """

    def __init__(
        self,
        columns: Sequence[column_kinds.Column],
        inputs: Mapping[str, Symbolic],
        value_of: Callable[[str], np.ndarray],
    ) -> None:
        self.weights: list[tuple[keras.Layer, list[np.ndarray]]] = []
        self._value_of = value_of
        self._ids: dict[Any, _Ids] = {}
        self._padding: dict[str, Symbolic] = {}
        self._names: set[str] = set()
        self.inputs: dict[str, Symbolic] = column_inputs.inputs_of(columns, inputs)

    def dense(self, column: column_kinds.Column, scope: str) -> Symbolic:
        """The values of a dense column, (batch, n), float32.

        Args:
            column: The column.
            scope: The variable scope above that of the column.
        """
        if column_kinds.is_keras(column):
            return self._keras(column)
        if type(column) is _internals.NumericColumn:
            return self._numbers(column)
        if type(column) is _internals.BucketizedColumn:
            buckets, count = self._buckets(column), len(column.boundaries) + 1
            one_hot = keras.ops.one_hot(buckets, count)
            return keras.layers.Reshape([column_kinds.width(column)])(one_hot)
        if type(column) is _internals.IndicatorColumn:
            return self._counts(column)
        table = f"{scope}/{column_kinds.scope_name(column)}/embedding_weights"
        return self.rows(
            column.categorical_column,
            table,
            column.combiner,
            max_norm=column.max_norm,
        )

    def rows(
        self,
        column: column_kinds.Column,
        variable: str,
        combiner: str,
        max_norm: float | None = None,
    ) -> Symbolic:
        """The rows of a table for the ids of a categorical column, combined, (batch, n).

        Args:
            column: The column.
            variable: The name of the table's variable.
            combiner: "sum", "mean" or "sqrtn".
            max_norm: The norm to which rows are clipped, or None.
        """
        ids = self._ids_of(column)
        value, options = self._value_of(variable), {}
        if max_norm is not None:
            # The column clips rows at each lookup, a Keras layer does not. So the values are
            # clipped here, and a constraint clips them again after later updates.
            norms = np.linalg.norm(value, axis=1, keepdims=True)
            value = value * (max_norm / np.maximum(norms, max_norm))
            options["embeddings_constraint"] = keras.constraints.MaxNorm(max_norm, axis=1)
        layer = keras.layers.Embedding(
            *value.shape, name=keras_files.layer_name(variable), **options
        )
        # An Embedding takes no negative ids. They read row 0, which `_combined` masks.
        rows = layer(keras.ops.maximum(ids.values, 0))
        self.weights.append((layer, [value]))
        return _combined(rows, ids, combiner)

    def bias(self, variable: str, like: Symbolic) -> Symbolic:
        """A variable of shape (n,), once for each row of `like`: (batch, n)."""
        # A functional model has no bare variables, so an Embedding with one row holds the bias.
        value = self._value_of(variable)[None]
        layer = keras.layers.Embedding(*value.shape, name=keras_files.layer_name(variable))
        rows = layer(keras.ops.zeros_like(like, dtype="int32")[:, 0])
        self.weights.append((layer, [value]))
        return rows

    def product(self, values: Symbolic, variable: str) -> Symbolic:
        """`values` times a matrix."""
        value = self._value_of(variable)
        name = keras_files.layer_name(variable)
        layer = keras.layers.Dense(value.shape[1], use_bias=False, name=name)
        product = layer(values)
        self.weights.append((layer, [value]))
        return product

    def scoped(self, layer: keras.Layer, values: Symbolic, names: Iterable[str]) -> Symbolic:
        """Calls a layer, whose name is that of a scope; `names` are its variables in the scope."""
        scope, result = keras_files.variable_name(layer.name), layer(values)
        self.weights.append((layer, [self._value_of(f"{scope}/{name}") for name in names]))
        return result

    def _name(self, base: str, kind: str) -> str:
        """A unique name for a layer without variables."""
        name, count = f"{base}.{kind}", 0
        while name in self._names:
            count += 1
            name = f"{base}.{kind}_{count}"
        self._names.add(name)
        return name

    def _numbers(self, column: Any) -> Symbolic:
        values, normalizer = self.inputs[column.key], column.normalizer_fn
        if normalizer is not None:
            values = _copy_of(normalizer, self._name(column.key, "normalized"))(values)
        if values.dtype != "float32":
            values = keras.ops.cast(values, "float32")
        if len(values.shape) != 2:
            values = keras.layers.Reshape([column_kinds.width(column)])(values)
        return values

    def _buckets(self, column: Any) -> Symbolic:
        """(batch, n), int64: the bucket of each number."""
        name = self._name(column_kinds.scope_name(column), "buckets")
        boundaries = [float(boundary) for boundary in column.boundaries]
        layer = keras.layers.Discretization(bin_boundaries=boundaries, name=name)
        return keras.ops.cast(layer(self._numbers(column.source_column)), "int64")

    def _counts(self, column: Any) -> Symbolic:
        """(batch, n): the number of times that each id occurs."""
        ids = self._ids_of(column.categorical_column)
        layer = keras.layers.CategoryEncoding(
            num_tokens=column_kinds.width(column),
            output_mode="count",
            name=self._name(column_kinds.scope_name(column), "counts"),
        )
        weights = _times(_mask(ids), ids.weights)
        return layer(keras.ops.maximum(ids.values, 0), count_weights=weights)

    def _keras(self, column: Any) -> Symbolic:
        """The result of a copy of the user's own Keras layer."""
        structure = column_inputs.model_inputs(column)
        if structure is None:  # the input has the layer's name, so the copy gets another one
            copy = _copy_of(column, f"{keras_files.layer_name(column.name)}.")
            result = copy(self.inputs[column.name])
        else:
            copy = _copy_of(column, column.name)
            inputs = keras.tree.map_structure(lambda tensor: self.inputs[tensor.name], structure)
            result = copy(inputs)
        names = [variable.path for variable in column.weights]
        self.weights.append((copy, [self._value_of(name) for name in names]))
        if len(result.shape) == 1:
            result = keras.ops.expand_dims(result, 1)
        return keras.ops.cast(result, "float32")

    def _ids_of(self, column: column_kinds.Column) -> _Ids:
        if column not in self._ids:
            self._ids[column] = _MAKERS[type(column)](self, column)
        return self._ids[column]

    def _is_value(self, key: str) -> Symbolic:
        """(batch, k), bool: which values of a feature are not padding, which is "" or -1."""
        if key not in self._padding:
            feature = self.inputs[key]
            if feature.dtype == "string":
                name = self._name(key, "padding")
                # Of the two indices, 1 is the padding and 0 is any other word.
                lookup = keras.layers.StringLookup(vocabulary=[""], mask_token=None, name=name)
                self._padding[key] = keras.ops.equal(lookup(feature), 0)
            else:
                self._padding[key] = keras.ops.not_equal(feature, -1)
        return self._padding[key]

    def _identity(self, column: Any) -> _Ids:
        values = keras.ops.cast(self.inputs[column.key], "int64")
        present = self._is_value(column.key)
        if column.default_value is not None:
            outside = keras.ops.logical_or(values < 0, values >= column.number_buckets)
            values = keras.ops.where(outside, column.default_value, values)
        return _Ids(values, present)

    def _hashed(self, column: Any) -> _Ids:
        name = self._name(column.key, "hash")
        layer = keras.layers.Hashing(column.hash_bucket_size, name=name)
        values = keras.ops.cast(layer(self.inputs[column.key]), "int64")
        return _Ids(values, self._is_value(column.key))

    def _looked_up(self, column: Any) -> _Ids:
        words, feature = _vocabulary(column), self.inputs[column.key]
        integers = column.dtype.is_integer
        kind = keras.layers.IntegerLookup if integers else keras.layers.StringLookup
        # Keras keeps index 0 for unknown words and counts known ones from 1. TensorFlow counts
        # from 0.
        name = self._name(column.key, "lookup")
        indices = kind(vocabulary=words, mask_token=None, name=name)(feature)  # 0 for unknown words
        if column.num_oov_buckets:
            name = self._name(column.key, "others")
            unknown_ids = keras.layers.Hashing(column.num_oov_buckets, name=name)(feature)
            unknown_ids = keras.ops.cast(unknown_ids, "int64") + len(words)
        else:
            unknown_ids = column.default_value
        values = keras.ops.where(keras.ops.equal(indices, 0), unknown_ids, indices - 1)
        return _Ids(values, self._is_value(column.key))

    def _bucketized(self, column: Any) -> _Ids:
        buckets = self._buckets(column)
        width = int(buckets.shape[1])
        if width == 1:
            return _Ids(buckets)
        # Each number of the feature has a separate range of ids.
        return _Ids(buckets + np.arange(width, dtype=np.int64) * (len(column.boundaries) + 1))

    def _crossed(self, column: Any) -> _Ids:
        if column.hash_key not in (None, _HASH_KEY):
            raise column_inputs.no_layer(
                column, "keras.layers.HashedCrossing does not support a `hash_key`", "Omit it."
            )
        leaves = _internals.leaves_of_cross(column)
        ids = [self._ids_of(leaf) for leaf in leaves if not isinstance(leaf, str)]
        features = [self.inputs[leaf] for leaf in leaves if isinstance(leaf, str)]
        parts = [*(leaf_ids.values for leaf_ids in ids), *features]
        if len(parts) != 2 or any(part.shape[1:] != (1,) for part in parts):
            raise column_inputs.no_layer(
                column,
                "keras.layers.HashedCrossing only crosses two features with one value each",
                "Compute the cross when you prepare the data, and use it as a feature.",
            )
        name = self._name(column_kinds.scope_name(column), "cross")
        layer = keras.layers.HashedCrossing(column.hash_bucket_size, name=name)
        values = keras.ops.cast(layer(tuple(parts)), "int64")
        present = None
        for leaf_ids in ids:
            present = _both(present, leaf_ids.present)
        return _Ids(values, present)

    def _weighted(self, column: Any) -> _Ids:
        ids = self._ids_of(column.categorical_column)
        weights = keras.ops.cast(self.inputs[column.weight_feature_key], "float32")
        return dataclasses.replace(ids, weights=weights)


_MAKERS: dict[type, Callable[[ColumnLayers, Any], _Ids]] = {
    _internals.IdentityCategoricalColumn: ColumnLayers._identity,
    _internals.HashedCategoricalColumn: ColumnLayers._hashed,
    _internals.VocabularyListCategoricalColumn: ColumnLayers._looked_up,
    _internals.VocabularyFileCategoricalColumn: ColumnLayers._looked_up,
    _internals.BucketizedColumn: ColumnLayers._bucketized,
    _internals.CrossedColumn: ColumnLayers._crossed,
    _internals.WeightedCategoricalColumn: ColumnLayers._weighted,
}


def _mask(ids: _Ids) -> Symbolic:
    """(batch, k), float32: 1 where there is something to look up."""
    valid = _both(ids.present, ids.values >= 0)
    return keras.ops.cast(valid, "float32")


def _both(one: Symbolic | None, other: Symbolic | None) -> Symbolic | None:
    if one is None or other is None:
        return other if one is None else one
    return keras.ops.logical_and(one, other)


def _times(one: Symbolic, other: Symbolic | None) -> Symbolic:
    return one if other is None else one * other


def _combined(rows: Symbolic, ids: _Ids, combiner: str) -> Symbolic:
    """Adds up the rows of each example, (batch, k, n), and divides as the combiner requires."""
    mask = _mask(ids)
    # TensorFlow's mean and sqrtn drop ids whose weight is not positive; its sum keeps them.
    if combiner != "sum" and ids.weights is not None:
        mask *= keras.ops.cast(ids.weights > 0, "float32")
    weights = _times(mask, ids.weights)
    total = keras.ops.sum(rows * keras.ops.expand_dims(weights, -1), axis=1)
    if combiner == "sum" or (ids.values.shape[1] == 1):
        # The weighted mean of a single row is the row itself: its weight cancels out.
        single = combiner == "sum" or ids.weights is None
        return total if single else keras.ops.sum(rows * keras.ops.expand_dims(mask, -1), axis=1)
    if combiner == "mean":
        size = keras.ops.sum(weights, axis=1, keepdims=True)
    else:
        size = keras.ops.sqrt(keras.ops.sum(weights * weights, axis=1, keepdims=True))
    return keras.ops.divide_no_nan(total, size)


def _vocabulary(column: Any) -> list[Any]:
    """The words, or the numbers, of a vocabulary column in the order of their ids."""
    if isinstance(column, _internals.VocabularyListCategoricalColumn):
        words = list(column.vocabulary_list)
    elif column.file_format == "tfrecord_gzip":
        raise column_inputs.no_layer(
            column, "its words are in a TFRecord file", "Use a text file with one word per line."
        )
    else:
        with tf.io.gfile.GFile(column.vocabulary_file) as file:
            words = file.read().splitlines()[: column.vocabulary_size]
    if column.dtype.is_integer:
        return [int(word) for word in words]
    return [tf.compat.as_str_any(word) for word in words]


def _copy_of(layer: Any, name: str) -> keras.Layer:
    """A layer of the same configuration, whose variables are its own.

    Raises:
        errors.ArgumentError: It is a function, which has no layer.
    """
    if not isinstance(layer, keras.Layer):
        key = name.rpartition(".")[0]
        raise errors.ArgumentError(
            f"Feature column {key!r} cannot be converted to Keras layers: its normalizer_fn is a "
            "function, and Keras only saves layers. Pass a layer as normalizer_fn, such as "
            "keras.layers.Rescaling(1 / 255) or keras.layers.Normalization(mean=…, variance=…)."
        )
    return type(layer).from_config({**layer.get_config(), "name": name})
