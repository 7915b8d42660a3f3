"""kestimator: the `tf.estimator` API, on today's TensorFlow and Keras 3."""

from __future__ import annotations

from kestimator import errors, experimental, export, inputs, optimizers, tpu, v1
from kestimator.canned import (
    BaselineClassifier,
    BaselineEstimator,
    BaselineRegressor,
    DNNClassifier,
    DNNEstimator,
    DNNLinearCombinedClassifier,
    DNNLinearCombinedEstimator,
    DNNLinearCombinedRegressor,
    DNNRegressor,
    LinearClassifier,
    LinearEstimator,
    LinearRegressor,
    add_metrics,
    classifier_parse_example_spec,
    forward_features,
    regressor_parse_example_spec,
)
from kestimator.cluster import ClusterInfo
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.heads import (
    BinaryClassHead,
    Head,
    LogisticRegressionHead,
    MultiClassHead,
    MultiHead,
    MultiLabelHead,
    PoissonRegressionHead,
    RegressionHead,
)
from kestimator.hooks import (
    CheckpointSaverHook,
    CheckpointSaverListener,
    FeedFnHook,
    FinalOpsHook,
    GlobalStepWaiterHook,
    LoggingTensorHook,
    NanLossDuringTrainingError,
    NanTensorHook,
    ProfilerHook,
    SecondOrStepTimer,
    SessionRunArgs,
    SessionRunContext,
    SessionRunHook,
    SessionRunValues,
    StepCounterHook,
    StopAtStepHook,
    SummarySaverHook,
)
from kestimator.interop.from_keras import model_to_estimator
from kestimator.interop.saved_model_estimator import SavedModelEstimator
from kestimator.keys import ModeKeys
from kestimator.legacy import install, uninstall
from kestimator.specs import EstimatorSpec, EvalSpec, TrainSpec, VocabInfo, WarmStartSettings
from kestimator.train_eval.exporters import BestExporter, Exporter, FinalExporter, LatestExporter
from kestimator.train_eval.training import train_and_evaluate

__version__ = "0.1.0"

__all__ = [
    "BaselineClassifier",
    "BaselineEstimator",
    "BaselineRegressor",
    "BestExporter",
    "BinaryClassHead",
    "CheckpointSaverHook",
    "CheckpointSaverListener",
    "ClusterInfo",
    "DNNClassifier",
    "DNNEstimator",
    "DNNLinearCombinedClassifier",
    "DNNLinearCombinedEstimator",
    "DNNLinearCombinedRegressor",
    "DNNRegressor",
    "Estimator",
    "EstimatorSpec",
    "EvalSpec",
    "Exporter",
    "FeedFnHook",
    "FinalExporter",
    "FinalOpsHook",
    "GlobalStepWaiterHook",
    "Head",
    "LatestExporter",
    "LinearClassifier",
    "LinearEstimator",
    "LinearRegressor",
    "LoggingTensorHook",
    "LogisticRegressionHead",
    "ModeKeys",
    "MultiClassHead",
    "MultiHead",
    "MultiLabelHead",
    "NanLossDuringTrainingError",
    "NanTensorHook",
    "PoissonRegressionHead",
    "ProfilerHook",
    "RegressionHead",
    "RunConfig",
    "SavedModelEstimator",
    "SecondOrStepTimer",
    "SessionRunArgs",
    "SessionRunContext",
    "SessionRunHook",
    "SessionRunValues",
    "StepCounterHook",
    "StopAtStepHook",
    "SummarySaverHook",
    "TrainSpec",
    "VocabInfo",
    "WarmStartSettings",
    "add_metrics",
    "classifier_parse_example_spec",
    "errors",
    "experimental",
    "export",
    "forward_features",
    "inputs",
    "install",
    "model_to_estimator",
    "optimizers",
    "regressor_parse_example_spec",
    "tpu",
    "train_and_evaluate",
    "uninstall",
    "v1",
]
