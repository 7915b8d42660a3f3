"""Canned estimators of the first generation, from zeros or on from what the original wrote."""

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.programs import canned, resume, tools

CASES = tools.Cases()
MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {}
NETWORK = {"hidden_units": [5, 3], "feature_columns": canned.deep_columns}
LINEAR = {"feature_columns": canned.linear_columns}
WIDE = {
    "linear_feature_columns": canned.linear_columns,
    "dnn_feature_columns": canned.deep_columns,
    "dnn_hidden_units": [5, 3],
}
WORDS = {"n_classes": 3, "label_vocabulary": canned.CLASSES}
MEAN = tf.compat.v1.losses.Reduction.SUM_OVER_BATCH_SIZE
STEPS = 3

# The class, the labels and the arguments. Weights of networks are random at first.
DEEP: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dnn": ("DNNClassifier", "two", {**NETWORK, "weight_column": "weight"}),
    "dnn_adam": ("DNNClassifier", "words", {**NETWORK, **WORDS, "optimizer": "Adam"}),
    "dnn_ftrl": ("DNNClassifier", "two", {**NETWORK, "optimizer": "Ftrl"}),
    "dnn_normalized": (
        "DNNRegressor",
        "numbers",
        {**NETWORK, "label_dimension": 2, "batch_norm": True, "activation_fn": tf.nn.tanh},
    ),
    "combined": ("DNNLinearCombinedClassifier", "two", {**WIDE, "weight_column": "weight"}),
    "combined_adam": (
        "DNNLinearCombinedRegressor",
        "number",
        {**WIDE, "dnn_optimizer": "Adam", "linear_optimizer": "Adam"},
    ),
}
SHALLOW: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{
        f"linear_{name.lower()}": ("LinearClassifier", "two", {**LINEAR, "optimizer": name})
        for name in canned.OPTIMIZERS
    },
    "linear_words": ("LinearClassifier", "words", {**LINEAR, **WORDS, "weight_column": "weight"}),
    "linear_number": ("LinearRegressor", "number", {**LINEAR, "loss_reduction": MEAN}),
    "baseline": ("BaselineClassifier", "words", WORDS),
    "baseline_number": ("BaselineRegressor", "number", {"optimizer": "Adam"}),
    "combined_of_a_linear_part": (
        "DNNLinearCombinedClassifier",
        "two",
        {"linear_feature_columns": canned.linear_columns},
    ),
}
KINDS = {**DEEP, **SHALLOW}


def estimator(est: Any, kind: str, model_dir: str) -> Any:
    name, _, options = KINDS[kind]
    made = {
        key: value() if key.endswith("feature_columns") else value for key, value in options.items()
    }
    return getattr(est.v1, name)(config=canned.config(est, model_dir), **made)


def _trained(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    _, labels, _ = KINDS[kind]
    if not kind.startswith("baseline"):
        return canned.trained(estimator(est, kind, model_dir), labels, STEPS)
    # The baselines of the original fail with several features.
    made = estimator(est, kind, model_dir)
    data = {"age": canned.features()["age"]}
    made.train(tools.batches(data, canned.labels(labels), canned.BATCH), steps=STEPS)
    once = tools.batches(data, canned.labels(labels), canned.BATCH, 1)
    return {
        "losses": tools.scalars(model_dir, ["loss"])["loss"]["values"],
        "evaluated": tools.typed(made.evaluate(once)),
        "variables": tools.checkpoint(model_dir),
        "tags": canned.tags(model_dir),
    }


def write(est: Any, model_dir: str, kind: str) -> None:
    estimator(est, kind, model_dir).train(canned.input_fn(KINDS[kind][1]), steps=STEPS)


def _resumed(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(resume.STORED / f"v1_{kind}", folder)
    resumed = estimator(est, kind, folder)
    before = resumed.evaluate(canned.input_fn(KINDS[kind][1], 1))
    return {"before": tools.plain(before), **canned.trained(resumed, KINDS[kind][1], STEPS)}


MODEL_DIRS.update({f"v1_{kind}": functools.partial(write, kind=kind) for kind in DEEP})
CASES.update({kind: functools.partial(_resumed, kind=kind) for kind in DEEP})
CASES.update({kind: functools.partial(_trained, kind=kind) for kind in SHALLOW})


@CASES
def optimizers_as_objects(est: Any, model_dir: str) -> dict[str, Any]:
    made = est.v1.DNNClassifier(
        [4],
        canned.deep_columns(),
        n_classes=3,
        config=canned.config(est, model_dir),
        optimizer=lambda: tf.compat.v1.train.MomentumOptimizer(0.1, 0.9),
        dropout=0.5,
    )
    made.train(canned.input_fn("three"), steps=2)
    linear = est.v1.LinearRegressor(
        canned.linear_columns(),
        config=canned.config(est, f"{model_dir}/linear"),
        optimizer=tf.compat.v1.train.AdagradOptimizer(0.1),
    )
    return {
        "variables": tools.names_and_shapes(model_dir),
        "tags": canned.tags(model_dir),
        "linear": canned.trained(linear, "number", STEPS),
    }


@CASES
def variables_of_an_activation(est: Any, model_dir: str) -> dict[str, Any]:
    """An activation that makes a variable for each layer."""

    def parametric(x: Any) -> Any:
        slope = tf.compat.v1.get_variable("slope", [], initializer=tf.zeros_initializer())
        return tf.maximum(x, slope * x)

    made = est.v1.DNNRegressor(
        [4, 2],
        canned.deep_columns(),
        config=canned.config(est, model_dir),
        activation_fn=parametric,
        optimizer="SGD",
    )
    made.train(canned.input_fn("number"), steps=1)
    return {"variables": tools.names_and_shapes(model_dir)}
