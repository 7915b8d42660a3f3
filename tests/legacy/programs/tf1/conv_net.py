"""Digits with a convolutional network: tf.layers, batch normalization, UPDATE_OPS, a log."""

import json

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.INFO)
flags = tf.app.flags
flags.DEFINE_string("model_dir", "/tmp/conv_net", "Where the checkpoints go.")
flags.DEFINE_integer("steps", 20, "Training steps.")
flags.DEFINE_float("learning_rate", 0.01, "Learning rate.")
FLAGS = flags.FLAGS


def cnn_model_fn(features, labels, mode):
    training = mode == tf.estimator.ModeKeys.TRAIN
    net = tf.reshape(features["x"], [-1, 12, 12, 1])
    for i, filters in enumerate([4, 8]):
        with tf.variable_scope("block_%d" % i):
            net = tf.layers.conv2d(
                net,
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=tf.glorot_uniform_initializer(seed=i),
                kernel_regularizer=tf.keras.regularizers.l2(1e-3),
            )
            net = tf.layers.batch_normalization(net, momentum=0.9, training=training)
            net = tf.nn.relu(net)
            net = tf.layers.max_pooling2d(net, 2, 2)
    net = tf.layers.flatten(net)
    start = tf.variance_scaling_initializer(seed=4)
    net = tf.layers.dense(net, 16, activation=tf.nn.relu, name="fc", kernel_initializer=start)
    net = tf.layers.dropout(net, rate=0.2, training=training, seed=5)
    logits = tf.layers.dense(net, 3, name="logits", kernel_initializer=start)
    predictions = {
        "classes": tf.argmax(input=logits, axis=1),
        "probabilities": tf.nn.softmax(logits, name="softmax_tensor"),
    }
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode=mode, predictions=predictions)

    loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
    loss += tf.losses.get_regularization_loss()
    accuracy = tf.metrics.accuracy(labels, predictions["classes"])
    tf.identity(accuracy[1], name="train_accuracy")
    tf.summary.scalar("train_accuracy", accuracy[1])
    if training:
        optimizer = tf.train.MomentumOptimizer(FLAGS.learning_rate, 0.9)
        update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        with tf.control_dependencies(update_ops):
            train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)
    return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})


def load_data():
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 120).astype(np.int32)
    images = (rng.rand(120, 144) + labels[:, None] * 0.3).astype(np.float32)
    return (images[:96], labels[:96]), (images[96:], labels[96:])


def main(unused_argv):
    (train_x, train_y), (eval_x, eval_y) = load_data()
    classifier = tf.estimator.Estimator(
        model_fn=cnn_model_fn,
        model_dir=FLAGS.model_dir,
        config=tf.estimator.RunConfig(tf_random_seed=1, save_summary_steps=5),
    )
    logging_hook = tf.train.LoggingTensorHook({"probabilities": "softmax_tensor"}, every_n_iter=10)
    train_input_fn = tf.estimator.inputs.numpy_input_fn(
        {"x": train_x}, train_y, batch_size=16, num_epochs=None, shuffle=False
    )
    classifier.train(input_fn=train_input_fn, steps=FLAGS.steps, hooks=[logging_hook])
    eval_input_fn = tf.estimator.inputs.numpy_input_fn(
        {"x": eval_x}, eval_y, num_epochs=1, shuffle=False
    )
    results = classifier.evaluate(input_fn=eval_input_fn)
    rows = list(classifier.predict(eval_input_fn))
    moving = classifier.get_variable_value("block_0/batch_normalization/moving_variance")
    answer = {
        "evaluated": {key: float(value) for key, value in results.items()},
        "classes": [int(row["classes"]) for row in rows],
        "probabilities": rows[0]["probabilities"].tolist(),
        "moving_variance": moving.tolist(),
    }
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    tf.app.run()
