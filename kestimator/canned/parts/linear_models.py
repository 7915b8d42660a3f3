"""The linear model of linear and combined estimators."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator._types import Tensor
from kestimator.adapters.feature_columns import column_features, column_kinds, input_layers
from kestimator.canned.parts import model_fns
from kestimator.engine.graphs import op_names
from kestimator.keys import ModeKeys
from kestimator.validation import kinds

_v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class LinearPart:
    """A linear model over feature columns.

    Attributes:
        columns: Dense and categorical columns, ordered by name.
        sparse_combiner: How several ids of an example are reduced.
    """

    columns: Sequence[column_kinds.Column]
    sparse_combiner: str = "sum"

    @classmethod
    def checked(
        cls, argument: str, columns: Any, sparse_combiner: str, *, prefix: str = ""
    ) -> LinearPart:
        """Checks the arguments of a caller.

        Args:
            argument: The name of the argument for the columns.
            columns: Dense and categorical columns.
            sparse_combiner: "sum", "mean" or "sqrtn".
            prefix: A prefix of the name of the other argument.

        Raises:
            errors.ArgumentError: Columns or combiner cannot be used.
        """
        kinds.checked_choice(f"{prefix}sparse_combiner", sparse_combiner, ("sum", "mean", "sqrtn"))
        ordered = column_kinds.checked_columns(argument, columns, column_kinds.Place.LINEAR)
        return cls(ordered, sparse_combiner)

    def build(
        self,
        features: column_features.Features,
        *,
        units: int,
        mode: str | None,
        ops: str | None = None,
    ) -> model_fns.Built:
        """Adds the model to the graph, its variables below `linear_model`.

        Args:
            features: The features.
            units: The number of logits per example.
            mode: One of `ModeKeys`.
            ops: A name scope for the ops of the model, but not for summaries.
        """
        model, variables = self.build_model(features, units=units, mode=mode, ops=ops)
        return model_fns.Built(model.logits, variables)

    def build_model(
        self,
        features: column_features.Features,
        *,
        units: int,
        mode: str | None,
        ops: str | None = None,
    ) -> tuple[input_layers.Linear, list[Any]]:
        """Adds the model to the graph; returns its weights, and all that training changes."""
        with (
            input_layers.trainable_variables_made(self.columns) as variables,
            op_names.scope(ops),
            _v1.variable_scope("linear_model"),
        ):
            model = input_layers.linear_logits(
                features,
                self.columns,
                units=units,
                sparse_combiner=self.sparse_combiner,
                training=mode == ModeKeys.TRAIN,
                # The original opens these scopes once for its model, and once for its columns.
                columns_scope="/".join([f"{ops}/linear_model" if ops else "linear_model"] * 2),
            )
        if units == 1:
            _v1.summary.scalar("bias", model.bias[0])
        else:
            _v1.summary.histogram("bias", model.bias)
        _v1.summary.scalar("fraction_of_zero_weights", _fraction_of_zeros(model.weights))
        return model, variables


def _fraction_of_zeros(tensors: Sequence[Any]) -> Tensor:
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    count = tf.add_n([tf.math.count_nonzero(tensor, dtype=tf.int64) for tensor in tensors])
    size = tf.add_n([tf.size(tensor, tf.int64) for tensor in tensors])
    return 1.0 - tf.cast(count, tf.float32) / tf.cast(size, tf.float32)
