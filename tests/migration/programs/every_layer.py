"""Every function of tf.layers with variables, with names of all kinds."""

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)


def tower(x, units):
    """Two dense layers without names, in whatever variable scope this is called."""
    for size in units:
        x = tf.layers.dense(x, size, tf.nn.tanh)
    return x


def model_fn(features, labels, mode, params):
    training = mode == tf.estimator.ModeKeys.TRAIN
    x = features["x"]
    with tf.variable_scope("twins", reuse=tf.AUTO_REUSE):
        left = tower(x, params["units"])
    with tf.variable_scope("twins", reuse=tf.AUTO_REUSE):
        right = tower(-x, params["units"])
    with tf.variable_scope("other"):
        other = tower(x, params["units"][:1])
        other = tf.layers.batch_normalization(other, training=training, momentum=0.9)
        with tf.variable_scope("inner"):
            other = tf.layers.dense(other, 3, use_bias=False)
    net = tf.layers.dense(tf.concat([left, right, other], 1), 16, name="mixed")
    net = tf.layers.dense(net, 16, activation="relu")
    image = tf.reshape(net, [-1, 4, 4, 1])
    image = tf.layers.separable_conv2d(image, 2, (3, 3), padding="same", name="separable")
    image = tf.layers.conv2d_transpose(image, 2, 2, strides=2, padding="valid")
    image = tf.layers.batch_normalization(image, fused=False, training=training)
    image = tf.layers.average_pooling2d(image, pool_size=2, strides=2)
    volume = tf.layers.conv3d(
        tf.expand_dims(image, -1), 2, [2, 2, 2], activation=tf.nn.tanh, name="volume"
    )
    volume = tf.layers.conv3d_transpose(volume, 1, 2)
    volume = tf.layers.max_pooling3d(volume, [2, 2, 1], [1, 1, 1])
    line = tf.layers.conv1d(tf.reshape(volume, [-1, 9, 2]), 3, kernel_size=2, dilation_rate=2)
    line = tf.layers.separable_conv1d(line, 3, 2, depth_multiplier=2)
    line = tf.layers.max_pooling1d(line, 2, 2)
    output_layer = tf.layers.Dense(1, kernel_initializer=tf.ones_initializer(), name="out")
    y = tf.squeeze(output_layer(tf.layers.flatten(line)), squeeze_dims=[1])
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.losses.mean_squared_error(labels, y)
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.003, step, 10, 0.9)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(updates):
        train_op = tf.train.MomentumOptimizer(rate, 0.9).minimize(loss, step)
    metrics = {"error": tf.metrics.mean_absolute_error(labels, y)}
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def main(argv):
    x = np.linspace(-1, 1, 96).reshape(32, 3).astype(np.float32)
    y = np.sin(3 * x).sum(axis=1).astype(np.float32)
    train_input_fn = tf.estimator.inputs.numpy_input_fn(
        {"x": x}, y, batch_size=8, num_epochs=None, shuffle=False
    )
    eval_input_fn = tf.estimator.inputs.numpy_input_fn({"x": x}, y, batch_size=8, shuffle=False)
    regressor = tf.estimator.Estimator(
        model_fn, argv[1], tf.estimator.RunConfig(tf_random_seed=1), params={"units": [4, 4]}
    )
    regressor.train(train_input_fn, steps=10)
    for name, value in sorted(regressor.evaluate(eval_input_fn).items()):
        print("%s %.5g" % (name, value))
    print(["%.4f" % row["y"] for row in regressor.predict(eval_input_fn)][:6])
    print(regressor.get_variable_names())


if __name__ == "__main__":
    tf.app.run()
