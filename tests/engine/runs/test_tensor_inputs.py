"""Inputs that are tensors of a graph: they end by an exception, amid a step."""

import keras
import numpy as np
import tensorflow as tf

import kestimator as ks

v1 = tf.compat.v1
X = np.arange(4, dtype=np.float32)[:, None, None]


def one_shot():
    data = tf.data.Dataset.from_tensor_slices({"x": X, "y": np.ones((4, 1), np.float32)})
    features = v1.data.make_one_shot_iterator(data).get_next()
    return features, features.pop("y")


def test_a_step_writes_nothing_before_its_batch_is_there(tmp_path):
    """The count of a metric, and of a Keras optimizer, need no batch to be computed."""

    def model_fn(features, labels, mode):
        prediction = keras.layers.Dense(1)(tf.reshape(features["x"], [1, 1]))
        mean = keras.metrics.Mean()
        mean.update_state(features["x"])
        loss = tf.reduce_mean((prediction - labels) ** 2)
        optimizer = keras.optimizers.Adam()
        return ks.EstimatorSpec(mode, loss=loss, train_op=optimizer, eval_metric_ops={"mean": mean})

    estimator = ks.Estimator(model_fn, tmp_path)
    for _ in range(4):
        estimator.train(one_shot)
    assert estimator.get_variable_value("global_step") == 16
    assert estimator.get_variable_value("adam/iteration:0") == 16
    assert {float(estimator.evaluate(one_shot)["mean"]) for _ in range(15)} == {1.5}


def test_queues_are_filled_for_predictions(tmp_path):
    def input_fn():
        rows = v1.train.limit_epochs(tf.constant(X[:, 0]), num_epochs=1)
        queue = v1.FIFOQueue(10, [tf.float32], shapes=[[4, 1]])
        v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue([rows])]))
        return {"x": queue.dequeue()}

    estimator = ks.LinearRegressor([tf.feature_column.numeric_column("x")], tmp_path)
    estimator.train(lambda: tf.data.Dataset.from_tensors(({"x": X[:, 0]}, X[:, 0])), steps=1)
    for _ in range(5):
        assert len(list(estimator.predict(input_fn))) == 4
