"""Batch normalization of Keras 2 in a model_fn; it needs a process with TF_USE_LEGACY_KERAS=1.

TF_USE_LEGACY_KERAS=1 python -m tests.keras2_programs <tf.layers or tf_keras> <directory>
"""

import json
import sys

import numpy as np
import tensorflow as tf
import tf_keras

import kestimator as ks

v1 = tf.compat.v1
X = np.linspace(-1, 1, 24).reshape(8, 3).astype(np.float32)
Y = X.sum(axis=1, keepdims=True).astype(np.float32) + 0.5


def normalized(kind, x, training):
    if kind == "tf.layers":
        return v1.layers.batch_normalization(x, momentum=0.9, training=training)
    return tf_keras.layers.BatchNormalization(momentum=0.9)(x, training=training)


def main(kind, directory):
    def model_fn(features, labels, mode):
        y = normalized(kind, features["x"], mode == ks.ModeKeys.TRAIN)
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        loss = tf.reduce_mean((y @ weights - labels) ** 2)
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            optimizer = v1.train.GradientDescentOptimizer(0.05)
            train_op = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def input_fn():
        return tf.data.Dataset.from_tensors(({"x": X}, Y)).repeat(5)

    estimator = ks.Estimator(model_fn, directory)
    estimator.train(input_fn)
    found = {
        name: estimator.get_variable_value(f"batch_normalization/{name}").tolist()
        for name in ("moving_mean", "moving_variance")
    }
    print(json.dumps({**found, "loss": float(estimator.evaluate(input_fn, steps=1)["loss"])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
