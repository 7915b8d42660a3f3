"""Copies of an estimator, by `copy` and by pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.estimator import state_of

v1 = tf.compat.v1
X = np.array([[1.0], [2.0]], np.float32)


def input_fn(times: int = 5) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(({"x": X}, 2.0 * X)).repeat(times)


def once() -> tf.data.Dataset:
    return input_fn(1)


def model_fn(features: Any, labels: Any, mode: str, params: Any) -> kestimator.EstimatorSpec:
    weight = v1.get_variable("weight", [], initializer=v1.zeros_initializer())
    y = weight * features["x"]
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.reduce_mean((y - labels) ** 2)
    optimizer = v1.train.AdamOptimizer(params.get("rate", 0.1))
    train_op = optimizer.minimize(loss, v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


class Own(kestimator.Estimator):
    """A subclass with attributes, whose model_fn is a method of its own."""

    def __init__(self, model_dir: str, factors: list[float]) -> None:
        self.factors = factors
        super().__init__(self.build, model_dir, params={"rate": 0.2})

    def build(self, features: Any, labels: Any, mode: str, params: Any) -> Any:
        scaled = {"x": features["x"] * self.factors[0]}
        return model_fn(scaled, labels, mode, params)


def by_pickle(estimator: Any) -> Any:
    return pickle.loads(pickle.dumps(estimator))


def check_goes_on(estimator: Any, copied: Any) -> None:
    """A copy goes on in the same directory, and each notices what the other wrote."""
    before = estimator.evaluate(once)
    assert copied.evaluate(once) == pytest.approx(before)
    step = before["global_step"]
    copied.train(input_fn)
    assert estimator.evaluate(once)["global_step"] == step + 5
    estimator.train(input_fn)
    assert copied.evaluate(once)["global_step"] == step + 10


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, by_pickle])
def test_copies_go_on_in_the_same_directory(tmp_path: Any, make: Any) -> None:
    config = kestimator.RunConfig(tf_random_seed=3, save_checkpoints_steps=7)
    estimator = kestimator.Estimator(model_fn, str(tmp_path), config, {"rate": 0.3})
    check_goes_on(estimator.train(input_fn), copied := make(estimator))
    assert copied.params == {"rate": 0.3}
    assert copied.model_dir == estimator.model_dir
    assert copied.config.tf_random_seed == 3
    assert copied.config.save_checkpoints_steps == 7


@pytest.mark.parametrize("make", [copy.deepcopy, by_pickle])
def test_copies_have_a_state_of_their_own(tmp_path: Any, make: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn)
    copied = make(estimator)
    assert state_of(copied) is not state_of(estimator)
    assert not state_of(copied).programs
    assert not list(state_of(copied).store)
    assert state_of(copied).config is copied._config


@pytest.mark.parametrize("make", [copy.deepcopy, by_pickle])
def test_copies_of_a_subclass_call_their_own_method(tmp_path: Any, make: Any) -> None:
    estimator = Own(str(tmp_path), [2.0]).train(input_fn)
    copied = make(estimator)
    assert type(copied) is Own
    assert copied.factors == [2.0]
    assert copied.factors is not estimator.factors
    assert state_of(copied).model_fn.__self__ is copied
    check_goes_on(estimator, copied)


@pytest.mark.parametrize("make", [copy.deepcopy, by_pickle])
def test_copies_warm_start(tmp_path: Any, make: Any) -> None:
    kestimator.Estimator(model_fn, str(tmp_path / "first")).train(input_fn)
    second = kestimator.Estimator(
        model_fn, str(tmp_path / "second"), warm_start_from=str(tmp_path / "first")
    )
    expected = next(second.predict(once))["y"]
    assert expected > 0
    assert next(make(second).predict(once))["y"] == expected


def test_a_copy_made_amid_training_evaluates(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn)
    steps = []

    class Copies(kestimator.SessionRunHook):
        def after_run(self, run_context: Any, run_values: Any) -> None:
            steps.append(copy.deepcopy(estimator).evaluate(once)["global_step"])

    estimator.train(input_fn, hooks=[Copies()], steps=2)
    assert steps == [5, 5]


def test_a_model_fn_that_cannot_be_pickled_says_so(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(lambda features, mode: None, str(tmp_path))
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(estimator)
    copy.deepcopy(estimator)


@pytest.mark.parametrize("make", [copy.deepcopy, by_pickle])
def test_copies_of_a_saved_model(tmp_path: Any, make: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path / "model")).train(input_fn)
    receiver = kestimator.export.build_raw_supervised_input_receiver_fn(
        {"x": tf.constant(X)}, tf.constant(X)
    )
    path = estimator.experimental_export_all_saved_models(
        str(tmp_path), {"train": receiver, "eval": receiver}
    )
    again = kestimator.SavedModelEstimator(path, tmp_path / "again")
    check_goes_on(again, make(again))


def test_copies_of_a_keras_model(tmp_path: Any) -> None:
    model = keras.Sequential([keras.layers.Input([1], name="x"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    estimator = kestimator.model_to_estimator(model, model_dir=tmp_path).train(input_fn)
    copied = copy.deepcopy(estimator)
    check_goes_on(estimator, copied)
    for mine, its in zip(estimator.to_keras().weights, copied.to_keras().weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_copy_shares_its_strategy(tmp_path: Any) -> None:
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    config = kestimator.RunConfig(train_distribute=strategy)
    estimator = kestimator.Estimator(model_fn, str(tmp_path), config).train(input_fn)
    copied = copy.deepcopy(estimator)
    assert copied.config.train_distribute is strategy
    check_goes_on(estimator, copied)
