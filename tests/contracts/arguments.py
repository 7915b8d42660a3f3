"""Every argument of every public callable, with wrong values: what becomes of each.

    python -m tests.contracts.arguments

prints how many wrong arguments are refused clearly (`clear`), refused by an error that does not
name the argument (`nameless`), taken as `TAKEN` allows (`taken`), or taken although nothing says
so (`late`).

Calls only begin: an `input_fn` or a receiver that is called means that the arguments were taken.
"""

from __future__ import annotations

import atexit
import collections
import dataclasses
import functools
import inspect
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pandas
import tensorflow as tf

import kestimator

export, experimental, inputs = kestimator.export, kestimator.experimental, kestimator.inputs

WRONG: dict[str, Any] = {
    "object": object(),
    "None": None,
    "True": True,
    "''": "",
    "'?'": "?",
    "bytes": b"\xff",
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "2**70": 2**70,
    "[]": [],
    "[object]": [object()],
    "{}": {},
    "{object}": {"?": object()},
    "array": np.array([[1, 2], [3, 4]]),
    "lambda": lambda: 1,
    "class": dict,
}
"""The wrong values by the names that `TAKEN` has for them."""


class Reached(Exception):
    """The user's function was called, so the arguments were taken."""


def reached() -> Any:
    """An input_fn or a receiver."""
    raise Reached


@dataclasses.dataclass(frozen=True)
class Subject:
    """A callable, with arguments that it takes.

    Attributes:
        call: The callable.
        arguments: Right values of the required arguments, and of those without which others have
            no meaning.
        reads: Further argument names, of a callable that takes `**kwargs`.
    """

    call: Callable[..., Any]
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    reads: tuple[str, ...] = ()

    def parameters(self) -> Iterator[tuple[str, Any]]:
        """The names of the arguments, with their defaults."""
        for parameter in inspect.signature(self.call).parameters.values():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                yield parameter.name, parameter.default
        yield from ((name, inspect.Parameter.empty) for name in self.reads)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a wrong argument.

    Attributes:
        subject: The name of the callable.
        argument: The name of the argument.
        value: The name of the wrong value.
        kind: "clear", "nameless", "taken" or "late".
        error: The error; None if there was none.
    """

    subject: str
    argument: str
    value: str
    kind: str
    error: Exception | None

    def __str__(self) -> str:
        error = "" if self.error is None else f": {type(self.error).__name__}: {self.error}"
        return f"{self.subject}({self.argument}={self.value}) {self.kind}{error}"[:300]


_X = np.zeros([4, 1], np.float32)
_T = tf.constant(_X)
_DENSE = [tf.feature_column.numeric_column("x")]
_LAYER = {"feature_columns": _DENSE, "hidden_units": [2]}


def _model_fn(features: Any, labels: Any, mode: str, params: Any) -> kestimator.EstimatorSpec:
    if (
        not isinstance(features, dict) or "x" not in features
    ):  # of a wrong input_fn, which was taken
        raise Reached
    y = features["x"] @ tf.compat.v1.get_variable("w", [1, 1])
    step = tf.compat.v1.train.get_global_step()
    return kestimator.EstimatorSpec(mode, {"y": y}, tf.reduce_sum(y), step.assign_add(1))


@functools.cache
def folder() -> str:
    """A directory for what is written."""
    path = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, path)
    return path


@functools.cache
def estimator() -> Any:
    """An estimator with a checkpoint."""
    fresh = kestimator.Estimator(_model_fn, f"{folder()}/model", params={})
    data = tf.data.Dataset.from_tensors(({"x": _X}, _X))
    return fresh.train(lambda: data, steps=1)


@functools.cache
def _frame() -> Any:
    return pandas.DataFrame({"x": [1.0, 2.0]})


class _Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return _X


def _compiled() -> Any:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def _saved_model() -> str:
    receiver = export.build_raw_serving_input_receiver_fn({"x": _T})
    return os.fsdecode(estimator().export_saved_model(f"{folder()}/exports", receiver))


def _head() -> Any:
    return kestimator.RegressionHead()


def _canned() -> dict[str, Subject]:
    linear, layer = {"feature_columns": _DENSE}, _LAYER
    both = {"linear_feature_columns": _DENSE, **_prefixed("dnn_", _LAYER)}
    rnn = {"sequence_feature_columns": [tf.feature_column.sequence_numeric_column("x")]}
    arguments: dict[str, dict[str, Any]] = {
        "BaselineClassifier": {},
        "BaselineEstimator": {"head": _head()},
        "BaselineRegressor": {},
        "DNNClassifier": layer,
        "DNNEstimator": {"head": _head(), **layer},
        "DNNLinearCombinedClassifier": both,
        "DNNLinearCombinedEstimator": {"head": _head(), **both},
        "DNNLinearCombinedRegressor": both,
        "DNNRegressor": layer,
        "LinearClassifier": linear,
        "LinearEstimator": {"head": _head(), **linear},
        "LinearRegressor": linear,
        "experimental.KMeans": {"num_clusters": 2},
        "experimental.RNNClassifier": {**rnn, "units": 2},
        "experimental.RNNEstimator": {"head": _head(), **rnn, "units": 2},
    }
    first_generation = {name: arguments[name] for name in arguments if "." not in name}
    arguments |= _prefixed("v1.", first_generation)
    directory = {"model_dir": f"{folder()}/canned"}
    return {
        name: Subject(public(name), {**directory, **options}) for name, options in arguments.items()
    }


def _heads() -> dict[str, Subject]:
    arguments: dict[str, dict[str, Any]] = {
        "BinaryClassHead": {},
        "LogisticRegressionHead": {},
        "MultiClassHead": {"n_classes": 3},
        "MultiHead": {"heads": [kestimator.RegressionHead(name="one")]},
        "MultiLabelHead": {"n_classes": 3},
        "PoissonRegressionHead": {},
        "RegressionHead": {},
        "experimental.SequentialHeadWrapper": {"static_head": _head()},
    }
    return {name: Subject(public(name), options) for name, options in arguments.items()}


def _specs() -> dict[str, Subject]:
    receiver = {"features": {"x": _T}, "receiver_tensors": {"x": _T}}
    spec = {"mode": "train", "loss": tf.constant(1.0), "train_op": tf.constant(1)}
    arguments: dict[str, dict[str, Any]] = {
        "ClusterInfo": {},
        "EstimatorSpec": spec,
        "EvalSpec": {"input_fn": reached},
        "RunConfig": {},
        "TrainSpec": {"input_fn": reached},
        "WarmStartSettings": {"ckpt_to_initialize_from": estimator().model_dir},
        "export.ClassificationOutput": {"scores": _T},
        "export.EvalOutput": {"loss": _T},
        "export.PredictOutput": {"outputs": {"y": _T}},
        "export.RegressionOutput": {"value": _T},
        "export.ServingInputReceiver": receiver,
        "export.SupervisedInputReceiver": {**receiver, "labels": _T},
        "export.TensorServingInputReceiver": {**receiver, "features": _T},
        "export.TrainOutput": {"loss": _T},
        "export.UnsupervisedInputReceiver": receiver,
        "experimental.LinearSDCA": {"example_id_column": "x"},
    }
    subjects = {name: Subject(public(name), options) for name, options in arguments.items()}
    names = [name for name, _ in subjects["RunConfig"].parameters() if name != "cluster"]
    subjects["RunConfig.replace"] = Subject(kestimator.RunConfig().replace, {}, tuple(names))
    return subjects


def _functions() -> dict[str, Subject]:
    frame, every = _frame(), {"estimator": estimator()}
    stopping = {**every, "metric_name": "loss"}
    spec = {"feature_columns": _DENSE, "label_key": "y"}
    supervised = {"features": {"x": _T}, "labels": _T}
    parsing = {"feature_spec": {"x": tf.io.FixedLenFeature([1], tf.float32)}}
    dnn = {**_LAYER, "units": 1, "activation_fn": None, "dropout": None}
    logits = {"logit_fn": lambda features: _T, "features": _T, "mode": "train"}
    arguments: dict[str, dict[str, Any]] = {
        "BestExporter": {"serving_input_receiver_fn": reached},
        "Estimator": {"model_fn": _model_fn, "model_dir": f"{folder()}/estimator"},
        "FinalExporter": {"name": "final", "serving_input_receiver_fn": reached},
        "LatestExporter": {"name": "latest", "serving_input_receiver_fn": reached},
        "SavedModelEstimator": {"saved_model_dir": _saved_model()},
        "add_metrics": {**every, "metric_fn": lambda labels: {}},
        "classifier_parse_example_spec": spec,
        "experimental.InMemoryEvaluatorHook": {**every, "input_fn": reached},
        "experimental.build_raw_supervised_input_receiver_fn": supervised,
        "experimental.call_logit_fn": {**logits, "params": {}, "config": None},
        "experimental.dnn_logit_fn_builder": {
            **dnn,
            "input_layer_partitioner": None,
            "batch_norm": False,
        },
        "experimental.linear_logit_fn_builder": {"units": 1, "feature_columns": _DENSE},
        "experimental.make_early_stopping_hook": {**every, "should_stop_fn": lambda: False},
        "experimental.make_stop_at_checkpoint_step_hook": {**every, "last_step": 1},
        "experimental.stop_if_higher_hook": {**stopping, "threshold": 1.0},
        "experimental.stop_if_lower_hook": {**stopping, "threshold": 1.0},
        "experimental.stop_if_no_decrease_hook": {**stopping, "max_steps_without_decrease": 1},
        "experimental.stop_if_no_increase_hook": {**stopping, "max_steps_without_increase": 1},
        "export.build_parsing_serving_input_receiver_fn": parsing,
        "export.build_raw_serving_input_receiver_fn": {"features": {"x": _T}},
        "forward_features": every,
        "inputs.keras_input_fn": {"py_dataset": _Batches()},
        "inputs.numpy_input_fn": {"x": _X, "shuffle": False},
        "inputs.pandas_input_fn": {"x": frame, "shuffle": False},
        "model_to_estimator": {"keras_model": _compiled(), "model_dir": f"{folder()}/keras"},
        "regressor_parse_example_spec": spec,
        "train_and_evaluate": {
            **every,
            "train_spec": kestimator.TrainSpec(reached, 2),
            "eval_spec": kestimator.EvalSpec(reached),
        },
    }
    subjects = {name: Subject(public(name), options) for name, options in arguments.items()}
    metric = {"metric": "loss", "mode": "min", "serving_input_receiver_fn": reached}
    subjects["BestExporter.of_metric"] = Subject(kestimator.BestExporter, metric)
    return subjects


def _methods() -> dict[str, Subject]:
    data, exports = {"input_fn": reached}, {"export_dir_base": f"{folder()}/methods"}
    serving = {**exports, "serving_input_receiver_fn": reached}
    arguments: dict[str, dict[str, Any]] = {
        "eval_dir": {},
        "evaluate": data,
        "experimental_export_all_saved_models": {
            **exports,
            "input_receiver_fn_map": {"infer": reached},
        },
        "export_keras": {"path": f"{folder()}/all.weights.h5", "input_fn": reached},
        "export_saved_model": serving,
        "export_savedmodel": serving,
        "get_variable_value": {"name": "w"},
        "predict": data,
        "train": data,
    }
    return {
        f"Estimator.{name}": Subject(getattr(estimator(), name), options)
        for name, options in arguments.items()
    }


def _tpu() -> dict[str, Subject]:
    spec = {"mode": "train", "loss": tf.constant(1.0), "train_op": tf.constant(1)}
    config = kestimator.tpu.RunConfig()
    arguments: dict[str, dict[str, Any]] = {
        "tpu.CrossShardOptimizer": {"opt": tf.compat.v1.train.GradientDescentOptimizer(0.1)},
        "tpu.RunConfig": {},
        "tpu.TPUConfig": {},
        "tpu.TPUEstimator": {
            **{"model_fn": _model_fn, "model_dir": f"{folder()}/tpu", "config": config},
            "use_tpu": False,
        },
        "tpu.TPUEstimatorSpec": spec,
    }
    return {name: Subject(public(name), options) for name, options in arguments.items()}


def subjects() -> dict[str, Subject]:
    """All that is tried, by name."""
    return {**_canned(), **_heads(), **_specs(), **_functions(), **_methods(), **_tpu()}


def public(name: str) -> Any:
    """A public name's value, such as that of "experimental.KMeans"."""
    return functools.reduce(getattr, name.split("."), kestimator)


def public_callables() -> dict[str, Any]:
    """The library's callables that take arguments, each under one name; not TensorFlow's hooks."""
    modules = {"": kestimator, "experimental.": experimental, "export.": export, "inputs.": inputs}
    modules |= {"heads.": kestimator.heads, "optimizers.": kestimator.optimizers}
    modules |= {"hooks.": kestimator.hooks, "tpu.": kestimator.tpu, "v1.": kestimator.v1}
    callables: dict[int, tuple[str, Any]] = {}
    for prefix, module in modules.items():  # the first name counts
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                callables.setdefault(id(value), (f"{prefix}{name}", value))
    return {
        name: value
        for name, value in callables.values()
        if name not in _WITHOUT_ARGUMENTS and value.__module__.startswith("kestimator.")
    }


_WITHOUT_ARGUMENTS = frozenset(
    {
        # Bases to derive from, and names.
        *("Exporter", "Head", "ModeKeys", "export.ExportOutput", "tpu.InputPipelineConfig"),
        *("install", "uninstall"),
        # Keras and TensorFlow check the arguments of their optimizers.
        *("optimizers.LazyAdam", "optimizers.LazyAdamOptimizer"),
        *("optimizers.LazyRMSPropOptimizer", "optimizers.LazyRMSprop"),
    }
)


def _prefixed(prefix: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in arguments.items()}


def outcomes(only: str = "") -> Iterator[Outcome]:
    """Tries all wrong values.

    Args:
        only: A part of the names of the callables to try.
    """
    for name, subject in subjects().items():
        if only in name:
            for argument, default in subject.parameters():
                for value in WRONG:
                    if WRONG[value] is not default:
                        yield _outcome(name, subject, argument, value)


def _outcome(name: str, subject: Subject, argument: str, value: str) -> Outcome:
    try:
        subject.call(**{**subject.arguments, argument: WRONG[value]})
    except Reached:
        error = None
    except Exception as raised:
        error = raised
    else:
        error = None
    if error is None:
        kind = "taken" if is_taken(name, argument, value) else "late"
    else:
        kind = "clear" if _is_clear(error, argument) else "nameless"
    return Outcome(name, argument, value, kind, error)


def _is_clear(error: Exception, argument: str) -> bool:
    return (
        isinstance(error, TypeError | ValueError | OSError)
        and re.search(rf"(?<!\w){argument}(?!\w)", str(error)) is not None
    )


def is_taken(name: str, argument: str, value: str) -> bool:
    """Whether a callable takes a value of `WRONG` legally."""
    allowed = TAKEN.get(f"{name}.{argument}", TAKEN.get(argument, ""))
    return value in allowed.split()


def _each(arguments: str, values: str) -> dict[str, str]:
    return dict.fromkeys(arguments.split(), values)


_ALL = " ".join(WRONG)
_STEPS = "None True 1.5 inf 2**70"

TAKEN: dict[str, str] = {
    # Arguments that nothing reads, or that are passed on as they are.
    **_each("batch_axis num_threads queue_capacity strip_default_attrs", _ALL),
    **_each("Estimator.params EstimatorSpec.export_outputs", _ALL),
    "tpu.TPUEstimatorSpec.export_outputs": _ALL,
    **_each("EstimatorSpec.mode tpu.TPUEstimatorSpec.mode", "None"),  # the mode of the call
    **_each("experimental.call_logit_fn.config experimental.call_logit_fn.features", _ALL),
    **_each("experimental.call_logit_fn.mode experimental.call_logit_fn.params", _ALL),
    "partitioner": "class",  # `dict` can be called with any names
    # Flags: 0 and None are false.
    **_each("adaptive allow_shared_model_dir as_text batch_norm", "None True 0"),
    "checkpoint_save_graph_def": "None True 0",
    **_each("compute_full_loss is_chief return_sequences use_mini_batch", "None True 0"),
    **_each("eval_on_tpu export_to_cpu export_to_tpu yield_single_examples", "None True 0"),
    "experimental_allow_per_host_v2_parallel_get_next": "None True 0",
    "use_tpu": "None 0",  # True needs a batch size
    "experimental.RNNEstimator.return_sequences": "None 0",  # True needs another head
    "shuffle": "True",
    # Steps and seconds: also fractions, and numbers that no run reaches.
    **_each("every_n_iter every_steps exports_to_keep keep_checkpoint_every_n_hours", _STEPS),
    **_each("last_step log_step_count_steps max_steps patience run_every_steps steps", _STEPS),
    **_each("session_creation_timeout_secs", _STEPS),
    **_each("max_steps_without_decrease max_steps_without_increase min_delta", f"{_STEPS} 0"),
    **_each("min_steps relative_tolerance run_every_secs save_checkpoints_secs", f"{_STEPS} 0"),
    **_each("save_checkpoints_steps save_summary_steps start_delay_secs", f"{_STEPS} 0"),
    **_each("checkpoint_timeout_secs throttle_secs", f"{_STEPS} 0"),
    "wait_after_file_check_secs": f"{_STEPS} 0",
    # Counts, seeds and other numbers. True is 1.
    **_each("dnn_dropout dropout", "None 0"),
    **_each("keep_checkpoint_max num_epochs", "None True 0"),
    **_each("num_worker_replicas task_id num_ps_replicas", "True 0 2**70"),
    **_each("experimental_max_worker_delay_secs tf_random_seed", "None True -1 0 2**70"),
    **_each("kmeans_plus_plus_num_retries seed", "-1 0 2**70"),
    "batch_size": "True",
    "default_batch_size": "True 0",
    "global_id_in_cluster": "None True 2**70",
    "label_default": "True -1 0 1.5 nan inf",
    "symmetric_l1_regularization": "True 0 1.5 2**70",
    "symmetric_l2_regularization": "True 1.5 2**70",
    "threshold": "True -1 0 1.5 inf 2**70",
    "verbose": "True 0",
    **_each("export_saved_model_api_version per_host_input_for_training", "True"),
    "initial_infeed_sleep_secs": "0",
    # Paths need not exist yet. An empty one is none.
    **_each("eval_dir event_file_pattern model_dir", "None '' '?'"),
    **_each("RunConfig.model_dir RunConfig.replace.model_dir", "None '?'"),
    **_each("ckpt_to_initialize_from export_dir_base", "'?'"),
    "checkpoint_path": "''",
    # Names.
    **_each("evaluation_master example_id_column label_key master metric_name", "'' '?'"),
    **_each("name task_type", "None '' '?'"),
    **_each("sequence_length_mask sequence_mask target_column weight_column", "'' '?'"),
    "BestExporter.of_metric.metric": "'?'",
    **_each("tpu.CrossShardOptimizer.name tpu_job_name", "'' '?'"),
    "Estimator.get_variable_value.name": "",  # a variable
    "vars_to_warm_start": "None '' []",
    # Functions. `lambda: 1` takes no argument; Python does not know what `dict` takes.
    **_each("dnn_optimizer input_fn linear_optimizer metric_fn optimizer", "None lambda class"),
    **_each("serving_input_receiver_fn should_stop_fn", "lambda class"),
    **_each("activation_fn dnn_activation_fn input_layer_partitioner", "None class"),
    **_each("cell_type experimental_feed_hook inverse_link_fn", "class"),
    "scaffold_fn": "lambda class",
    "group_assignment": "[] [object]",
    "initial_clusters": "array class",
    # Collections, of which empty ones are legal.
    **_each("dnn_feature_columns exporters feature_columns", "'' [] {}"),
    **_each("hooks linear_feature_columns saving_listeners training_chief_hooks", "'' [] {}"),
    **_each("evaluation_hooks prediction_hooks training_hooks", "'' [] {}"),
    **_each("callbacks classes_for_class_based_metrics thresholds", "[]"),
    "context_feature_columns": "[]",
    **_each("assets_extra eval_metric_ops export_outputs features labels loss metrics", "{}"),
    **_each("metric_names_map outputs predictions receiver_tensors", "{}"),
    **_each("receiver_tensors_alternatives var_name_to_prev_var_name", "{}"),
    "class_weight": "None {}",
    "tpu.TPUEstimator.params": "{} {object}",
    "var_name_to_vocab_info": "{}",
    **_each("custom_objects service sparse_default_values", "{} {object}"),
    **_each("x y", "{} {object} array"),  # what is in a dict is read when the function is called
    "experimental.SequentialHeadWrapper.feature_columns": "'' '?' [] {} {object}",
    "keys": "'' '?' {object}",
    "predict_keys": "'' '?' bytes [] [object] {} {object} array",
    # None where it is not the default.
    **_each("checkpoint_format device_fn eval_distribute experimental_distribute", "None"),
    **_each("protocol session_config train_distribute", "None"),
}
"""The wrong values that are legally taken, by argument; by callable and argument where the same
name means something else."""


if __name__ == "__main__":
    tf.get_logger().setLevel(logging.CRITICAL)
    every = list(outcomes(*sys.argv[1:]))
    for outcome in every:
        if outcome.kind in ("nameless", "late"):
            print(outcome)
    print(dict(collections.Counter(outcome.kind for outcome in every)))
