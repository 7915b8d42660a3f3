"""What each name of tf.estimator is called in kestimator.

Synopsis::

    estimator_name("tensorflow.estimator.RunConfig", is_tf1=False)       # "kestimator.RunConfig"
    estimator_name("tensorflow.estimator.DNNClassifier", is_tf1=True)    # "kestimator.v1.DNN..."
    estimator_name("tensorflow.estimator.BoostedTreesClassifier", ...)   # None: there is none

Names are qualified: `tf.estimator` under `import tensorflow as tf` is `tensorflow.estimator`.
"""

from __future__ import annotations

from kestimator import hooks

_PUBLIC_TREES = ("tensorflow.estimator", "tensorflow.compat.v2.estimator")
_V1_TREE = "tensorflow.compat.v1.estimator"
_INSTALLED_TREE = "tensorflow_estimator.estimator"
_PRIVATE_TREES = ("tensorflow_estimator.python.estimator", "tensorflow.python.estimator")
_TPU_TREES = ("tensorflow.contrib.tpu", "tensorflow.compat.v1.tpu", "tensorflow.tpu")
_CONTRIB_TREE = "tensorflow.contrib.estimator"
_KERAS_TREES = ("tensorflow.keras.estimator", "tensorflow.compat.v1.keras.estimator")

# Classes whose defaults or variables differ between `tf.compat.v1.estimator` and `tf.estimator` of
# TensorFlow 2.
DIFFERENT_IN_V1 = frozenset(
    {
        "BaselineClassifier",
        "BaselineEstimator",
        "BaselineRegressor",
        "DNNClassifier",
        "DNNEstimator",
        "DNNLinearCombinedClassifier",
        "DNNLinearCombinedEstimator",
        "DNNLinearCombinedRegressor",
        "DNNRegressor",
        "LinearClassifier",
        "LinearEstimator",
        "LinearRegressor",
    }
)

HOOKS = frozenset(hooks.__all__)

_ROOT = (
    DIFFERENT_IN_V1
    | HOOKS
    | {
        "BestExporter",
        "BinaryClassHead",
        "Estimator",
        "EstimatorSpec",
        "EvalSpec",
        "Exporter",
        "FinalExporter",
        "Head",
        "LatestExporter",
        "LogisticRegressionHead",
        "ModeKeys",
        "MultiClassHead",
        "MultiHead",
        "MultiLabelHead",
        "PoissonRegressionHead",
        "RegressionHead",
        "RunConfig",
        "TrainSpec",
        "VocabInfo",
        "WarmStartSettings",
        "add_metrics",
        "classifier_parse_example_spec",
        "regressor_parse_example_spec",
        "train_and_evaluate",
    }
)

_TPU = frozenset(
    {
        "CrossShardOptimizer",
        "InputPipelineConfig",
        "RunConfig",
        "TPUConfig",
        "TPUEstimator",
        "TPUEstimatorSpec",
    }
)

# The names below `kestimator`, by module.
NAMES: dict[str, frozenset[str]] = {
    "": frozenset(_ROOT),
    "experimental": frozenset(
        {
            "InMemoryEvaluatorHook",
            "KMeans",
            "LinearSDCA",
            "RNNClassifier",
            "RNNEstimator",
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
        }
    ),
    "export": frozenset(
        {
            "ClassificationOutput",
            "EvalOutput",
            "ExportOutput",
            "PredictOutput",
            "RegressionOutput",
            "ServingInputReceiver",
            "TensorServingInputReceiver",
            "TrainOutput",
            "build_parsing_serving_input_receiver_fn",
            "build_raw_serving_input_receiver_fn",
        }
    ),
    "inputs": frozenset({"numpy_input_fn", "pandas_input_fn"}),
    "tpu": _TPU,
    "tpu.experimental": frozenset({"EmbeddingConfigSpec"}),
}

# What `tf.contrib.estimator` has under another name, or in another module.
CONTRIB: dict[str, str] = {
    "InMemoryEvaluatorHook": "kestimator.experimental.InMemoryEvaluatorHook",
    "RNNClassifier": "kestimator.experimental.RNNClassifier",
    "RNNEstimator": "kestimator.experimental.RNNEstimator",
    "SavedModelEstimator": "kestimator.SavedModelEstimator",
    "add_metrics": "kestimator.add_metrics",
    "binary_classification_head": "kestimator.BinaryClassHead",
    "build_raw_supervised_input_receiver_fn": (
        "kestimator.experimental.build_raw_supervised_input_receiver_fn"
    ),
    "call_logit_fn": "kestimator.experimental.call_logit_fn",
    "dnn_logit_fn_builder": "kestimator.experimental.dnn_logit_fn_builder",
    "forward_features": "kestimator.forward_features",
    "linear_logit_fn_builder": "kestimator.experimental.linear_logit_fn_builder",
    "logistic_regression_head": "kestimator.LogisticRegressionHead",
    "make_early_stopping_hook": "kestimator.experimental.make_early_stopping_hook",
    "make_stop_at_checkpoint_step_hook": (
        "kestimator.experimental.make_stop_at_checkpoint_step_hook"
    ),
    "multi_class_head": "kestimator.MultiClassHead",
    "multi_head": "kestimator.MultiHead",
    "multi_label_head": "kestimator.MultiLabelHead",
    "poisson_regression_head": "kestimator.PoissonRegressionHead",
    "regression_head": "kestimator.RegressionHead",
    "stop_if_higher_hook": "kestimator.experimental.stop_if_higher_hook",
    "stop_if_lower_hook": "kestimator.experimental.stop_if_lower_hook",
    "stop_if_no_decrease_hook": "kestimator.experimental.stop_if_no_decrease_hook",
    "stop_if_no_increase_hook": "kestimator.experimental.stop_if_no_increase_hook",
    # Canned estimators of contrib are those of tf.compat.v1, with a head as an argument.
    **{
        name: f"kestimator.v1.{name}"
        for name in (
            "BaselineEstimator",
            "DNNEstimator",
            "DNNLinearCombinedEstimator",
            "LinearEstimator",
        )
    },
}

_PRIVATE_PLACES = {
    name: module for module, names in NAMES.items() if "tpu" not in module for name in sorted(names)
}


def is_estimator_name(qualified: str) -> bool:
    """Whether a name belongs to tf.estimator, wherever programs import it from."""
    trees = (*_PUBLIC_TREES, _V1_TREE, _INSTALLED_TREE, *_PRIVATE_TREES, _CONTRIB_TREE)
    if _below(qualified, (*trees, *_KERAS_TREES)) is not None:
        return True
    rest = _below(qualified, _TPU_TREES)
    # The other names of `tf.tpu` are TensorFlow's.
    return rest is not None and rest.split(".")[0] in _TPU


def estimator_name(qualified: str, *, is_tf1: bool) -> str | None:
    """The name in kestimator, or None if there is none.

    Args:
        qualified: A module or an object of tf.estimator.
        is_tf1: Whether `tf.estimator` means that of TensorFlow 1.
    """
    rest = _below(qualified, _PRIVATE_TREES)
    if rest is not None:
        return _private_name(rest)
    rest = _below(qualified, _KERAS_TREES)
    if rest is not None:
        return {"": "kestimator", "model_to_estimator": "kestimator.model_to_estimator"}.get(rest)
    rest = _below(qualified, (_CONTRIB_TREE,))
    if rest is not None:
        return CONTRIB.get(rest)
    rest = _below(qualified, _TPU_TREES)
    if rest is not None:
        return f"kestimator.tpu.{rest}" if rest in _TPU else None
    rest = _below(qualified, (_V1_TREE,))
    if rest is not None:
        return _public_name(rest, is_v1=True)
    rest = _below(qualified, (*_PUBLIC_TREES, _INSTALLED_TREE))
    return None if rest is None else _public_name(rest, is_v1=is_tf1)


def is_only_in_tf1(qualified: str) -> bool:
    """Whether TensorFlow 2 had no such name in tf.estimator."""
    rest = _below(qualified, ("tensorflow.estimator",))
    return rest is not None and rest.split(".")[0] in ("inputs", "tpu")


def differs_in_v1(qualified: str) -> bool:
    """Whether a name of `tf.estimator` means another class in TensorFlow 1."""
    return _below(qualified, ("tensorflow.estimator",)) in DIFFERENT_IN_V1


def _below(qualified: str, trees: tuple[str, ...]) -> str | None:
    """The part of a name below one of the modules; "" is the module itself."""
    for tree in trees:
        if qualified == tree:
            return ""
        if qualified.startswith(f"{tree}."):
            return qualified[len(tree) + 1 :]
    return None


def _public_name(rest: str, *, is_v1: bool) -> str | None:
    if not rest:
        return "kestimator"
    if rest in NAMES:
        return f"kestimator.{rest}"
    module, _, name = rest.rpartition(".")
    if name not in NAMES.get(module, ()):
        return None
    if is_v1 and not module and name in DIFFERENT_IN_V1:
        return f"kestimator.v1.{name}"
    return f"kestimator.{rest}"


def _private_name(rest: str) -> str | None:
    """The name of an object in one of tf.estimator's own modules, which moved often."""
    *modules, name = rest.split(".")
    if "tpu" in modules:
        return f"kestimator.tpu.{name}" if name in _TPU else None
    if name.endswith("V2"):
        name = name.removesuffix("V2")
        return f"kestimator.{name}" if name in _ROOT else None
    module = _PRIVATE_PLACES.get(name)
    if module is None:
        return None
    if name in DIFFERENT_IN_V1:
        return f"kestimator.v1.{name}"
    return f"kestimator.{module}.{name}" if module else f"kestimator.{name}"
