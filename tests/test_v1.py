"""`kestimator.v1`: one set of classes, with the defaults of tf.compat.v1.estimator."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

fc = tf.feature_column
CANNED = [
    f"{kind}{task}"
    for kind in ("Baseline", "DNN", "DNNLinearCombined", "Linear")
    for task in ("Classifier", "Estimator", "Regressor")
]
FEATURES = {"x": np.array([[1.0], [2.0], [4.0]], np.float32)}
LABELS = np.array([[0.0], [1.0], [1.0]], np.float32)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors((FEATURES, LABELS)).repeat()


def x() -> Any:
    return fc.numeric_column("x")


@pytest.mark.parametrize("name", sorted(set(kestimator.v1.__all__) - set(CANNED)))
def test_other_names_are_those_of_kestimator(name: str) -> None:
    assert getattr(kestimator.v1, name) is getattr(kestimator, name)


@pytest.mark.parametrize("name", CANNED)
def test_canned_estimators_are_those_of_kestimator(name: str) -> None:
    assert issubclass(getattr(kestimator.v1, name), getattr(kestimator, name))


def test_losses_are_summed_and_the_event_files_hold_the_mean(tmp_path: pathlib.Path) -> None:
    estimator = kestimator.v1.LinearRegressor([x()], str(tmp_path))
    estimator.train(input_fn, steps=1)
    (file,) = tmp_path.glob("events*")
    values = {
        value.tag: float(tf.make_ndarray(value.tensor))
        if value.HasField("tensor")
        else value.simple_value
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag in ("loss", "average_loss")
    }
    assert values == pytest.approx({"loss": 2.0, "average_loss": 2.0 / 3.0})


def test_partitioners_are_checked_and_change_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.KestimatorError, match="input_layer_partitioner"):
        kestimator.v1.DNNRegressor([2], [x()], input_layer_partitioner=2)
    with pytest.raises(errors.KestimatorError, match="`partitioner`"):
        kestimator.v1.LinearRegressor([x()], partitioner=lambda shape: [2])
    split = tf.compat.v1.fixed_size_partitioner(2)
    estimator = kestimator.v1.LinearRegressor([x()], str(tmp_path), partitioner=split)
    estimator.train(input_fn, steps=1)
    assert estimator.get_variable_value("linear/linear_model/x/weights").shape == (1, 1)


@pytest.mark.parametrize(
    ("name", "argument"),
    [("DNNRegressor", "feature_columns"), ("DNNLinearCombinedRegressor", "dnn_feature_columns")],
)
def test_shared_embeddings_are_refused(name: str, argument: str) -> None:
    with tf.Graph().as_default():  # only there can the columns be made
        words = fc.categorical_column_with_identity("word", 4)
        columns = fc.shared_embeddings([words], 2)
        options = {argument: columns, argument.replace("feature_columns", "hidden_units"): [2]}
        with pytest.raises(errors.ArgumentError, match="shared_embedding_columns"):
            getattr(kestimator.v1, name)(**options)


def test_a_function_that_makes_the_optimizer_may_make_variables(tmp_path: pathlib.Path) -> None:
    def optimizer() -> Any:
        rate = tf.compat.v1.get_variable("rate", initializer=0.1, trainable=False)
        return tf.compat.v1.train.AdagradOptimizer(rate)

    estimator = kestimator.v1.DNNRegressor([2], [x()], str(tmp_path), optimizer=optimizer)
    estimator.train(input_fn, steps=1)
    names = estimator.get_variable_names()
    assert "rate" in names
    assert "dnn/logits/kernel/t_0/Adagrad" in names


def test_the_state_of_a_keras_optimizer_has_the_names_of_the_second_generation(
    tmp_path: pathlib.Path,
) -> None:
    optimizer = tf.keras.optimizers.Adagrad(0.1)
    estimator = kestimator.v1.DNNRegressor([2], [x()], str(tmp_path), optimizer=optimizer)
    estimator.train(input_fn, steps=1)
    assert "training/Adagrad/dnn/logits/kernel/accumulator" in estimator.get_variable_names()
