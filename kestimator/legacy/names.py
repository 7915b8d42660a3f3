"""Which names legacy programs look for, where, and which ones they are here.

Synopsis::

    targets("python.canned.dnn")["DNNClassifierV2"]      # "kestimator:DNNClassifier"
    replacement("BoostedTreesClassifier")                # what to use instead
    add(Tables(aliases, modules, replacements))          # until `forget_added`

A target is the name of a module and of what is in it, with a colon between. Targets are strings:
importing all of the library here would make it a circle. A module with a name "*" has the names of
another one, too, whose name is the target.
"""

from __future__ import annotations

import functools
import importlib
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kestimator.legacy import keras2_modules

ALIASES: dict[str, str] = {
    "tensorflow.estimator": "v2",
    "tensorflow.compat.v2.estimator": "v2",
    "tensorflow._api.v2.compat.v2.estimator": "v2",
    "tensorflow_estimator.python.estimator.api._v2.estimator": "v2",
    "tensorflow_estimator._api.v2.estimator": "v2",
    "tensorflow.compat.v1.estimator": "v1",
    "tensorflow._api.v2.compat.v1.estimator": "v1",
    "tensorflow_estimator.python.estimator.api._v1.estimator": "v1",
    "tensorflow_estimator._api.v1.estimator": "v1",
    "tensorflow_estimator.estimator": "v1",
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


def targets_in(module: str, names: str) -> dict[str, str]:
    """Returns the targets of names in a module; `old=new` is a name that changed."""
    pairs = (name.partition("=") for name in names.split())
    return {old: f"{module}:{new or old}" for old, _, new in pairs}


def _canned(names: str) -> dict[str, str]:
    """The targets of canned estimators, whose classes for TF 2 had names with V2."""
    new = " ".join(f"{name}V2={name}" for name in names.split())
    return targets_in("kestimator.v1", names) | targets_in("kestimator", new)


_FUNCTIONS = "kestimator.legacy.library_functions"
_HEAD_FUNCTIONS = "kestimator.legacy.head_functions"
_GC = "kestimator.legacy.export_versions"
_EXPORT = targets_in(
    "kestimator.export",
    """ServingInputReceiver SupervisedInputReceiver TensorServingInputReceiver
    UnsupervisedInputReceiver build_parsing_serving_input_receiver_fn
    build_raw_serving_input_receiver_fn build_raw_supervised_input_receiver_fn""",
)
_EXPORT_OUTPUTS = targets_in(
    "kestimator.export",
    "ExportOutput ClassificationOutput PredictOutput RegressionOutput EvalOutput TrainOutput",
)
_HOOKS = targets_in(
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
    | targets_in("kestimator.experimental", "dnn_logit_fn_builder")
    | targets_in("kestimator.legacy.canned_functions", "_dnn_model_fn dnn_model_fn_v2"),
    "canned.dnn_linear_combined": _canned(
        "DNNLinearCombinedClassifier DNNLinearCombinedEstimator DNNLinearCombinedRegressor"
    ),
    "canned.head": targets_in("kestimator.legacy.v1_heads", _V1_HEADS),
    "canned.kmeans": targets_in("kestimator.experimental", "KMeansClustering=KMeans"),
    "canned.linear": _canned("LinearClassifier LinearEstimator LinearRegressor")
    | targets_in("kestimator.experimental", "LinearSDCA linear_logit_fn_builder")
    | targets_in("kestimator.legacy.canned_functions", "_linear_model_fn"),
    "canned.metric_keys": targets_in("kestimator.keys", "MetricKeys"),
    "canned.optimizers": targets_in(_FUNCTIONS, "get_optimizer_instance get_optimizer_instance_v2"),
    "canned.parsing_utils": targets_in(
        "kestimator",
        """classifier_parse_example_spec_v2=classifier_parse_example_spec
        regressor_parse_example_spec_v2=regressor_parse_example_spec""",
    )
    | targets_in("kestimator.v1", "classifier_parse_example_spec regressor_parse_example_spec"),
    "canned.prediction_keys": targets_in("kestimator.keys", "PredictionKeys"),
    "canned.rnn": targets_in("kestimator.experimental", "RNNClassifier RNNEstimator"),
    "canned.saved_model_estimator": targets_in("kestimator", "SavedModelEstimator"),
    "early_stopping": targets_in(
        "kestimator.experimental",
        """make_early_stopping_hook stop_if_higher_hook stop_if_lower_hook
        stop_if_no_decrease_hook stop_if_no_increase_hook""",
    )
    | targets_in(_FUNCTIONS, "read_eval_metrics"),
    "estimator": targets_in("kestimator", "Estimator EstimatorV2=Estimator WarmStartSettings")
    | targets_in(_FUNCTIONS, "maybe_overwrite_model_dir_and_session_config"),
    "export": {},
    "export.export": _EXPORT,
    "export.export_lib": _EXPORT | _EXPORT_OUTPUTS,
    "export.export_output": _EXPORT_OUTPUTS,
    "exporter": targets_in("kestimator", "BestExporter Exporter FinalExporter LatestExporter"),
    "extenders": targets_in("kestimator", "add_metrics"),
    "gc": targets_in(
        _GC,
        """Path _get_paths=paths_in _largest_export_versions=largest_export_versions
        _mod_export_version=mod_export_version _negation=negation
        _one_of_every_n_export_versions=one_of_every_n_export_versions _union=union""",
    ),
    "head": {},
    "head.base_head": targets_in("kestimator", "Head")
    | targets_in(
        _HEAD_FUNCTIONS,
        """all_class_ids all_classes call_loss_fn check_dense_labels_match_logits_and_reshape
        check_logits_final_dim classification_output create_eval_metrics_tuple
        create_estimator_spec_summary create_estimator_spec_train_op
        get_weights_and_check_match_logits validate_n_classes CLASSIFY_SERVING_KEY
        DEFAULT_SERVING_KEY PREDICT_SERVING_KEY REGRESS_SERVING_KEY""",
    ),
    "head.binary_class_head": targets_in("kestimator", "BinaryClassHead"),
    "head.head_utils": targets_in(_HEAD_FUNCTIONS, "binary_or_multi_class_head"),
    "head.multi_class_head": targets_in("kestimator", "MultiClassHead"),
    "head.multi_head": targets_in("kestimator", "MultiHead"),
    "head.multi_label_head": targets_in("kestimator", "MultiLabelHead"),
    "head.regression_head": targets_in(
        "kestimator", "LogisticRegressionHead PoissonRegressionHead RegressionHead"
    ),
    "head.sequential_head": targets_in("kestimator.experimental", "SequentialHeadWrapper"),
    "hooks": {},
    "hooks.basic_session_run_hooks": _HOOKS,
    "hooks.hooks": targets_in(
        "kestimator.experimental", "InMemoryEvaluatorHook make_stop_at_checkpoint_step_hook"
    ),
    "hooks.session_run_hook": targets_in(
        "kestimator.hooks", "SessionRunArgs SessionRunContext SessionRunHook SessionRunValues"
    ),
    "inputs": {},
    "inputs.inputs": targets_in("kestimator.inputs", "numpy_input_fn pandas_input_fn"),
    "inputs.numpy_io": targets_in("kestimator.inputs", "numpy_input_fn"),
    "inputs.pandas_io": targets_in("kestimator.inputs", "pandas_input_fn"),
    "keras_lib": targets_in(_FUNCTIONS, "model_to_estimator"),
    "mode_keys": targets_in("kestimator", "ModeKeys"),
    "model_fn": targets_in("kestimator", "EstimatorSpec ModeKeys")
    | targets_in("kestimator.experimental", "call_logit_fn")
    | targets_in("kestimator.tpu", "_TPUEstimatorSpec=TPUEstimatorSpec")
    | targets_in(_FUNCTIONS, "AVERAGE_LOSS_METRIC_KEY LOSS_METRIC_KEY"),
    "run_config": targets_in("kestimator", "RunConfig")
    | targets_in(_FUNCTIONS, "TaskType get_default_session_config path_to_str"),
    "tpu": {},
    "tpu.tpu_config": targets_in("kestimator.tpu", "InputPipelineConfig RunConfig TPUConfig"),
    "tpu.tpu_estimator": targets_in("kestimator.tpu", "TPUEstimator TPUEstimatorSpec"),
    "training": targets_in("kestimator", "EvalSpec TrainSpec train_and_evaluate"),
    "util": targets_in(_FUNCTIONS, "parse_input_fn_result parse_iterator_result"),
}
"""The modules below `tensorflow_estimator.python.estimator`, and what programs take from them."""

_WITHOUT_NAMES = (
    *("python", "python.api", "python.api._v1", "python.api._v2"),
    *("top", "top._api", "top._api.v1", "top._api.v2", "top.python"),
)
_PRIVATE: dict[str, Mapping[str, str]] = {
    **{f"python.{module}": targets for module, targets in _BELOW_PYTHON.items()},
    "keras": targets_in("kestimator", "model_to_estimator"),
    **{module: {"*": path} for module, path in keras2_modules.PATHS.items()},
    **{module: {} for module in _WITHOUT_NAMES},
}

_TREES = "Train TensorFlow Decision Forests or YDF, and serve their SavedModels."
_SERIES = "Write the model with kestimator.Estimator, or use Keras' recurrent layers."
_REPLACEMENTS: dict[str, str] = {
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


class Tables(NamedTuple):
    """The names of further modules.

    Attributes:
        aliases: As `ALIASES`.
        modules: The targets of the names in each module.
        replacements: What to use instead, by the beginnings of "module.name".
    """

    aliases: dict[str, str]
    modules: dict[str, Mapping[str, str]]
    replacements: dict[str, str]


_aliases = ChainMap(ALIASES)
_modules = ChainMap(_PRIVATE)
_replacements = ChainMap(_REPLACEMENTS)


def add(tables: Tables) -> None:
    """Adds further modules, until `forget_added`."""
    _aliases.maps.append(tables.aliases)
    _modules.maps.append(tables.modules)
    _replacements.maps.append(tables.replacements)


def forget_added() -> None:
    """Takes back what `add` added."""
    for tables in (_aliases, _modules, _replacements):
        del tables.maps[1:]


@functools.cache
def _public_targets(module: str) -> Mapping[str, str]:
    here = importlib.import_module(_PUBLIC[module])
    return {name: f"{_PUBLIC[module]}:{name}" for name in here.__all__}


def targets(module: str) -> Mapping[str, str]:
    """Returns the target of each name in a module of the original.

    Args:
        module: Its name in the tables of this module, such as "v2" or "python.canned.dnn".
    """
    return _public_targets(module) if module in _PUBLIC else _modules[module]


def table_name(module: str) -> str | None:
    """Returns the name in the tables of a module that a program imports; None if there is none."""
    name = path_in_tables(module)
    return name if name in _PUBLIC or name in _modules else None


def path_in_tables(full_name: str) -> str:
    """Returns what the tables call a module or a name of the original, even if they lack it.

    It is empty for what was no part of the original.
    """
    starts = [old for old in _aliases if full_name == old or full_name.startswith(f"{old}.")]
    longest = max(starts, key=len, default="")
    return _aliases[longest] + full_name[len(longest) :] if longest else ""


def replacement(name: str) -> str:
    """Returns what to use instead of a name that does not exist here; empty if nothing is known.

    Args:
        name: The name, or the names of its module in the tables and of itself, with a dot between.
    """
    starts = [start for start in _replacements if name.startswith(start)]
    return _replacements[max(starts, key=len)] if starts else ""


def all_modules() -> Iterator[str]:
    """Yields the table names of all modules."""
    yield from _PUBLIC
    yield from _modules
