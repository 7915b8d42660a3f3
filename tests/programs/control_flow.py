"""Conditionals, loops, scans, recurrent networks and Python functions inside a model_fn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _sequences(rows: int = 8, length: int = 5) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.RandomState(4)
    x = random.uniform(-1.0, 1.0, size=(rows, length, 2)).astype(np.float32)
    lengths = (1 + np.arange(rows) % length).astype(np.int64)
    y = np.stack([x[row, : lengths[row]].sum() for row in range(rows)])[:, None].astype(np.float32)
    return {"x": x, "length": lengths}, y


def _run(
    est: Any,
    model_dir: str,
    network: Callable[[Any], Any],
    data: Any = None,
    steps: int = 5,
    rate: float = 0.1,
) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = network(features)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
        train_op = v1.train.GradientDescentOptimizer(rate).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    x, y = data or tools.regression()
    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(tools.batches(x, y), hooks=[tools.losses_hook(est, losses)], steps=steps)
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(tools.batches(x, y, epochs=1))),
        "rows": tools.plain(list(estimator.predict(tools.batches(x, epochs=1)))),
        "variables": tools.checkpoint(model_dir),
    }


def _ramp(*shape: int) -> np.ndarray:
    return np.linspace(-0.5, 0.6, int(np.prod(shape)), dtype=np.float32).reshape(shape)


@CASES
def cond(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        one = v1.get_variable("one", initializer=_ramp(3, 1))
        two = v1.get_variable("two", initializer=-_ramp(3, 1))
        even = tf.equal(v1.train.get_or_create_global_step() % 2, 0)
        even = tf.logical_and(even, tf.reduce_mean(features) > -10.0)
        return tf.cond(
            even, lambda: tf.matmul(features, one), lambda: tf.tanh(tf.matmul(features, two))
        )

    return _run(est, model_dir, network)


@CASES
def cond_with_updates(est: Any, model_dir: str) -> dict[str, Any]:
    """Assignments inside branches happen in the branch that is taken."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", initializer=_ramp(3, 1))
        counts = [
            v1.get_variable(f"count_{n}", [], initializer=v1.zeros_initializer(), trainable=False)
            for n in (0, 1)
        ]
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        step = v1.train.get_global_step()
        odd = tf.equal(step.read_value() % 3, 1)
        counted = tf.cond(
            odd,
            lambda: counts[1].assign_add(1.0).read_value(),
            lambda: counts[0].assign_add(1.0).read_value(),
        )
        with tf.control_dependencies([counted]):
            train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    est.Estimator(model_fn, model_dir).train(tools.batches(*tools.regression()), steps=7)
    return {"variables": tools.checkpoint(model_dir)}


@CASES
def case_and_switch(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        weights = v1.get_variable("w", initializer=_ramp(3, 1))
        outputs = tf.matmul(features, weights)
        mean = tf.reduce_mean(features)
        outputs = v1.case(
            [(mean > 0.1, lambda: 2.0 * outputs), (mean < -0.2, lambda: -outputs)],
            default=lambda: outputs,
        )
        index = tf.cast(tf.reduce_sum(features) > 0.0, tf.int32)
        return tf.switch_case(index, [lambda: outputs, lambda: outputs + 1.0])

    return _run(est, model_dir, network)


@CASES
def while_loop(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        weights = v1.get_variable("w", initializer=_ramp(3, 3))
        out = v1.get_variable("out", initializer=_ramp(3, 1))

        def body(position: Any, state: Any) -> Any:
            return position + 1, tf.tanh(tf.matmul(state, weights) + features)

        _, state = tf.while_loop(lambda position, state: position < 4, body, [0, features])
        return tf.matmul(state, out)

    return _run(est, model_dir, network)


@CASES
def while_loop_over_a_tensor_array(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        inputs = tf.transpose(features["x"], [1, 0, 2])
        kernel = v1.get_variable("kernel", initializer=_ramp(2, 1))
        decay = v1.get_variable("decay", initializer=tf.constant(0.5))

        def body(position: Any, state: Any, outputs: Any) -> Any:
            state = decay * state + tf.matmul(inputs[position], kernel)
            return position + 1, state, outputs.write(position, state)

        length = tf.shape(inputs)[0]
        states = tf.TensorArray(tf.float32, size=length)
        start = tf.zeros([tf.shape(inputs)[1], 1])
        _, _, states = tf.while_loop(
            lambda position, *_: position < length, body, [0, start, states]
        )
        return tf.reduce_sum(states.stack(), axis=0)

    return _run(est, model_dir, network, _sequences())


@CASES
def scan_and_map(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        kernel = v1.get_variable("kernel", initializer=_ramp(2, 2))
        inputs = tf.transpose(features["x"], [1, 0, 2])
        start = tf.zeros_like(inputs[0])
        states = tf.scan(
            lambda state, row: tf.tanh(tf.matmul(state, kernel) + row), inputs, initializer=start
        )
        squares = tf.map_fn(
            lambda state: tf.reduce_sum(state * state, axis=1, keepdims=True), states
        )
        return tf.foldl(lambda total, row: total + row, squares) - 1.0

    return _run(est, model_dir, network, _sequences())


class _Cell:
    """A recurrent cell without a base class: tf.compat.v1.nn.rnn_cell is gone with Keras 2."""

    def __init__(self, units: int) -> None:
        self.state_size = self.output_size = units

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        return tf.zeros([batch_size, self.state_size], dtype)

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        with v1.variable_scope(scope or "cell"):
            kernel = v1.get_variable(
                "kernel", initializer=_ramp(inputs.shape[1] + self.state_size, self.state_size)
            )
            bias = v1.get_variable("bias", [self.state_size], initializer=v1.zeros_initializer())
            state = tf.tanh(tf.matmul(tf.concat([inputs, state], axis=1), kernel) + bias)
        return state, state


@CASES
def dynamic_rnn(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        outputs, state = v1.nn.dynamic_rnn(
            _Cell(3),
            features["x"],
            sequence_length=features["length"],
            dtype=tf.float32,
            scope="recurrent",
        )
        out = v1.get_variable("out", initializer=_ramp(3, 1))
        return tf.matmul(state, out) + tf.reduce_mean(outputs, axis=[1, 2])[:, None]

    return _run(est, model_dir, network, _sequences())


@CASES
def bidirectional_rnn(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        _, states = v1.nn.bidirectional_dynamic_rnn(
            _Cell(2), _Cell(2), features["x"], sequence_length=features["length"], dtype=tf.float32
        )
        return tf.matmul(tf.concat(states, axis=1), v1.get_variable("out", initializer=_ramp(4, 1)))

    return _run(est, model_dir, network, _sequences())


@CASES
def static_rnn(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        cell, state = _Cell(3), None
        with v1.variable_scope("unrolled", reuse=v1.AUTO_REUSE):
            for row in tf.unstack(features["x"], axis=1):
                state = cell.zero_state(tf.shape(row)[0], tf.float32) if state is None else state
                _, state = cell(row, state)
        return tf.matmul(state, v1.get_variable("out", initializer=_ramp(3, 1)))

    return _run(est, model_dir, network, _sequences())


@CASES
def python_functions(est: Any, model_dir: str) -> dict[str, Any]:
    """py_func and numpy_function in the model, assertions that hold."""

    def network(features: Any) -> Any:
        signs = v1.py_func(
            lambda values: np.sign(values).astype(np.float32), [features], tf.float32
        )
        signs.set_shape(features.shape)
        means = tf.numpy_function(
            lambda values: values.mean(1, keepdims=True), [features], tf.float32
        )
        means.set_shape([None, 1])
        with tf.control_dependencies([v1.assert_less(tf.abs(features), 10.0)]):
            columns = tf.concat([tf.identity(features), signs, means], axis=1)
        return tf.matmul(columns, v1.get_variable("w", initializer=_ramp(7, 1)))

    return _run(est, model_dir, network)


@CASES
def failing_assertion(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with tf.control_dependencies([v1.assert_less(tf.abs(features), 0.1, message="too large")]):
            return tf.matmul(tf.identity(features), v1.get_variable("w", initializer=_ramp(3, 1)))

    def unused_failing(features: Any) -> Any:
        v1.assert_less(tf.abs(features), 0.1, message="too large")
        return tf.matmul(features, v1.get_variable("w", initializer=_ramp(3, 1)))

    failed = tools.error(
        lambda: _run(est, f"{model_dir}/one", network), tf.errors.InvalidArgumentError
    )
    return {
        "failed": failed,
        "nobody_depends_on_it": _run(est, f"{model_dir}/two", unused_failing)["losses"],
    }


@CASES
def custom_gradients(est: Any, model_dir: str) -> dict[str, Any]:
    @tf.custom_gradient
    def straight_through(values: Any) -> Any:
        return tf.sign(values), lambda upstream: 0.5 * upstream

    def network(features: Any) -> Any:
        hidden = straight_through(
            tf.matmul(features, v1.get_variable("w", initializer=_ramp(3, 2)))
        )
        stopped = tf.stop_gradient(tf.reduce_sum(hidden, axis=1, keepdims=True))
        return tf.matmul(hidden, v1.get_variable("out", initializer=_ramp(2, 1))) + 0.1 * stopped

    return _run(est, model_dir, network)


@CASES
def tf_functions(est: Any, model_dir: str) -> dict[str, Any]:
    """A tf.function and autograph inside a model_fn."""

    @tf.function
    def collatz_like(values: Any) -> Any:
        total = tf.zeros_like(values)
        for position in tf.range(3):
            if position > 0:
                total += values / tf.cast(position, tf.float32)
        return total

    def network(features: Any) -> Any:
        return tf.matmul(collatz_like(features), v1.get_variable("w", initializer=_ramp(3, 1)))

    return _run(est, model_dir, network)
