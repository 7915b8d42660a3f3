"""The names of `tf.compat.v1.estimator.tpu`, for programs that run without a TPU.

    def model_fn(features, labels, mode, params):
        ...
        return kestimator.tpu.TPUEstimatorSpec(
            mode, loss=loss, train_op=train_op, eval_metrics=(metric_fn, [labels, logits])
        )

    estimator = kestimator.tpu.TPUEstimator(
        model_fn,
        config=kestimator.tpu.RunConfig(model_dir="/tmp/model"),
        use_tpu=False,
        train_batch_size=32,
    )

The room of the TPUEstimator: its configuration, its spec, how it calls the functions of the user.
"""

from __future__ import annotations

from kestimator.tpu import experimental
from kestimator.tpu.cross_shard_optimizer import CrossShardOptimizer
from kestimator.tpu.tpu_config import InputPipelineConfig, RunConfig, TPUConfig
from kestimator.tpu.tpu_estimator import TPUEstimator
from kestimator.tpu.tpu_estimator_spec import TPUEstimatorSpec

__all__ = [
    "CrossShardOptimizer",
    "InputPipelineConfig",
    "RunConfig",
    "TPUConfig",
    "TPUEstimator",
    "TPUEstimatorSpec",
    "experimental",
]
