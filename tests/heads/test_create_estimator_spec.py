"""The specs that heads make, inside an Estimator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

v1 = tf.compat.v1

X = np.random.RandomState(0).uniform(-1.0, 1.0, size=(12, 3)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(np.int64)


def input_fn():
    return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).repeat(20).batch(5)


def model_fn_of(head, **given):
    """A linear model from zeros; what `given` has is made by functions of no arguments."""

    def model_fn(features, labels, mode):
        weights = v1.get_variable(
            "w", [3, head.logits_dimension], initializer=v1.zeros_initializer()
        )
        logits = tf.matmul(features["x"], weights)
        arguments = {name: make() for name, make in given.items()}
        return head.create_estimator_spec(features, mode, logits, labels, **arguments)

    return model_fn


def sgd(loss):
    optimizer = v1.train.GradientDescentOptimizer(0.5)
    return optimizer.minimize(loss, global_step=v1.train.get_global_step())


WAYS = {
    "train_op_fn": {"train_op_fn": lambda: sgd},
    "v1_optimizer": {
        "optimizer": lambda: v1.train.GradientDescentOptimizer(0.5),
        "trainable_variables": v1.trainable_variables,
    },
    "keras_optimizer": {
        "optimizer": lambda: keras.optimizers.SGD(0.5),
        "trainable_variables": v1.trainable_variables,
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_train_makes_the_same_steps(way, tmp_path):
    head = kestimator.BinaryClassHead()
    estimator = kestimator.Estimator(model_fn_of(head, **WAYS[way]), tmp_path)
    estimator.train(input_fn, steps=30)
    expected = kestimator.Estimator(model_fn_of(head, train_op_fn=lambda: sgd), tmp_path / "other")
    expected.train(input_fn, steps=30)
    assert estimator.get_variable_value("global_step") == 30
    np.testing.assert_allclose(
        estimator.get_variable_value("w"), expected.get_variable_value("w"), rtol=1e-5
    )


@pytest.mark.parametrize("way", WAYS)
def test_update_ops_run_with_every_step(way, tmp_path):
    def count():
        counter = v1.get_variable("counter", [], initializer=v1.zeros_initializer())
        return [v1.assign_add(counter, 1.0)]

    model_fn = model_fn_of(kestimator.BinaryClassHead(), update_ops=count, **WAYS[way])
    estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=7)
    assert estimator.get_variable_value("counter") == 7


def test_a_keras_optimizer_changes_the_given_variables_alone(tmp_path):
    def model_fn(features, labels, mode):
        kept = v1.get_variable("kept", [], initializer=v1.ones_initializer())
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        return kestimator.BinaryClassHead().create_estimator_spec(
            features,
            mode,
            kept * tf.matmul(features["x"], weights),
            labels,
            optimizer=keras.optimizers.SGD(0.5),
            trainable_variables=[weights],
        )

    estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=3)
    assert estimator.get_variable_value("kept") == 1
    assert np.abs(estimator.get_variable_value("w")).min() > 0


@pytest.mark.parametrize(
    "optimizer", [lambda: keras.optimizers.Adam(0.1), lambda: v1.train.AdamOptimizer(0.1)]
)
def test_a_keras_model_with_its_own_variables(optimizer, tmp_path):
    def model_fn(features, labels, mode):
        head = kestimator.BinaryClassHead()
        layer = keras.layers.Dense(head.logits_dimension)
        logits = layer(features["x"])
        return head.create_estimator_spec(
            features,
            mode,
            logits,
            labels,
            optimizer=optimizer(),
            trainable_variables=layer.trainable_variables,
        )

    estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=40)
    assert estimator.evaluate(input_fn)["accuracy"] > 0.9


ONE_OF_TWO = "Exactly one of `optimizer` and `train_op_fn`"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, ONE_OF_TWO),
        ({"train_op_fn": sgd, "optimizer": keras.optimizers.SGD(0.5)}, ONE_OF_TWO),
        ({"optimizer": keras.optimizers.SGD(0.5)}, "trainable_variables"),
        ({"optimizer": "SGD", "trainable_variables": []}, "keras.optimizers.Optimizer"),
        ({"train_op_fn": sgd, "update_ops": tf.no_op}, "update_ops"),
        ({"mode": "TRAIN"}, "mode"),
    ],
)
def test_refuses(given, message):
    head = kestimator.BinaryClassHead()
    arguments = {"mode": "train", "labels": [[1.0]], **given}
    with v1.Graph().as_default(), pytest.raises(errors.ArgumentError, match=message):
        head.create_estimator_spec({}, logits=tf.constant([[0.5]]), **arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train_op_fn": 3}, "train_op_fn"),
        ({"train_op_fn": sgd, "regularization_losses": 1.0}, "regularization_losses"),
    ],
)
def test_refuses_types(given, message):
    with v1.Graph().as_default(), pytest.raises(errors.ArgumentTypeError, match=message):
        kestimator.BinaryClassHead().create_estimator_spec(
            {}, "train", tf.constant([[0.5]]), [[1.0]], **given
        )


def test_refuses_a_keras_optimizer_outside_of_a_model_fn():
    head = kestimator.BinaryClassHead()
    with v1.Graph().as_default(), pytest.raises(errors.ArgumentError, match="model_fn"):
        head.create_estimator_spec(
            {},
            "train",
            tf.constant([[0.5]]),
            [[1.0]],
            optimizer=keras.optimizers.SGD(),
            trainable_variables=[],
        )
