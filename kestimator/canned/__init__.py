"""Canned estimators: linear models, deep networks, both combined, and baselines.

A module holds one kind of model as three estimators: one that takes a head, a classifier and a
regressor. They are Estimators with ordinary model_fns.
"""

from __future__ import annotations

from kestimator.canned.baseline import BaselineClassifier, BaselineEstimator, BaselineRegressor
from kestimator.canned.dnn import DNNClassifier, DNNEstimator, DNNRegressor
from kestimator.canned.dnn_linear_combined import (
    DNNLinearCombinedClassifier,
    DNNLinearCombinedEstimator,
    DNNLinearCombinedRegressor,
)
from kestimator.canned.extenders import add_metrics, forward_features
from kestimator.canned.linear import LinearClassifier, LinearEstimator, LinearRegressor
from kestimator.canned.parsing import classifier_parse_example_spec, regressor_parse_example_spec

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
    "add_metrics",
    "classifier_parse_example_spec",
    "forward_features",
    "regressor_parse_example_spec",
]
