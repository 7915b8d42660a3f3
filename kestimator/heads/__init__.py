"""Heads: loss, predictions, metrics and signatures of one kind of task, on top of any model.

head = MultiClassHead(n_classes=10, weight_column="importance")
logits = keras.layers.Dense(head.logits_dimension)(hidden)
spec = head.create_estimator_spec(features, mode, logits, labels, train_op_fn=train_op_fn)
"""

from __future__ import annotations

from kestimator.heads.base import Head
from kestimator.heads.binary_class import BinaryClassHead
from kestimator.heads.logistic_regression import LogisticRegressionHead
from kestimator.heads.multi import MultiHead
from kestimator.heads.multi_class import MultiClassHead
from kestimator.heads.multi_label import MultiLabelHead
from kestimator.heads.poisson_regression import PoissonRegressionHead
from kestimator.heads.regression import RegressionHead
from kestimator.heads.sequential import SequentialHeadWrapper

__all__ = [
    "BinaryClassHead",
    "Head",
    "LogisticRegressionHead",
    "MultiClassHead",
    "MultiHead",
    "MultiLabelHead",
    "PoissonRegressionHead",
    "RegressionHead",
    "SequentialHeadWrapper",
]
