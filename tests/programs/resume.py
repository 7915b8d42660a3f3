"""Model directories that the original wrote, trained on: losses, weights and slots.

`tests/golden/model_dirs/<name>` holds the checkpoints; `MODEL_DIRS` are the programs that wrote
them.
"""

import functools
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()
MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {}
STORED = pathlib.Path(__file__).resolve().parent.parent / "golden" / "model_dirs"


def momentum() -> Any:
    return v1.train.MomentumOptimizer(0.05, momentum=0.9)


def adam() -> Any:
    return v1.train.AdamOptimizer(0.05)


def ftrl() -> Any:
    return v1.train.FtrlOptimizer(0.2, l1_regularization_strength=0.01)


def rmsprop() -> Any:
    return v1.train.RMSPropOptimizer(0.02, momentum=0.5, centered=True)


def adagrad() -> Any:
    return v1.train.AdagradOptimizer(0.2)


def _dense_model_fn(est: Any, optimizer: Callable[[], Any]) -> Callable[..., Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        with v1.variable_scope("hidden"):
            kernel = v1.get_variable(
                "kernel", initializer=np.linspace(-0.6, 0.7, 6, dtype=np.float32).reshape(3, 2)
            )
            bias = v1.get_variable("bias", [2], initializer=v1.zeros_initializer())
        hidden = tf.tanh(tf.matmul(features, kernel) + bias)
        outputs = tf.matmul(
            hidden, v1.get_variable("out", [2, 1], initializer=v1.ones_initializer())
        )
        return _spec(est, mode, outputs, labels, optimizer)

    return model_fn


def _embedding_model_fn(est: Any, optimizer: Callable[[], Any]) -> Callable[..., Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        table = np.linspace(-0.5, 0.5, 14, dtype=np.float32).reshape(7, 2)
        embedding = v1.get_variable("embedding", initializer=table)
        vectors = tf.reduce_mean(tf.nn.embedding_lookup(embedding, features), axis=1)
        return _spec(est, mode, tf.reduce_sum(vectors, axis=1, keepdims=True), labels, optimizer)

    return model_fn


def _spec(est: Any, mode: str, outputs: Any, labels: Any, optimizer: Callable[[], Any]) -> Any:
    if mode == est.ModeKeys.PREDICT:
        return est.EstimatorSpec(mode, predictions=outputs)
    loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
    if mode == est.ModeKeys.EVAL:
        return est.EstimatorSpec(mode, loss=loss)
    train_op = optimizer().minimize(loss, global_step=v1.train.get_global_step())
    return est.EstimatorSpec(mode, loss=loss, train_op=train_op)


def dense_data() -> tuple[Any, Any]:
    return tools.regression()


def embedding_data() -> tuple[Any, Any]:
    ids = np.array([[0, 1], [1, 1], [3, 4], [4, 0], [5, 3], [1, 5]], np.int64)
    return ids, np.array([[1.0], [-1.0], [0.5], [2.0], [0.0], [1.5]], np.float32)


KINDS = {
    "dense_momentum": (_dense_model_fn, momentum, dense_data),
    "dense_adam": (_dense_model_fn, adam, dense_data),
    "dense_ftrl": (_dense_model_fn, ftrl, dense_data),
    "dense_rmsprop": (_dense_model_fn, rmsprop, dense_data),
    "embedding_adagrad": (_embedding_model_fn, adagrad, embedding_data),
    "embedding_adam": (_embedding_model_fn, adam, embedding_data),
}


def estimator(est: Any, kind: str, model_dir: str) -> Any:
    """The estimator of one kind, for whatever the directory holds."""
    make, optimizer, _ = KINDS[kind]
    return est.Estimator(
        make(est, optimizer), config=est.RunConfig(model_dir, keep_checkpoint_max=2)
    )


def write(est: Any, model_dir: str, kind: str) -> None:
    """Seven steps, in two calls."""
    data = KINDS[kind][2]()
    for steps in (4, 3):
        estimator(est, kind, model_dir).train(tools.batches(*data), steps=steps)


def train_on(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    """What the directory evaluates to, ten more losses, and the state after them."""
    data, losses = KINDS[kind][2](), []
    resumed = estimator(est, kind, model_dir)
    input_fn = tools.batches(*data, epochs=1)
    before = resumed.evaluate(input_fn)
    rows = list(resumed.predict(input_fn))
    resumed.train(tools.batches(*data), hooks=[tools.losses_hook(est, losses)], steps=10)
    return {
        "before": tools.plain(before),
        "rows": tools.plain(rows),
        "losses": losses,
        "evaluated": tools.plain(resumed.evaluate(input_fn)),
        "variables": tools.checkpoint(model_dir),
        "state": tools.checkpoint_state(model_dir),
    }


def _resumed(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(STORED / kind, folder)
    return train_on(est, folder, kind)


MODEL_DIRS.update({kind: functools.partial(write, kind=kind) for kind in KINDS})
CASES.update({kind: functools.partial(_resumed, kind=kind) for kind in KINDS})


@CASES
def unreadable(est: Any, model_dir: str) -> dict[str, Any]:
    """A directory whose latest checkpoint lost its values is an error, never a fresh start."""
    folder = pathlib.Path(model_dir) / "copy"
    shutil.copytree(STORED / "dense_adam", folder)
    for file in folder.glob("model.ckpt-7.data-*"):
        file.write_bytes(b"")
    resumed = estimator(est, "dense_adam", str(folder))
    failed = tools.error(
        lambda: resumed.train(tools.batches(*dense_data()), steps=1), tf.errors.OpError
    )
    return {
        "failed": failed is not None,
        "files": sorted(file.name for file in folder.glob("*.index")),
    }


@CASES
def other_optimizer(est: Any, model_dir: str) -> dict[str, Any]:
    """Training on without the slots is an error; evaluating is not."""
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(STORED / "dense_momentum", folder)
    other = est.Estimator(_dense_model_fn(est, adam), folder)
    input_fn = tools.batches(*dense_data(), epochs=1)
    evaluated = tools.error(lambda: other.evaluate(input_fn), tf.errors.NotFoundError)
    failed = tools.error(
        lambda: other.train(tools.batches(*dense_data()), steps=1), tf.errors.NotFoundError
    )
    return {"evaluate": evaluated, "train": failed, "state": tools.checkpoint_state(folder)}
