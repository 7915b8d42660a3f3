"""Optimizers and metrics of Keras 2 (`tf_keras`); `tests/parity` has the numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from tests.contracts.estimators import FEATURES, LABELS

tf_keras = pytest.importorskip("tf_keras")
v1 = tf.compat.v1
COLUMNS = [tf.feature_column.numeric_column("age")]
legacy, optimizers = tf_keras.optimizers.legacy, tf_keras.optimizers


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(({"age": FEATURES["age"] / 50}, LABELS)).repeat(6)


def trained(optimizer: Any, model_dir: Any, times: int = 1) -> Any:
    estimator = kestimator.LinearClassifier(COLUMNS, str(model_dir), optimizer=optimizer)
    for _ in range(times):
        estimator.train(input_fn)
    return estimator


def values(estimator: Any) -> dict[str, Any]:
    return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}


def assert_same(one: Any, other: Any) -> None:
    found, expected = values(one), values(other)
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", [legacy.Adam, legacy.Nadam, optimizers.Adam, optimizers.Nadam])
def test_objects_and_functions_are_used_again(kind: Any, tmp_path: Any) -> None:
    by_object = trained(kind(0.1), tmp_path / "object", 2)
    again = trained(kind(0.1), tmp_path / "again")
    trained(kind(0.1), tmp_path / "again")
    by_function = trained(lambda: kind(0.1), tmp_path / "function", 2)
    assert_same(by_object, by_function)
    assert_same(again, by_function)


def test_one_object_serves_several_estimators(tmp_path: Any) -> None:
    optimizer = legacy.Adamax(0.1)
    one, other = trained(optimizer, tmp_path / "one"), trained(optimizer, tmp_path / "other")
    assert_same(one, other)
    assert not optimizer.weights


@pytest.mark.parametrize("name", ["Adagrad", "Adam", "Ftrl", "RMSprop", "SGD", "Adadelta"])
def test_new_optimizers_are_as_legacy_ones(name: str, tmp_path: Any) -> None:
    new = trained(lambda: getattr(optimizers, name)(0.1), tmp_path / "new")
    old = trained(getattr(legacy, name)(0.1), tmp_path / "old")
    assert_same(new, old)
    assert f"training/{name}/learning_rate" in values(new)


def test_a_directory_goes_on_from_a_name(tmp_path: Any) -> None:
    trained("Adam", tmp_path)
    estimator = trained(legacy.Adam(0.5), tmp_path)
    assert estimator.get_variable_value("global_step") == 12
    assert estimator.get_variable_value("training/Adam/learning_rate") == np.float32(0.2)


def head_model_fn(make: Any) -> Any:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        weight = v1.get_variable("w", [1, 1], initializer=v1.zeros_initializer())
        return kestimator.BinaryClassHead().create_estimator_spec(
            features,
            mode,
            features["age"][:, None] @ weight,
            labels[:, None],
            optimizer=make(),
            trainable_variables=[weight],
        )

    return model_fn


@pytest.mark.parametrize("make", [legacy.SGD, legacy.Nadam, optimizers.Adam])
def test_heads_advance_the_global_step(make: Any, tmp_path: Any) -> None:
    estimator = kestimator.Estimator(head_model_fn(make), str(tmp_path)).train(input_fn)
    assert estimator.get_variable_value("global_step") == 6
    assert not any("iter" in name for name in estimator.get_variable_names())
    assert abs(estimator.get_variable_value("w")) > 0


def test_a_counter_of_ones_own_is_kept(tmp_path: Any) -> None:
    def make() -> Any:
        optimizer = legacy.Nadam(0.1)
        optimizer.iterations = v1.get_variable(
            "own", [], tf.int64, v1.zeros_initializer(), trainable=False
        )
        return optimizer

    estimator = kestimator.Estimator(head_model_fn(make), str(tmp_path)).train(input_fn)
    assert estimator.get_variable_value("global_step") == 6
    assert estimator.get_variable_value("own") == 6


def test_an_optimizer_is_a_train_op(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean((weight * features["age"] - tf.cast(labels, tf.float32)) ** 2)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=legacy.Adam(0.1))

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn)
    assert "training/Adam/w/m" in estimator.get_variable_names()
    assert estimator.get_variable_value("global_step") == 6


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: optimizers.AdamW(0.1), "legacy also has.*keras.optimizers.AdamW of Keras 3"),
        (lambda: optimizers.Adam(0.1, weight_decay=0.1), "without weight_decay"),
        (lambda: optimizers.SGD(0.1, use_ema=True), "without use_ema"),
    ],
)
def test_what_legacy_optimizers_lack_is_refused(make: Any, parts: str, tmp_path: Any) -> None:
    with pytest.raises(errors.ArgumentError, match=parts):
        trained(make, tmp_path)


def test_an_optimizer_around_another_is_refused(tmp_path: Any) -> None:
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(legacy.Adam(0.1))
    with pytest.raises(errors.ArgumentError, match="Pass the inner optimizer"):
        trained(optimizer, tmp_path)


def test_a_new_optimizer_goes_on_in_another_trace(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean((weight * features["age"] - tf.cast(labels, tf.float32)) ** 2)
        applied = optimizers.Adam(0.1).apply_gradients([(tf.gradients(loss, weight)[0], weight)])
        with tf.control_dependencies([applied]):
            train_op = v1.train.get_global_step().assign_add(1)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn)
    estimator.train(lambda: input_fn().map(lambda x, y: ({"age": x["age"][:2]}, y[:2])), steps=2)
    assert estimator.get_variable_value("iteration") == 8
    assert estimator.get_variable_value("global_step") == 8
    again = kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn, steps=1)
    assert again.get_variable_value("iteration") == 9


def test_metrics_are_exported_and_leave_no_trace(tmp_path: Any) -> None:
    def metric_fn(labels: Any, predictions: Any) -> dict[str, Any]:
        metric = tf_keras.metrics.Mean()
        metric.update_state(predictions["logistic"])
        metric.update_state(predictions["logistic"] + 1.0)
        return {"added": metric}

    estimator = kestimator.add_metrics(trained("SGD", tmp_path / "model"), metric_fn)
    expected = estimator.evaluate(input_fn)
    assert expected["added"] == pytest.approx(expected["prediction/mean"] + 0.5)
    receiver = kestimator.export.build_raw_supervised_input_receiver_fn(
        {"age": tf.constant(FEATURES["age"])}, tf.constant(LABELS)
    )
    path = estimator.experimental_export_all_saved_models(
        str(tmp_path), {"train": receiver, "eval": receiver}
    )
    again = kestimator.SavedModelEstimator(path, tmp_path / "again")
    assert again.evaluate(input_fn)["metrics/added"] == pytest.approx(expected["added"])
    assert again.train(input_fn).get_variable_names() == estimator.get_variable_names()


@pytest.mark.slow  # starts a process
def test_the_package_is_not_imported_by_the_library() -> None:
    program = (
        "import sys, kestimator, tensorflow as tf\n"
        "kestimator.LinearRegressor([tf.feature_column.numeric_column('x')]).train(\n"
        "    lambda: tf.data.Dataset.from_tensors(({'x': [[1.0]]}, [[1.0]])))\n"
        "assert 'tf_keras' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
