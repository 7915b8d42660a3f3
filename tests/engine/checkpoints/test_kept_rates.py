"""A checkpoint keeps the learning rate of a Keras optimizer; another one of the program is told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator


def input_fn() -> tf.data.Dataset:
    x = np.ones([4, 1], "float32")
    return tf.data.Dataset.from_tensors(({"x": x}, x)).repeat()


def of_model_fn(model_dir: Any, rate: Any) -> kestimator.Estimator:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        loss = tf.reduce_mean((keras.layers.Dense(1)(features["x"]) - labels) ** 2)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(rate))

    return kestimator.Estimator(model_fn, model_dir)


def canned(model_dir: Any, rate: Any) -> kestimator.Estimator:
    column = tf.feature_column.numeric_column("x")
    optimizer = keras.optimizers.SGD(rate)
    return kestimator.LinearRegressor([column], model_dir=model_dir, optimizer=optimizer)


def of_keras(model_dir: Any, rate: Any) -> kestimator.Estimator:
    model = keras.Sequential([keras.Input([1], name="x"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return kestimator.model_to_estimator(model, model_dir=model_dir)


@pytest.mark.parametrize("make", [of_model_fn, canned, of_keras])
def test_another_rate_is_warned_of(tmp_path: Any, caplog: Any, make: Any) -> None:
    make(tmp_path, 0.1).train(input_fn, steps=1)
    make(tmp_path, 0.1).train(input_fn, steps=1)
    schedule = keras.optimizers.schedules.PolynomialDecay(0.5, 10)
    make(tmp_path, schedule).train(input_fn, steps=1)  # has no variable
    assert "learning rate" not in caplog.text
    make(tmp_path / "other", 0.1).train(input_fn, steps=1)
    make(tmp_path / "other", 0.001).train(input_fn, steps=1)
    assert "The learning rate is 0.1" in caplog.text
    assert "and not 0.001, as in the program" in caplog.text
