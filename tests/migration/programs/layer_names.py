"""Layers whose names are easily got wrong: given, counted, shared, in scopes of many kinds."""

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)


def blocks(x):
    with tf.variable_scope(None, default_name="block"):
        x = tf.layers.dense(x, 2)
        with tf.name_scope("no_scope_of_variables"):
            return tf.layers.dense(x, 2, name="last")


def model_fn(features, labels, mode):
    x = tf.layers.dense(features["x"], 3, name="first")
    x = tf.layers.dense(x, 3)
    x = tf.layers.dense(x, 3, name="third")
    for _ in range(3):
        x = tf.layers.dense(x, 3, activation=tf.nn.tanh)
    x = blocks(blocks(x))
    with tf.variable_scope("convolved"):
        x = tf.layers.dense(x, 4, use_bias=False)
    x = tf.layers.flatten(tf.layers.conv1d(tf.expand_dims(x, 2), 1, 2))
    with tf.variable_scope("shared") as scope:
        left = tf.layers.dense(x, 2, name="one")
        scope.reuse_variables()
        right = tf.layers.dense(x + 1, 2, name="one")
    with tf.variable_scope(scope, reuse=True):
        more = tf.layers.dense(x - 1, 2, name="one")
    layer = tf.layers.Dense(1, name="twice")
    y = layer(left) + layer(right) - layer(more)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.losses.mean_squared_error(labels, y)
    train_op = tf.train.AdagradOptimizer(0.01).minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def main(argv):
    x = np.linspace(-1, 1, 32).reshape(16, 2).astype(np.float32)
    inputs = tf.estimator.inputs.numpy_input_fn
    model = tf.estimator.Estimator(model_fn, argv[1], tf.estimator.RunConfig(tf_random_seed=1))
    model.train(inputs({"x": x}, x[:, :1] ** 2, 8, num_epochs=None, shuffle=False), steps=10)
    results = model.evaluate(inputs({"x": x}, x[:, :1] ** 2, 8, shuffle=False))
    print("%d %.5g" % (results["global_step"], results["loss"]))
    print([name for name in model.get_variable_names() if "Adagrad" not in name])


if __name__ == "__main__":
    tf.app.run()
