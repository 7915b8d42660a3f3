"""Layers, models, losses and optimizers of Keras 2 in a model_fn."""

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools
from tests.programs.keras_optimizers import keras2

v1 = tf.compat.v1
CASES = tools.Cases()
STEPS = 4


class Parts:
    """What a case makes of features.

    Attributes:
        outputs: One column, or a number for each example.
        losses: What is added to the loss.
        updates: What runs with each training step.
    """

    def __init__(self, outputs: Any, losses: Any = (), updates: Any = ()) -> None:
        self.outputs = outputs
        self.losses = list(losses)
        self.updates = list(updates)


def _gradient_descent(keras: Any, loss: Any) -> Any:
    optimizer = v1.train.GradientDescentOptimizer(0.05)
    return optimizer.minimize(loss, global_step=v1.train.get_global_step())


def run(
    est: Any,
    model_dir: str,
    build: Callable[..., Parts],
    features: Any,
    minimize: Callable[[Any, Any], Any] = _gradient_descent,
    batch: int = 4,
) -> dict[str, Any]:
    """Trains, evaluates and predicts."""
    losses: list[float] = []
    keras = keras2(est)
    y = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        random.seed(7)  # Keras 2 seeds its initializers by it
        parts = build(keras, features, mode == est.ModeKeys.TRAIN)
        outputs = tf.reshape(parts.outputs, [-1, 1])
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"outputs": outputs})
        loss = tf.reduce_mean(keras.losses.mean_squared_error(labels, outputs))
        loss = tf.identity(tf.add_n([loss, *parts.losses]), name="the_loss")
        if mode == est.ModeKeys.EVAL:
            return est.EstimatorSpec(mode, loss=loss)
        with tf.control_dependencies(parts.updates):
            train_op = minimize(keras, loss)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir, est.RunConfig(tf_random_seed=5))
    estimator.train(
        tools.batches(features, y, batch), hooks=[tools.losses_hook(est, losses)], steps=STEPS
    )
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(tools.batches(features, y, batch, epochs=1))),
        "rows": tools.plain(list(estimator.predict(tools.batches(features, None, batch, 1)))[:2]),
        "variables": {
            name: tools.plain(estimator.get_variable_value(name))
            for name in estimator.get_variable_names()
        },
    }


def _case(name: str, features: Any, **options: Any) -> Callable[..., Any]:
    def add(build: Callable[..., Parts]) -> Callable[..., Parts]:
        CASES[name] = functools.partial(run, build=build, features=features, **options)
        return build

    return add


DATA = np.random.RandomState(4)
X = DATA.uniform(-1, 1, (8, 3)).astype(np.float32)
IMAGES = DATA.uniform(-1, 1, (8, 5, 5, 1)).astype(np.float32)
SEQUENCES = DATA.uniform(-1, 1, (8, 3, 2)).astype(np.float32)
IDS = DATA.randint(0, 5, (8, 3))


# Layers and models --------------------------------------------------------------------------------


@_case("layers", X)
def _layers(keras: Any, x: Any, training: bool) -> Parts:
    """Two layers without a name, one in a scope, one that is called twice."""
    layers = keras.layers
    x = layers.Dense(3, activation="relu")(x)
    with v1.variable_scope("scope"):
        x = layers.Dense(2)(x)
    twice = layers.Dense(2, "tanh", name="twice")
    return Parts(layers.Dense(1)(twice(twice(x))))


@_case("sequential", X)
def _sequential(keras: Any, x: Any, training: bool) -> Parts:
    layers = keras.layers
    model = keras.Sequential([layers.Dense(3, "elu"), layers.Dropout(0.4), layers.Dense(1)])
    return Parts(model(x, training=training))


@_case("functional", X)
def _functional(keras: Any, x: Any, training: bool) -> Parts:
    inputs = keras.Input([3])
    hidden = keras.layers.Dense(3, "tanh", name="h")(inputs)
    joined = keras.layers.Concatenate()([inputs, hidden, 2.0 * hidden])
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(joined))
    return Parts(model(x) + model(x[:, ::-1] + 1.0))


@_case("own_classes", X)
def _own_classes(keras: Any, x: Any, training: bool) -> Parts:
    class Scale(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight("scale", [shape[-1]], initializer="ones")
            self.count = self.add_weight("count", [], initializer="zeros", trainable=False)

        def call(self, values: Any, training: Any = None) -> Any:
            if training:
                self.add_update(self.count.assign_add(1.0))
            self.add_loss(0.01 * tf.reduce_sum(self.scale**2))
            return values * self.scale

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.scale = Scale()
            self.out = keras.layers.Dense(1)

        def call(self, values: Any, training: Any = None) -> Any:
            return self.out(self.scale(values, training=training))

    model = Net()
    outputs = model(x, training=training)
    return Parts(outputs, model.losses, model.updates)


@_case("images", IMAGES)
def _images(keras: Any, x: Any, training: bool) -> Parts:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Conv2D(2, 3, activation="relu", kernel_regularizer=keras.regularizers.l2(0.1)),
            layers.BatchNormalization(momentum=0.5),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(2, 1, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    outputs = model(x, training=training)
    return Parts(outputs, model.losses, model.get_updates_for(x) + model.get_updates_for(None))


@_case("words", IDS)
def _words(keras: Any, x: Any, training: bool) -> Parts:
    layers = keras.layers
    embedded = layers.Embedding(5, 2, mask_zero=True)(x)
    return Parts(layers.Dense(1)(layers.Bidirectional(layers.GRU(2))(embedded)))


# Recurrent layers ---------------------------------------------------------------------------------

CELLS: dict[str, Callable[[Any], Any]] = {
    "lstm": lambda layers: layers.LSTM(2),
    "gru_reset_before": lambda layers: layers.GRU(2, reset_after=False),
    "simple": lambda layers: layers.SimpleRNN(2),
    "unrolled": lambda layers: layers.LSTM(2, unroll=True, implementation=1),
    "stacked": lambda layers: layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)]),
}
for _name, _make in CELLS.items():

    def _recurrent(keras: Any, x: Any, training: bool, make: Any = _make) -> Parts:
        return Parts(keras.layers.Dense(1)(make(keras.layers)(x)))

    _case(f"recurrent_{_name}", SEQUENCES)(_recurrent)


@_case("stateful", SEQUENCES)
def _stateful(keras: Any, x: Any, training: bool) -> Parts:
    """A layer that keeps its state from batch to batch, by its updates."""
    layer = keras.layers.LSTM(2, stateful=True)
    x = tf.ensure_shape(x, [4, 3, 2])
    outputs = keras.layers.Dense(1)(layer(x))
    return Parts(outputs, updates=layer.updates if training else ())


# Batch normalization ------------------------------------------------------------------------------


def _normalized(keras: Any, x: Any, training: Any, updates: str) -> Parts:
    layer = keras.layers.BatchNormalization(momentum=0.5)
    hidden = layer(x, training=training)
    outputs = keras.layers.Dense(1)(hidden)
    kinds = {
        "none": lambda: [],
        "collection": lambda: v1.get_collection(v1.GraphKeys.UPDATE_OPS),
        "layer": lambda: layer.updates,
        "of_inputs": lambda: layer.get_updates_for(x) + layer.get_updates_for(None),
    }
    return Parts(outputs, updates=kinds[updates]())


for _updates in ("none", "collection", "layer", "of_inputs"):
    _case(f"batch_normalization_{_updates}", X)(functools.partial(_normalized, updates=_updates))


# The learning phase -------------------------------------------------------------------------------


def _in_phase(keras: Any, x: Any, training: bool, phase: str) -> Parts:
    if phase == "set":
        keras.backend.set_learning_phase(int(training))
    layer = keras.layers.BatchNormalization(momentum=0.5)
    hidden = keras.layers.Dropout(0.5, seed=3)(layer(x))
    if phase == "asked":
        hidden = keras.backend.in_train_phase(2.0 * hidden, hidden)
    return Parts(keras.layers.Dense(1)(hidden), updates=layer.updates)


for _phase in ("unset", "set", "asked"):
    _case(f"phase_{_phase}", X)(functools.partial(_in_phase, phase=_phase))


# Optimizers ---------------------------------------------------------------------------------------


def _one_layer(keras: Any, x: Any, training: bool) -> Parts:
    return Parts(keras.layers.Dense(1, name="d")(x))


def _minimized(keras: Any, loss: Any, name: str, kind: str) -> Any:
    optimizer = getattr(keras.optimizers.legacy, name)(0.1)
    optimizer.iterations = v1.train.get_global_step()
    variables = v1.trainable_variables()
    if kind == "updates":
        return tf.group(*optimizer.get_updates(loss, variables))
    if kind == "gradients":
        gradients = optimizer.get_gradients(loss, variables)
        return optimizer.apply_gradients(zip(gradients, variables, strict=True))
    with tf.control_dependencies([loss]):
        # It takes a function that computes the loss from the variables, not a tensor.
        return optimizer.minimize(
            lambda: tf.add_n([tf.reduce_sum((v - 1) ** 2) for v in variables]), variables
        )


def _minimized_with_own_counter(keras: Any, loss: Any) -> Any:
    optimizer = keras.optimizers.legacy.Nadam(0.1)
    with tf.control_dependencies(optimizer.get_updates(loss, v1.trainable_variables())):
        return v1.train.get_global_step().assign_add(1)


for _kind in ("minimize", "updates", "gradients"):
    for _name in ("Adam", "SGD", "RMSprop"):
        _minimize = functools.partial(_minimized, name=_name, kind=_kind)
        _case(f"{_kind}_{_name}", X, minimize=_minimize)(_one_layer)
_case("own_counter", X, minimize=_minimized_with_own_counter)(_one_layer)


def _minimized_by_a_new_one(keras: Any, loss: Any, kind: str = "Adam") -> Any:
    variables = v1.trainable_variables()
    optimizer = getattr(keras.optimizers, kind)(0.1)
    train_op = optimizer.apply_gradients(zip(tf.gradients(loss, variables), variables, strict=True))
    with tf.control_dependencies([train_op]):
        return v1.train.get_global_step().assign_add(1)


def _minimized_by_two_new_ones(keras: Any, loss: Any) -> Any:
    with tf.control_dependencies([_minimized_by_a_new_one(keras, loss)]):
        return _minimized_by_a_new_one(keras, loss, "RMSprop")


_case("new_optimizer", X, minimize=_minimized_by_a_new_one)(_one_layer)
_case("two_new_optimizers", X, minimize=_minimized_by_two_new_ones)(_one_layer)


# As the guide to TF2 had it -----------------------------------------------------------------------


@CASES
def guide(est: Any, model_dir: str) -> dict[str, Any]:
    """Model, losses, updates, metric and optimizer of Keras in one model_fn."""
    keras = keras2(est)
    layers = keras.layers
    x = np.random.RandomState(5).uniform(-1, 1, (8, 4, 4, 1)).astype(np.float32)
    y = np.arange(8) % 3

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        random.seed(7)
        l2 = keras.regularizers.l2(0.02)
        model = keras.Sequential(
            [
                layers.Conv2D(4, 2, activation="relu", kernel_regularizer=l2),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dropout(0.1),
                layers.Dense(4, activation="relu"),
                layers.BatchNormalization(),
                layers.Dense(3),
            ]
        )
        training = mode == est.ModeKeys.TRAIN
        logits = model(features, training=training)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"logits": logits})
        kinds = {"from_logits": True, "reduction": keras.losses.Reduction.NONE}
        loss = keras.losses.SparseCategoricalCrossentropy(**kinds)(labels, logits)
        total = tf.reduce_mean(loss) + tf.add_n(model.losses)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        accuracy.update_state(labels, logits)
        train_op = None
        if training:
            optimizer = keras.optimizers.legacy.Adam(0.05)
            optimizer.iterations = v1.train.get_or_create_global_step()
            updates = model.get_updates_for(None) + model.get_updates_for(features)
            minimize = optimizer.get_updates(total, model.trainable_variables)[0]
            train_op = tf.group(minimize, *updates)
        return est.EstimatorSpec(
            mode, loss=total, train_op=train_op, eval_metric_ops={"accuracy": accuracy}
        )

    estimator = est.Estimator(model_fn, model_dir, est.RunConfig(tf_random_seed=5))
    for _ in range(2):
        estimator.train(tools.batches(x, y), steps=STEPS)
    return {
        "evaluated": tools.typed(estimator.evaluate(tools.batches(x, y, epochs=1))),
        "rows": tools.plain(list(estimator.predict(tools.batches(x, epochs=1)))[:2]),
        "variables": tools.names_and_shapes(model_dir),
        "moving_mean": tools.plain(
            estimator.get_variable_value("sequential/batch_normalization/moving_mean")
        ),
    }
