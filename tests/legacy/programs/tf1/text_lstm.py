"""Sentiment of texts: a lookup table, tf.nn.rnn_cell, dynamic_rnn, padded batches."""

from __future__ import print_function

import argparse
import json

import numpy as np
import tensorflow as tf

WORDS = ["good", "bad", "fine", "awful", "movie", "plot", "a", "the", "was", "<unk>"]


def parse_line(line, label):
    tokens = tf.string_split([line]).values
    return {"tokens": tokens, "length": tf.size(tokens)}, label


def input_fn(lines, labels, batch_size, epochs):
    dataset = tf.data.Dataset.from_tensor_slices((lines, labels))
    dataset = dataset.map(parse_line).repeat(epochs)
    shapes = ({"tokens": [None], "length": ()}, ())
    padding = ({"tokens": "<pad>", "length": 0}, 0)
    dataset = dataset.padded_batch(batch_size, shapes, padding)
    return dataset.make_one_shot_iterator().get_next()


def model_fn(features, labels, mode, params):
    values = tf.range(len(params["vocab"]), dtype=tf.int64)
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(params["vocab"], values), len(params["vocab"]) - 1
    )
    ids = table.lookup(features["tokens"])
    rng = np.random.RandomState(7)
    pretrained = rng.uniform(-1, 1, (len(params["vocab"]), 6)).astype(np.float32)
    embedding = tf.get_variable("embedding", initializer=pretrained)
    inputs = tf.nn.embedding_lookup(embedding, ids)

    with tf.variable_scope("encoder", initializer=tf.constant_initializer(0.1)):
        cells = [tf.nn.rnn_cell.LSTMCell(size) for size in params["sizes"]]
        cells = [
            tf.nn.rnn_cell.DropoutWrapper(cell, output_keep_prob=params["keep"]) for cell in cells
        ]
        cell = tf.nn.rnn_cell.MultiRNNCell(cells)
        _, state = tf.nn.dynamic_rnn(
            cell, inputs, sequence_length=features["length"], dtype=tf.float32
        )
    last = state[-1].h
    with tf.variable_scope("backward"):
        backward = tf.nn.rnn_cell.GRUCell(4, kernel_initializer=tf.constant_initializer(0.05))
        _, reverse = tf.nn.dynamic_rnn(
            backward,
            tf.reverse_sequence(inputs, features["length"], seq_axis=1),
            features["length"],
            dtype=tf.float32,
        )
    last = tf.concat([last, reverse], axis=1)
    logits = tf.layers.dense(last, 1, kernel_initializer=tf.constant_initializer(0.2))
    probability = tf.sigmoid(tf.squeeze(logits, 1))
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, {"probability": probability, "ids": ids})
    labels = tf.cast(labels, tf.float32)
    loss = tf.losses.sigmoid_cross_entropy(labels[:, None], logits)
    metrics = {
        "accuracy": tf.metrics.accuracy(labels, tf.round(probability)),
        "auc": tf.metrics.auc(labels, probability),
    }
    variables = tf.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 1.0)
    optimizer = tf.train.AdamOptimizer(params["rate"])
    train_op = optimizer.apply_gradients(zip(gradients, variables), tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, None, loss, train_op, metrics)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/text_lstm")
    args = parser.parse_args()
    lines = ["the movie was good", "awful plot", "a fine movie", "the plot was so bad", "good"]
    labels = [1, 0, 1, 0, 1]
    params = {"vocab": WORDS, "sizes": [5, 4], "keep": 1.0, "rate": 0.05}
    estimator = tf.estimator.Estimator(model_fn, args.model_dir, params=params)
    estimator.train(lambda: input_fn(lines, labels, 2, None), steps=15)
    results = estimator.evaluate(lambda: input_fn(lines, labels, 5, 1))
    rows = list(estimator.predict(lambda: input_fn(lines, labels, 1, 1)))
    answer = {key: float(value) for key, value in results.items()}
    answer["probabilities"] = [float(row["probability"]) for row in rows]
    answer["ids"] = [row["ids"].tolist() for row in rows]
    print("RESULT", json.dumps(answer))
