"""The training of examples/wide_and_deep.py, on the same batches, from what the original wrote."""

import functools
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from tests.programs import canned, resume, tools

sys.path.insert(0, str(resume.STORED.parents[2] / "examples"))

import diabetes

CASES = tools.Cases()
STORED = "wide_and_deep"


def _estimator(est: Any, model_dir: str) -> Any:
    return est.DNNLinearCombinedClassifier(
        linear_feature_columns=diabetes.linear_columns(),
        dnn_feature_columns=diabetes.deep_columns(),
        dnn_hidden_units=list(diabetes.HIDDEN_UNITS),
        linear_optimizer=canned.optimizer(est, "Ftrl", 0.02, l2_regularization_strength=0.5),
        dnn_optimizer=canned.optimizer(est, "Adagrad", 0.02),
        config=canned.config(est, model_dir),
    )


def _batches(data: diabetes.Data, *, endless: bool = False) -> Callable[[], Any]:
    return diabetes.batches_of(data, diabetes.BATCH, endless=endless)


def write(est: Any, model_dir: str) -> None:
    train, _ = diabetes.load_data()
    _estimator(est, model_dir).train(_batches(train, endless=True), steps=1)


MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {STORED: functools.partial(write)}


@CASES
def trains_on(est: Any, model_dir: str) -> dict[str, Any]:
    train, test = diabetes.load_data()
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(resume.STORED / STORED, folder)
    estimator = _estimator(est, folder)
    before = tools.plain(estimator.evaluate(_batches(test)))
    estimator.train(_batches(train, endless=True), steps=200)
    rows = list(estimator.predict(_batches(test)))
    return {
        "before": before,
        "losses": tools.scalars(folder, ["loss"])["loss"]["values"][-200:][::10],
        "evaluated": tools.typed(estimator.evaluate(_batches(test))),
        "probabilities": [tools.plain(row["probabilities"]) for row in rows[:20]],
    }
