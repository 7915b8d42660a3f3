"""What a step must not run again: initializers, and weights that a model_fn loads."""

import keras
import numpy as np
import tensorflow as tf

import kestimator as ks

X = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32)


def trained(model_fn, directory, steps):
    config = ks.RunConfig(tf_random_seed=1, log_step_count_steps=None)
    estimator = ks.Estimator(model_fn, directory, config)
    estimator.train(lambda: tf.data.Dataset.from_tensors(({"x": X}, Y)).repeat(), steps=steps)
    return estimator


def by_hand(weights, steps, momentum=0.9, rate=0.1):
    weights, velocity = np.array(weights, np.float64), 0.0
    for _ in range(steps):
        gradient = 2.0 * X.T @ (X @ weights - Y) / len(X)
        velocity = momentum * velocity - rate * gradient
        weights = weights + velocity
    return weights


def test_keras_optimizer_over_tf1_variables(tmp_path):
    def model_fn(features, labels, mode):
        w = tf.compat.v1.get_variable("w", [2, 1], initializer=tf.compat.v1.ones_initializer())
        loss = tf.reduce_mean((features["x"] @ w - labels) ** 2)
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1, 0.9))

    found = trained(model_fn, str(tmp_path), steps=10).get_variable_value("w")
    np.testing.assert_allclose(found, by_hand([[1.0], [1.0]], 10), rtol=1e-4)


def test_weights_set_by_the_model_fn_are_a_start(tmp_path):
    def model_fn(features, labels, mode):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.array([[5.0], [6.0]], np.float32)])
        loss = tf.reduce_mean((model(features["x"]) - labels) ** 2)
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1, 0.9))

    trained(model_fn, str(tmp_path), steps=4)
    found = trained(model_fn, str(tmp_path), steps=6).get_variable_value("sequential/dense/kernel")
    np.testing.assert_allclose(found, by_hand([[5.0], [6.0]], 10), rtol=1e-4)
