"""Variables made by hand: their names, shapes and values in the checkpoint."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _run(
    est: Any, model_dir: str, network: Any, learning_rate: float = 0.1, steps: int = 3
) -> dict[str, Any]:
    """Trains `network(features)` -> (batch, 1) and shows what was saved."""
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = network(features)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"outputs": outputs})
        loss = tf.reduce_mean(tf.square(outputs - labels))
        train_op = v1.train.GradientDescentOptimizer(learning_rate).minimize(
            loss, v1.train.get_global_step()
        )
        hook = tools.logged_losses(est, losses, loss)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, training_hooks=[hook])

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(tools.batches(*tools.regression()), steps=steps)
    rows = [
        row["outputs"] for row in estimator.predict(tools.batches(tools.regression(3)[0], epochs=1))
    ]
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
        "rows": tools.plain(rows),
        "names": estimator.get_variable_names(),
        "variables": tools.checkpoint(model_dir),
    }


def _ramp(*shape: int) -> np.ndarray:
    return np.linspace(-0.5, 0.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def _layer(inputs: Any, units: int) -> Any:
    kernel = v1.get_variable("kernel", initializer=_ramp(inputs.shape[1], units))
    bias = v1.get_variable("bias", [units], initializer=v1.zeros_initializer())
    return tf.matmul(inputs, kernel) + bias


@CASES
def scopes(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with v1.variable_scope("net"):
            with v1.variable_scope("hidden"):
                hidden = tf.tanh(_layer(features, 4))
            with v1.variable_scope(None, default_name="block"):
                hidden = tf.tanh(_layer(hidden, 4))
            with v1.variable_scope(None, default_name="block"):
                hidden = tf.tanh(_layer(hidden, 4))
        with v1.variable_scope("net/head"):
            return _layer(hidden, 1)

    return _run(est, model_dir, network)


@CASES
def reuse(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with v1.variable_scope("tower"):
            one = _layer(features, 1)
        with v1.variable_scope("tower", reuse=True):
            two = _layer(2.0 * features, 1)
        with v1.variable_scope("tower", reuse=v1.AUTO_REUSE) as scope:
            three = _layer(features[:, ::-1], 1)
            scope.reuse_variables()
            four = _layer(-features, 1)
        with v1.variable_scope(scope):
            assert tuple(v1.get_variable("kernel").shape) == (3, 1)
        return one + tf.tanh(two) + three + tf.sin(four)

    return _run(est, model_dir, network)


@CASES
def template(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        shared = v1.make_template("shared", _layer, units=1)
        return shared(features) + tf.tanh(shared(2.0 * features))

    return _run(est, model_dir, network)


@CASES
def scope_defaults(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with v1.variable_scope(
            "defaults", initializer=v1.constant_initializer(0.3), dtype=tf.float64
        ):
            weights = v1.get_variable("weights", [3, 1])
            assert weights.dtype.base_dtype == tf.float64
        return tf.matmul(features, tf.cast(weights, tf.float32))

    return _run(est, model_dir, network)


@CASES
def custom_getter(est: Any, model_dir: str) -> dict[str, Any]:
    def doubled(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return 2.0 * getter(f"{name}_raw", *args, **kwargs)

    def network(features: Any) -> Any:
        with v1.variable_scope("got", custom_getter=doubled):
            return _layer(features, 1)

    return _run(est, model_dir, network)


@CASES
def partitioned(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with v1.variable_scope("parts", partitioner=v1.fixed_size_partitioner(2)):
            embedding = v1.get_variable(
                "embedding", [5, 3], initializer=v1.constant_initializer(0.5)
            )
        ids = tf.range(tf.shape(features)[0]) % 5
        rows = tf.nn.embedding_lookup(embedding, ids)
        return tf.reduce_sum(rows * features, axis=1, keepdims=True)

    results = _run(est, model_dir, network)
    results["continued"] = _run(est, model_dir, network)
    return results


@CASES
def initializers(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        array = v1.get_variable("array", initializer=_ramp(3, 2))
        constant = v1.get_variable(
            "constant", [2], initializer=v1.constant_initializer([0.5, -0.25])
        )
        tensor = v1.get_variable("tensor", initializer=tf.constant(_ramp(2, 2)) * 2.0)
        function = v1.get_variable(
            "function",
            [2, 1],
            initializer=lambda shape, dtype, partition_info: 0.5 * tf.ones(shape, dtype),
        )
        lazy = tf.Variable(lambda: 2.0 * tf.ones([2, 2]), name="lazy", trainable=False)
        identity = v1.get_variable(
            "identity", [2, 2], initializer=v1.initializers.identity(), trainable=False
        )
        hidden = tf.matmul(tf.matmul(features, array) + constant, tensor + 0.1 * lazy)
        return tf.matmul(tf.matmul(hidden, identity), function)

    return _run(est, model_dir, network)


@CASES
def tf_variables(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with tf.name_scope("layer1"):
            kernel = tf.Variable(_ramp(3, 2), name="kernel")
            bias = tf.Variable(tf.zeros([2]), name="bias")
            hidden = tf.tanh(tf.matmul(features, kernel) + bias)
        with tf.name_scope("layer1"):
            second = tf.Variable(_ramp(2, 2), name="kernel")
            hidden = tf.tanh(tf.matmul(hidden, second))
        unnamed, unnamed_too = tf.Variable(_ramp(2, 1)), tf.Variable([0.5])
        with v1.variable_scope("variables"):
            plain = v1.Variable([0.25], name="plain", trainable=False)
            counter = tf.Variable(7, name="counter", trainable=False)
        assert counter.dtype.base_dtype == tf.int32
        return tf.matmul(hidden, unnamed) + unnamed_too * plain

    return _run(est, model_dir, network)


@CASES
def mixed_name_and_variable_scopes(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        with tf.name_scope("ignored"), v1.variable_scope("kept"):
            one = v1.get_variable("one", initializer=_ramp(3, 1))
            with tf.name_scope("inner"):
                two = v1.get_variable("two", initializer=_ramp(3, 1))
                three = tf.Variable(_ramp(3, 1), name="three")
        return tf.matmul(features, one + two + three)

    return _run(est, model_dir, network)


@CASES
def local_and_untrained(est: Any, model_dir: str) -> dict[str, Any]:
    def network(features: Any) -> Any:
        local = v1.get_variable(
            "local",
            initializer=tf.constant(3.0),
            trainable=False,
            collections=[v1.GraphKeys.LOCAL_VARIABLES],
        )
        frozen = v1.get_variable("frozen", initializer=_ramp(3, 1), trainable=False)
        outputs = tf.matmul(features, frozen) * local + _layer(features, 1)
        trained = [variable.op.name for variable in v1.trainable_variables()]
        assert trained == ["kernel", "bias"], trained
        return outputs

    return _run(est, model_dir, network)


@CASES
def collections(est: Any, model_dir: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def network(features: Any) -> Any:
        with v1.variable_scope("a"):
            one = _layer(features, 2)
        with v1.variable_scope("b"):
            two = _layer(one, 1)
        seen["global"] = [variable.name for variable in v1.global_variables()]
        seen["trainable"] = [variable.name for variable in v1.trainable_variables()]
        seen["in_b"] = [
            variable.name
            for variable in v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, scope="b")
        ]
        seen["step"] = v1.train.get_global_step().name
        seen["same_step"] = v1.train.get_or_create_global_step() is v1.train.get_global_step()
        return two

    return {**_run(est, model_dir, network), "seen": seen}


@CASES
def one_scope_frozen(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        with v1.variable_scope("body"):
            hidden = tf.tanh(_layer(features, 3))
        with v1.variable_scope("head"):
            outputs = _layer(hidden, 1)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        optimizer = v1.train.MomentumOptimizer(0.1, 0.9)
        only = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, "head")
        train_op = optimizer.minimize(loss, v1.train.get_global_step(), var_list=only)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    est.Estimator(model_fn, model_dir).train(tools.batches(*tools.regression()), steps=4)
    return {"variables": tools.checkpoint(model_dir)}
