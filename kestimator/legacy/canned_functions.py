"""The model_fns of canned estimators, which libraries call with heads of their own.

Each takes what the one in tf.estimator 2.15 did. A `config`, a partitioner and `use_tpu` change
nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.canned import dnn, linear
from kestimator.canned.parts import generations
from kestimator.canned.parts.networks import NetworkPart
from kestimator.legacy import v1_heads
from kestimator.specs import EstimatorSpec


def _dnn_model_fn(
    features: Any,
    labels: Any,
    mode: str,
    head: Any,
    hidden_units: Sequence[int],
    feature_columns: Any,
    optimizer: Any = "Adagrad",
    activation_fn: Any = tf.nn.relu,
    dropout: float | None = None,
    input_layer_partitioner: Any = None,
    config: Any = None,
    use_tpu: bool = False,
    batch_norm: bool = False,
) -> EstimatorSpec:
    """Returns the spec of a deep network of TF 1; see `kestimator.v1.DNNEstimator`."""
    del input_layer_partitioner, config, use_tpu
    part = NetworkPart.checked(feature_columns, hidden_units, activation_fn, dropout, batch_norm)
    model = dnn.model_of(_without_wrapper(head), part, optimizer, generations.V1)
    return model.model_fn(features, labels, mode)


def dnn_model_fn_v2(
    features: Any,
    labels: Any,
    mode: str,
    head: Any,
    hidden_units: Sequence[int],
    feature_columns: Any,
    optimizer: Any = "Adagrad",
    activation_fn: Any = tf.nn.relu,
    dropout: float | None = None,
    config: Any = None,
    use_tpu: bool = False,
    batch_norm: bool = False,
) -> EstimatorSpec:
    """Returns the spec of a deep network; see `kestimator.DNNEstimator`."""
    del config, use_tpu
    part = NetworkPart.checked(feature_columns, hidden_units, activation_fn, dropout, batch_norm)
    model = dnn.model_of(head, part, optimizer, generations.V2)
    return model.model_fn(features, labels, mode)


def _linear_model_fn(
    features: Any,
    labels: Any,
    mode: str,
    head: Any,
    feature_columns: Any,
    optimizer: Any,
    partitioner: Any = None,
    config: Any = None,
    sparse_combiner: str = "sum",
) -> EstimatorSpec:
    """Returns the spec of a linear model of TF 1; see `kestimator.v1.LinearEstimator`."""
    del partitioner, config
    model = linear.model_of(
        _without_wrapper(head), feature_columns, optimizer, sparse_combiner, generations.V1
    )
    return model.model_fn(features, labels, mode)


def _without_wrapper(head: Any) -> Any:
    return head.head if isinstance(head, v1_heads.HeadOfOneTask) else head
