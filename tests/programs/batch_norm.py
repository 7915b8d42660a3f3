"""UPDATE_OPS: moving averages of batch statistics, updated by what the train op depends on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _moving(name: str, value: Any, initial: float, momentum: float) -> tuple[Any, Any]:
    """A moving average and the op that updates it."""
    average = v1.get_variable(
        name, value.shape, initializer=v1.constant_initializer(initial), trainable=False
    )
    return average, average.assign_sub((average.read_value() - value) * (1.0 - momentum))


def _normalized(inputs: Any, training: bool, momentum: float = 0.9) -> Any:
    """Batch normalisation of (batch, units) as written before there were layers for it."""
    units = inputs.shape[1:]
    with v1.variable_scope("batch_norm"):
        gamma = v1.get_variable("gamma", units, initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", units, initializer=v1.zeros_initializer())
        mean, variance = tf.nn.moments(inputs, axes=[0])
        moving_mean, update_mean = _moving("moving_mean", mean, 0.0, momentum)
        moving_variance, update_variance = _moving("moving_variance", variance, 1.0, momentum)
        if training:
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update_mean)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update_variance)
        else:
            mean, variance = moving_mean, moving_variance
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-3)


def _fused(inputs: Any, training: bool, momentum: float = 0.9) -> Any:
    """The same for (batch, units) by the fused kernel, which knows NHWC images."""
    images = tf.reshape(inputs, [-1, 1, 1, inputs.shape[1]])
    units = inputs.shape[1:]
    with v1.variable_scope("fused"):
        gamma = v1.get_variable("gamma", units, initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", units, initializer=v1.zeros_initializer())
        zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
        moving_mean = v1.get_variable("moving_mean", units, initializer=zeros, trainable=False)
        moving_variance = v1.get_variable(
            "moving_variance", units, initializer=ones, trainable=False
        )
        if not training:
            outputs, _, _ = v1.nn.fused_batch_norm(
                images, gamma, beta, moving_mean, moving_variance, epsilon=1e-3, is_training=False
            )
        else:
            outputs, mean, variance = v1.nn.fused_batch_norm(images, gamma, beta, epsilon=1e-3)
            for average, value in ((moving_mean, mean), (moving_variance, variance)):
                update = average.assign(average.read_value() * momentum + value * (1.0 - momentum))
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    return tf.reshape(outputs, tf.shape(inputs))


def _run(
    est: Any, model_dir: str, normalize: Callable[..., Any], depend: bool = True, steps: int = 6
) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        kernel = v1.get_variable(
            "kernel", initializer=np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
        )
        hidden = tf.nn.relu(normalize(tf.matmul(features, kernel), mode == est.ModeKeys.TRAIN))
        outputs = tf.matmul(
            hidden, v1.get_variable("out", [2, 1], initializer=v1.ones_initializer())
        )
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.identity(v1.losses.mean_squared_error(labels, outputs), name="the_loss")
        optimizer = v1.train.MomentumOptimizer(0.05, 0.9)
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS) if depend else []):
            train_op = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=steps
    )
    input_fn = tools.batches(*tools.regression(10), epochs=1)
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(input_fn)),
        "rows": tools.plain(list(estimator.predict(input_fn))),
        "variables": tools.checkpoint(model_dir),
    }


@CASES
def by_hand(est: Any, model_dir: str) -> dict[str, Any]:
    return _run(est, model_dir, _normalized)


@CASES
def fused(est: Any, model_dir: str) -> dict[str, Any]:
    return _run(est, model_dir, _fused)


@CASES
def updates_that_nobody_depends_on(est: Any, model_dir: str) -> dict[str, Any]:
    """The classical mistake: moving averages stay what they were."""
    return _run(est, model_dir, _normalized, depend=False)


@CASES
def tf_moving_averages(est: Any, model_dir: str) -> dict[str, Any]:
    """Statistics kept by `ExponentialMovingAverage` of tensors, read where not training."""

    def normalize(inputs: Any, training: bool) -> Any:
        mean, variance = tf.nn.moments(inputs, axes=[0])
        averages = tf.train.ExponentialMovingAverage(0.8)
        with v1.variable_scope("", reuse=v1.AUTO_REUSE):
            update = averages.apply([mean, variance])
        if training:
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        else:
            mean, variance = averages.average(mean), averages.average(variance)
        return tf.nn.batch_normalization(inputs, mean, variance, None, None, 1e-3)

    return _run(est, model_dir, normalize)


@CASES
def center_loss(est: Any, model_dir: str) -> dict[str, Any]:
    """Class centres that scatter_sub moves in UPDATE_OPS, as face-recognition programs do."""
    losses: list[float] = []
    x, y = tools.regression()
    classes = (y[:, 0] > 0).astype(np.int64)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        kernel = v1.get_variable(
            "kernel", initializer=np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
        )
        embedded = tf.matmul(features, kernel)
        centers = v1.get_variable(
            "centers", [2, 2], initializer=v1.zeros_initializer(), trainable=False
        )
        batch = tf.gather(centers, labels)
        loss = tf.identity(
            tf.nn.l2_loss(embedded - batch) + tf.nn.l2_loss(kernel - 1.0), name="the_loss"
        )
        with tf.control_dependencies([loss]):
            update = v1.scatter_sub(centers, labels, 0.3 * (batch - embedded))
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        optimizer = v1.train.GradientDescentOptimizer(0.05)
        pairs = optimizer.compute_gradients(loss)
        gradients = [gradient for gradient, _ in pairs]
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS) + gradients):
            train_op = optimizer.apply_gradients(pairs, global_step=v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(tools.batches(x, classes), hooks=[tools.losses_hook(est, losses)], steps=6)
    return {"losses": losses, "variables": tools.checkpoint(model_dir)}
