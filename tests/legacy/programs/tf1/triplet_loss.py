"""Embeddings with a batch-hard triplet loss: object params, a bare tensor as features."""

import argparse
import json

import numpy as np
import tensorflow as tf


class Params:
    """Hyperparameters, read from JSON."""

    def __init__(self, text):
        self.__dict__.update(json.loads(text))

    @property
    def dict(self):
        return self.__dict__


def pairwise_distances(embeddings):
    product = tf.matmul(embeddings, tf.transpose(embeddings))
    square_norm = tf.diag_part(product)
    distances = square_norm[None, :] - 2.0 * product + square_norm[:, None]
    return tf.maximum(distances, 0.0)


def batch_hard_triplet_loss(labels, embeddings, margin):
    distances = pairwise_distances(embeddings)
    same = tf.equal(labels[None, :], labels[:, None])
    positive = tf.logical_and(same, tf.logical_not(tf.cast(tf.eye(tf.shape(labels)[0]), tf.bool)))
    hardest_positive = tf.reduce_max(tf.to_float(positive) * distances, axis=1, keepdims=True)
    tf.summary.scalar("hardest_positive_dist", tf.reduce_mean(hardest_positive))
    largest = tf.reduce_max(distances, axis=1, keepdims=True)
    hardest_negative = tf.reduce_min(distances + largest * tf.to_float(same), axis=1, keepdims=True)
    return tf.reduce_mean(tf.maximum(hardest_positive - hardest_negative + margin, 0.0))


def model_fn(features, labels, mode, params):
    images = tf.reshape(features, [-1, params.image_size])
    tf.summary.histogram("pixels", images)
    with tf.variable_scope("model"):
        hidden = tf.layers.dense(
            images, 8, tf.nn.tanh, kernel_initializer=tf.glorot_uniform_initializer(seed=2)
        )
        embeddings = tf.layers.dense(
            hidden,
            params.embedding_size,
            use_bias=False,
            kernel_initializer=tf.glorot_uniform_initializer(seed=3),
        )
    embedding_mean_norm = tf.reduce_mean(tf.norm(embeddings, axis=1))
    tf.summary.scalar("embedding_mean_norm", embedding_mean_norm)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode=mode, predictions={"embeddings": embeddings})
    labels = tf.cast(labels, tf.int64)
    loss = batch_hard_triplet_loss(labels, embeddings, margin=params.margin)
    if mode == tf.estimator.ModeKeys.EVAL:
        with tf.variable_scope("metrics"):
            metrics = {"embedding_mean_norm": tf.metrics.mean(embedding_mean_norm)}
        return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)
    tf.summary.scalar("loss", loss)
    global_step = tf.train.get_global_step()
    rate = tf.train.exponential_decay(params.learning_rate, global_step, 10, 0.5, staircase=True)
    train_op = tf.train.AdamOptimizer(rate).minimize(loss, global_step=global_step)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn(images, labels, params, epochs):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.repeat(epochs).batch(params.batch_size).prefetch(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="experiments/base_model")
    args = parser.parse_args()
    tf.reset_default_graph()
    tf.logging.set_verbosity(tf.logging.INFO)
    text = '{"image_size": 9, "embedding_size": 3, "margin": 0.5, "learning_rate": 0.02, '
    params = Params(text + '"batch_size": 12, "num_steps": 20}')
    rng = np.random.RandomState(3)
    labels = rng.randint(0, 4, 60)
    images = (rng.rand(60, 9) + labels[:, None] / 4.0).astype(np.float32)
    config = tf.estimator.RunConfig(
        tf_random_seed=230, model_dir=args.model_dir, save_summary_steps=5
    )
    estimator = tf.estimator.Estimator(model_fn, params=params, config=config)
    estimator.train(lambda: input_fn(images, labels, params, None), steps=params.num_steps)
    results = estimator.evaluate(lambda: input_fn(images, labels, params, 1))
    answer = {key: float(results[key]) for key in results}
    rows = estimator.predict(lambda: input_fn(images, labels, params, 1))
    answer["embeddings"] = [next(rows)["embeddings"].tolist() for _ in range(3)]
    tags = set()
    for path in tf.gfile.Glob(args.model_dir + "/events.out.tfevents.*"):
        for event in tf.train.summary_iterator(path):
            tags.update(value.tag for value in event.summary.value)
    answer["tags"] = sorted(tags)
    print("RESULT", json.dumps(answer))
