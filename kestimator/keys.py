"""The strings that name modes, metrics, predictions, signatures and tasks.

    >>> from kestimator.keys import ModeKeys
    >>> ModeKeys.PREDICT
    'infer'

They are what `tf.estimator` 2.15 uses, so that checkpoints, event files, exports and programs
that compare with them agree.
"""

from __future__ import annotations

from typing import Final


class ModeKeys:
    """The values of the `mode` argument of a `model_fn`."""

    TRAIN: Final = "train"
    EVAL: Final = "eval"
    PREDICT: Final = "infer"


ALL_MODES: Final = (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT)


class MetricKeys:
    """Names of metrics in the results of `evaluate`; `%g`, `%d` and `%s` are placeholders."""

    LOSS: Final = "loss"
    LOSS_MEAN: Final = "average_loss"
    LOSS_REGULARIZATION: Final = "regularization_loss"
    ACCURACY: Final = "accuracy"
    ACCURACY_BASELINE: Final = "accuracy_baseline"
    PRECISION: Final = "precision"
    RECALL: Final = "recall"
    AUC: Final = "auc"
    AUC_PR: Final = "auc_precision_recall"
    LABEL_MEAN: Final = "label/mean"
    PREDICTION_MEAN: Final = "prediction/mean"

    ACCURACY_AT_THRESHOLD: Final = "accuracy/positive_threshold_%g"
    PRECISION_AT_THRESHOLD: Final = "precision/positive_threshold_%g"
    RECALL_AT_THRESHOLD: Final = "recall/positive_threshold_%g"
    PRECISION_AT_RECALL: Final = "precision_at_recall_%g"
    RECALL_AT_PRECISION: Final = "recall_at_precision_%g"
    SENSITIVITY_AT_SPECIFICITY: Final = "sensitivity_at_specificity_%g"
    SPECIFICITY_AT_SENSITIVITY: Final = "specificity_at_sensitivity_%g"

    PROBABILITY_MEAN_AT_CLASS: Final = "probability_mean/class%d"
    AUC_AT_CLASS: Final = "auc/class%d"
    AUC_PR_AT_CLASS: Final = "auc_precision_recall/class%d"
    PROBABILITY_MEAN_AT_NAME: Final = "probability_mean/%s"
    AUC_AT_NAME: Final = "auc/%s"
    AUC_PR_AT_NAME: Final = "auc_precision_recall/%s"


class PredictionKeys:
    """Keys of the predictions of heads."""

    LOGITS: Final = "logits"
    LOGISTIC: Final = "logistic"
    PROBABILITIES: Final = "probabilities"
    PREDICTIONS: Final = "predictions"
    CLASS_IDS: Final = "class_ids"
    CLASSES: Final = "classes"
    ALL_CLASS_IDS: Final = "all_class_ids"
    ALL_CLASSES: Final = "all_classes"
    TOP_K: Final = "top_k"


class SignatureKeys:
    """Names of signatures in a SavedModel, and of their inputs and outputs."""

    SERVING_DEFAULT: Final = "serving_default"
    TRAIN: Final = "train"
    EVAL: Final = "eval"

    INPUTS: Final = "inputs"
    OUTPUTS: Final = "outputs"
    CLASSES: Final = "classes"
    SCORES: Final = "scores"
    SINGLE_OUTPUT: Final = "output"


class SignatureMethods:
    """The `method_name` of a signature in a SavedModel."""

    PREDICT: Final = "tensorflow/serving/predict"
    CLASSIFY: Final = "tensorflow/serving/classify"
    REGRESS: Final = "tensorflow/serving/regress"
    TRAIN: Final = "tensorflow/supervised/training"
    EVAL: Final = "tensorflow/supervised/eval"


class WeightedKeys:
    """The keys of features with the weights of their examples."""

    FEATURES: Final = "features"
    WEIGHTS: Final = "sample_weights"


class TaskType:
    """The role of a process in a cluster, as `TF_CONFIG` names it."""

    MASTER: Final = "master"
    PS: Final = "ps"
    WORKER: Final = "worker"
    CHIEF: Final = "chief"
    EVALUATOR: Final = "evaluator"


EXPORT_TAGS = {ModeKeys.TRAIN: ("train",), ModeKeys.EVAL: ("eval",), ModeKeys.PREDICT: ("serve",)}
"""The tags by which a loader finds the graph of a mode, in the order of writing."""
