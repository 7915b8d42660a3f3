"""The models and inputs that are measured, written once for every engine.

Synopsis::

    task = TASKS["network"]
    estimator = est.Estimator(model_fn_of(task, est), model_dir)      # kestimator or tf.estimator
    estimator.train(input_fn_of(task), steps=100)

A task's mathematics takes its variables by name from a function, so that a `model_fn` (which asks
`get_variable`) and a bare loop (which keeps a dict) run the very same step. Runs in both
environments: TensorFlow 2.21 and 2.15.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_v1 = tf.compat.v1
GetVariable = Callable[[str, list[int]], Any]
"""Gives the variable of a name and a shape."""
Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Task:
    """One model with its data.

    Attributes:
        name: What the table calls it.
        batch_size: Examples a step.
        data: Makes the features and the labels.
        forward: Computes the outputs, `predictions` among them, from features and variables.
        loss: Computes the loss from the outputs and the labels.
        optimizer: Makes a TF1 optimizer.
        shuffled: Whether single examples are shuffled, and put into new batches, in every pass.
    """

    name: str
    batch_size: int
    data: Callable[[], tuple[Columns, np.ndarray]]
    forward: Callable[[dict[str, tf.Tensor], GetVariable], dict[str, tf.Tensor]]
    loss: Callable[[dict[str, tf.Tensor], tf.Tensor], tf.Tensor]
    optimizer: Callable[[], Any]
    shuffled: bool = False


def get_variable(name: str, shape: list[int]) -> Any:
    """A TF1 variable, as a `model_fn` makes it."""
    if len(shape) == 1:
        return _v1.get_variable(name, shape, initializer=_v1.zeros_initializer())
    return _v1.get_variable(name, shape, initializer=_v1.glorot_uniform_initializer(seed=1))


def model_fn_of(task: Task, est: Any) -> Callable[..., Any]:
    """The task as a `model_fn` for `est`, which is kestimator or tf.estimator."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = task.forward(features, get_variable)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = task.loss(outputs, labels)
        if mode == est.ModeKeys.EVAL:
            error = _v1.metrics.mean_absolute_error(labels, _like(outputs["predictions"], labels))
            return est.EstimatorSpec(mode, loss=loss, eval_metric_ops={"error": error})
        train_op = task.optimizer().minimize(loss, global_step=_v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def dataset_of(task: Task) -> tf.data.Dataset:
    """Endless batches: the pipeline that every engine trains on.

    Batches are kept in memory unless the task asks for a shuffle: otherwise the rows of this
    benchmark would measure tf.data, which spends 100 microseconds to put 32 examples together.
    """
    features, labels = task.data()
    dataset = tf.data.Dataset.from_tensor_slices((features, labels))
    if task.shuffled:
        return dataset.shuffle(len(labels), seed=1).repeat().batch(task.batch_size)
    return dataset.batch(task.batch_size, drop_remainder=True).cache().repeat()


def input_fn_of(task: Task) -> Callable[[], tf.data.Dataset]:
    """The pipeline as an `input_fn`."""
    return lambda: dataset_of(task)


def evaluation_input_fn_of(task: Task) -> Callable[[], tf.data.Dataset]:
    """The task's examples in batches, once."""
    features, labels = task.data()
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).batch(task.batch_size)


def rows_input_fn(task: Task, rows: int, batch_size: int) -> Callable[[], tf.data.Dataset]:
    """An input_fn that gives the features of `rows` examples, in whole batches, once.

    They lie in batches already: to put 20,000 examples together costs tf.data as much as all else.
    """
    features, _ = task.data()
    repeats = -(-rows // len(next(iter(features.values()))))
    columns = {
        key: np.concatenate([column] * repeats)[:rows].reshape(-1, batch_size, *column.shape[1:])
        for key, column in features.items()
    }
    return lambda: tf.data.Dataset.from_tensor_slices(columns)


def _like(predictions: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.cast(predictions, labels.dtype)


def _three_features() -> tuple[Columns, np.ndarray]:
    random = np.random.RandomState(1)
    columns = {name: random.rand(1000).astype(np.float32) for name in ("a", "b", "c")}
    labels = 3 * columns["a"] - 2 * columns["b"] + columns["c"] + 0.5
    return columns, labels.astype(np.float32)


def _linear(features: dict[str, tf.Tensor], variable: GetVariable) -> dict[str, tf.Tensor]:
    inputs = tf.stack([features[name] for name in ("a", "b", "c")], axis=1)
    outputs = tf.matmul(inputs, variable("weights", [3, 1])) + variable("bias", [1])
    return {"predictions": tf.squeeze(outputs, 1)}


def _squared_error(outputs: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(outputs["predictions"] - labels))


def _thirteen_features() -> tuple[Columns, np.ndarray]:
    random = np.random.RandomState(1)
    inputs = random.randn(2000, 13).astype(np.float32)
    return {"x": inputs}, (inputs.sum(axis=1) > 0).astype(np.int64)


def _network(features: dict[str, tf.Tensor], variable: GetVariable) -> dict[str, tf.Tensor]:
    values, sizes = features["x"], (13, 64, 32, 2)
    for layer, (size, units) in enumerate(itertools.pairwise(sizes)):
        kernel, bias = (
            variable(f"kernel_{layer}", [size, units]),
            variable(f"bias_{layer}", [units]),
        )
        values = tf.matmul(values, kernel) + bias
        if units != sizes[-1]:
            values = tf.nn.relu(values)
    return {
        "predictions": tf.argmax(values, axis=1),
        "logits": values,
        "probabilities": tf.nn.softmax(values),
        "log_probabilities": tf.nn.log_softmax(values),
        "margin": values[:, 1] - values[:, 0],
        "certainty": tf.reduce_max(tf.nn.softmax(values), axis=1),
    }


def _cross_entropy(outputs: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs["logits"])
    )


def _identifiers(table_rows: int) -> Callable[[], tuple[Columns, np.ndarray]]:
    def make() -> tuple[Columns, np.ndarray]:
        random = np.random.RandomState(1)
        identifiers = random.randint(0, table_rows, size=8192).astype(np.int64)
        return {"id": identifiers}, random.rand(8192).astype(np.float32)

    return make


def _embedded(table_rows: int) -> Callable[..., dict[str, tf.Tensor]]:
    def forward(features: dict[str, tf.Tensor], variable: GetVariable) -> dict[str, tf.Tensor]:
        rows = tf.nn.embedding_lookup(
            variable("table", [table_rows, EMBEDDING_SIZE]), features["id"]
        )
        return {
            "predictions": tf.squeeze(tf.matmul(rows, variable("kernel", [EMBEDDING_SIZE, 1])), 1)
        }

    return forward


EMBEDDING_SIZE = 8
TABLE_ROWS = (1_000, 3_000_000)
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: _v1.train.GradientDescentOptimizer(0.1),
    "adagrad": lambda: _v1.train.AdagradOptimizer(0.1),
    "ftrl": lambda: _v1.train.FtrlOptimizer(0.1),
}


def embedding_task(table_rows: int, optimizer: str) -> Task:
    """A table of `table_rows` rows of 8, of which a step touches at most 128."""
    return Task(
        name=f"embedding of {table_rows:,} rows, {optimizer}",
        batch_size=128,
        data=_identifiers(table_rows),
        forward=_embedded(table_rows),
        loss=_squared_error,
        optimizer=OPTIMIZERS[optimizer],
    )


TASKS: dict[str, Task] = {
    "linear": Task(
        name="linear regression",
        batch_size=32,
        data=_three_features,
        forward=_linear,
        loss=_squared_error,
        optimizer=lambda: _v1.train.GradientDescentOptimizer(0.01),
    ),
    "network": Task(
        name="13-64-32-2 network",
        batch_size=64,
        data=_thirteen_features,
        forward=_network,
        loss=_cross_entropy,
        optimizer=lambda: _v1.train.AdamOptimizer(0.001),
    ),
}
TASKS["linear_shuffled"] = dataclasses.replace(TASKS["linear"], shuffled=True)
