"""Keras models in and out: the numbers of `fit`, `evaluate` and `predict`, and files of the result.

Every kind of model is trained twice on the same batches, by an estimator and by `fit`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from tests.programs import tools
from tests.selection import members

RANDOM = np.random.RandomState(1)
A = RANDOM.uniform(-1, 1, (12, 3)).astype(np.float32)
B = RANDOM.uniform(-1, 1, (12, 2)).astype(np.float32)
Y = (A.sum(1, keepdims=True) - B[:, :1]).astype(np.float32)
WEIGHTS = RANDOM.uniform(0.5, 2.0, 12).astype(np.float32)
L = keras.layers


class Deep(keras.Model):
    """A model of its own class, of layers that are made in the constructor."""

    def __init__(self, units: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.hidden = L.Dense(units, "tanh")
        self.norm = L.BatchNormalization()
        self.last = L.Dense(1)

    def call(self, features: Any, training: bool = False) -> Any:
        if isinstance(features, dict):
            features = keras.ops.concatenate([features["a"], features["b"]], 1)
        return self.last(self.norm(self.hidden(features), training=training))

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units}


class Plain(keras.Model):
    """Without arguments, and without any thought of saving."""

    def __init__(self) -> None:
        super().__init__()
        self.last = L.Dense(1, name="last")

    def call(self, features: Any) -> Any:
        return {"y": self.last(features)}


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        usual = super().compute_loss(x, y, y_pred, sample_weight, training)
        return usual + 0.1 * keras.ops.mean(keras.ops.square(y_pred))


class OwnSteps(keras.Model):
    """Steps of its own, over a metric of its own."""

    def __init__(self, inputs: Any, outputs: Any, name: Any = None, **options: Any) -> None:
        super().__init__(inputs, outputs, name=name, **options)
        self.total = keras.metrics.Mean(name="loss")
        self.error = keras.metrics.MeanAbsoluteError(name="error")

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs)
            doubled = 2.0 * loss
        weights = self.trainable_variables
        gradients = tape.gradient(doubled, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": loss}

    def test_step(self, data: Any) -> Any:
        x, y = data
        outputs = self(x, training=False)
        self.total.update_state(self.compute_loss(x, y, outputs))
        self.error.update_state(y, outputs)
        return {"loss": self.total.result(), "error": self.error.result()}


class Penalty(L.Layer):
    def call(self, values: Any) -> Any:
        self.add_loss(0.01 * keras.ops.sum(keras.ops.square(values)))
        return values


def inputs() -> dict[str, Any]:
    return {"a": keras.Input([3], name="a"), "b": keras.Input([2], name="b")}


def joined(given: dict[str, Any]) -> Any:
    return L.Dense(4, "tanh", name="hidden")(L.Concatenate()(list(given.values())))


def compiled(model: keras.Model, *arguments: Any, **options: Any) -> keras.Model:
    given = {"optimizer": keras.optimizers.Adam(0.1), "loss": "mse", **options}
    model.compile(*arguments, **given)
    return model


def sequential(*layers: Any, **options: Any) -> keras.Model:
    layers = layers or (L.Dense(4, "relu"), L.Dense(1))
    return compiled(keras.Sequential([keras.Input([3], name="a"), *layers]), **options)


def several(outputs: Callable[[Any], Any], **options: Any) -> keras.Model:
    given = inputs()
    model = keras.Model(given, outputs(joined(given)))
    loss = {"p": "mse", "q": "mae"}
    return compiled(model, loss=loss, **options)


def heads(values: Any) -> list[Any]:
    return [L.Dense(1, name="p")(values), L.Dense(1, name="q")(values)]


def by_key(values: Any) -> dict[str, Any]:
    return {"p": L.Dense(1)(values), "q": L.Dense(1)(values)}


def functional(kind: type[keras.Model]) -> keras.Model:
    given = inputs()
    metrics = None if kind is OwnSteps else ["mae"]
    return compiled(kind(given, L.Dense(1, name="y")(joined(given))), metrics=metrics)


def in_order() -> keras.Model:
    given = inputs()
    return keras.Model(list(given.values()), L.Dense(1, name="y")(joined(given)))


def built(model: keras.Model, *features: Any) -> keras.Model:
    model(*features)
    return model


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model, with its data.

    Attributes:
        make: Makes the model; twice with the same weights, after a seed.
        features: What it takes.
        labels: What it learns.
        weights: The weights of the examples.
    """

    make: Callable[[], keras.Model]
    features: Any = dataclasses.field(default_factory=lambda: A)
    labels: Any = dataclasses.field(default_factory=lambda: Y)
    weights: Any = None

    def model(self) -> keras.Model:
        keras.utils.set_random_seed(7)
        return self.make()

    def input_fn(self, epochs: int = 1) -> Callable[[], tf.data.Dataset]:
        """Batches of four, as an estimator takes them."""
        features = self.features
        if self.weights is not None:
            features = {"features": features, "sample_weights": self.weights}
        data = (features, self.labels)
        return lambda: tf.data.Dataset.from_tensor_slices(data).repeat(epochs).batch(4)

    def fit_data(self) -> tf.data.Dataset:
        """The same, as `fit` takes it."""
        data = (self.features, self.labels)
        data = data if self.weights is None else (*data, self.weights)
        return tf.data.Dataset.from_tensor_slices(data).batch(4)


BOTH = {"a": A, "b": B}
TWO_LABELS = {"p": Y, "q": 2 * Y}
KINDS = {
    "sequential": Kind(lambda: sequential(metrics=["mae", keras.metrics.MeanSquaredError()])),
    "sequential that is not built": Kind(
        lambda: built(compiled(keras.Sequential([L.Dense(4), L.Dense(1)])), A)
    ),
    "functional": Kind(lambda: functional(keras.Model), BOTH),
    "list of outputs": Kind(
        lambda: several(
            heads,
            metrics={"p": ["mae"], "q": ["mae", "mse"]},
            weighted_metrics={"q": ["mae"]},
            loss_weights={"p": 1.0, "q": 0.5},
        ),
        BOTH,
        TWO_LABELS,
    ),
    "dict of outputs": Kind(lambda: several(by_key, metrics={"p": ["mae"]}), BOTH, TWO_LABELS),
    "tuple of features": Kind(lambda: compiled(in_order()), (A, B)),
    "class of its own": Kind(lambda: built(compiled(Deep(3), metrics=["mae"]), A)),
    "class of its own, of a dict": Kind(lambda: built(compiled(Deep(units=3)), BOTH), BOTH),
    "class without arguments": Kind(lambda: built(compiled(Plain()), A), A, {"y": Y}),
    "sample weights": Kind(
        lambda: sequential(metrics=["mae"], weighted_metrics=["mae", "mse"]), weights=WEIGHTS
    ),
    "batch normalization and dropout": Kind(
        lambda: sequential(L.Dense(4), L.BatchNormalization(), L.Dropout(0.5), L.Dense(1))
    ),
    "schedule and clipping": Kind(
        lambda: sequential(
            optimizer=keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
                momentum=0.9,
                global_clipnorm=0.5,
            )
        )
    ),
    "losses of layers": Kind(
        lambda: sequential(
            L.Dense(4, kernel_regularizer="l2", activity_regularizer="l1"), Penalty(), L.Dense(1)
        )
    ),
    "functions": Kind(
        lambda: sequential(
            L.Dense(4, activation=lambda x: x * 2),
            L.Lambda(lambda x: x + len(KINDS)),
            L.Dense(1, activation=tf.nn.softplus),
            loss=lambda y, outputs: tf.reduce_mean(tf.abs(y - outputs), -1),
            metrics=[lambda y, outputs: tf.reduce_max(outputs)],
        )
    ),
    "loss of its own": Kind(lambda: functional(OwnLoss), BOTH),
    "steps of its own": Kind(lambda: functional(OwnSteps), BOTH),
    "weight decay": Kind(lambda: sequential(optimizer=keras.optimizers.AdamW(0.1, 0.01))),
    "embedding and recurrence": Kind(
        lambda: compiled(
            keras.Sequential(
                [
                    keras.Input([4], dtype="int32"),
                    L.Embedding(5, 3),
                    L.Bidirectional(L.LSTM(2)),
                    L.Dense(2, "softmax"),
                ]
            ),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        ),
        RANDOM.randint(0, 5, (12, 4)),
        RANDOM.randint(0, 2, 12),
    ),
}


@dataclasses.dataclass(frozen=True)
class Trained:
    """A kind of model, trained for two epochs in both ways."""

    kind: Kind
    given: keras.Model
    values: list[np.ndarray]
    estimator: Any
    losses: list[float]
    fitted: keras.Model
    fitted_losses: list[float]

    def predicted(self, model: keras.Model) -> dict[str, np.ndarray]:
        """What a Keras model predicts, under the keys of the estimator's predictions."""
        found = model.predict(self.kind.fit_data(), verbose=0)
        if isinstance(found, dict):
            return found
        return dict(zip(self.rows()[0], found if isinstance(found, list) else [found], strict=True))

    def rows(self) -> list[dict[str, np.ndarray]]:
        return list(self.estimator.predict(self.kind.input_fn()))

    def assert_predicts(self, found: dict[str, Any]) -> None:
        rows = self.rows()
        assert sorted(found) == sorted(rows[0])
        for key, values in found.items():
            expected = [row[key] for row in rows]
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


FAST = {
    *("batch normalization and dropout", "class of its own", "dict of outputs"),
    *("losses of layers", "sample weights", "sequential", "steps of its own"),
}


@pytest.fixture(scope="module", params=members(KINDS, fast=FAST))
def trained(request: Any, tmp_path_factory: Any) -> Trained:
    kind = KINDS[request.param]
    given, fitted = kind.model(), kind.model()
    values = [variable.numpy() for variable in given.variables]
    model_dir = str(tmp_path_factory.mktemp("model") / "model")
    config = kestimator.RunConfig(model_dir, save_summary_steps=1)
    estimator = kestimator.model_to_estimator(given, config=config)
    estimator.train(kind.input_fn(2))
    summaries, losses = tools.scalars(model_dir), []
    batches = list(kind.fit_data())
    for batch in [*batches, *batches]:
        history = fitted.fit(tf.data.Dataset.from_tensors(batch), shuffle=False, verbose=0)
        losses += history.history["loss"]
    (found,) = (values["values"] for tag, values in summaries.items() if tag.startswith("loss"))
    return Trained(kind, given, values, estimator, found, fitted, losses)


def test_losses_are_those_of_fit(trained: Trained) -> None:
    assert len(trained.losses) == 6
    np.testing.assert_allclose(trained.losses, trained.fitted_losses, rtol=1e-5)


def test_the_given_model_stays_as_it_is(trained: Trained) -> None:
    for variable, value in zip(trained.given.variables, trained.values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_metrics_are_those_of_evaluate(trained: Trained) -> None:
    found = trained.estimator.evaluate(trained.kind.input_fn())
    assert found.pop("global_step") == 6
    expected = trained.fitted.evaluate(trained.kind.fit_data(), return_dict=True, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)
    again = trained.estimator.evaluate(trained.kind.input_fn())
    assert again == {**found, "global_step": 6}


def test_predictions_are_those_of_predict(trained: Trained) -> None:
    trained.assert_predicts(trained.predicted(trained.fitted))


def test_a_keras_file_has_the_model_and_its_optimizer(trained: Trained, tmp_path: Any) -> None:
    custom = {one.__name__: one for one in (Deep, Plain, OwnLoss, OwnSteps, Penalty)}
    path = str(tmp_path / "model.keras")
    if any(isinstance(layer, L.Lambda) for layer in trained.given.layers) or (
        type(trained.given) is Plain
    ):
        pytest.skip("Keras itself cannot load such a model")
    assert trained.estimator.export_keras(path) == path
    loaded = keras.models.load_model(path, custom_objects=custom)
    trained.assert_predicts(trained.predicted(loaded))
    for own, expected in zip(
        loaded.optimizer.variables, trained.fitted.optimizer.variables, strict=True
    ):
        np.testing.assert_allclose(own.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_weights_are_loaded_into_the_given_kind_of_model(trained: Trained, tmp_path: Any) -> None:
    path = trained.estimator.export_keras(tmp_path / "model.weights.h5")
    model = trained.kind.model()
    model.optimizer.build(model.trainable_variables)  # else Keras warns that it takes no state
    model.load_weights(path)
    trained.assert_predicts(trained.predicted(model))


def test_a_saved_model_predicts_the_same(trained: Trained) -> None:
    features = trained.kind.features
    if isinstance(features, tuple):
        features = dict(zip(("a", "b"), features, strict=True))
    if not isinstance(features, dict):
        features = {"a": features}
    placeholders = {key: tf.constant(value) for key, value in features.items()}

    def receiver() -> Any:
        made = {
            key: tf.compat.v1.placeholder(value.dtype, [None, *value.shape[1:]])
            for key, value in placeholders.items()
        }
        if len(made) > 1 or trained.given.__class__ is keras.Sequential:
            return kestimator.export.ServingInputReceiver(made, made)
        return kestimator.export.TensorServingInputReceiver(made["a"], made)

    with tempfile.TemporaryDirectory() as folder:
        path = trained.estimator.export_saved_model(folder, receiver).decode()
        signatures = tf.saved_model.load(path).signatures
        assert list(signatures) == ["serving_default"]
        trained.assert_predicts(signatures["serving_default"](**placeholders))
