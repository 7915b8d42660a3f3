"""The lookup tables of vocabulary columns, made in the graph that uses them.

TensorFlow's columns make their tables outside of that graph, where an export would not find them.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator.adapters.feature_columns import _internals, column_kinds

_List = _internals.VocabularyListCategoricalColumn
_File = _internals.VocabularyFileCategoricalColumn


class Tables:
    """The tables of one model, one for each column."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def makes(self, column: column_kinds.Column) -> bool:
        """Whether this class makes a column's table; TensorFlow makes those of TFRecord files."""
        return isinstance(column, _List) or (
            isinstance(column, _File) and column.file_format != "tfrecord_gzip"
        )

    def of(self, column: column_kinds.Column) -> Any:
        """The table of a column: words, or int64 numbers, to int64 ids."""
        if column not in self._made:
            initializer = _words_of_list(column) if isinstance(column, _List) else _file(column)
            self._made[column] = _table(initializer, column)
        return self._made[column]


def _table(initializer: Any, column: column_kinds.Column) -> Any:
    if column.num_oov_buckets:
        return tf.lookup.StaticVocabularyTable(initializer, column.num_oov_buckets)
    return tf.lookup.StaticHashTable(initializer, column.default_value)


def _key_dtype(column: column_kinds.Column) -> tf.DType:
    return tf.int64 if column.dtype.is_integer else tf.string


def _words_of_list(column: column_kinds.Column) -> Any:
    words = column.vocabulary_list
    ids = tf.range(len(words), dtype=tf.int64)
    keys = tf.constant(list(words), _key_dtype(column))
    return tf.lookup.KeyValueTensorInitializer(keys, ids)


def _file(column: column_kinds.Column) -> Any:
    return tf.lookup.TextFileInitializer(
        column.vocabulary_file,
        _key_dtype(column),
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
        vocab_size=column.vocabulary_size,
    )
