"""Keras 2 as `tf.keras`, beside Keras 3, in a process with TF_USE_LEGACY_KERAS=1.

TF_USE_LEGACY_KERAS=1 python tests/adapters/keras_models/legacy_keras.py <directory>
"""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kestimator
from tests.programs import tf_layers

v1 = tf.compat.v1
X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]


def input_fn():
    return tf.data.Dataset.from_tensors(({"x": X}, 2 * X))


def by_functions(features, labels, mode):
    """A layer of `tf.layers`, one of Keras 2 and one of Keras 3."""
    x = v1.layers.dense(features["x"], 2, name="functions")
    x = tf.keras.layers.Dense(2, name="keras2")(x)
    outputs = keras.layers.Dense(1, name="keras3")(x)
    loss = tf.reduce_mean((outputs - labels) ** 2)
    train_op = v1.train.AdamOptimizer().minimize(loss, v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, outputs, loss, train_op)


def main(directory):
    assert tf.keras.layers.Dense is tf_keras.layers.Dense
    for name in ("layers", "rnn_cell"):
        ours, theirs = tf_layers.legacy(kestimator, name), tf_layers.legacy(None, name)
        assert {n for n in dir(ours) if n[0] != "_"} <= set(dir(theirs))
        assert all(getattr(ours, n) is getattr(theirs, n) for n in dir(ours) if n[0].isalpha())
    estimator = kestimator.Estimator(by_functions, f"{directory}/functions").train(input_fn)
    names = [name for name in estimator.get_variable_names() if name.endswith("kernel")]
    assert names == ["functions/kernel", "keras2/kernel", "keras3/kernel"], names

    model = tf.keras.Sequential([tf.keras.Input([1], name="x"), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.save(f"{directory}/model.h5")
    for name, given in (("object", (model, None)), ("file", (None, f"{directory}/model.h5"))):
        estimator = kestimator.model_to_estimator(*given, model_dir=f"{directory}/{name}")
        estimator.train(input_fn)
        found = estimator.get_variable_value(
            "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        )
        expected = tf.keras.models.clone_model(model)
        expected.set_weights(model.get_weights())
        expected.compile("sgd", "mse")
        expected.fit(X, 2 * X, verbose=0)
        np.testing.assert_allclose(found, expected.get_weights()[0], rtol=1e-5)
    with pytest.raises(OSError, match="keras_model_path"):
        kestimator.model_to_estimator(keras_model_path=f"{directory}/none.h5")


if __name__ == "__main__":
    main(sys.argv[1])
