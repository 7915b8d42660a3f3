"""`tf.contrib.layers`: feature columns by their old names, made of those of `tf.feature_column`.

Synopsis::

    words = sparse_column_with_hash_bucket("word", 1000)
    columns = [real_valued_column("age"), embedding_column(words, 8)]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors

_columns = tf.feature_column


def real_valued_column(
    column_name: str,
    dimension: int | None = 1,
    default_value: Any = None,
    dtype: Any = tf.float32,
    normalizer: Callable[[Any], Any] | None = None,
) -> Any:
    """Returns a column of numbers; see `tf.feature_column.numeric_column`.

    Raises:
        errors.ArgumentError: `dimension` is None.
    """
    if dimension is None:
        raise errors.ArgumentError(
            errors.invalid_argument("dimension", dimension, "the number of values per example")
        )
    return _columns.numeric_column(column_name, (dimension,), default_value, dtype, normalizer)


def bucketized_column(source_column: Any, boundaries: Sequence[float]) -> Any:
    """Returns a column of intervals; see `tf.feature_column.bucketized_column`."""
    return _columns.bucketized_column(source_column, list(boundaries))


def sparse_column_with_hash_bucket(
    column_name: str,
    hash_bucket_size: int,
    combiner: str = "sum",
    dtype: Any = tf.string,
    hash_keys: Any = None,
) -> Any:
    """Returns a column of hashed values.

    Raises:
        errors.ArgumentError: `combiner` is not "sum", or there are `hash_keys`.
    """
    _check_combiner(combiner)
    if hash_keys is not None:
        raise errors.ArgumentError(errors.invalid_argument("hash_keys", hash_keys, "None"))
    return _columns.categorical_column_with_hash_bucket(column_name, hash_bucket_size, dtype)


def sparse_column_with_integerized_feature(
    column_name: str, bucket_size: int, combiner: str = "sum", dtype: Any = tf.int64
) -> Any:
    """Returns a column of ids below `bucket_size`.

    Raises:
        errors.ArgumentError: `combiner` is not "sum", or `dtype` is no integer.
    """
    _check_combiner(combiner)
    if not tf.as_dtype(dtype).is_integer:
        raise errors.ArgumentError(errors.invalid_argument("dtype", dtype, "an integer type"))
    return _columns.categorical_column_with_identity(column_name, bucket_size)


def sparse_column_with_keys(
    column_name: str,
    keys: Sequence[Any],
    default_value: int = -1,
    combiner: str = "sum",
    dtype: Any = tf.string,
) -> Any:
    """Returns a column of listed values.

    Raises:
        errors.ArgumentError: `combiner` is not "sum".
    """
    _check_combiner(combiner)
    return _columns.categorical_column_with_vocabulary_list(
        column_name, list(keys), dtype, default_value
    )


def sparse_column_with_vocabulary_file(
    column_name: str,
    vocabulary_file: str,
    num_oov_buckets: int = 0,
    vocab_size: int | None = None,
    default_value: int = -1,
    combiner: str = "sum",
    dtype: Any = tf.string,
) -> Any:
    """Returns a column of values that are the lines of a file.

    Raises:
        errors.ArgumentError: `combiner` is not "sum", or `vocab_size` is None.
    """
    _check_combiner(combiner)
    if vocab_size is None:
        raise errors.ArgumentError(
            errors.invalid_argument("vocab_size", vocab_size, "the number of lines to use")
        )
    return _columns.categorical_column_with_vocabulary_file(
        column_name,
        vocabulary_file,
        vocab_size,
        dtype,
        None if num_oov_buckets else default_value,
        num_oov_buckets,
    )


def weighted_sparse_column(
    sparse_id_column: Any, weight_column_name: str, dtype: Any = tf.float32
) -> Any:
    """Returns a column whose values have weights, which are another feature."""
    return _columns.weighted_categorical_column(sparse_id_column, weight_column_name, dtype)


def one_hot_column(sparse_id_column: Any) -> Any:
    """Returns a dense column that counts each value."""
    return _columns.indicator_column(sparse_id_column)


def embedding_column(
    sparse_id_column: Any,
    dimension: int,
    combiner: str = "mean",
    initializer: Any = None,
    ckpt_to_load_from: str | None = None,
    tensor_name_in_ckpt: str | None = None,
    max_norm: float | None = None,
    trainable: bool = True,
) -> Any:
    """Returns a dense column of learned vectors; see `tf.feature_column.embedding_column`.

    The first vectors are as in `tf.contrib.layers`: their deviation depends on the number of
    values, not on the dimension.
    """
    return _columns.embedding_column(
        sparse_id_column,
        dimension,
        combiner,
        initializer or _normal(sparse_id_column),
        ckpt_to_load_from,
        tensor_name_in_ckpt,
        max_norm,
        trainable,
    )


def shared_embedding_columns(
    sparse_id_columns: Sequence[Any],
    dimension: int,
    combiner: str = "mean",
    shared_embedding_name: str | None = None,
    initializer: Any = None,
    ckpt_to_load_from: str | None = None,
    tensor_name_in_ckpt: str | None = None,
    max_norm: float | None = None,
    trainable: bool = True,
) -> Any:
    """Returns dense columns with the same learned vectors; see `embedding_column`."""
    return tf.compat.v1.feature_column.shared_embedding_columns(
        list(sparse_id_columns),
        dimension,
        combiner,
        initializer or _normal(sparse_id_columns[0]),
        shared_embedding_name,
        ckpt_to_load_from,
        tensor_name_in_ckpt,
        max_norm,
        trainable,
    )


def create_feature_spec_for_parsing(feature_columns: Iterable[Any]) -> dict[str, Any]:
    """Returns what `tf.io.parse_example` needs to read the features of columns."""
    spec: dict[str, Any] = _columns.make_parse_example_spec(list(feature_columns))
    return spec


def _normal(column: Any) -> Any:
    deviation = 1 / math.sqrt(column.num_buckets)
    return tf.compat.v1.truncated_normal_initializer(mean=0.0, stddev=deviation)


def _check_combiner(combiner: str) -> None:
    if combiner != "sum":
        raise errors.ArgumentError(
            errors.invalid_argument(
                "combiner",
                combiner,
                '"sum"',
                "Say it to what uses the column: embedding_column(combiner=...), or the "
                "`sparse_combiner` of a linear model.",
            )
        )
