"""Exporting: SavedModels with many signatures, for serving and for further training.

Synopsis::

    receiver_fn = build_parsing_serving_input_receiver_fn(
        {"x": tf.io.FixedLenFeature([2], tf.float32)})
    path = estimator.export_saved_model("/tmp/exports", receiver_fn)

    supervised = build_raw_supervised_input_receiver_fn({"x": x}, labels)
    path = estimator.experimental_export_all_saved_models(
        "/tmp/exports", {"train": supervised, "eval": supervised, "infer": receiver_fn})
"""

from __future__ import annotations

from kestimator.exporting.export_outputs import (
    ClassificationOutput,
    EvalOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
    TrainOutput,
)
from kestimator.exporting.receivers import (
    ServingInputReceiver,
    SupervisedInputReceiver,
    TensorServingInputReceiver,
    UnsupervisedInputReceiver,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
    build_raw_supervised_input_receiver_fn,
)

__all__ = [
    "ClassificationOutput",
    "EvalOutput",
    "ExportOutput",
    "PredictOutput",
    "RegressionOutput",
    "ServingInputReceiver",
    "SupervisedInputReceiver",
    "TensorServingInputReceiver",
    "TrainOutput",
    "UnsupervisedInputReceiver",
    "build_parsing_serving_input_receiver_fn",
    "build_raw_serving_input_receiver_fn",
    "build_raw_supervised_input_receiver_fn",
]
