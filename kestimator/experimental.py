"""The names of `tf.estimator.experimental`: recurrent networks, k-means, early stopping, ..."""

from __future__ import annotations

from kestimator.canned.kmeans import KMeans
from kestimator.canned.logit_fns import call_logit_fn, dnn_logit_fn_builder, linear_logit_fn_builder
from kestimator.canned.rnn import RNNClassifier, RNNEstimator
from kestimator.canned.sdca import LinearSDCA
from kestimator.exporting.receivers import build_raw_supervised_input_receiver_fn
from kestimator.heads import SequentialHeadWrapper
from kestimator.train_eval.early_stopping import (
    make_early_stopping_hook,
    make_stop_at_checkpoint_step_hook,
    stop_if_higher_hook,
    stop_if_lower_hook,
    stop_if_no_decrease_hook,
    stop_if_no_increase_hook,
)
from kestimator.train_eval.in_memory_evaluator import InMemoryEvaluatorHook

__all__ = [
    "InMemoryEvaluatorHook",
    "KMeans",
    "LinearSDCA",
    "RNNClassifier",
    "RNNEstimator",
    "SequentialHeadWrapper",
    "build_raw_supervised_input_receiver_fn",
    "call_logit_fn",
    "dnn_logit_fn_builder",
    "linear_logit_fn_builder",
    "make_early_stopping_hook",
    "make_stop_at_checkpoint_step_hook",
    "stop_if_higher_hook",
    "stop_if_lower_hook",
    "stop_if_no_decrease_hook",
    "stop_if_no_increase_hook",
]
