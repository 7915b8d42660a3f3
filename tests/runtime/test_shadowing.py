"""A subclass may use the names of an estimator's attributes for methods, as in tf.estimator."""

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors


def data():
    return tf.data.Dataset.from_tensors(({"x": tf.ones([4, 1])}, tf.zeros([4, 1]))).repeat(3)


class Regressor(kestimator.Estimator):
    def __init__(self, scale, model_dir):
        super().__init__(self._model_fn, model_dir=self._model_dir(model_dir), params=scale)

    def _model_dir(self, model_dir):
        return f"{model_dir}/below"

    def _model_fn(self, features, labels, mode, params):
        w = tf.compat.v1.get_variable("w", [1, 1], initializer=tf.compat.v1.ones_initializer())
        loss = params * tf.reduce_mean((features["x"] @ w - labels) ** 2)
        global_step = tf.compat.v1.train.get_global_step()
        optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.1)
        train_op = optimizer.minimize(loss, global_step=global_step)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def test_methods_with_the_names_of_attributes(tmp_path):
    estimator = Regressor(2.0, tmp_path)
    assert estimator._model_dir == estimator.model_dir == f"{tmp_path}/below"
    assert estimator._model_fn.__func__ is Regressor._model_fn
    estimator.train(data, steps=1)
    assert estimator.evaluate(data)["loss"] == pytest.approx(2 * 0.6**2)


def test_a_model_fn_that_is_set_replaces_the_method(tmp_path):
    estimator = Regressor(2.0, tmp_path)

    def constant(features, labels, mode, params):
        return kestimator.EstimatorSpec(mode, loss=tf.constant(params))

    estimator.train(data, steps=1)
    estimator._model_fn = constant
    assert estimator._model_fn is constant
    assert estimator.evaluate(data, steps=1)["loss"] == 2.0


def test_subclasses_of_subclasses(tmp_path):
    class Other(Regressor):
        def _model_fn(self, features, labels, mode, params):
            return super()._model_fn(features, labels, mode, params)

    assert Other(1.0, tmp_path)._model_fn.__func__ is Other._model_fn


def test_other_members_stay():
    with pytest.raises(errors.ArgumentError, match=r"overrides \['train'\]"):
        type("Other", (kestimator.Estimator,), {"train": None})(lambda features: None)
