"""kestimator: the `tf.estimator` API, on today's TensorFlow and Keras 3."""

from __future__ import annotations

from kestimator.cluster import ClusterInfo
from kestimator.config import RunConfig
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec, EvalSpec, TrainSpec, VocabInfo, WarmStartSettings

__version__ = "0.1.0"

__all__ = [
    "ClusterInfo",
    "EstimatorSpec",
    "EvalSpec",
    "ModeKeys",
    "RunConfig",
    "TrainSpec",
    "VocabInfo",
    "WarmStartSettings",
]
