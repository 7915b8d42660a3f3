"""Models and data for programs under strategies."""

import time

import keras
import numpy as np
import tensorflow as tf

import kestimator as ks

v1 = tf.compat.v1
ROWS = 48
X = np.linspace(-1.0, 1.0, ROWS * 2, dtype=np.float32).reshape(ROWS, 2)
WORDS = np.array([f"word{i * 7 % 11}" for i in range(ROWS)])
Y = X @ np.array([[1.0], [-2.0]], np.float32) + 0.5


class Losses(keras.callbacks.Callback):
    """Sees the loss of every step. The summary of a canned model is that of one replica."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["loss"]))


class Pause(v1.train.SessionRunHook):
    """Makes each step take time."""

    def __init__(self, seconds):
        self._seconds = seconds

    def after_run(self, run_context, run_values):
        time.sleep(self._seconds)


def batches(size, epochs=None):
    """An input_fn whose workers take the batches in turn, like the replicas of one machine."""

    def input_fn(input_context=None):
        features = {"x": X, "word": WORDS}
        dataset = tf.data.Dataset.from_tensor_slices((features, Y)).repeat(epochs).batch(size)
        if input_context is not None and input_context.num_input_pipelines > 1:
            dataset = dataset.shard(
                input_context.num_input_pipelines, input_context.input_pipeline_id
            )
        return dataset

    return input_fn


def tf1(features, labels, mode):
    w = v1.get_variable("w", [2, 1], initializer=v1.zeros_initializer())
    b = v1.get_variable("b", [1], initializer=v1.ones_initializer())
    outputs = features["x"] @ w + b
    if mode == ks.ModeKeys.PREDICT:
        return ks.EstimatorSpec(mode, predictions={"y": outputs})
    loss = tf.reduce_mean((outputs - labels) ** 2)
    train_op = v1.train.AdamOptimizer(0.05).minimize(loss, v1.train.get_global_step())
    metrics = {"mae": v1.metrics.mean_absolute_error(labels, outputs)}
    return ks.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def keras_normalized(features, labels, mode):
    """Batch normalization whose statistics are those of all replicas' batches."""
    glorot = keras.initializers.GlorotUniform
    model = keras.Sequential(
        [
            # A bias here would have no gradient but rounding errors, which Adam scales up.
            keras.layers.Dense(4, use_bias=False, kernel_initializer=glorot(1)),
            keras.layers.BatchNormalization(momentum=0.5, synchronized=True),
            keras.layers.Dense(1, kernel_initializer=glorot(2)),
        ]
    )
    outputs = model(features["x"], training=mode == ks.ModeKeys.TRAIN)
    if mode == ks.ModeKeys.PREDICT:
        return ks.EstimatorSpec(mode, predictions={"y": outputs})
    loss = tf.reduce_mean((outputs - labels) ** 2)
    mean = keras.metrics.MeanAbsoluteError()
    mean.update_state(labels, outputs)
    return ks.EstimatorSpec(
        mode,
        loss=loss,
        train_op=keras.optimizers.Adam(0.05),
        eval_metric_ops={"mae": mean},
    )


def wide_and_deep(directory, **config):
    column = tf.feature_column
    words = column.categorical_column_with_hash_bucket("word", 8)
    return ks.DNNLinearCombinedRegressor(
        model_dir=directory,
        linear_feature_columns=[words],
        dnn_feature_columns=[
            column.numeric_column("x", shape=2),
            column.embedding_column(words, 3),
        ],
        dnn_hidden_units=[4],
        config=ks.RunConfig(**config),
    )


def estimator(name, directory, **config):
    """An estimator of this module by the name of its model."""
    config = {"log_step_count_steps": None, **config}
    if name == "wide_and_deep":
        return wide_and_deep(directory, **config)
    return ks.Estimator(globals()[name], directory, ks.RunConfig(**config))


def weights(trained):
    """The variables of the last checkpoint, as lists."""
    reader = tf.train.load_checkpoint(trained.latest_checkpoint())
    names = sorted(reader.get_variable_to_shape_map())
    return {name: np.asarray(reader.get_tensor(name), float).tolist() for name in names}
