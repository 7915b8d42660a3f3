"""Which names legacy programs look for, where, and which ones they are here.

Synopsis::

    targets("python.canned.dnn")["DNNClassifierV2"]      # "kestimator:DNNClassifier"
    replacement("BoostedTreesClassifier")                # what to use instead

A target is the name of a module and of what is in it, with a colon between. Targets are strings:
importing all of the library here would make it a circle.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping

ALIASES: Mapping[str, str] = {
    "tensorflow.estimator": "v2",
    "tensorflow.compat.v2.estimator": "v2",
    "tensorflow._api.v2.compat.v2.estimator": "v2",
    "tensorflow_estimator.python.estimator.api._v2.estimator": "v2",
    "tensorflow_estimator._api.v2.estimator": "v2",
    "tensorflow.compat.v1.estimator": "v1",
    "tensorflow._api.v2.compat.v1.estimator": "v1",
    "tensorflow_estimator.python.estimator.api._v1.estimator": "v1",
    "tensorflow_estimator._api.v1.estimator": "v1",
    "tensorflow_estimator.python.estimator.estimator_lib": "v1",
    "tensorflow.python.estimator.estimator_lib": "v1",
    "tensorflow_estimator.python.estimator": "python",
    "tensorflow.python.estimator": "python",
    "tensorflow_estimator": "top",
    "tensorflow.keras.estimator": "keras",
    "tensorflow.compat.v1.keras.estimator": "keras",
    "tensorflow.compat.v1.layers": "layers",
    "tensorflow.compat.v1.nn.rnn_cell": "rnn_cell",
}
"""Where modules of the original were, and what they are called in the tables of this module."""

_PUBLIC: Mapping[str, str] = {
    "v2": "kestimator",
    "v2.experimental": "kestimator.experimental",
    "v2.export": "kestimator.export",
    "v2.inputs": "kestimator.inputs",
    "v2.tpu": "kestimator.tpu",
    "v2.tpu.experimental": "kestimator.tpu.experimental",
    "v1": "kestimator.v1",
    "v1.experimental": "kestimator.experimental",
    "v1.export": "kestimator.export",
    "v1.inputs": "kestimator.inputs",
    "v1.tpu": "kestimator.tpu",
    "v1.tpu.experimental": "kestimator.tpu.experimental",
}
"""Modules of the original that are public modules here."""


def _of(module: str, names: str) -> dict[str, str]:
    """The targets of names in a module; `old=new` is a name that changed."""
    pairs = (name.partition("=") for name in names.split())
    return {old: f"{module}:{new or old}" for old, _, new in pairs}


def _canned(names: str) -> dict[str, str]:
    """The targets of canned estimators, whose classes for TF 2 had names with V2."""
    new = " ".join(f"{name}V2={name}" for name in names.split())
    return _of("kestimator.v1", names) | _of("kestimator", new)


_FUNCTIONS = "kestimator.legacy.library_functions"
_HEAD_FUNCTIONS = "kestimator.legacy.head_functions"
_GC = "kestimator.legacy.export_versions"
_EXPORT = _of(
    "kestimator.export",
    """ServingInputReceiver SupervisedInputReceiver TensorServingInputReceiver
    UnsupervisedInputReceiver build_parsing_serving_input_receiver_fn
    build_raw_serving_input_receiver_fn build_raw_supervised_input_receiver_fn""",
)
_EXPORT_OUTPUTS = _of(
    "kestimator.export",
    "ExportOutput ClassificationOutput PredictOutput RegressionOutput EvalOutput TrainOutput",
)
_HOOKS = _of(
    "kestimator.hooks",
    """CheckpointSaverHook CheckpointSaverListener FeedFnHook FinalOpsHook GlobalStepWaiterHook
    LoggingTensorHook NanLossDuringTrainingError NanTensorHook ProfilerHook SecondOrStepTimer
    StepCounterHook StopAtStepHook SummarySaverHook""",
)
_V1_HEADS = """_Head LossSpec _binary_logistic_head_with_sigmoid_cross_entropy_loss
    _binary_logistic_or_multi_class_head _multi_class_head_with_softmax_cross_entropy_loss
    _regression_head"""

_BELOW_PYTHON: Mapping[str, Mapping[str, str]] = {
    "canned": {},
    "canned.baseline": _canned("BaselineClassifier BaselineEstimator BaselineRegressor"),
    "canned.dnn": _canned("DNNClassifier DNNEstimator DNNRegressor")
    | _of("kestimator.experimental", "dnn_logit_fn_builder")
    | _of("kestimator.legacy.canned_functions", "_dnn_model_fn dnn_model_fn_v2"),
    "canned.dnn_linear_combined": _canned(
        "DNNLinearCombinedClassifier DNNLinearCombinedEstimator DNNLinearCombinedRegressor"
    ),
    "canned.head": _of("kestimator.legacy.v1_heads", _V1_HEADS),
    "canned.kmeans": _of("kestimator.experimental", "KMeansClustering=KMeans"),
    "canned.linear": _canned("LinearClassifier LinearEstimator LinearRegressor")
    | _of("kestimator.experimental", "LinearSDCA linear_logit_fn_builder")
    | _of("kestimator.legacy.canned_functions", "_linear_model_fn"),
    "canned.metric_keys": _of("kestimator.keys", "MetricKeys"),
    "canned.optimizers": _of(_FUNCTIONS, "get_optimizer_instance get_optimizer_instance_v2"),
    "canned.parsing_utils": _of(
        "kestimator",
        """classifier_parse_example_spec_v2=classifier_parse_example_spec
        regressor_parse_example_spec_v2=regressor_parse_example_spec""",
    )
    | _of("kestimator.v1", "classifier_parse_example_spec regressor_parse_example_spec"),
    "canned.prediction_keys": _of("kestimator.keys", "PredictionKeys"),
    "canned.rnn": _of("kestimator.experimental", "RNNClassifier RNNEstimator"),
    "canned.saved_model_estimator": _of("kestimator", "SavedModelEstimator"),
    "early_stopping": _of(
        "kestimator.experimental",
        """make_early_stopping_hook stop_if_higher_hook stop_if_lower_hook
        stop_if_no_decrease_hook stop_if_no_increase_hook""",
    )
    | _of(_FUNCTIONS, "read_eval_metrics"),
    "estimator": _of("kestimator", "Estimator EstimatorV2=Estimator WarmStartSettings")
    | _of(_FUNCTIONS, "maybe_overwrite_model_dir_and_session_config"),
    "export": {},
    "export.export": _EXPORT,
    "export.export_lib": _EXPORT | _EXPORT_OUTPUTS,
    "export.export_output": _EXPORT_OUTPUTS,
    "exporter": _of("kestimator", "BestExporter Exporter FinalExporter LatestExporter"),
    "extenders": _of("kestimator", "add_metrics"),
    "gc": _of(
        _GC,
        """Path _get_paths=paths_in _largest_export_versions=largest_export_versions
        _mod_export_version=mod_export_version _negation=negation
        _one_of_every_n_export_versions=one_of_every_n_export_versions _union=union""",
    ),
    "head": {},
    "head.base_head": _of("kestimator", "Head")
    | _of(
        _HEAD_FUNCTIONS,
        """all_class_ids all_classes call_loss_fn check_dense_labels_match_logits_and_reshape
        check_logits_final_dim classification_output create_eval_metrics_tuple
        create_estimator_spec_summary create_estimator_spec_train_op
        get_weights_and_check_match_logits validate_n_classes CLASSIFY_SERVING_KEY
        DEFAULT_SERVING_KEY PREDICT_SERVING_KEY REGRESS_SERVING_KEY""",
    ),
    "head.binary_class_head": _of("kestimator", "BinaryClassHead"),
    "head.head_utils": _of(_HEAD_FUNCTIONS, "binary_or_multi_class_head"),
    "head.multi_class_head": _of("kestimator", "MultiClassHead"),
    "head.multi_head": _of("kestimator", "MultiHead"),
    "head.multi_label_head": _of("kestimator", "MultiLabelHead"),
    "head.regression_head": _of(
        "kestimator", "LogisticRegressionHead PoissonRegressionHead RegressionHead"
    ),
    "head.sequential_head": _of("kestimator.experimental", "SequentialHeadWrapper"),
    "hooks": {},
    "hooks.basic_session_run_hooks": _HOOKS,
    "hooks.hooks": _of(
        "kestimator.experimental", "InMemoryEvaluatorHook make_stop_at_checkpoint_step_hook"
    ),
    "hooks.session_run_hook": _of(
        "kestimator.hooks", "SessionRunArgs SessionRunContext SessionRunHook SessionRunValues"
    ),
    "inputs": {},
    "inputs.inputs": _of("kestimator.inputs", "numpy_input_fn pandas_input_fn"),
    "inputs.numpy_io": _of("kestimator.inputs", "numpy_input_fn"),
    "inputs.pandas_io": _of("kestimator.inputs", "pandas_input_fn"),
    "keras_lib": _of("kestimator", "model_to_estimator"),
    "mode_keys": _of("kestimator", "ModeKeys"),
    "model_fn": _of("kestimator", "EstimatorSpec ModeKeys")
    | _of("kestimator.experimental", "call_logit_fn")
    | _of("kestimator.tpu", "_TPUEstimatorSpec=TPUEstimatorSpec")
    | _of(_FUNCTIONS, "AVERAGE_LOSS_METRIC_KEY LOSS_METRIC_KEY"),
    "run_config": _of("kestimator", "RunConfig")
    | _of(_FUNCTIONS, "TaskType get_default_session_config path_to_str"),
    "tpu": {},
    "tpu.tpu_config": _of("kestimator.tpu", "InputPipelineConfig RunConfig TPUConfig"),
    "tpu.tpu_estimator": _of("kestimator.tpu", "TPUEstimator TPUEstimatorSpec"),
    "training": _of("kestimator", "EvalSpec TrainSpec train_and_evaluate"),
    "util": _of(_FUNCTIONS, "parse_input_fn_result parse_iterator_result"),
}
"""The modules below `tensorflow_estimator.python.estimator`, and what programs take from them."""

_WITHOUT_NAMES = (
    *("layers", "rnn_cell"),  # they have the names of `tf_keras`
    *("python", "python.api", "python.api._v1", "python.api._v2"),
    *("top", "top._api", "top._api.v1", "top._api.v2", "top.python"),
)
_PRIVATE: Mapping[str, Mapping[str, str]] = {
    **{f"python.{module}": targets for module, targets in _BELOW_PYTHON.items()},
    "keras": _of("kestimator", "model_to_estimator"),
    **{module: {} for module in _WITHOUT_NAMES},
}
_ALIASES_LONGEST_FIRST = sorted(ALIASES, key=len, reverse=True)

_TREES = "Train TensorFlow Decision Forests or YDF, and serve their SavedModels."
_SERIES = "Write the model with kestimator.Estimator, or use Keras' recurrent layers."
_REPLACEMENTS: Mapping[str, str] = {
    "BoostedTrees": _TREES,
    "boosted_trees": _TREES,
    "GradientBoostedDecisionTree": _TREES,
    "DynamicRnnEstimator": "Use kestimator.experimental.RNNEstimator.",
    "TimeSeries": _SERIES,
    "timeseries": _SERIES,
    "StructuralEnsembleRegressor": _SERIES,
    "LSTMAutoRegressor": _SERIES,
    "SVM": "Use kestimator.experimental.LinearSDCA.",
    "KMeansClustering": "Use kestimator.experimental.KMeans.",
    "Experiment": "Use kestimator.train_and_evaluate.",
    "learn_runner": "Use kestimator.train_and_evaluate.",
}
"""By the beginnings of names: what to use instead of what does not exist here."""


@functools.cache
def targets(module: str) -> Mapping[str, str]:
    """Returns the target of each name in a module of the original.

    Args:
        module: Its name in the tables of this module, such as "v2" or "python.canned.dnn".
    """
    if module in _PUBLIC:
        here = importlib.import_module(_PUBLIC[module])
        return {name: f"{_PUBLIC[module]}:{name}" for name in here.__all__}
    return _PRIVATE[module]


def table_name(module: str) -> str | None:
    """Returns the name in the tables of a module that a program imports; None if there is none."""
    for old in _ALIASES_LONGEST_FIRST:
        if module == old or module.startswith(f"{old}."):
            name = ALIASES[old] + module[len(old) :]
            return name if name in _PUBLIC or name in _PRIVATE else None
    return None


def replacement(name: str) -> str:
    """Returns what to use instead of a name that does not exist here; empty if nothing is known."""
    return next((text for start, text in _REPLACEMENTS.items() if name.startswith(start)), "")


def all_modules() -> Iterator[str]:
    """Yields the table names of all modules."""
    yield from _PUBLIC
    yield from _PRIVATE
