"""Keras layers that are made outside of the model_fn and built inside of it."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

L = keras.layers
v1 = tf.compat.v1
NUMBERS = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
WORDS = np.array([["a", "b"], ["c", "a"]] * 4)
TEXTS = np.array(["a b", "c a"] * 4)


class Kept(L.Layer):
    """Keeps a tensor of the program in which it is built."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def call(self, values: Any) -> Any:
        if not hasattr(self, "kept"):
            self.kept = self._make(values)
        return values * self.kept


def estimator_of(layer: Any, model_dir: pathlib.Path) -> kestimator.Estimator:
    """An estimator whose model_fn calls the layer."""

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        outputs = layer(features)
        weight = tf.compat.v1.get_variable("weight", [])
        prediction = tf.reduce_sum(tf.cast(outputs, tf.float32), -1)
        if mode == kestimator.ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, predictions={"p": outputs})
        loss = tf.reduce_mean((weight * prediction - labels) ** 2)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1))

    config = kestimator.RunConfig(tf_random_seed=1)
    return kestimator.Estimator(model_fn, str(model_dir), config)


def data(features: Any) -> Callable[[], tf.data.Dataset]:
    pairs = features, np.zeros(8, np.float32)
    return lambda: tf.data.Dataset.from_tensor_slices(pairs).batch(4)


def predictions(estimator: kestimator.Estimator, features: Any = NUMBERS) -> np.ndarray:
    return np.stack([row["p"] for row in estimator.predict(data(features))])


def shared() -> L.Dense:
    return L.Dense(3, name="shared", kernel_initializer=keras.initializers.GlorotUniform(seed=1))


LAYERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Normalization": (lambda: L.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0]), NUMBERS),
    "Normalization of all axes": (
        lambda: L.Normalization(mean=1.0, variance=4.0, axis=None),
        NUMBERS,
    ),
    "Normalization, inverted": (
        lambda: L.Normalization(mean=1.0, variance=4.0, axis=None, invert=True),
        NUMBERS,
    ),
    "Rescaling": (lambda: L.Rescaling(2.0, 1.0), NUMBERS),
    "Discretization": (lambda: L.Discretization(bin_boundaries=[-0.2, 0.5]), NUMBERS),
    "CategoryEncoding": (
        lambda: L.CategoryEncoding(4, output_mode="multi_hot"),
        np.abs(NUMBERS * 3).astype(np.int64),
    ),
    "StringLookup": (lambda: L.StringLookup(vocabulary=["a", "b"]), WORDS),
    "Hashing": (lambda: L.Hashing(5), WORDS),
    "TextVectorization": (
        lambda: L.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot"),
        TEXTS,
    ),
    "a constant": (lambda: Kept(lambda x: tf.reduce_sum(tf.range(300.0)) / 7.0), NUMBERS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_weights(name: str, tmp_path: pathlib.Path) -> None:
    make, features = LAYERS[name]
    layer = make()
    estimator = estimator_of(layer, tmp_path)
    estimator.train(data(features)).evaluate(data(features))
    if name == "a constant":
        expected = features * np.float32(44850 / 7)
    else:
        expected = make()(features).numpy()
    np.testing.assert_allclose(predictions(estimator, features), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Dense(3, name="outer"),
        lambda: L.BatchNormalization(name="outer"),
        lambda: L.SpectralNormalization(L.Dense(3, name="inner"), name="outer"),
    ],
    ids=["Dense", "BatchNormalization", "SpectralNormalization"],
)
def test_layers_with_weights(make: Callable[[], Any], tmp_path: pathlib.Path) -> None:
    layer = make()
    estimator = estimator_of(layer, tmp_path)
    estimator.train(data(NUMBERS)).evaluate(data(NUMBERS))
    values = predictions(estimator)
    np.testing.assert_allclose(values, layer(NUMBERS).numpy(), rtol=1e-5)
    names = {variable.path for variable in layer.variables}
    assert names <= set(estimator.get_variable_names())
    np.testing.assert_array_equal(predictions(estimator_of(make(), tmp_path)), values)


@pytest.mark.parametrize(
    "make", [lambda x: x + 1.0, lambda x: tf.random.normal([])], ids=["an input", "a random number"]
)
def test_other_tensors_of_a_layer_are_refused(
    make: Callable[[Any], Any], tmp_path: pathlib.Path
) -> None:
    estimator = estimator_of(Kept(make), tmp_path).train(data(NUMBERS))
    with pytest.raises(ValueError, match="belongs to another graph"):
        estimator.evaluate(data(NUMBERS))


def test_another_estimator_does_not_start_from_trained_weights(tmp_path: pathlib.Path) -> None:
    layer = L.Dense(3)
    estimator_of(layer, tmp_path / "first").train(data(NUMBERS))
    with pytest.raises(errors.ArgumentError, match="another estimator has trained that model"):
        estimator_of(layer, tmp_path / "second").train(data(NUMBERS))


def test_each_estimator_has_the_weights_of_its_checkpoint(tmp_path: pathlib.Path) -> None:
    layer = shared()
    first = estimator_of(layer, tmp_path / "first").train(data(NUMBERS), steps=1)
    estimator_of(shared(), tmp_path / "second").train(data(NUMBERS), steps=1)
    second = estimator_of(layer, tmp_path / "second").train(data(NUMBERS), steps=2)
    first.train(data(NUMBERS), steps=1)  # the program that has built the layer
    alone = estimator_of(shared(), tmp_path / "alone")
    alone.train(data(NUMBERS), steps=1).train(data(NUMBERS), steps=1)
    for estimator, other in ((first, alone), (second, estimator_of(layer, second.model_dir))):
        kernel = estimator.get_variable_value("shared/kernel")
        np.testing.assert_allclose(kernel, other.get_variable_value("shared/kernel"), rtol=1e-6)


class First(L.Layer):
    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=[2], initializer="ones", name="scale")

    def call(self, values: Any) -> Any:
        return values * self.scale


@pytest.mark.parametrize(
    ("scope", "names"),
    [(None, ["first/scale", "first/scale_1"]), ("a", ["a/first/scale", "a/first_1/scale"])],
)
def test_layers_of_the_model_fn_have_the_same_names_in_every_mode(
    scope: str | None, names: list[str], tmp_path: pathlib.Path
) -> None:
    layer = First(name="first")  # the automatic name that the first such layer inside gets

    def both(values: Any) -> Any:
        with tf.compat.v1.variable_scope(scope) if scope else contextlib.nullcontext():
            outputs = layer(values)
            return First()(outputs)

    estimator = estimator_of(both, tmp_path)
    estimator.train(data(NUMBERS)).evaluate(data(NUMBERS))
    assert predictions(estimator).shape == (8, 2)
    assert [name for name in estimator.get_variable_names() if "scale" in name] == names


def built(layer: L.Layer) -> L.Layer:
    layer.build([None, 2])
    return layer


def get_variable(values: Any) -> Any:
    return values * v1.get_variable("first/scale", [2])


@pytest.mark.parametrize("make", [First, lambda **options: built(First(**options))])
@pytest.mark.parametrize("inside", [lambda x: First()(x), lambda x: First(name="first")(x)])
def test_another_order_in_another_mode_is_refused(
    make: Callable[..., L.Layer], inside: Callable[[Any], Any], tmp_path: pathlib.Path
) -> None:
    layer = make(name="first")
    orders = {kestimator.ModeKeys.TRAIN: [layer, inside]}
    estimator = estimator_in_order(lambda mode: orders.get(mode, [inside, layer]), tmp_path)
    estimator.train(data(NUMBERS), steps=1)
    for _ in range(2):
        with pytest.raises(errors.ArgumentError, match="'first/scale'.*Give each layer its own"):
            estimator.evaluate(data(NUMBERS), steps=1)


def test_a_layer_that_came_second_in_training_may_come_first(tmp_path: pathlib.Path) -> None:
    layer = First(name="first")

    def layers(mode: str) -> list[Callable[[Any], Any]]:
        is_training = mode == kestimator.ModeKeys.TRAIN
        return [First(name="first"), layer] if is_training else [layer, First(name="first")]

    estimator = estimator_in_order(layers, tmp_path)
    estimator.train(data(NUMBERS))
    loss = estimator.evaluate(data(NUMBERS + 1.0))["loss"]
    scales = [estimator.get_variable_value(name) for name in ("first/scale", "first/scale_1")]
    np.testing.assert_allclose(loss, np.mean((NUMBERS + 1.0) * scales[0] * scales[1]), rtol=1e-5)
    np.testing.assert_array_equal(layer.scale.numpy(), scales[1])


def estimator_in_order(
    layers: Callable[[str], list[Callable[[Any], Any]]], model_dir: pathlib.Path
) -> kestimator.Estimator:
    """An estimator whose model_fn calls layers in an order that depends on the mode."""

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        for layer in layers(mode):
            features = layer(features)
        loss = tf.reduce_mean(features)
        return kestimator.EstimatorSpec(mode, features, loss, keras.optimizers.SGD(0.1))

    return kestimator.Estimator(model_fn, str(model_dir))


def test_get_variable_does_not_take_the_memory_of_a_layer(tmp_path: pathlib.Path) -> None:
    layer = First(name="first")
    orders = {kestimator.ModeKeys.EVAL: [get_variable, layer]}
    estimator = estimator_in_order(lambda mode: orders.get(mode, [layer]), tmp_path)
    estimator.train(data(NUMBERS))
    with pytest.raises(errors.ArgumentError, match="'first/scale'"):
        estimator.evaluate(data(NUMBERS))


def test_a_layer_may_stand_for_one_from_outside_that_is_not_called(tmp_path: pathlib.Path) -> None:
    layer = First(name="first")
    orders = {kestimator.ModeKeys.TRAIN: [layer]}
    estimator = estimator_in_order(lambda mode: orders.get(mode, [First(name="first")]), tmp_path)
    estimator.train(data(NUMBERS), steps=1)
    scale = estimator.get_variable_value("first/scale")
    loss = estimator.evaluate(data(NUMBERS), steps=1)["loss"]
    np.testing.assert_allclose(loss, np.mean(NUMBERS[:4] * scale), rtol=1e-6)


def test_layers_that_share_by_reuse_are_no_conflict(tmp_path: pathlib.Path) -> None:
    def reusing(values: Any) -> Any:
        with v1.variable_scope("a", reuse=v1.AUTO_REUSE):
            return First(name="first")(First(name="first")(values))

    estimator = estimator_in_order(lambda mode: [reusing], tmp_path).train(data(NUMBERS), steps=1)
    estimator.evaluate(data(NUMBERS), steps=1)
    assert "a/first/scale_1" not in estimator.get_variable_names()
