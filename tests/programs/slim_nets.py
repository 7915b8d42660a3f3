"""Networks of `tf_slim`: names and numbers of the first steps, with batch normalization.

`tf_slim` looks for names that TensorFlow has moved. `kestimator.legacy.contrib.install` puts them
in place; for the original, `_repaired` does.
"""

import importlib
import sys
import types
from typing import Any

import numpy as np
import tensorflow as tf
import tf_slim as slim

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _repaired() -> None:
    """Gives `tf_slim` what it looks for in TensorFlow 2.15."""
    name = "tf_keras.legacy_tf_layers.normalization"
    if not tf.__version__.startswith("2.15.") or name in sys.modules:
        return
    for package in ("tf_keras", "tf_keras.legacy_tf_layers"):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = []
    sys.modules[name] = importlib.import_module("keras.src.legacy_tf_layers.normalization")
    path = "tensorflow.python"
    framework = importlib.import_module(f"{path}.framework.ops")
    framework.Tensor, framework.IndexedSlices = tf.Tensor, tf.IndexedSlices
    control_flow = importlib.import_module(f"{path}.ops.control_flow_ops")
    for function in ("Assert", "case", "cond", "while_loop"):
        setattr(control_flow, function, getattr(v1, function))


def _wave(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
    """An initializer without random numbers."""
    del partition_info
    values = np.sin(np.arange(np.prod(shape))).reshape(shape) / 2
    return tf.constant(values, dtype or tf.float32)


def _images() -> Any:
    random = np.random.RandomState(0)
    images = random.uniform(size=(12, 6, 6, 2)).astype(np.float32)
    return tools.batches(images, random.randint(0, 3, 12))


def _conv_net(images: Any, is_training: bool) -> Any:
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_initializer=_wave,
        weights_regularizer=slim.l2_regularizer(0.01),
        normalizer_fn=slim.batch_norm,
        normalizer_params={"is_training": is_training, "decay": 0.9},
    ):
        net = slim.conv2d(images, 4, [3, 3], scope="conv1")
        net = slim.max_pool2d(net, [2, 2], scope="pool1")
        net = slim.repeat(net, 2, slim.conv2d, 4, [3, 3], scope="conv2")
        net = slim.fully_connected(slim.flatten(net), 5, scope="fc")
        net = slim.dropout(net, 1.0, is_training=is_training)
        return slim.fully_connected(net, 3, activation_fn=None, normalizer_fn=None, scope="logits")


def _run(est: Any, model_dir: str, train_op_of: Any) -> dict[str, Any]:
    _repaired()
    losses: list[float] = []
    collections = {}

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        is_training = mode == est.ModeKeys.TRAIN
        logits = _conv_net(features, is_training)
        v1.losses.sparse_softmax_cross_entropy(labels, logits)
        loss = tf.identity(v1.losses.get_total_loss(), name="the_loss")
        if not is_training:
            accuracy = slim.metrics.streaming_accuracy(tf.argmax(logits, 1), labels)
            return est.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})
        model_variables = v1.get_collection(v1.GraphKeys.MODEL_VARIABLES)
        collections["model_variables"] = [variable.name for variable in model_variables]
        collections["update_ops"] = len(v1.get_collection(v1.GraphKeys.UPDATE_OPS))
        collections["regularization"] = len(v1.losses.get_regularization_losses())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op_of(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(_images(), steps=3, hooks=[tools.losses_hook(est, losses)])
    return {
        "losses": losses,
        "collections": collections,
        "variables": tools.checkpoint(model_dir),
        "evaluation": tools.plain(estimator.evaluate(_images(), steps=3)),
    }


@CASES
def update_ops(est: Any, model_dir: str) -> dict[str, Any]:
    """The train op depends on the updates."""

    def train_op(loss: Any) -> Any:
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, v1.train.get_global_step())

    return _run(est, model_dir, train_op)


@CASES
def create_train_op(est: Any, model_dir: str) -> dict[str, Any]:
    """`tf_slim` makes the train op, with clipped gradients."""

    def train_op(loss: Any) -> Any:
        optimizer = v1.train.AdamOptimizer(0.01)
        return slim.learning.create_train_op(loss, optimizer, clip_gradient_norm=1.0)

    return _run(est, model_dir, train_op)


@CASES
def optimize_loss(est: Any, model_dir: str) -> dict[str, Any]:
    """The same by `optimize_loss`, with a learning rate that decays."""

    def train_op(loss: Any) -> Any:
        return slim.optimize_loss(
            loss,
            v1.train.get_global_step(),
            0.1,
            "SGD",
            clip_gradients=1.0,
            learning_rate_decay_fn=lambda rate, step: v1.train.exponential_decay(
                rate, step, 1, 0.5
            ),
        )

    return _run(est, model_dir, train_op)
