"""The contract table: every estimator class keeps every promise; eight of them in the fast suite.

A row is a class (see `estimators.py`), a test is a promise. Each class is trained once, and what
a promise changes it changes in a copy.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.estimator import state_of
from tests.contracts.estimators import ROWS, Row, public_classes
from tests.selection import members

CLASSES = public_classes()


@dataclasses.dataclass(frozen=True)
class Case:
    """A class with its row, trained for four steps."""

    name: str
    row: Row
    estimator: Any

    def another(self, model_dir: Any, **options: Any) -> Any:
        """A second object of the class."""
        return made(self.name, model_dir, **options)

    def predictions(self, estimator: Any) -> np.ndarray:
        """What an estimator predicts, (6, n)."""
        rows = estimator.predict(self.row.input_fn(1))
        return np.stack([row[self.row.output] for row in rows])


def made(name: str, model_dir: Any, **options: Any) -> Any:
    config = kestimator.RunConfig(str(model_dir), tf_random_seed=1)
    return CLASSES[name](config=config, **ROWS[name].options(), **options)


# One class of each kind. Recurrent estimators have tests of their own, as they take long.
FAST = {
    *("BaselineClassifier", "DNNLinearCombinedRegressor", "Estimator", "LinearClassifier"),
    *("SavedModelEstimator", "experimental.KMeans"),
}


@pytest.fixture(scope="module", params=members(sorted(ROWS), fast=FAST))
def case(request: Any, tmp_path_factory: Any) -> Case:
    name, row = request.param, ROWS[request.param]
    estimator = made(name, tmp_path_factory.mktemp(name) / "model")
    assert estimator.train(row.input_fn(), steps=4) is estimator  # two epochs
    return Case(name, row, estimator)


def test_every_class_has_a_row() -> None:
    assert sorted(ROWS) == sorted(CLASSES)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_rows_promise_what_classes_have(name: str) -> None:
    takes_warm_start = "warm_start_from" in inspect.signature(CLASSES[name]).parameters
    assert ROWS[name].has_warm_start == takes_warm_start
    assert ROWS[name].has_keras == hasattr(CLASSES[name], "to_keras")


def test_train_writes_a_checkpoint(case: Case) -> None:
    assert case.estimator.get_variable_value("global_step") == 4
    files = {path.name for path in pathlib.Path(case.estimator.model_dir).iterdir()}
    assert {"checkpoint", "model.ckpt-0.index", "model.ckpt-4.index"} <= files


def test_resume_in_a_new_object(case: Case, tmp_path: Any) -> None:
    shutil.copytree(case.estimator.model_dir, tmp_path / "copy")
    resumed = case.another(tmp_path / "copy").train(case.row.input_fn(), steps=2)
    straight = case.another(tmp_path / "straight").train(case.row.input_fn(), steps=6)
    assert resumed.get_variable_names() == straight.get_variable_names()
    for name in straight.get_variable_names():
        expected = straight.get_variable_value(name)
        found = resumed.get_variable_value(name)
        if name == "global_step":
            assert found == expected == 6
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_evaluate_says_the_same_in_a_new_object(case: Case) -> None:
    metrics = case.estimator.evaluate(case.row.input_fn(1))
    assert list(metrics) == [*sorted(set(metrics) - {"global_step"}), "global_step"]
    assert metrics["global_step"] == 4
    assert np.isfinite(metrics["loss"])
    again = case.another(case.estimator.model_dir).evaluate(case.row.input_fn(1))
    assert again == pytest.approx(metrics, rel=1e-6)


def test_predict_says_the_same_in_a_new_object(case: Case) -> None:
    found = case.predictions(case.estimator)
    assert found.shape[0] == 6
    again = case.predictions(case.another(case.estimator.model_dir))
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_a_deep_copy_predicts_the_same_and_trains_alone(case: Case, tmp_path: Any) -> None:
    found = case.predictions(case.estimator)
    copied = copy.deepcopy(case.estimator)
    assert type(copied) is type(case.estimator)
    assert state_of(copied) is not state_of(case.estimator)
    assert copied.model_dir == case.estimator.model_dir
    np.testing.assert_allclose(case.predictions(copied), found, rtol=1e-6)

    other = case.another(tmp_path).train(case.row.input_fn(), steps=1)
    second = copy.deepcopy(other).train(case.row.input_fn(), steps=2)
    names = other.get_variable_names()
    assert second.get_variable_names() == names
    assert other.get_variable_value("global_step") == 3
    assert other.train(case.row.input_fn(), steps=1).get_variable_value("global_step") == 4


def test_second_calls_trace_nothing(case: Case) -> None:
    def call() -> Any:
        metrics = case.estimator.evaluate(case.row.input_fn(1))
        return metrics, case.predictions(case.estimator).tolist()

    first, traced = call(), list(state_of(case.estimator).programs)
    assert call() == first
    assert list(state_of(case.estimator).programs) == traced
    assert {model.mode for model in traced} == {"train", "eval", "infer"}
    assert len(traced) == 3


def test_an_export_serves_what_is_predicted(case: Case, tmp_path: Any) -> None:
    receiver = kestimator.export.build_parsing_serving_input_receiver_fn(case.row.parsing)
    path = case.estimator.export_saved_model(str(tmp_path), receiver)
    signature = tf.saved_model.load(path.decode()).signatures[case.row.signature]
    outputs = signature(examples=tf.constant(case.row.examples()))
    served = outputs[case.row.served or case.row.output]
    expected = case.predictions(case.estimator)
    np.testing.assert_allclose(served, expected, rtol=1e-5, atol=1e-6)


def test_an_export_of_every_mode_goes_on_without_the_model_fn(case: Case, tmp_path: Any) -> None:
    path = case.estimator.experimental_export_all_saved_models(str(tmp_path), case.row.receivers())
    again = kestimator.SavedModelEstimator(path, tmp_path / "again")
    expected, found = (
        {key.removeprefix("metrics/"): value for key, value in metrics.items()}
        for metrics in (one.evaluate(case.row.input_fn(1)) for one in (case.estimator, again))
    )
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)

    shutil.copytree(case.estimator.model_dir, tmp_path / "copy")
    straight = case.another(tmp_path / "copy").train(case.row.input_fn(), steps=2)
    again.train(case.row.input_fn(), steps=2)
    assert again.get_variable_names() == straight.get_variable_names()
    for name in straight.get_variable_names():
        value = straight.get_variable_value(name)
        np.testing.assert_allclose(again.get_variable_value(name), value, rtol=1e-5, atol=1e-6)


def test_warm_start_takes_weights_and_not_steps(case: Case, tmp_path: Any) -> None:
    if not case.row.has_warm_start:
        pytest.skip("the original has none either")
    second = case.another(tmp_path, warm_start_from=case.estimator.model_dir)
    expected = case.predictions(case.estimator)
    np.testing.assert_allclose(case.predictions(second), expected, rtol=1e-6)
    assert second.evaluate(case.row.input_fn(1))["global_step"] == 0
    assert second.train(case.row.input_fn(), steps=1).get_variable_value("global_step") == 1


def test_to_keras_predicts_the_same(case: Case) -> None:
    if not case.row.has_keras:
        pytest.skip("not promised: there are no columns to make layers of")
    model = case.estimator.to_keras()
    features = {"example": np.zeros([6, 1], np.float32), **case.row.features}
    found = model({name: tf.constant(features[name]) for name in model.input})
    expected = case.predictions(case.estimator)
    np.testing.assert_allclose(found[case.row.output], expected, rtol=1e-5, atol=1e-6)
