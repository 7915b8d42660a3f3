"""TF-Ranking: a groupwise scoring function with a ranking head."""

import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_ranking as tfr

draw = np.random.RandomState(0)
scores = draw.rand(32, 5, 1).astype("f4")
labels = np.round(4 * scores[:, :, 0])


def input_fn():
    features = {"score": scores}
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(8).repeat(20)


def score_fn(context_features, group_features, mode, params, config):
    del context_features, mode, params, config
    net = tf.compat.v1.layers.flatten(group_features["score"])
    return tf.compat.v1.layers.dense(net, 1)


def train_op_fn(loss):
    optimizer = tf.compat.v1.train.AdagradOptimizer(0.5)
    return optimizer.minimize(loss, global_step=tf.compat.v1.train.get_global_step())


head = tfr.head.create_ranking_head(
    tfr.losses.make_loss_fn("pairwise_logistic_loss"),
    {"ndcg": tfr.metrics.make_ranking_metric_fn("ndcg")},
    train_op_fn=train_op_fn,
)
model_fn = tfr.model.make_groupwise_ranking_fn(
    score_fn,
    group_size=1,
    transform_fn=lambda features, mode: ({}, features),
    ranking_head=head,
)
ranker = tf.estimator.Estimator(model_fn, model_dir=tempfile.mkdtemp())
ranker.train(input_fn)
results = ranker.evaluate(input_fn, steps=4)
assert results["ndcg"] > 0.9, results
print({key: float(value) for key, value in results.items()})
