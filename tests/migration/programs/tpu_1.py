"""A TPUEstimator without a TPU, as programs of TensorFlow 1 have it."""

import sys

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)


def metric_fn(labels, y):
    return {"error": tf.metrics.mean_absolute_error(labels, y)}


def model_fn(features, labels, mode, params):
    weight = tf.get_variable("weight", [], initializer=tf.constant_initializer(0.5))
    y = weight * features["x"]
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.contrib.tpu.TPUEstimatorSpec(mode, predictions={"y": y})
    loss = tf.losses.mean_squared_error(labels, y)
    if mode == tf.estimator.ModeKeys.EVAL:
        return tf.contrib.tpu.TPUEstimatorSpec(
            mode, loss=loss, eval_metrics=(metric_fn, [labels, y])
        )
    optimizer = tf.train.AdamOptimizer(params["rate"])
    if params["use_tpu"]:
        optimizer = tf.contrib.tpu.CrossShardOptimizer(optimizer)
    train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())
    return tf.contrib.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn(params):
    x = np.linspace(0, 1, 32).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(({"x": x}, 3 * x))
    return dataset.repeat().batch(params["batch_size"], drop_remainder=True)


def main(model_dir):
    config = tf.contrib.tpu.RunConfig(
        model_dir=model_dir,
        tf_random_seed=1,
        tpu_config=tf.contrib.tpu.TPUConfig(iterations_per_loop=5),
    )
    estimator = tf.contrib.tpu.TPUEstimator(
        model_fn,
        config=config,
        use_tpu=False,
        train_batch_size=8,
        eval_batch_size=8,
        params={"rate": 0.1, "use_tpu": False},
    )
    estimator.train(input_fn, steps=20)
    for name, value in sorted(estimator.evaluate(input_fn, steps=4).items()):
        print("%s %.5g" % (name, value))


if __name__ == "__main__":
    main(sys.argv[1])
