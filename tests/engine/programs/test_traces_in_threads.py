"""Two estimators whose model_fns are called at the same time, by two threads."""

import threading

import keras
import numpy as np
import tensorflow as tf
from keras.src.random import seed_generator
from tensorflow.python.framework import func_graph, random_seed
from tensorflow.python.ops import gen_training_ops
from tensorflow.python.summary import summary
from tensorflow.python.training import moving_averages

import kestimator as ks

v1 = tf.compat.v1
X = np.linspace(-1.0, 1.0, 32, dtype=np.float32).reshape(16, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32)

NAMES = [
    (v1.train.Optimizer, "compute_gradients"),
    (v1.train.Optimizer, "apply_gradients"),
    (keras.optimizers.Optimizer, "apply"),
    (keras.optimizers.Optimizer, "_all_reduce_sum_gradients"),
    (func_graph.FuncGraph, "_create_op_internal"),
    (random_seed, "get_seed"),
    (v1, "get_seed"),
    (seed_generator, "python_random"),
    (summary, "_should_invoke_v2_op"),
    (moving_averages, "ops"),
    (gen_training_ops, "resource_apply_adam"),
]


class Recorded(v1.train.SessionRunHook):
    def __init__(self):
        self.losses = []

    def before_run(self, run_context):
        return v1.train.SessionRunArgs("the_loss:0")

    def after_run(self, run_context, run_values):
        self.losses.append(float(run_values.results))


def tf1_network(features, labels, mode):
    with v1.variable_scope("tf1"):
        hidden = v1.nn.relu(features["x"] @ v1.get_variable("hidden", [2, 300]))
        hidden = tf.nn.dropout(hidden, rate=0.5)
        prediction = hidden @ v1.get_variable("out", [300, 1])
    loss = tf.reduce_mean((prediction - labels) ** 2, name="the_loss")
    v1.summary.scalar("of_tf1", loss)
    average = tf.train.ExponentialMovingAverage(0.9)
    train_op = v1.train.AdamOptimizer(0.01).minimize(loss, v1.train.get_global_step())
    with tf.control_dependencies([train_op]):
        train_op = average.apply([loss])
    return ks.EstimatorSpec(mode, loss=loss, train_op=train_op, predictions={"y": prediction})


def keras_network(features, labels, mode):
    dense, drop = keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5)
    training = mode == ks.ModeKeys.TRAIN
    prediction = keras.layers.Dense(1)(drop(dense(features["x"]), training=training))
    loss = tf.reduce_mean((prediction - labels) ** 2, name="the_loss")
    v1.summary.scalar("of_keras", loss)
    optimizer = v1.train.MomentumOptimizer(0.01, 0.9)
    step = v1.train.get_global_step()
    train_op = optimizer.minimize(loss, step, var_list=dense.trainable_variables)
    return ks.EstimatorSpec(mode, loss=loss, train_op=train_op, predictions={"y": prediction})


def input_fn():
    return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).shuffle(16).repeat().batch(4)


def run(network, directory, meet=lambda: None):
    def model_fn(features, labels, mode):
        meet()
        spec = network(features, labels, mode)
        meet()
        return spec

    def data():
        meet()
        dataset = input_fn()
        meet()
        return dataset

    hook = Recorded()
    config = ks.RunConfig(tf_random_seed=5, save_summary_steps=3, save_checkpoints_steps=4)
    estimator = ks.Estimator(model_fn, directory, config)
    estimator.train(data, steps=20, hooks=[hook])
    values = {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}
    return hook.losses, values


def test_overlapping_traces_give_the_same_numbers(tmp_path):
    networks = (tf1_network, keras_network)
    expected = [run(network, str(tmp_path / network.__name__)) for network in networks]
    before = [getattr(owner, name) for owner, name in NAMES]

    barrier, found, errors = threading.Barrier(2, timeout=60), {}, []

    def in_thread(position):
        try:
            found[position] = run(networks[position], str(tmp_path / f"{position}"), barrier.wait)
        except BaseException as error:
            barrier.abort()
            errors.append(error)

    threads = [threading.Thread(target=in_thread, args=(position,)) for position in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for position, (losses, values) in enumerate(expected):
        assert found[position][0] == losses
        assert sorted(found[position][1]) == sorted(values)
        for name, value in values.items():
            np.testing.assert_array_equal(found[position][1][name], value, err_msg=name)
    assert [getattr(owner, name) for owner, name in NAMES] == before


def test_names_are_what_they_were_outside_of_an_estimator(tmp_path):
    def outside():
        """What code outside of an estimator gets, eagerly, in a graph and in a function."""
        tf.random.set_seed(1)
        eager = tf.random.uniform([2]).numpy().tolist()
        with tf.Graph().as_default() as graph, v1.Session() as session:
            v1.set_random_seed(2)
            x = v1.get_variable("x", initializer=[1.0, 2.0])
            drawn = tf.nn.dropout(tf.ones([4]), rate=0.5)
            train_op = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(x * x))
            session.run(v1.global_variables_initializer())
            session.run(train_op)
            in_graph = [session.run(x).tolist(), session.run([drawn, drawn])[0].tolist()]
            in_graph.append(
                sorted({op.type for op in graph.get_operations() if "andom" in op.type})
            )

        @tf.function
        def function():
            return tf.random.uniform([2], seed=3)

        weights = keras.Variable([1.0, 2.0])
        keras.optimizers.SGD(0.1).apply([tf.constant([1.0, 1.0])], [weights])
        return eager, in_graph, function().numpy().tolist(), weights.numpy().tolist()

    before = outside()
    run(tf1_network, str(tmp_path / "model"))
    assert outside() == before


def test_an_input_fn_leaves_the_seed_of_the_process(tmp_path):
    tf.random.set_seed(11)
    first = tf.random.uniform([]).numpy()
    tf.random.set_seed(11)
    estimator = ks.LinearRegressor(
        [tf.feature_column.numeric_column("x", [2])],
        tmp_path,
        config=ks.RunConfig(tf_random_seed=1),
    )
    estimator.train(input_fn, steps=1)
    assert tf.random.uniform([]).numpy() == first
