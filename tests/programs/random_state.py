"""Random numbers with a seed: draws, dropout and shuffles, whoever looks at which steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()
STEPS = 40


class EveryStep(v1.train.SessionRunHook):
    """Sees every step, as an unknown hook does."""

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(v1.train.get_global_step())


PLAIN = {"save_summary_steps": None, "log_step_count_steps": None}
WATCHED = {"save_summary_steps": 7, "save_checkpoints_steps": 11, "log_step_count_steps": 5}


def _recorded(
    est: Any,
    model_dir: str,
    draws: Callable[[Any], dict[str, Any]],
    options: dict[str, Any],
    hooks: Any = (),
    input_fn: Any = None,
    calls: int = 1,
) -> dict[str, Any]:
    """Runs steps that write what they draw into variables, and gives these."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        step = v1.train.get_global_step()
        writes = []
        for name, drawn in draws(features).items():
            flat = tf.reshape(tf.cast(drawn, tf.float32), [-1])
            shape = [STEPS * calls, flat.shape[0] or 6]
            zeros = v1.zeros_initializer()
            seen = v1.get_variable(f"seen_{name}", shape, initializer=zeros, trainable=False)
            writes.append(v1.scatter_update(seen, step, flat))
        v1.summary.scalar("drawn", flat[0])
        with tf.control_dependencies(writes):
            train_op = v1.assign_add(step, 1)
        loss = 0.0 * flat[0] + tf.reduce_mean(features["x"])
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    config = est.RunConfig(tf_random_seed=3, **options)
    estimator = est.Estimator(model_fn, model_dir, config)
    for _ in range(calls):
        estimator.train(input_fn or _batches, steps=STEPS, hooks=list(hooks))
    names = [name for name in estimator.get_variable_names() if name.startswith("seen_")]
    return {name: tools.plain(estimator.get_variable_value(name)[::3]) for name in sorted(names)}


def _batches() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors({"x": [1.0, 2.0]}).repeat()


def _every_kind(features: Any) -> dict[str, Any]:
    step = v1.train.get_global_step()
    rows = tf.shape(features["x"])[0]
    return {
        "uniform": tf.random.uniform([3]),
        "normal": tf.random.normal([2]),
        "truncated": tf.random.truncated_normal([2], seed=5),
        "integers": tf.random.uniform([3], 0, 1000, tf.int32),
        "doubles": tf.random.uniform([2], dtype=tf.float64),
        "dropout": tf.nn.dropout(tf.ones([6]), rate=0.5),
        "unknown_shape": v1.nn.dropout(tf.ones([rows, 3]), rate=0.3),
        "in_cond": tf.cond(
            tf.equal(step % 2, 0), lambda: tf.random.uniform([2]), lambda: tf.zeros([2])
        ),
        "in_loop": tf.while_loop(
            lambda turn, _: turn < 3,
            lambda turn, total: (turn + 1, total + tf.random.uniform([2], seed=7)),
            (0, tf.zeros([2])),
        )[1],
    }


@CASES
def draws(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _every_kind, PLAIN)


@CASES
def draws_with_summaries_and_checkpoints(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _every_kind, WATCHED)


@CASES
def draws_step_by_step(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _every_kind, PLAIN, [EveryStep()])


@CASES
def draws_of_a_second_call(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _every_kind, PLAIN, calls=2)


def _called_twice(features: Any) -> dict[str, Any]:
    """Each call of a function has a stream of its own, and all of them begin alike."""

    @tf.function
    def number() -> Any:
        return tf.random.uniform([])

    @tf.function
    def masked(values: Any) -> Any:
        return tf.nn.dropout(values, rate=0.5)

    def in_loop(count: Any, total: Any) -> Any:
        return count + 1, total + number() + 10.0 * number()

    ones = tf.ones([6])
    return {
        "call": number(),
        "second_call": number(),
        "branch": tf.cond(features["x"][0] > 0.5, number, number),
        "loop": tf.while_loop(lambda count, _: count < 2, in_loop, [0, 0.0])[1],
        "tower": masked(ones),
        "second_tower": masked(ones),
    }


@CASES
def functions_that_are_called_twice(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _called_twice, PLAIN)


@CASES
def functions_that_are_called_twice_with_summaries(est: Any, model_dir: str) -> dict[str, Any]:
    return _recorded(est, model_dir, _called_twice, WATCHED, [EveryStep()])


def _of_the_input(features: Any) -> dict[str, Any]:
    return {"x": features["x"][0], "drawn": tf.random.uniform([])}


def _numbers() -> tf.data.Dataset:
    return tf.data.Dataset.range(20).map(lambda i: {"x": tf.cast(i, tf.float32) + tf.zeros([1])})


@CASES
def shuffled_dataset(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        return _numbers().shuffle(16).repeat()

    return _recorded(est, model_dir, _of_the_input, PLAIN, input_fn=input_fn, calls=2)


@CASES
def shuffled_one_shot_iterator(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        return v1.data.make_one_shot_iterator(_numbers().cache().shuffle(16).repeat()).get_next()

    return _recorded(est, model_dir, _of_the_input, WATCHED, input_fn=input_fn)


@CASES
def dataset_that_draws(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        numbers = tf.data.Dataset.from_tensor_slices({"x": tf.random.normal([30, 1])})
        noisy = numbers.map(lambda row: {"x": row["x"] + tf.random.uniform([1])})
        return noisy.shuffle(5, seed=4).repeat()

    return _recorded(est, model_dir, _of_the_input, PLAIN, input_fn=input_fn, calls=2)


@CASES
def tensors_that_are_drawn(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        return {"x": tf.random.uniform([1])}

    return _recorded(est, model_dir, _of_the_input, WATCHED, input_fn=input_fn, calls=2)


@CASES
def network_with_dropout(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(rows=32)
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        net = features
        for position, units in enumerate((8, 4, 1)):
            kernel = v1.get_variable(f"kernel_{position}", [net.shape[1], units])
            net = tf.matmul(net, kernel)
            if units > 1:
                net = tf.nn.dropout(tf.nn.relu(net), rate=0.3)
        loss = tf.reduce_mean(tf.square(net - labels), name="the_loss")
        train_op = v1.train.AdamOptimizer(0.01).minimize(loss, v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def input_fn() -> Any:
        return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(32).repeat().batch(8)

    config = est.RunConfig(tf_random_seed=3, save_summary_steps=9, save_checkpoints_steps=13)
    estimator = est.Estimator(model_fn, model_dir, config)
    estimator.train(input_fn, steps=60)
    estimator.train(input_fn, steps=20, hooks=[tools.losses_hook(est, losses)])
    return {"losses": losses, "variables": tools.checkpoint(model_dir)}


@CASES
def dnn_classifier_with_dropout(est: Any, model_dir: str) -> dict[str, Any]:
    x = np.random.RandomState(0).rand(64, 4).astype(np.float32)
    y = (x.sum(1) > 2).astype(np.int32)
    estimator = est.DNNClassifier(
        [8, 4],
        [tf.feature_column.numeric_column("x", [4])],
        model_dir,
        dropout=0.5,
        optimizer="SGD",
        config=est.RunConfig(tf_random_seed=3, save_summary_steps=7),
    )
    estimator.train(tools.batches({"x": x}, y, 8), steps=60)
    return {"evaluated": tools.plain(estimator.evaluate(tools.batches({"x": x}, y, 8, epochs=1)))}
