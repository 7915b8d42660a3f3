"""Records in files, flags and logging of TensorFlow 1."""

from __future__ import print_function

import os

import numpy as np
import tensorflow as tf

flags = tf.flags
FLAGS = flags.FLAGS
flags.DEFINE_string("records_dir", None, "The model's directory")
flags.DEFINE_float("records_rate", 0.05, "The learning rate")

tf.logging.set_verbosity(tf.logging.WARN)


def write(path):
    random = np.random.RandomState(3)
    with tf.python_io.TFRecordWriter(path) as writer:
        for _ in range(20):
            x = random.rand(3)
            feature = {
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=x)),
                "y": tf.train.Feature(float_list=tf.train.FloatList(value=[x.sum()])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def parse(record):
    spec = {"x": tf.FixedLenFeature([3], tf.float32), "y": tf.FixedLenFeature([], tf.float32)}
    example = tf.parse_single_example(record, spec)
    return {"x": example["x"]}, example["y"]


def input_fn(path, epochs=None):
    dataset = tf.data.TFRecordDataset(path).map(parse)
    if epochs is None:
        dataset = dataset.repeat()
    return dataset.batch(5)


def model_fn(features, labels, mode):
    weights = tf.get_variable("weights", [3], initializer=tf.constant_initializer(0.5))
    scale = tf.Variable(1.0, name="scale")
    y = scale * tf.reduce_sum(weights * tf.log(1 + features["x"]), axis=1)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, {"y": y})
    loss = tf.losses.huber_loss(labels, y)
    if mode == tf.estimator.ModeKeys.EVAL:
        metrics = {"rmse": tf.metrics.root_mean_squared_error(labels, y)}
        return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)
    optimizer = tf.train.GradientDescentOptimizer(FLAGS.records_rate)
    gradients, variables = zip(*optimizer.compute_gradients(loss))
    gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
    train_op = optimizer.apply_gradients(
        zip(gradients, variables), tf.train.get_or_create_global_step()
    )
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def main(_):
    model_dir = FLAGS.records_dir
    path = os.path.join(model_dir, "data.tfrecord")
    if not tf.gfile.Exists(path):
        tf.gfile.MakeDirs(model_dir)
        write(path)
    config = tf.estimator.RunConfig(model_dir=model_dir, tf_random_seed=1)
    hooks = [tf.train.LoggingTensorHook({"loss": "huber_loss/value"}, every_n_iter=10)]
    model = tf.estimator.Estimator(model_fn, config=config)
    model.train(lambda: input_fn(path), hooks=hooks, steps=20)
    for name, value in sorted(model.evaluate(lambda: input_fn(path, 1)).items()):
        print(name, "%.5g" % value)


if __name__ == "__main__":
    flags.mark_flag_as_required("records_dir")
    tf.app.run()
