"""Heads: loss, predictions, metrics and signatures of one kind of task, on top of any model.

head = MultiClassHead(n_classes=10, weight_column="importance")
logits = keras.layers.Dense(head.logits_dimension)(hidden)
spec = head.create_estimator_spec(features, mode, logits, labels, train_op_fn=train_op_fn)
"""

from __future__ import annotations

from kestimator.heads.multi import MultiHead
from kestimator.heads.parts.base import Head
from kestimator.heads.sequential import SequentialHeadWrapper
from kestimator.heads.single_task.binary_class import BinaryClassHead
from kestimator.heads.single_task.logistic_regression import LogisticRegressionHead
from kestimator.heads.single_task.multi_class import MultiClassHead
from kestimator.heads.single_task.multi_label import MultiLabelHead
from kestimator.heads.single_task.poisson_regression import PoissonRegressionHead
from kestimator.heads.single_task.regression import RegressionHead

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
