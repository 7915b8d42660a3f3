"""`tf.contrib.predictor`: a SavedModel is a function of numpy arrays."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.legacy.contrib import predictor

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    def model_fn(features, labels, mode):
        y = v1.get_variable("w", [], initializer=v1.ones_initializer()) * features["x"]
        if mode == "infer":
            outputs = {
                "serving_default": kestimator.export.PredictOutput({"y": y}),
                "other": kestimator.export.PredictOutput({"z": y + 1.0}),
            }
            return kestimator.EstimatorSpec(mode, predictions={"y": y}, export_outputs=outputs)
        step = v1.train.get_global_step().assign_add(1)
        return kestimator.EstimatorSpec(mode, loss=tf.constant(1.0), train_op=step)

    estimator = kestimator.Estimator(model_fn, str(tmp_path_factory.mktemp("model")))
    return estimator.train(lambda: ({"x": tf.ones([2])}, None), steps=1)


def receiver():
    features = {"x": v1.placeholder(tf.float32, [None])}
    return kestimator.export.ServingInputReceiver(features, features)


@pytest.fixture(scope="module")
def path(estimator, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export"))
    return estimator.export_saved_model(folder, receiver).decode()


def test_from_saved_model(path):
    predict = predictor.from_saved_model(path)
    assert predict({"x": [1.0, 2.0]})["y"].tolist() == [1.0, 2.0]
    assert list(predict.feed_tensors) == ["x"]
    assert list(predict.fetch_tensors) == ["y"]
    assert predict.fetch_tensors["y"].graph is predict.graph
    assert predict.session.graph is predict.graph


def test_signatures(path):
    other = predictor.from_saved_model(path, signature_def_key="other")
    assert other({"x": np.float32([1.0])})["z"].tolist() == [2.0]
    names = {"input": other.feed_tensors["x"].name}
    outputs = {"output": other.fetch_tensors["z"].name}
    named = predictor.from_saved_model(path, input_names=names, output_names=outputs)
    assert named({"input": [3.0]})["output"].tolist() == [4.0]


def test_from_estimator(estimator):
    predict = predictor.from_estimator(estimator, receiver)
    assert predict({"x": [5.0]})["y"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"signature_def_key": "absent"},
            r"one of the signatures \['other', 'serving_default'\]",
        ),
        ({"input_names": {"x": "x:0"}}, "output_names"),
        ({"signature_def_key": "other", "signature_def": object()}, "at most one"),
    ],
)
def test_errors(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        predictor.from_saved_model(path, **arguments)
    with pytest.raises(ValueError, match=r"keys among \['x'\]"):
        predictor.from_saved_model(path)({"y": [1.0]})
