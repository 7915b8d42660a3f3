"""Canned estimators: linear models, deep networks, both combined, and baselines.

A module holds one kind of model as three estimators: one that takes a head, a classifier and a
regressor. They are Estimators whose model_fns return specs like anyone's.
"""

from __future__ import annotations

from kestimator.canned.baseline import BaselineClassifier, BaselineEstimator, BaselineRegressor
from kestimator.canned.dnn import DNNClassifier, DNNEstimator, DNNRegressor
from kestimator.canned.dnn_linear_combined import (
    DNNLinearCombinedClassifier,
    DNNLinearCombinedEstimator,
    DNNLinearCombinedRegressor,
)
from kestimator.canned.linear import LinearClassifier, LinearEstimator, LinearRegressor

__all__ = [
    "BaselineClassifier",
    "BaselineEstimator",
    "BaselineRegressor",
    "DNNClassifier",
    "DNNEstimator",
    "DNNLinearCombinedClassifier",
    "DNNLinearCombinedEstimator",
    "DNNLinearCombinedRegressor",
    "DNNRegressor",
    "LinearClassifier",
    "LinearEstimator",
    "LinearRegressor",
]
