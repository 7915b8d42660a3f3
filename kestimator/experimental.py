"""What tf.estimator has under `experimental`: recurrent networks, k-means, logit functions."""

from __future__ import annotations

from kestimator.canned.kmeans import KMeans
from kestimator.canned.logit_fns import (
    call_logit_fn,
    dnn_logit_fn_builder,
    linear_logit_fn_builder,
)
from kestimator.canned.rnn import RNNClassifier, RNNEstimator
from kestimator.canned.sdca import LinearSDCA
from kestimator.heads import SequentialHeadWrapper

__all__ = [
    "KMeans",
    "LinearSDCA",
    "RNNClassifier",
    "RNNEstimator",
    "SequentialHeadWrapper",
    "call_logit_fn",
    "dnn_logit_fn_builder",
    "linear_logit_fn_builder",
]
