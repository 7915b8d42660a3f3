"""A program of TF 1 with `tf.contrib` runs unmodified, to the end."""

import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib import rnn
from tensorflow.contrib.training import HParams

hparams = HParams(rate=0.1, units=[4])
hparams.parse("rate=0.2")


def model_fn(features, labels, mode, params):
    is_training = mode == tf.estimator.ModeKeys.TRAIN
    scope = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": is_training}}
    with slim.arg_scope([slim.fully_connected], **scope):
        net = slim.fully_connected(features["x"], 5, weights_regularizer=slim.l2_regularizer(0.01))
    net = slim.dropout(net, 0.5, is_training=is_training)
    words = tf.contrib.layers.embed_sequence(features["ids"], 10, 3)
    outputs, _ = tf.nn.dynamic_rnn(rnn.BasicLSTMCell(4), words, dtype=tf.float32)
    table = tf.contrib.lookup.index_table_from_tensor(["a", "b"], num_oov_buckets=1)
    net = tf.concat([net, outputs[:, -1], tf.one_hot(table.lookup(features["text"]), 3)], 1)
    logits = tf.contrib.layers.fully_connected(net, 1, activation_fn=None)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"y": logits})
    loss = tf.losses.mean_squared_error(labels, logits)
    train_op = tf.contrib.layers.optimize_loss(
        loss, tf.train.get_global_step(), params.rate, "Adam", clip_gradients=1.0
    )
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    x, ids = np.ones([8, 2], np.float32), np.ones([8, 3], np.int64)
    features = {"x": x, "ids": ids, "text": np.array(list("abcabcab"))}
    data = tf.data.Dataset.from_tensor_slices((features, np.ones([8, 1], np.float32)))
    data = data.apply(tf.contrib.data.shuffle_and_repeat(8))
    return data.apply(tf.contrib.data.batch_and_drop_remainder(4))


def receiver_fn():
    features = {
        "x": tf.placeholder(tf.float32, [None, 2]),
        "ids": tf.placeholder(tf.int64, [None, 3]),
        "text": tf.placeholder(tf.string, [None]),
    }
    return tf.estimator.export.ServingInputReceiver(features, features)


tpu_config = tf.contrib.tpu.TPUConfig(iterations_per_loop=5)
config = tf.contrib.tpu.RunConfig(model_dir="model", tpu_config=tpu_config)
estimator = tf.estimator.Estimator(model_fn, config=config, params=hparams)
estimator.train(input_fn, steps=5)
print([name for name in estimator.get_variable_names() if "OptimizeLoss" not in name])
path = estimator.export_savedmodel("export", receiver_fn).decode()
predictor = tf.contrib.predictor.from_saved_model(path)
print(predictor({"x": [[1.0, 1.0]], "ids": [[1, 1, 1]], "text": ["a"]})["y"].shape)
tf.contrib.seq2seq.BasicDecoder
"""


@pytest.mark.slow
def test_program(tmp_path):
    (tmp_path / "train.py").write_text(textwrap.dedent(PROGRAM))
    result = subprocess.run(
        [sys.executable, "-m", "kestimator", "run", "--report", "train.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()},
    )
    names, shape = result.stdout.splitlines()
    assert names == str(
        [
            "EmbedSequence/embeddings",
            "fully_connected/BatchNorm/beta",
            "fully_connected/BatchNorm/moving_mean",
            "fully_connected/BatchNorm/moving_variance",
            "fully_connected/weights",
            "fully_connected_1/biases",
            "fully_connected_1/weights",
            "global_step",
            "rnn/basic_lstm_cell/bias",
            "rnn/basic_lstm_cell/kernel",
        ]
    )
    assert shape == "(1, 1)"
    assert "train.py uses tf.contrib.slim (line 4), so it runs as a program for TF 1" in (
        result.stderr
    )
    assert "module 'tensorflow.contrib' has no attribute 'seq2seq'. Use tensorflow_addons" in (
        result.stderr
    )
    uses = [line.split() for line in result.stderr.splitlines() if line.startswith("tf.contrib.")]
    assert [name for name, *_ in uses] == [
        "tf.contrib.data.batch_and_drop_remainder",
        "tf.contrib.data.shuffle_and_repeat",
        "tf.contrib.layers.embed_sequence",
        "tf.contrib.layers.fully_connected",
        "tf.contrib.layers.optimize_loss",
        "tf.contrib.lookup.index_table_from_tensor",
        "tf.contrib.predictor.from_saved_model",
        "tf.contrib.rnn.BasicLSTMCell",
        "tf.contrib.slim.arg_scope",
        "tf.contrib.slim.batch_norm",
        "tf.contrib.slim.dropout",
        "tf.contrib.slim.fully_connected",
        "tf.contrib.slim.fully_connected",
        "tf.contrib.slim.l2_regularizer",
        "tf.contrib.tpu.RunConfig",
        "tf.contrib.tpu.TPUConfig",
        "tf.contrib.training.HParams",
    ]
    assert all(where.startswith("train.py:") for _, where, *_ in uses)
