"""Deep and combined estimators, trained on from what the original wrote."""

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
WIDE = {
    "linear_feature_columns": canned.linear_columns,
    "dnn_feature_columns": canned.deep_columns,
    "dnn_hidden_units": [5, 3],
}


def _made(options: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value() if key.endswith("feature_columns") else value for key, value in options.items()
    }


KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{
        f"dnn_{name.lower()}": ("DNNClassifier", "two", {**NETWORK, "optimizer": name})
        for name in canned.OPTIMIZERS
    },
    "dnn_batch_norm": (
        "DNNClassifier",
        "three",
        {**NETWORK, "n_classes": 3, "batch_norm": True, "activation_fn": tf.nn.tanh},
    ),
    "dnn_regression": (
        "DNNRegressor",
        "numbers",
        {**NETWORK, "label_dimension": 2, "loss_reduction": "sum", "optimizer": "Adam"},
    ),
    "combined": ("DNNLinearCombinedClassifier", "two", {**WIDE, "weight_column": "weight"}),
    "combined_batch_norm": (
        "DNNLinearCombinedRegressor",
        "number",
        {**WIDE, "batch_norm": True, "dnn_optimizer": "SGD", "linear_optimizer": "Adam"},
    ),
    "combined_of_a_network": (
        "DNNLinearCombinedClassifier",
        "three",
        {
            "dnn_feature_columns": canned.deep_columns,
            "dnn_hidden_units": [4],
            "n_classes": 3,
        },
    ),
}


def estimator(est: Any, kind: str, model_dir: str) -> Any:
    name, _, options = KINDS[kind]
    return getattr(est, name)(config=canned.config(est, model_dir), **_made(options))


def write(est: Any, model_dir: str, kind: str) -> None:
    estimator(est, kind, model_dir).train(canned.input_fn(KINDS[kind][1]), steps=3)


def _resumed(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(resume.STORED / f"canned_{kind}", folder)
    resumed = estimator(est, kind, folder)
    before = resumed.evaluate(canned.input_fn(KINDS[kind][1], 1))
    return {
        "before": tools.plain(before),
        **canned.trained(resumed, KINDS[kind][1], steps=20),
    }


MODEL_DIRS.update({f"canned_{kind}": functools.partial(write, kind=kind) for kind in KINDS})
CASES.update({kind: functools.partial(_resumed, kind=kind) for kind in KINDS})


@CASES
def layout_of_a_linear_part_alone(est: Any, model_dir: str) -> dict[str, Any]:
    made = est.DNNLinearCombinedClassifier(
        linear_feature_columns=canned.linear_columns(), config=canned.config(est, model_dir)
    )
    return canned.trained(made, "two", steps=20)


@CASES
def layout_with_a_head_and_dropout(est: Any, model_dir: str) -> dict[str, Any]:
    made = est.DNNEstimator(
        est.MultiClassHead(3),
        [4],
        canned.deep_columns(),
        config=canned.config(est, model_dir),
        dropout=0.5,
        optimizer=canned.optimizer(est, "SGD", 0.1, momentum=0.9),
    )
    made.train(canned.input_fn("three"), steps=2)
    return {
        "variables": tools.names_and_shapes(model_dir),
        "tags": canned.tags(model_dir),
    }
