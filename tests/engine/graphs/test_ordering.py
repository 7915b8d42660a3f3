"""The order of reads and writes; what a step must not run again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator as ks
from kestimator.engine.graphs import ordering
from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store

X = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32)


def trained(model_fn, directory, steps):
    config = ks.RunConfig(tf_random_seed=1, log_step_count_steps=None)
    estimator = ks.Estimator(model_fn, directory, config)
    estimator.train(lambda: tf.data.Dataset.from_tensors(({"x": X}, Y)).repeat(), steps=steps)
    return estimator


def by_hand(weights, steps, momentum=0.9, rate=0.1):
    weights, velocity = np.array(weights, np.float64), 0.0
    for _ in range(steps):
        gradient = 2.0 * X.T @ (X @ weights - Y) / len(X)
        velocity = momentum * velocity - rate * gradient
        weights = weights + velocity
    return weights


def test_keras_optimizer_over_tf1_variables(tmp_path):
    def model_fn(features, labels, mode):
        w = tf.compat.v1.get_variable("w", [2, 1], initializer=tf.compat.v1.ones_initializer())
        loss = tf.reduce_mean((features["x"] @ w - labels) ** 2)
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1, 0.9))

    found = trained(model_fn, str(tmp_path), steps=10).get_variable_value("w")
    np.testing.assert_allclose(found, by_hand([[1.0], [1.0]], 10), rtol=1e-4)


def test_weights_set_by_the_model_fn_are_a_start(tmp_path):
    def model_fn(features, labels, mode):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.array([[5.0], [6.0]], np.float32)])
        loss = tf.reduce_mean((model(features["x"]) - labels) ** 2)
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1, 0.9))

    trained(model_fn, str(tmp_path), steps=4)
    found = trained(model_fn, str(tmp_path), steps=6).get_variable_value("dense/kernel")
    np.testing.assert_allclose(found, by_hand([[5.0], [6.0]], 10), rtol=1e-4)


class TestReachableOperations:
    def test_follows_inputs_and_control_inputs(self):
        with tf.Graph().as_default():
            a, b, c = (tf.constant(1.0, name=name) for name in "abc")
            with tf.control_dependencies([c]):
                total = tf.add(a, a, name="total")
            group = tf.group(b, name="group")
        found = ordering.reachable_operations([total])
        assert {op.name for op in found} == {"a", "c", "total"}
        found = ordering.reachable_operations([total, group])
        assert {op.name for op in found} == {"a", "b", "c", "total", "group"}

    def test_stops_at_what_is_fed(self):
        with tf.Graph().as_default():
            a = tf.constant(1.0, name="a")
            double = tf.add(a, a, name="double")
            total = tf.add(double, a, name="total")
        found = ordering.reachable_operations([total], {id(double)})
        assert {op.name for op in found} == {"a", "total"}
        assert ordering.reachable_operations([total], {id(total)}) == set()


class TestReadBeforeWrites:
    @pytest.fixture
    def graph(self):
        return program.ProgramGraph("page")

    def test_writes_wait_for_reads(self, graph):
        variable = tf.Variable(1.0)
        with graph.as_default():
            for _ in range(2):
                variable.read_value()
            writes = [
                write(1.0, read_value=False) for write in (variable.assign_add, variable.assign)
            ]
            handle = graph.capture(variable.handle)
        ordering.read_before_writes(graph, handle)
        waited_for = {op for op in handle.consumers() if op.type == "ReadVariableOp"}
        assert len(waited_for) == 2
        assert [set(write.control_inputs) for write in writes] == [waited_for, waited_for]

    def test_a_read_that_waits_for_a_write_keeps_its_place(self, graph):
        variable = tf.Variable(1.0)
        with graph.as_default():
            write = variable.assign_add(1.0).op
            with tf.control_dependencies([write]):
                after = variable.read_value()
            before = variable.read_value()
            handle = graph.capture(variable.handle)
        ordering.read_before_writes(graph, handle)
        (waited_for,) = write.control_inputs
        assert waited_for in ordering.reachable_operations([before])
        assert write in ordering.reachable_operations([after])
        run = program.PrunedFunction(graph, [], [before, after], [write])
        assert [value.numpy() for value in run()] == [1.0, 2.0]

    def test_restores_and_initializers_wait_for_nothing(self, graph):
        variable = tf.Variable(1.0)
        with graph.as_default():
            variable.read_value()
            handle = graph.capture(variable.handle)
            (value,) = tf.raw_ops.RestoreV2(
                prefix="path", tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.float32]
            )
            restore = tf.raw_ops.AssignVariableOp(resource=handle, value=tf.identity(value))
            initializer = tf.raw_ops.AssignVariableOp(
                resource=handle, value=0.0, name=f"{handle.op.name}/Assign"
            )
        ordering.read_before_writes(graph, handle)
        assert restore.control_inputs == initializer.control_inputs == []


class TestOrderKerasState:
    """In a program whose input is a number."""

    def traced(self, build):
        return program.trace(
            build,
            element_spec=tf.TensorSpec([], tf.float32),
            name="page",
            seed=None,
            store=variable_store.VariableStore(),
        )

    def test_reads_and_writes_are_in_program_order(self):
        def build(x):
            variable = keras.Variable(1.0, name="v")
            seen = [tf.convert_to_tensor(variable)]
            variable.assign(2.0 * variable + x)
            seen.append(tf.convert_to_tensor(variable))
            variable.assign_add(x)
            seen.append(tf.convert_to_tensor(variable))
            return seen

        made = self.traced(build)
        assert [op.type for op in made.state_updates] == ["AssignVariableOp"] * 2
        assert made.initial_writes == []
        run = made.function(made.result, made.state_updates)
        assert [value.numpy() for value in run(tf.constant(10.0))] == [1.0, 12.0, 22.0]
        assert [value.numpy() for value in run(tf.constant(1.0))] == [22.0, 45.0, 46.0]

    def test_writes_of_constants_are_set_apart(self):
        def build(x):
            variable = keras.Variable(1.0, name="v")
            variable.assign(5.0)
            variable.assign_add(x)

        made = self.traced(build)
        (constant,), (write,) = made.initial_writes, made.state_updates
        assert constant not in ordering.reachable_operations([write])
        assert {op.inputs[0].op.name for op in (constant, write)} == {"v"}

    def test_what_only_tf1_code_writes_keeps_graph_semantics(self):
        def build(x):
            variable = tf.compat.v1.get_variable("w", [])
            return variable.read_value(), variable.assign(x), variable.read_value()

        made = self.traced(build)
        first, write, last = made.result
        assert (made.initial_writes, made.state_updates) == ([], [])
        assert write.op.control_inputs == []
        for read in (first, last):
            assert write.op not in ordering.reachable_operations([read])
