"""Heads with the training step of TF 1, for `v1_heads` and `tf.contrib.estimator`.

They are those of `kestimator.heads`. As heads of TF 1, they train all trainable variables, run the
update ops of the graph's collection in each training step, and name their ops as TF 1 did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import heads
from kestimator._types import Features, Labels, Tensor
from kestimator.heads.parts import base
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec

_v1 = tf.compat.v1


class _UpdateOpHead(base.Head):
    """A head that trains all trainable variables, and runs the update ops of the graph."""

    _layout = base.V1_LAYOUT

    def create_estimator_spec(
        self,
        features: Features,
        mode: str,
        logits: Tensor,
        labels: Labels | None = None,
        optimizer: Any = None,
        trainable_variables: Sequence[Any] | None = None,
        train_op_fn: Callable[[Tensor], Any] | None = None,
        update_ops: Sequence[Any] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """Returns the spec that a `model_fn` returns; see `Head.create_estimator_spec`."""
        if mode == ModeKeys.TRAIN:
            if trainable_variables is None:
                trainable_variables = _v1.trainable_variables()
            if update_ops is None:
                update_ops = _v1.get_collection(_v1.GraphKeys.UPDATE_OPS)
        return super().create_estimator_spec(
            features,
            mode,
            logits,
            labels,
            optimizer,
            trainable_variables,
            train_op_fn,
            update_ops,
            regularization_losses,
        )


class BinaryClassHead(_UpdateOpHead, heads.BinaryClassHead):
    """See `kestimator.BinaryClassHead`."""


class MultiClassHead(_UpdateOpHead, heads.MultiClassHead):
    """See `kestimator.MultiClassHead`."""


class MultiLabelHead(_UpdateOpHead, heads.MultiLabelHead):
    """See `kestimator.MultiLabelHead`."""


class RegressionHead(_UpdateOpHead, heads.RegressionHead):
    """See `kestimator.RegressionHead`."""


class PoissonRegressionHead(_UpdateOpHead, heads.PoissonRegressionHead):
    """See `kestimator.PoissonRegressionHead`."""


class LogisticRegressionHead(_UpdateOpHead, heads.LogisticRegressionHead):
    """See `kestimator.LogisticRegressionHead`."""


class MultiHead(_UpdateOpHead, heads.MultiHead):
    """See `kestimator.MultiHead`."""
