"""TF1 initializers in Keras layers draw what they draw in a session of TF1."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator

tf1 = tf.compat.v1
SEED = 230


def initializers():
    return [
        tf1.glorot_uniform_initializer(),
        tf1.truncated_normal_initializer(stddev=0.1, seed=3),
        tf1.random_normal_initializer(),
        tf1.glorot_uniform_initializer(seed=3),
        tf1.glorot_uniform_initializer(seed=3),
        tf1.constant_initializer(0.5),
    ]


def of_tf1():
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(SEED)
        return session.run([initializer([2, 2], tf.float32) for initializer in initializers()])


def model_fn(features, labels, mode):
    for number, initializer in enumerate(initializers()):
        layer = keras.layers.Dense(2, kernel_initializer=initializer, name=f"dense_{number}")
        features = layer(features)
    loss = tf.reduce_mean(features)
    train_op = tf1.train.GradientDescentOptimizer(0.0).minimize(loss, tf1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


@pytest.mark.parametrize("is_distributed", [False, True])
def test_values_are_those_of_a_session(is_distributed, tmp_path):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"]) if is_distributed else None
    expected = of_tf1()
    for folder in ("first", "second"):  # what the process drew before does not matter
        config = kestimator.RunConfig(tf_random_seed=SEED, train_distribute=strategy)
        estimator = kestimator.Estimator(model_fn, tmp_path / folder, config)
        estimator.train(lambda: tf.data.Dataset.from_tensors(np.ones((1, 2), "f")), steps=1)
        for number, value in enumerate(expected):
            kernel = estimator.get_variable_value(f"dense_{number}/kernel")
            np.testing.assert_array_equal(kernel, value)
