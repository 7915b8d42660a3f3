"""TF 1 code in a TF 2 script, through tf.compat.v1, with eager execution on: an autoencoder."""

from __future__ import annotations

import argparse
import json
import logging

import numpy as np
import tensorflow as tf
from tensorflow import estimator as tf_estimator
from tensorflow.compat.v1 import logging as tf_logging

tf_logging.set_verbosity(tf_logging.INFO)
logging.getLogger("tensorflow").propagate = False


class LossHistory(tf_estimator.SessionRunHook):
    """Records the loss of each step."""

    def __init__(self, name: str) -> None:
        self.name, self.losses = name, []

    def before_run(self, run_context):
        loss = run_context.session.graph.get_tensor_by_name(self.name)
        return tf.compat.v1.train.SessionRunArgs(loss)

    def after_run(self, run_context, run_values) -> None:
        self.losses.append(float(run_values.results))


def autoencoder_fn(features, labels, mode, params):
    del labels
    x = features["x"] if isinstance(features, dict) else features[0]
    with tf.compat.v1.variable_scope("auto", reuse=tf.compat.v1.AUTO_REUSE):
        kernel = tf.compat.v1.get_variable(
            "kernel",
            shape=[x.shape[1], params["units"]],
            initializer=tf.compat.v1.glorot_uniform_initializer(seed=3),
            regularizer=tf.keras.regularizers.l2(0.001),
            partitioner=tf.compat.v1.fixed_size_partitioner(2),
        )
        kernel = tf.convert_to_tensor(kernel)
        code = tf.nn.tanh(tf.matmul(x, kernel), name="code")
        output = tf.matmul(code, kernel, transpose_b=True)
    if mode == tf_estimator.ModeKeys.PREDICT:
        return tf_estimator.EstimatorSpec(mode, predictions={"code": code})
    reconstruction = tf.compat.v1.losses.mean_squared_error(x, output)
    loss = tf.identity(tf.compat.v1.losses.get_total_loss(), name="total")
    # Loss of shape [1], as old code has it.
    loss = tf.reshape(loss, [1])
    optimizer = tf.compat.v1.train.RMSPropOptimizer(0.01, momentum=0.5, centered=True)
    train_op = optimizer.minimize(loss, global_step=tf.compat.v1.train.get_or_create_global_step())
    error = tf.compat.v1.metrics.mean_absolute_error(x, output)
    streaming = tf.compat.v1.metrics.mean(reconstruction)
    tf.compat.v1.summary.scalar("error", error[1])
    return tf_estimator.EstimatorSpec(
        mode=mode,
        predictions={"code": code},
        loss=loss,
        train_op=train_op,
        eval_metric_ops={"mae": error, "reconstruction": streaming},
    )


def input_fn(params):
    rng = np.random.RandomState(9)
    data = rng.rand(50, 6).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(((data,), data)).batch(params["batch_size"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/compat_v1")
    args = parser.parse_args()
    assert tf.executing_eagerly()
    params = {"units": 3, "batch_size": 10}
    config = tf_estimator.RunConfig(
        session_config=tf.compat.v1.ConfigProto(allow_soft_placement=True),
        log_step_count_steps=None,
    )
    model = tf_estimator.Estimator(autoencoder_fn, args.model_dir, config, params)
    history = LossHistory("total:0")
    for _ in range(3):
        model.train(input_fn, hooks=[history])
    results = model.evaluate(lambda: ({"x": np.eye(6, dtype=np.float32)}, None), steps=1)
    codes = [row["code"].tolist() for row in model.predict(input_fn)]
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer.update(losses=history.losses, code=codes[0])
    answer["kernel"] = model.get_variable_value("auto/kernel").tolist()
    print("RESULT", json.dumps(answer))


if __name__ == "__main__":
    main()
