"""Features on their way through feature columns: the fast path, and TensorFlow's.

Synopsis::

    features = Features({"age": ages, "city": cities})
    ids = features.ids(categorical_column)      # Ids, or None if there is no fast path
    numbers = features.numbers(numeric_column)  # (batch,) or (batch, n), or None
    features.cache, features.tables             # for TensorFlow's own code

The fast path handles dense features with one value per example. Ids are a plain vector there, and
no sparse tensor is made. Its results equal those of TensorFlow's code. That code handles all other
features, and it reports what is wrong with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import _internals, column_kinds, column_tables
from kestimator.engine.keras_internals import outside_programs

# TensorFlow's columns drop -1 and "" when they make a dense feature sparse.
_ABSENT = -1


@dataclasses.dataclass(frozen=True)
class Ids:
    """A categorical column's ids, one for each example.

    Attributes:
        values: The ids, (batch,), as a cross sees them: those of unknown words may be negative.
        present: Which examples have a value, (batch,); None if all have.
        lookup: The ids to look up, (batch,); negative where there is nothing to look up.
        is_certain: Whether no id to look up is negative.
        weights: The weights of a weighted column, (batch,); None for 1.
    """

    values: tf.Tensor
    present: tf.Tensor | None
    lookup: tf.Tensor
    is_certain: bool = False
    weights: tf.Tensor | None = None


class Features:
    """The features of one call of a model_fn; each column transforms them once.

    Args:
        features: Tensors by feature name.
        fast: Whether columns may take the fast path.

    Attributes:
        raw: The features as they were passed.
        cache: TensorFlow's own cache of transformed columns.
        tables: The lookup tables.

    Raises:
        errors.ArgumentError: `features` is not a dict.
    """

    def __init__(self, features: Any, *, fast: bool = True) -> None:
        if not isinstance(features, Mapping):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "features",
                    features,
                    "a dict that maps feature names to tensors",
                    'Return {"x": features} from the input_fn, and use the key "x" in the columns.',
                )
            )
        self.raw = dict(features)
        # `raw` keeps ragged tensors, so that a numeric column can raise an error for them.
        self.tables = column_tables.Tables()
        self.cache = _internals.transformation_cache(
            {key: _without_ragged(value) for key, value in self.raw.items()}
        )
        self._fast = fast
        # None is kept as well: a column without a fast path is not tried twice.
        self._ids: dict[Any, Ids | None] = {}

    def _dense(self, key: str) -> tf.Tensor | None:
        value = self.raw.get(key)
        if not self._fast or value is None or isinstance(value, tf.SparseTensor | tf.RaggedTensor):
            return None
        return tf.convert_to_tensor(value)

    def one_per_example(self, key: str) -> tf.Tensor | None:
        """A feature as (batch,), if it is dense and has one value for each example."""
        tensor = self._dense(key)
        if tensor is None or tensor.shape.rank == 1:
            return tensor
        if tensor.shape.rank == 2 and tensor.shape[1] == 1:
            return tf.squeeze(tensor, 1)
        return None

    def numbers(self, column: column_kinds.Column) -> tf.Tensor | None:
        """The float32 numbers of a numeric column, (batch, n), or (batch,) for n = 1.

        Raises:
            errors.ArgumentTypeError: The feature is ragged.
        """
        if isinstance(self.raw.get(column.key), tf.RaggedTensor):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    f"features[{column.key!r}]",
                    self.raw[column.key],
                    f"a dense tensor, because {column.name!r} is a numeric column",
                    "Convert it to a dense tensor with its `to_tensor` method.",
                )
            )
        tensor = self._dense(column.key)
        # TensorFlow's code handles these features, and raises its own error for a wrong shape.
        if tensor is None or tensor.dtype == tf.string or not _fits(tensor, column.shape):
            return None
        if column.normalizer_fn is not None:
            if tensor.shape.rank == 1:
                # TensorFlow expands (batch,) as well, before a normalizer_fn sees the feature.
                tensor = tf.expand_dims(tensor, 1)
            if isinstance(column.normalizer_fn, keras.Layer):
                build_once(column.normalizer_fn, tensor)
            tensor = column.normalizer_fn(tensor)
        tensor = tf.cast(tensor, tf.float32)
        return tensor if tensor.shape.rank in (1, 2) else None

    def ids(self, column: column_kinds.Column) -> Ids | None:
        """The ids of a categorical column, or None where the column has no fast path."""
        if column not in self._ids:
            transform = _TRANSFORMS.get(type(column))
            self._ids[column] = transform(self, column) if transform else None
        return self._ids[column]


def build_once(layer: keras.Layer, inputs: Any) -> None:
    """Builds a layer outside of the trace: what it keeps besides variables serves later traces."""
    if not layer.built and not isinstance(inputs, Mapping):
        with outside_programs.outside_of_the_trace():
            layer.build(tuple(inputs.shape))


def _fits(tensor: tf.Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a feature has the shape of a numeric column, (batch,) for (batch, 1) too."""
    if tensor.shape.rank is None:
        return False
    return tuple(tensor.shape[1:]) == shape or (shape == (1,) and tensor.shape.rank == 1)


def _without_ragged(value: Any) -> Any:
    """Categorical columns take ragged features as sparse ones."""
    return value.to_sparse() if isinstance(value, tf.RaggedTensor) else value


def _words(features: Features, column: column_kinds.Column) -> tf.Tensor | None:
    """The values of a column's feature, if they are of the type that it expects."""
    raw = features.one_per_example(column.key)
    if raw is None or not (raw.dtype == tf.string or raw.dtype.is_integer):
        return None
    return raw if column.dtype.is_integer == raw.dtype.is_integer else None


def _is_present(raw: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow's columns see a value: "" and -1 are padding."""
    return tf.not_equal(raw, tf.constant("" if raw.dtype == tf.string else _ABSENT, raw.dtype))


def _where_present(present: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    return tf.where(present, values, tf.constant(_ABSENT, values.dtype))


def _identity(features: Features, column: Any) -> Ids | None:
    raw = features.one_per_example(column.key)
    if raw is None or not raw.dtype.is_integer:
        return None
    present, values = _is_present(raw), tf.cast(raw, tf.int64)
    if column.default_value is None:
        # Padding is -1, which is negative, so the ids can be looked up without a mask.
        return Ids(values, present, values)
    outside = (values < 0) | (values >= column.number_buckets)
    values = tf.where(outside, tf.constant(column.default_value, tf.int64), values)
    return Ids(values, present, _where_present(present, values))


def _hashed(features: Features, column: Any) -> Ids | None:
    raw = _words(features, column)
    if raw is None:
        return None
    words = raw if raw.dtype == tf.string else tf.strings.as_string(raw)
    values = tf.strings.to_hash_bucket_fast(words, column.hash_bucket_size)
    present = _is_present(raw)
    return Ids(values, present, _where_present(present, values))


def _looked_up(features: Features, column: Any) -> Ids | None:
    raw = _words(features, column)
    if raw is None or not features.tables.makes(column):
        return None
    present = _is_present(raw)
    words = raw if raw.dtype == tf.string else tf.cast(raw, tf.int64)
    # A lookup loses the static shape. An op restores it, because the device loop infers shapes
    # again, and a loss of unknown shape cannot go through that loop.
    values = tf.ensure_shape(features.tables.of(column).lookup(words), words.shape)
    lookup = values if _drops_padding(column) else _where_present(present, values)
    return Ids(values, present, lookup)


def _drops_padding(column: Any) -> bool:
    """Whether the table is known to map padding to -1 without a mask."""
    padding = _ABSENT if column.dtype.is_integer else ""
    words = getattr(column, "vocabulary_list", None)
    is_outside = words is not None and padding not in words
    return is_outside and not column.num_oov_buckets and column.default_value == _ABSENT


def _bucketized(features: Features, column: Any) -> Ids | None:
    buckets = buckets_of(features, column)
    return None if buckets is None else Ids(buckets, None, buckets, is_certain=True)


def buckets_of(features: Features, column: Any) -> tf.Tensor | None:
    """The buckets of a bucketized column of one number, (batch,), int32."""
    numbers = features.numbers(column.source_column)
    if numbers is None or column.source_column.shape != (1,):
        return None
    numbers = numbers if numbers.shape.rank == 1 else tf.squeeze(numbers, 1)
    boundaries = [float(boundary) for boundary in column.boundaries]
    return tf.raw_ops.Bucketize(input=numbers, boundaries=boundaries)


def _crossed(features: Features, column: Any) -> Ids | None:
    """Crosses ids first and plain features second: TensorFlow hashes in this order."""
    ids, raws = [], []
    for key in _internals.leaves_of_cross(column):
        if isinstance(key, str):
            raw = features.one_per_example(key)
            if raw is None or not (raw.dtype == tf.string or raw.dtype.is_integer):
                return None
            raws.append(raw)
            continue
        leaf_ids = features.ids(key)
        # TensorFlow's code refuses weighted ids in a cross, and raises its own error.
        if leaf_ids is None or leaf_ids.weights is not None:
            return None
        ids.append(leaf_ids)
    parts = [*(leaf_ids.values for leaf_ids in ids), *raws]
    crossed = tf.sparse.cross_hashed(
        [tf.expand_dims(part, 1) for part in parts], column.hash_bucket_size, column.hash_key
    ).values
    # An example has a cross only if all parts of it have a value.
    masks = [leaf_ids.present for leaf_ids in ids if leaf_ids.present is not None]
    if not masks:
        return Ids(crossed, None, crossed, is_certain=True)
    present = masks[0] if len(masks) == 1 else tf.reduce_all(tf.stack(masks), 0)
    return Ids(crossed, present, _where_present(present, crossed))


def _weighted(features: Features, column: Any) -> Ids | None:
    ids = features.ids(column.categorical_column)
    weights = features.one_per_example(column.weight_feature_key)
    # TensorFlow's code raises the error for weights of another dtype.
    if ids is None or weights is None or weights.dtype != column.dtype:
        return None
    return dataclasses.replace(ids, weights=tf.cast(weights, tf.float32))


_TRANSFORMS: dict[type, Callable[[Features, Any], Ids | None]] = {
    _internals.IdentityCategoricalColumn: _identity,
    _internals.HashedCategoricalColumn: _hashed,
    _internals.VocabularyListCategoricalColumn: _looked_up,
    _internals.VocabularyFileCategoricalColumn: _looked_up,
    _internals.BucketizedColumn: _bucketized,
    _internals.CrossedColumn: _crossed,
    _internals.WeightedCategoricalColumn: _weighted,
}
