"""The names of `tf.compat.v1.estimator`: canned estimators of the first generation, and all others.

Synopsis::

    estimator = kestimator.v1.DNNClassifier(
        hidden_units=[128, 64], feature_columns=columns, optimizer="Adagrad"
    )

The canned estimators are the classes of kestimator with other defaults:

- Losses are summed over the batch. The mean is in the event files as "average_loss".
- An optimizer given by name is one of `tf.compat.v1.train`, with the learning rate of that
  generation. Checkpoints name its state in the way that the original does, such as
  `dnn/logits/kernel/t_0/Adagrad`.
- Areas under curves are computed with trapezoids.
- Ops of the head and tags of summaries stand below `dnn` or `linear`: `dnn/head/truediv`.

A partitioner split variables among parameter servers. Here all variables are whole, so a
partitioner is checked and changes nothing. All other names are those of `kestimator`.
"""

from __future__ import annotations

from kestimator import experimental, export, inputs, tpu
from kestimator.canned import (
    add_metrics,
    classifier_parse_example_spec,
    regressor_parse_example_spec,
)
from kestimator.canned.first_generation import (
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
)
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
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec, EvalSpec, TrainSpec, VocabInfo, WarmStartSettings
from kestimator.train_eval.exporters import BestExporter, Exporter, FinalExporter, LatestExporter
from kestimator.train_eval.training import train_and_evaluate

__all__ = [
    "BaselineClassifier",
    "BaselineEstimator",
    "BaselineRegressor",
    "BestExporter",
    "BinaryClassHead",
    "CheckpointSaverHook",
    "CheckpointSaverListener",
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
    "experimental",
    "export",
    "inputs",
    "regressor_parse_example_spec",
    "tpu",
    "train_and_evaluate",
]
