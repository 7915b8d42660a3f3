"""Learning to rank: a custom head with a pairwise loss, a Keras scorer."""

import argparse
import json

import numpy as np
import tensorflow as tf

parser = argparse.ArgumentParser(description="Ranking of lists of documents.")
parser.add_argument("--model_dir", default="/tmp/ranking")
parser.add_argument("--list_size", type=int, default=5)


class RankingHead(tf.estimator.Head):
    """A head for lists: logits and labels are [batch_size, list_size]."""

    def __init__(self, loss_fn, name=None):
        self._loss_fn, self._name = loss_fn, name

    @property
    def name(self):
        return self._name

    @property
    def logits_dimension(self):
        return 1

    @property
    def loss_reduction(self):
        return tf.keras.losses.Reduction.SUM_OVER_BATCH_SIZE

    def loss(self, labels, logits, features=None, mode=None, regularization_losses=None):
        losses = [self._loss_fn(labels, logits)] + list(regularization_losses or [])
        return tf.add_n(losses)

    def predictions(self, logits, keys=None):
        return {"scores": logits}

    def metrics(self, regularization_losses=None):
        return {
            "mrr": tf.keras.metrics.Mean(name="mrr"),
            "labels_mean": tf.keras.metrics.Mean(name="labels_mean"),
        }

    def update_metrics(self, eval_metrics, features, logits, labels, **kwargs):
        best = tf.gather(labels, tf.argmax(logits, axis=1), batch_dims=1)
        eval_metrics["mrr"].update_state(tf.cast(best >= tf.reduce_max(labels, 1), tf.float32))
        eval_metrics["labels_mean"].update_state(labels)
        return eval_metrics

    def create_estimator_spec(self, features, mode, logits, labels=None, optimizer=None, **kwargs):
        if mode == tf.estimator.ModeKeys.PREDICT:
            outputs = {"serving_default": tf.estimator.export.RegressionOutput(logits)}
            predictions = self.predictions(logits)
            return tf.estimator.EstimatorSpec(mode, predictions, export_outputs=outputs)
        losses = kwargs.get("regularization_losses")
        loss = self.loss(labels, logits, features, mode, losses)
        if mode == tf.estimator.ModeKeys.EVAL:
            metrics = self.update_metrics(self.metrics(), features, logits, labels)
            return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)
        step = tf.compat.v1.train.get_global_step()
        train_op = optimizer.minimize(loss, global_step=step)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def pairwise_logistic(labels, logits):
    differences = logits[:, :, None] - logits[:, None, :]
    is_better = tf.cast(labels[:, :, None] > labels[:, None, :], tf.float32)
    losses = tf.nn.softplus(-differences) * is_better
    return tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(is_better), 1.0)


def make_scorer():
    inputs = [tf.keras.Input((3,), name="query"), tf.keras.Input((4,), name="document")]
    net = tf.keras.layers.Concatenate()(inputs)
    rng = np.random.RandomState(0)
    for units, size in ((6, 7), (1, 6)):
        kernel = tf.constant_initializer(rng.normal(0, 0.4, (size, units)))
        net = tf.keras.layers.Dense(
            units, kernel_initializer=kernel, kernel_regularizer=tf.keras.regularizers.l2(0.01)
        )(net)
        if units > 1:
            net = tf.keras.layers.BatchNormalization(momentum=0.8)(tf.keras.layers.ReLU()(net))
    return tf.keras.Model(inputs, net)


def model_fn(features, labels, mode, params):
    scorer = make_scorer()
    size = params["list_size"]
    query = tf.repeat(features["query"], size, axis=0)
    document = tf.reshape(features["document"], [-1, 4])
    training = mode == tf.estimator.ModeKeys.TRAIN
    logits = tf.reshape(scorer([query, document], training=training), [-1, size])
    optimizer = tf.compat.v1.train.AdagradOptimizer(0.3)
    with tf.control_dependencies(scorer.get_updates_for([query, document]) if training else []):
        logits = tf.identity(logits)
    return params["head"].create_estimator_spec(
        features, mode, logits, labels, optimizer, regularization_losses=scorer.losses
    )


def input_fn(list_size, epochs=1):
    rng = np.random.RandomState(2)
    query = rng.rand(24, 3).astype(np.float32)
    document = rng.rand(24, list_size, 4).astype(np.float32)
    relevance = np.floor(3 * document[:, :, 0] * (query[:, :1] + 0.5)).astype(np.float32)
    features = {"query": query, "document": document}
    return tf.data.Dataset.from_tensor_slices((features, relevance)).repeat(epochs).batch(8)


if __name__ == "__main__":
    args = parser.parse_args()
    params = {"head": RankingHead(pairwise_logistic), "list_size": args.list_size}
    ranker = tf.estimator.Estimator(model_fn, args.model_dir, params=params)
    ranker.train(lambda: input_fn(args.list_size, 8))
    results = ranker.evaluate(lambda: input_fn(args.list_size))
    answer = {key: float(value) for key, value in sorted(results.items())}
    rows = ranker.predict(lambda: input_fn(args.list_size))
    answer["scores"] = [next(rows)["scores"].tolist() for _ in range(2)]
    print("RESULT", json.dumps(answer))
