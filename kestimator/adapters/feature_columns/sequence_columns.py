"""Feature columns of sequences: the input of a recurrent network at each step.

Synopsis::

    columns = column_kinds.checked_columns("columns", columns, column_kinds.Place.SEQUENCE)
    sequences = sequence_layer(features, columns, context_columns, training=True)
    sequences.values     # (batch, time, n)
    sequences.mask       # (batch, time): which steps are part of a sequence
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.adapters.feature_columns import (
    _internals,
    column_checks,
    column_features,
    column_kinds,
    column_state,
    input_layers,
)

_v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Sequences of vectors, padded to equal length.

    Attributes:
        values: (batch, time, n), float32; zeros or context after the end of a sequence.
        lengths: (batch,), int64: the number of steps of each sequence.
        mask: (batch, time): whether a step is one of the sequence.
    """

    values: tf.Tensor
    lengths: tf.Tensor
    mask: tf.Tensor


def sequence_layer(
    features: column_features.Features,
    columns: Sequence[column_kinds.Column],
    context: Sequence[column_kinds.Column] = (),
    *,
    training: bool,
) -> Sequences:
    """Concatenates columns of sequences, and adds the context columns to each step.

    Args:
        features: The features.
        columns: Columns of sequences, ordered.
        context: Dense columns, ordered, which are the same at every step.
        training: Whether gradients will be taken. Keras layers get this argument as well.

    Returns:
        The sequences; `time` is that of the features.
    """
    column_checks.check_features(features.raw, columns)
    state = column_state.ColumnState(features.tables)
    with _v1.variable_scope("sequence_features"):
        parts = [_part(features, column, state, training) for column in columns]
    lengths = _of_one_length([lengths for _, lengths in parts], columns)
    values = [values for values, _ in parts]
    time = tf.shape(values[0])[1]
    if context:
        with _v1.variable_scope("dense_features"):
            fixed = input_layers.input_layer(features, context, training=training)
        values.append(tf.tile(tf.expand_dims(fixed, 1), [1, time, 1]))
    together = values[0] if len(values) == 1 else tf.concat(values, axis=2)
    return Sequences(together, lengths, tf.sequence_mask(lengths, time))


def _part(
    features: column_features.Features,
    column: column_kinds.Column,
    state: column_state.ColumnState,
    training: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of a column, (batch, time, n), and the lengths, (batch,)."""
    with _scope(column, training):
        if hasattr(column, "create_state"):
            state.create(column)
        values, lengths = column.get_sequence_dense_tensor(features.cache, state)
    shape = tf.shape(values)
    return tf.reshape(values, [shape[0], shape[1], column_kinds.width(column)]), lengths


def _scope(column: column_kinds.Column, training: bool) -> contextlib.AbstractContextManager[Any]:
    if isinstance(column, _internals.SharedEmbeddingColumn):
        return input_layers.shared_table(column, training=training)
    return _v1.variable_scope(column_kinds.scope_name(column))  # type: ignore[no-any-return]


def _of_one_length(
    lengths: Sequence[tf.Tensor], columns: Sequence[column_kinds.Column]
) -> tf.Tensor:
    """The lengths of an example's sequences, checked to be the same for all columns."""
    first = lengths[0]
    names = ", ".join(repr(column.name) for column in columns)
    message = (
        f"The sequences of an example have different lengths in the columns {names}. Expected: "
        "the same number of steps in each feature. Pad the shorter sequences. Received:"
    )
    checks = [
        tf.raw_ops.Assert(
            condition=tf.reduce_all(tf.equal(first, other)), data=[message, first, other]
        )
        for other in lengths[1:]
    ]
    # Nobody fetches the checks, so the lengths depend on them.
    with tf.control_dependencies(checks):
        return tf.identity(first)
