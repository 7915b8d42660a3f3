"""The variables of feature columns.

Synopsis::

    state = ColumnState(features.tables)
    state.create(column)                                  # in a scope of the column's name
    table = state.get_variable(column, "embedding_weights")
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator.adapters.feature_columns import _internals, column_kinds, column_tables

_v1 = tf.compat.v1


class ColumnState(_internals.StateManager):
    """The object through which TensorFlow's columns create variables and find tables.

    Args:
        tables: The lookup tables.
    """

    def __init__(self, tables: column_tables.Tables) -> None:
        self._tables = tables
        self._variables: dict[tuple[Any, str], Any] = {}
        self._resources: dict[tuple[Any, str], Any] = {}

    def create(self, column: column_kinds.Column) -> None:
        """Makes a column's variables in the variable scope that is open."""
        column.create_state(self)

    def create_variable(
        self,
        feature_column: column_kinds.Column,
        name: str,
        shape: Any,
        dtype: Any = None,
        trainable: bool = True,
        use_resource: bool = True,
        initializer: Any = None,
    ) -> Any:
        """Makes a variable in the variable scope that is open."""
        del use_resource
        variable = _v1.get_variable(
            name, shape, dtype or tf.float32, initializer, trainable=trainable, use_resource=True
        )
        self._variables[feature_column, name] = variable
        return variable

    def get_variable(self, feature_column: column_kinds.Column, name: str) -> Any:
        """The variable of a column."""
        return self._variables[feature_column, name]

    def has_resource(self, feature_column: column_kinds.Column, resource_name: str) -> bool:
        """Whether there is a table for a column."""
        key = feature_column, resource_name
        # Columns ask this before they make a table. True keeps them from making one outside the
        # graph.
        return key in self._resources or self._tables.makes(feature_column)

    def add_resource(
        self, feature_column: column_kinds.Column, resource_name: str, resource: Any
    ) -> None:
        """Keeps a table that TensorFlow made."""
        self._resources[feature_column, resource_name] = resource

    def get_resource(self, feature_column: column_kinds.Column, resource_name: str) -> Any:
        """The table of a column."""
        key = feature_column, resource_name
        return self._resources[key] if key in self._resources else self._tables.of(feature_column)
