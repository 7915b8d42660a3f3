"""What trains a task: kestimator, tf.estimator, Keras' fit, a bare loop.

Synopsis::

    train = trainer("kestimator", TASKS["linear"], model_dir)
    train(100)

Nothing of an engine is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks import workloads

Train = Callable[[int], None]
"""Trains for so many steps."""
ESTIMATORS = ("kestimator", "tf_estimator")


def estimator_module(engine: str) -> Any:
    """`kestimator`, or the original's module of the same names."""
    if engine == "kestimator":
        import kestimator

        return kestimator
    return tf.estimator


def array_input_fn(engine: str) -> Any:
    """`numpy_input_fn`, which the original has among its TF1 names."""
    est = estimator_module(engine)
    return (
        est.inputs.numpy_input_fn
        if engine == "kestimator"
        else tf.compat.v1.estimator.inputs.numpy_input_fn
    )


def trainer(engine: str, task: workloads.Task, model_dir: str) -> Train:
    """Makes what trains `task`, with nothing built yet."""
    if engine in ESTIMATORS:
        return _estimator_trainer(engine, task, model_dir)
    if engine == "loop":
        return _loop_trainer(task)
    return _fit_trainer(task, steps_per_execution=int(engine.removeprefix("fit_")))


def _estimator_trainer(engine: str, task: workloads.Task, model_dir: str) -> Train:
    est = estimator_module(engine)
    estimator = est.Estimator(workloads.model_fn_of(task, est), model_dir)
    input_fn = workloads.input_fn_of(task)
    return lambda steps: estimator.train(input_fn, steps=steps)


def _loop_trainer(task: workloads.Task) -> Train:
    """The same mathematics, optimizer and global step in a loop that does nothing else."""
    variables: dict[str, tf.Variable] = {}

    def variable(name: str, shape: list[int]) -> tf.Variable:
        if name not in variables:
            with tf.init_scope():
                variables[name] = tf.Variable(tf.random.stateless_uniform(shape, (1, 2)), name=name)
        return variables[name]

    optimizer = task.optimizer()
    iterator = iter(workloads.dataset_of(task))
    with tf.init_scope():
        global_step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def step(batch: Any) -> tf.Tensor:
        features, labels = batch
        with tf.GradientTape() as tape:
            loss = task.loss(task.forward(features, variable), labels)
        watched = list(variables.values())
        gradients = zip(tape.gradient(loss, watched), watched)  # noqa: B905
        optimizer.apply_gradients(gradients, global_step=global_step)
        return loss

    @tf.function
    def loop(steps: tf.Tensor, iterator: Any) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(steps):
            loss = step(next(iterator))
        return loss

    return lambda steps: loop(tf.constant(steps), iterator).numpy()


def _fit_trainer(task: workloads.Task, steps_per_execution: int) -> Train:
    model = _KERAS_MODELS[task.name]()
    model.compile(
        optimizer=model.optimizer_to_use,
        loss=model.loss_to_use,
        steps_per_execution=steps_per_execution,
    )
    data = workloads.dataset_of(task)
    return lambda steps: model.fit(data, steps_per_epoch=steps, verbose=0)


def _keras_linear() -> Any:
    import keras

    inputs = {name: keras.Input((), name=name) for name in ("a", "b", "c")}
    stacked = keras.ops.stack(list(inputs.values()), axis=1)
    model = keras.Model(inputs, keras.ops.squeeze(keras.layers.Dense(1)(stacked), 1))
    model.optimizer_to_use = keras.optimizers.SGD(0.01)
    model.loss_to_use = "mse"
    return model


def _keras_network() -> Any:
    import keras

    inputs = {"x": keras.Input((13,), name="x")}
    values = keras.layers.Dense(64, activation="relu")(inputs["x"])
    values = keras.layers.Dense(32, activation="relu")(values)
    model = keras.Model(inputs, keras.layers.Dense(2)(values))
    model.optimizer_to_use = keras.optimizers.Adam(0.001)
    model.loss_to_use = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return model


_KERAS_MODELS = {"linear regression": _keras_linear, "13-64-32-2 network": _keras_network}
