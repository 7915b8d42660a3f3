"""Squares of eight by eight, with a convolutional network in the style of TensorFlow 1."""

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)


def model_fn(features, labels, mode, params):
    training = mode == tf.estimator.ModeKeys.TRAIN
    images = tf.reshape(features["image"], [-1, 8, 8, 1])
    with tf.variable_scope("body"):
        net = tf.layers.conv2d(images, 4, 3, padding="SAME", activation=tf.nn.relu)
        net = tf.layers.batch_normalization(net, training=training)
        net = tf.layers.max_pooling2d(net, 2, 2)
        net = tf.layers.conv2d(
            inputs=net,
            filters=8,
            kernel_size=[3, 3],  # small
            kernel_initializer=tf.truncated_normal_initializer(stddev=0.1),
            kernel_regularizer=tf.contrib.layers.l2_regularizer(0.01),
        )
    net = tf.layers.flatten(net)
    net = tf.layers.dense(net, 16, activation=tf.nn.relu)
    net = tf.layers.dropout(net, rate=params["rate"], training=training)
    logits = tf.layers.dense(net, 10, name="logits")
    classes = tf.argmax(logits, axis=1)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"classes": classes})
    loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
    loss += tf.losses.get_regularization_loss()
    if mode == tf.estimator.ModeKeys.EVAL:
        accuracy = tf.metrics.accuracy(labels, classes)
        return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})
    optimizer = tf.train.AdamOptimizer(0.01)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(update_ops):
        train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())
    tf.summary.scalar("accuracy", tf.reduce_mean(tf.to_float(tf.equal(classes, labels))))
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def main(argv):
    random = np.random.RandomState(0)
    images = random.rand(64, 64).astype(np.float32)
    labels = images[:, :10].argmax(axis=1).astype(np.int64)
    train_input_fn = tf.estimator.inputs.numpy_input_fn(
        {"image": images}, labels, batch_size=16, num_epochs=None, shuffle=False
    )
    eval_input_fn = tf.estimator.inputs.numpy_input_fn(
        {"image": images}, labels, batch_size=16, shuffle=False
    )
    config = tf.estimator.RunConfig(tf_random_seed=1)
    classifier = tf.estimator.Estimator(model_fn, argv[1], config=config, params={"rate": 0.0})
    classifier.train(train_input_fn, steps=10)
    for name, value in sorted(classifier.evaluate(eval_input_fn).items()):
        print("%s %.5g" % (name, value))
    rows = classifier.predict(eval_input_fn)
    print([int(next(rows)["classes"]) for _ in range(10)])


if __name__ == "__main__":
    tf.app.run()
