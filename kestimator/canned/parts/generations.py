"""The two generations of canned estimators: those of tf.estimator and of tf.compat.v1.estimator.

Synopsis::

    with generation.scope("dnn") as scope:
        built = part.build(features, units=1, mode=mode, ops=scope.ops)
    model_fns.spec(head, features, labels, mode, built.logits, [training], scope=scope)

They are the same models. They differ in defaults, in the names of ops and of the state of
optimizers, in tags of summaries, and in how the areas under curves are computed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_kinds
from kestimator.adapters.optimizers import tf1_optimizers
from kestimator.heads.parts import base

_v1 = tf.compat.v1
# The original has the variables of its first generation in parts. Of the name of a slot, such as
# "<variable>/part_0/Adagrad", a checkpoint keeps as much as the name of the model's scope hides.
_PART = "part_0/"


@dataclasses.dataclass(frozen=True)
class Scope:
    """The scope of a model, or of a part of it.

    Attributes:
        ops: The name scope for the ops of layers alone; None if it is open already.
        head: The name scope for the head; None for the root.
        slots: What stands between the names of a variable and of its slot, in checkpoints.
    """

    ops: str | None = None
    head: str | None = None
    slots: str = ""


@dataclasses.dataclass(frozen=True)
class Generation:
    """What differs between the generations.

    Attributes:
        is_v1: Whether it is that of `tf.compat.v1.estimator`.
        layout: The layout of heads.
        areas: How areas under curves are computed.
    """

    is_v1: bool
    layout: base.Layout
    areas: str

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[Scope]:
        """Opens the variable scope of a model.

        In the first generation, the head and the tags of summaries stand below it as well.
        """
        with _v1.variable_scope(name, auxiliary_name_scope=self.is_v1) as scope:
            if self.is_v1:
                yield Scope(None, scope.original_name_scope, _PART[-len(f"{name}/") :])
            else:
                yield Scope(name)

    def check_columns(self, argument: str, columns: Sequence[column_kinds.Column]) -> None:
        """Checks that the generation can use columns.

        Raises:
            errors.ArgumentError: There is a shared embedding. The first generation of the original
                trains its table, and has another name for it than the second.
        """
        for column in columns if self.is_v1 else ():
            if column_kinds.has_shared_table(column):
                raise errors.ArgumentError(
                    errors.invalid_argument(
                        argument,
                        column,
                        "columns other than those of tf.feature_column.shared_embeddings",
                        "Use tf.compat.v1.feature_column.shared_embedding_columns.",
                    )
                )

    def optimizer(self, optimizer: Any, learning_rate: float | None) -> Any:
        """An optimizer given by name as an object, if the generation has one for the name."""
        if self.is_v1 and isinstance(optimizer, str):
            return tf1_optimizers.NAMES[optimizer](learning_rate)
        return optimizer


V2 = Generation(False, base.Layout(), "interpolation")
V1 = Generation(True, base.V1_LAYOUT, "trapezoidal")
