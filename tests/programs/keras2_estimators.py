"""`model_to_estimator` of compiled Keras 2 models."""

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools
from tests.programs.keras_optimizers import keras2
from tests.programs.resume import STORED

v1 = tf.compat.v1
CASES = tools.Cases()
MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {}
ROWS = 8
A = np.linspace(-1.0, 1.0, 3 * ROWS, dtype=np.float32).reshape(ROWS, 3)
B = np.linspace(2.0, -1.0, 2 * ROWS, dtype=np.float32).reshape(ROWS, 2)
Y = (A[:, :1] - B[:, 1:]).astype(np.float32)
TWO = (Y > 0).astype(np.float32)
THREE = np.digitize(Y, [-1.0, 0.5]).astype(np.int64)
IDS = np.array([[1, 2, 0], [3, 0, 0], [2, 2, 1], [4, 1, 0]] * 2, np.int64)
WEIGHTS = np.linspace(0.5, 2.0, ROWS, dtype=np.float32)


def convert(est: Any) -> Callable[..., Any]:
    if hasattr(est, "errors"):
        return est.model_to_estimator  # type: ignore[no-any-return]
    return tf.keras.estimator.model_to_estimator


def with_weights(model: Any) -> Any:
    """Gives a model weights that are the same everywhere."""
    for number, weight in enumerate(model.trainable_weights):
        size = int(np.prod(weight.shape))
        values = np.linspace(-0.5, 0.7, size, dtype=np.float32) * (1 - 0.1 * number)
        weight.assign(values.reshape(weight.shape))
    return model


def dense(keras: Any, *after: Any, units: int = 1, activation: Any = None) -> Any:
    layers = keras.layers
    hidden = [keras.Input([3], name="a"), layers.Dense(3, "tanh", name="h"), *after]
    return with_weights(keras.Sequential([*hidden, layers.Dense(units, activation, name="out")]))


def run(
    est: Any,
    model_dir: str,
    make: Callable[[Any], Any],
    features: Any = A,
    labels: Any = Y,
    saved: str | None = "saver",
    parts: tuple[int, ...] = (2, 1),
    **options: Any,
) -> dict[str, Any]:
    """Trains, evaluates and predicts with the model that `make` compiles."""
    model = make(keras2(est))
    config = est.RunConfig(model_dir, tf_random_seed=3, save_summary_steps=1)
    if saved is not None:
        options["checkpoint_format"] = saved
    estimator = convert(est)(model, config=config, **options)
    evaluated = tools.batches(features, labels, epochs=1)
    found = {"untrained": tools.typed(estimator.evaluate(evaluated))}
    for steps in parts:
        estimator.train(tools.batches(features, labels), steps=steps)
    losses = tools.scalars(model_dir, ["loss", "loss_1"])
    plain = features.get("features", features) if isinstance(features, dict) else features
    rows = list(estimator.predict(tools.batches(plain, epochs=1)))
    return {
        **found,
        "losses": [series["values"] for series in losses.values()],
        "trained": tools.typed(estimator.evaluate(evaluated)),
        "rows": tools.plain(rows[:2]),
        "variables": _variables(model_dir),
    }


def _variables(model_dir: str) -> dict[str, Any]:
    """The variables of the last checkpoint; not the graph of the objects, which are bytes."""
    reader = tf.train.load_checkpoint(model_dir)
    names = sorted(name for name in reader.get_variable_to_shape_map() if name[0] != "_")
    return {name: tools.plain(reader.get_tensor(name)) for name in names}


def _case(name: str, **options: Any) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def add(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        CASES[name] = functools.partial(run, make=make, **options)
        return make

    return add


# Optimizers ---------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "name": lambda keras: "adam",
    "legacy_adam": lambda keras: keras.optimizers.legacy.Adam(0.1, amsgrad=True),
    "legacy_rmsprop": lambda keras: keras.optimizers.legacy.RMSprop(0.1, momentum=0.5),
    "legacy_schedule": lambda keras: keras.optimizers.legacy.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.3, 2, 0.5)
    ),
    "legacy_ftrl": lambda keras: keras.optimizers.legacy.Ftrl(0.1, clipnorm=0.5),
    "new_adam": lambda keras: keras.optimizers.Adam(0.1, clipvalue=0.1),
    "new_sgd": lambda keras: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "tf1": lambda keras: v1.train.MomentumOptimizer(0.1, 0.9),
}


def _with_optimizer(keras: Any, optimizer: Callable[[Any], Any]) -> Any:
    model = dense(keras)
    model.compile(optimizer(keras), "mse", metrics=["mae"])
    return model


for _name, _optimizer in OPTIMIZERS.items():
    for _saved in ("saver", "checkpoint"):
        CASES[f"{_saved}_{_name}"] = functools.partial(
            run, make=functools.partial(_with_optimizer, optimizer=_optimizer), saved=_saved
        )


# Losses and metrics -------------------------------------------------------------------------------


@_case("binary", labels=TWO)
def _binary(keras: Any) -> Any:
    model = dense(keras, activation="sigmoid")
    metrics = ["accuracy", keras.metrics.AUC(num_thresholds=20), keras.metrics.Precision(name="p")]
    model.compile("sgd", keras.losses.BinaryCrossentropy(label_smoothing=0.1), metrics=metrics)
    return model


@_case("classes", labels=THREE)
def _classes(keras: Any) -> Any:
    model = dense(keras, units=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    top = keras.metrics.SparseTopKCategoricalAccuracy(2)
    model.compile("sgd", loss, metrics=["acc", top])
    return model


def _own_loss(labels: Any, outputs: Any) -> Any:
    return tf.abs(labels - outputs) ** 1.5


def _own_metric(labels: Any, outputs: Any) -> Any:
    return tf.reduce_max(tf.abs(labels - outputs), axis=-1)


@_case("functions", metric_names_map={"_own_metric": "largest", "mean_absolute_error": "mae"})
def _functions(keras: Any) -> Any:
    model = dense(keras)
    metrics = [_own_metric, keras.metrics.MeanAbsoluteError()]
    model.compile(keras.optimizers.legacy.SGD(0.1), _own_loss, metrics=metrics)
    return model


@_case("weighted", features={"features": A, "sample_weights": WEIGHTS})
def _weighted(keras: Any) -> Any:
    model = dense(keras)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


# Kinds of models ----------------------------------------------------------------------------------


def _two_outputs(keras: Any) -> Any:
    inputs = {"a": keras.Input([3], name="a"), "b": keras.Input([2], name="b")}
    hidden = keras.layers.concatenate([inputs["a"], inputs["b"]])
    hidden = keras.layers.Dense(2, "relu", name="h")(hidden)
    outputs = [keras.layers.Dense(1, name=name)(hidden) for name in ("p", "q")]
    model = with_weights(keras.Model(inputs, outputs))
    model.compile(
        keras.optimizers.legacy.Adam(0.1),
        {"p": "mse", "q": keras.losses.Huber(0.5)},
        loss_weights={"p": 1.0, "q": 0.3},
        metrics={"p": ["mae"], "q": ["mae", "mse"]},
    )
    return model


BOTH = {"features": {"a": A, "b": B}, "labels": {"p": Y, "q": 2 * Y}}
for _saved in ("saver", "checkpoint"):
    _case(f"functional_{_saved}", saved=_saved, **BOTH)(_two_outputs)


@_case("regularized", saved=None)
def _regularized(keras: Any) -> Any:
    """Normalization, dropout that keeps everything, and penalties of layers."""
    layers, l2 = keras.layers, keras.regularizers.l2(0.05)
    inputs = keras.Input([3], name="a")
    hidden = layers.Dense(3, "tanh", kernel_regularizer=l2, activity_regularizer=l2)(inputs)
    hidden = layers.BatchNormalization(momentum=0.5, name="n")(hidden)
    hidden = layers.Dropout(0.0)(hidden)
    model = keras.Model(inputs, layers.Dense(1, name="out")(hidden))
    model = with_weights(model)
    model.compile(keras.optimizers.legacy.SGD(0.1), "mse", metrics=["mae"])
    return model


@_case("words", features=IDS)
def _words(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input([3], name="ids", dtype="int64"),
            layers.Embedding(5, 2, mask_zero=True, name="e"),
            layers.LSTM(2, name="l"),
            layers.Dense(1, name="out"),
        ]
    )
    model = with_weights(model)
    model.compile(keras.optimizers.legacy.Adam(0.1), "mse")
    return model


@_case("nested", saved=None)
def _nested(keras: Any) -> Any:
    layers = keras.layers
    inner = keras.Sequential([keras.Input([3]), layers.Dense(2, name="i")], name="inner")
    inputs = keras.Input([3], name="a")
    shared = layers.Dense(2, "tanh", name="s")
    hidden = layers.add([inner(inputs), shared(inputs), shared(layers.ReLU()(inputs))])
    model = with_weights(keras.Model(inputs, layers.Dense(1, name="out")(hidden)))
    model.compile(keras.optimizers.legacy.SGD(0.1), "mse")
    return model


@_case("frozen", saved=None)
def _frozen(keras: Any) -> Any:
    model = dense(keras)
    model.get_layer("h").trainable = False
    model.compile(keras.optimizers.legacy.SGD(0.1), "mse")
    return model


def _ones(keras: Any, **options: Any) -> Any:
    return keras.layers.Dense(kernel_initializer="ones", **options)


@_case("own_class")
def _own_class(keras: Any) -> Any:
    """A model of its own class, whose weights are made by the call."""

    class Deep(keras.Model):
        def __init__(self, size: int = 2, **options: Any) -> None:
            super().__init__(**options)
            self.size = size
            self.hidden = _ones(keras, units=size, activation="tanh", use_bias=False, name="h")
            self.norm = keras.layers.BatchNormalization(name="n", momentum=0.5)
            self.last = _ones(keras, units=1, name="out")

        def call(self, features: Any, training: Any = None) -> Any:
            return self.last(self.norm(self.hidden(features), training=training))

        def get_config(self) -> dict[str, Any]:
            return {"size": self.size}

    model = Deep(3)
    model.compile(keras.optimizers.legacy.SGD(0.1), "mse", metrics=["mae"])
    return model


@_case("without_inputs")
def _without_inputs(keras: Any) -> Any:
    model = keras.Sequential([_ones(keras, units=2, name="h"), _ones(keras, units=1, name="out")])
    model.compile(keras.optimizers.legacy.SGD(0.1), "mse")
    return model


# Directories that the original wrote --------------------------------------------------------------


def _resumed(est: Any, model_dir: str, saved: str) -> dict[str, Any]:
    model_dir = os.path.join(model_dir, "model")
    shutil.copytree(STORED / f"keras2_{saved}", model_dir)
    return run(est, model_dir, _two_outputs, saved=saved, parts=(3,), **BOTH)


def _write(est: Any, model_dir: str, saved: str) -> None:
    run(est, model_dir, _two_outputs, saved=saved, **BOTH)
    # With its own saver the original writes absolute paths, and reads no directory that moved.
    with open(os.path.join(model_dir, "checkpoint"), "w", encoding="utf-8") as file:
        file.write('model_checkpoint_path: "model.ckpt-3"\n')
    for name in os.listdir(model_dir):
        if name.startswith(("model.ckpt-0", "model.ckpt-2")):
            os.remove(os.path.join(model_dir, name))


for _saved in ("saver", "checkpoint"):
    MODEL_DIRS[f"keras2_{_saved}"] = functools.partial(_write, saved=_saved)
    CASES[f"resumed_{_saved}"] = functools.partial(_resumed, saved=_saved)
