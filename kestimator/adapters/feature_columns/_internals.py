"""The private names of TensorFlow's feature columns that their adapter uses.

`tf.feature_column` has the functions that make columns, but neither their classes nor the
functions behind TensorFlow's own column layers. `tests/adapters/test_internals.py` calls each name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.feature_column import feature_column as _v1_columns
from tensorflow.python.feature_column import feature_column_v2 as _columns
from tensorflow.python.feature_column import feature_column_v2_types as _types

FeatureColumn = _types.FeatureColumn
DenseColumn = _columns.DenseColumn
CategoricalColumn = _columns.CategoricalColumn
SequenceDenseColumn = _columns.SequenceDenseColumn
SequenceCategoricalColumn = _columns.SequenceCategoricalColumn

NumericColumn = _columns.NumericColumn
BucketizedColumn = _columns.BucketizedColumn
IndicatorColumn = _columns.IndicatorColumn
EmbeddingColumn = _columns.EmbeddingColumn
SharedEmbeddingColumn = _columns.SharedEmbeddingColumn
SharedEmbeddingColumnOfV1 = _v1_columns._SharedEmbeddingColumn
IdentityCategoricalColumn = _columns.IdentityCategoricalColumn
HashedCategoricalColumn = _columns.HashedCategoricalColumn
VocabularyListCategoricalColumn = _columns.VocabularyListCategoricalColumn
VocabularyFileCategoricalColumn = _columns.VocabularyFileCategoricalColumn
CrossedColumn = _columns.CrossedColumn
WeightedCategoricalColumn = _columns.WeightedCategoricalColumn

StateManager = tf.__internal__.feature_column.StateManager
"""The base class of objects that give columns their variables and tables: not a public name."""


def transformation_cache(features: Mapping[str, Any]) -> Any:
    """A cache of transformed columns, which the public methods of columns require."""
    return _columns.FeatureTransformationCache(features)


def fields_of_shared_embedding(column: Any) -> dict[str, Any]:
    """The fields of a column of TF1 that shares a table, by name: it is a namedtuple."""
    return dict(column._asdict())


def scope_name(name: str) -> str:
    """A column's name as a variable scope, as in checkpoints: no public method returns it."""
    scope: str = _columns._sanitize_column_name_for_variable_scope(name)
    return scope


def leaves_of_cross(column: Any) -> Sequence[Any]:
    """The columns and keys that a crossed column hashes, in its order: `keys` may hold crosses."""
    leaves: Sequence[Any] = _columns._collect_leaf_level_keys(column)
    return leaves


def weighted_sum(column: Any, cache: Any, state: Any, combiner: str, weights: Any) -> tf.Tensor:
    """A column's part of a linear model's logits: the public `linear_model` creates its weights.

    Args:
        column: A dense or a categorical column.
        cache: A cache of transformed columns.
        state: The `StateManager` of its tables.
        combiner: How several ids of an example are reduced: "sum", "mean" or "sqrtn".
        weights: The variable, (n, units).
    """
    return _columns._create_weighted_sum(column, cache, state, combiner, weights)
