"""Copies of Keras models: the same layers, names, values and steps as the user's own object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.adapters.keras_models import keras_copies

L = keras.layers
X = np.linspace(-1.0, 1.0, 32, dtype=np.float32).reshape(8, 4)
Y = X @ np.array([[1.0], [-2.0], [0.5], [0.0]], np.float32) + 0.5
NESTED = {"enc/kernel", "enc/bias", "head/kernel", "head/bias"}


@pytest.fixture(autouse=True)
def same_weights_in_every_run() -> None:
    keras.utils.set_random_seed(1)


def data() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).batch(4)


def encoder() -> keras.Model:
    x = keras.Input([4], name="x")
    return keras.Model(x, L.Dense(4, "tanh", name="enc")(x), name="backbone")


def on_its_input(**options: Any) -> keras.Model:
    backbone = encoder()
    head = L.Dense(1, name="head")
    return keras.Model(backbone.input, head(backbone(backbone.input)), **options)


def on_its_input_twice() -> keras.Model:
    inner = on_its_input()
    return keras.Model(inner.input, L.Dense(1, name="top")(inner(inner.input)))


def on_the_input_of_a_sequential() -> keras.Model:
    inner = keras.Sequential([keras.Input([4], name="x"), L.Dense(3, name="enc")])
    return keras.Model(inner.inputs, L.Dense(1, name="head")(inner(inner.inputs[0])))


def on_its_input_and_its_output() -> keras.Model:
    backbone = encoder()
    called = L.Dense(1, name="head")(backbone(backbone.input))
    return keras.Model(backbone.input, L.Add()([called, L.Dense(1, name="top")(backbone.output)]))


def on_two_parts_of_a_model() -> keras.Model:
    x = keras.Input([4], name="x")
    whole = keras.Model(x, L.Dense(4, name="top")(L.Dense(4, name="enc")(x)))
    part = keras.Model(whole.input, whole.layers[1].output)
    both = L.Add()([part(whole.input), whole(whole.input)])
    return keras.Model(whole.input, L.Dense(1, name="head")(both))


def frozen_with_a_layer_that_is_not() -> keras.Model:
    backbone = encoder()
    backbone.trainable = False
    backbone.layers[-1].trainable = True  # the model itself still counts as frozen
    return keras.Model(backbone.input, L.Dense(1, name="head")(backbone(backbone.input)))


class Task(keras.Model):
    """A functional model with a constructor and a configuration, as those of keras_hub."""

    def __init__(self, backbone: keras.Model, **options: Any) -> None:
        outputs = L.Dense(1, name="head")(backbone(backbone.input))
        super().__init__(inputs=backbone.input, outputs=outputs, **options)
        self.backbone = backbone

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return 3.0 * super().compute_loss(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return {"backbone": backbone, "name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> Task:
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(backbone, name=config["name"])


class WithoutConfig(keras.Model):
    def __init__(self) -> None:
        x = keras.Input([4], name="x")
        super().__init__(inputs=x, outputs=L.Dense(1, name="head")(x))


class WithoutConfigButALoss(WithoutConfig):
    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return 3.0 * super().compute_loss(*args, **kwargs)


MODELS: dict[str, tuple[Callable[[], keras.Model], set[str]]] = {
    "on its input": (on_its_input, NESTED),
    "on its input, twice": (on_its_input_twice, NESTED | {"top/kernel", "top/bias"}),
    "on the input of a Sequential": (
        on_the_input_of_a_sequential,
        {"sequential/enc/kernel", "sequential/enc/bias", "head/kernel", "head/bias"},
    ),
    "on its input and its output": (
        on_its_input_and_its_output,
        NESTED | {"top/kernel", "top/bias"},
    ),
    "on two parts of a model": (on_two_parts_of_a_model, NESTED | {"top/kernel", "top/bias"}),
    "frozen, with a layer that is not": (frozen_with_a_layer_that_is_not, NESTED),
    "a class with a configuration": (lambda: Task(encoder()), NESTED),
    "a class with only a constructor": (WithoutConfig, {"head/kernel", "head/bias"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_train_and_evaluate_as_fit_does(name: str) -> None:
    make, names = MODELS[name]
    model = make()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    estimator = kestimator.model_to_estimator(model).train(data)
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    variables = set(estimator.get_variable_names())
    assert variables - {"global_step", "sgd/iteration", "sgd/learning_rate"} == names
    found = estimator.to_keras()
    for expected, value in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    expected_loss = model.evaluate(X, Y, batch_size=4, verbose=0)
    assert estimator.evaluate(data)["loss"] == pytest.approx(expected_loss, rel=1e-6)


def test_layers_stay_frozen() -> None:
    model = frozen_with_a_layer_that_is_not()
    copy = keras_copies.copied(model)
    assert not copy.layers[1].trainable
    assert copy.layers[1].trainable_variables == model.layers[1].trainable_variables == []


def test_models_inside_keep_their_class() -> None:
    task = Task(encoder())
    copy = keras_copies.copied(keras.Model(task.input, L.Dense(1)(task(task.input))))
    assert [type(layer) for layer in copy.layers if isinstance(layer, keras.Model)] == [Task]


def test_a_loss_of_a_class_that_cannot_be_made_again_is_refused() -> None:
    model = WithoutConfigButALoss()
    model.compile("sgd", "mse")
    with pytest.raises(errors.ArgumentError, match=r"overrides \['compute_loss'\].*get_config"):
        kestimator.model_to_estimator(model)


class Gan(keras.Model):
    """The GAN of Keras' examples, with a configuration."""

    def __init__(self, discriminator: Any, generator: Any, **options: Any) -> None:
        super().__init__(**options)
        self.discriminator, self.generator = discriminator, generator
        self.noise = keras.random.SeedGenerator(7)

    def get_config(self) -> dict[str, Any]:
        parts = {"discriminator": self.discriminator, "generator": self.generator}
        return {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()}

    @classmethod
    def from_config(cls, config: Any) -> Gan:
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})

    def compile(self, d_optimizer: Any, g_optimizer: Any, loss_fn: Any) -> None:
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn
        self.d_loss = keras.metrics.Mean(name="d_loss")
        self.g_loss = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.d_loss, self.g_loss]

    def call(self, noise: Any) -> Any:
        return self.generator(noise)

    def train_step(self, data: Any) -> dict[str, Any]:
        (real,) = data if isinstance(data, tuple) else (data,)
        noise = keras.random.normal((4, 2), seed=self.noise)
        labels = tf.concat([tf.ones((4, 1)), tf.zeros((4, 1))], 0)
        with tf.GradientTape() as tape:
            judged = self.discriminator(tf.concat([self.generator(noise), real], 0))
            d_loss = self.loss_fn(labels, judged)
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            judged = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(tf.zeros((4, 1)), judged)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.d_loss.update_state(d_loss)
        self.g_loss.update_state(g_loss)
        return {"loss": d_loss, "d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}


def gan() -> Gan:
    judge = keras.Sequential([keras.Input([4]), L.Dense(3, "tanh", name="j"), L.Dense(1, name="d")])
    maker = keras.Sequential([keras.Input([2]), L.Dense(4, name="g")])
    model = Gan(judge, maker, name="gan")
    optimizers = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.05, beta_1=0.5)
    model.compile(*optimizers, keras.losses.BinaryCrossentropy(from_logits=True))
    model(np.zeros((1, 2), np.float32))
    return model


def features() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(X).batch(4, drop_remainder=True)


def test_a_gan_trains_as_under_fit() -> None:
    model = gan()
    estimator = kestimator.model_to_estimator(model)
    estimator.train(lambda: features().repeat(3)).train(lambda: features().repeat(2))
    model.fit(features(), epochs=5, shuffle=False, verbose=0)
    found = estimator.to_keras()
    for expected, value in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(errors.ArgumentError, match="trained with the optimizer.*'d_optimizer'"):
        kestimator.model_to_estimator(model)


class Weighted(keras.Model):
    """Keeps an argument, and leaves the others to Keras."""

    def compile(self, factor: float, **options: Any) -> None:
        super().compile(**options)
        self.factor = factor

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return self.factor * super().compute_loss(*args, **kwargs)


class Doubled(Weighted):
    def compile(self, factor: float, **options: Any) -> None:
        super().compile(2.0 * factor, **options)


class Forgetful(Weighted):
    def compile(self, rate: float) -> None:
        super().compile(2.0, optimizer=keras.optimizers.SGD(rate), loss="mse")


def own(kind: type[keras.Model], *arguments: Any, **options: Any) -> keras.Model:
    x = keras.Input([4], name="x")
    model = kind(x, L.Dense(1, name="head")(x))
    model.compile(*arguments, **options)
    return model


@pytest.mark.parametrize(
    "options",
    [{"metrics": ["mae"]}, {"optimizer": keras.optimizers.SGD(0.1)}],
    ids=["default optimizer", "another optimizer"],
)
def test_a_compile_that_keeps_its_arguments(options: dict[str, Any]) -> None:
    model = own(Weighted, 3.0, loss="mse", **options)
    estimator = kestimator.model_to_estimator(model).train(data)
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    trained = estimator.to_keras()
    for expected, value in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    expected_results = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    results = estimator.evaluate(data)
    assert {k: results[k] for k in expected_results} == pytest.approx(expected_results, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: own(Doubled, 3.0, loss="mse"), "the copy differs in .'factor'."),
        (lambda: own(Forgetful, 0.1), "keeps its argument 'rate' in no attribute `rate`"),
    ],
    ids=["changed", "lost"],
)
def test_a_compile_that_cannot_be_repeated(make: Callable[[], keras.Model], words: str) -> None:
    with pytest.raises(errors.ArgumentError, match=f"{words}.*`compile_from_config`"):
        kestimator.model_to_estimator(make())
