"""TF1 optimizers: trajectories, slots, schedules, clipping, sparse gradients, train ops."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
train = v1.train
CASES = tools.Cases()


def _gradient_descent() -> Any:
    return train.GradientDescentOptimizer(0.1)


def _proximal_gradient_descent() -> Any:
    return train.ProximalGradientDescentOptimizer(
        0.1, l1_regularization_strength=0.05, l2_regularization_strength=0.01
    )


def _momentum() -> Any:
    return train.MomentumOptimizer(0.05, momentum=0.9)


def _nesterov() -> Any:
    return train.MomentumOptimizer(0.05, momentum=0.9, use_nesterov=True)


def _adam() -> Any:
    return train.AdamOptimizer(0.05, beta1=0.8, beta2=0.95)


def _adam_defaults() -> Any:
    return train.AdamOptimizer()


def _adagrad() -> Any:
    return train.AdagradOptimizer(0.2)


def _adagrad_da() -> Any:
    return train.AdagradDAOptimizer(0.2, train.get_global_step(), l1_regularization_strength=0.001)


def _proximal_adagrad() -> Any:
    return train.ProximalAdagradOptimizer(
        0.2, l1_regularization_strength=0.01, l2_regularization_strength=0.02
    )


def _adadelta() -> Any:
    return train.AdadeltaOptimizer(1.0, rho=0.9, epsilon=1e-3)


def _rmsprop() -> Any:
    return train.RMSPropOptimizer(0.02)


def _rmsprop_centered() -> Any:
    return train.RMSPropOptimizer(0.02, decay=0.8, momentum=0.5, centered=True)


def _ftrl() -> Any:
    return train.FtrlOptimizer(0.2)


def _ftrl_regularized() -> Any:
    return train.FtrlOptimizer(
        0.3,
        learning_rate_power=-0.6,
        initial_accumulator_value=0.2,
        l1_regularization_strength=0.05,
        l2_regularization_strength=0.02,
    )


DENSE = (
    _gradient_descent,
    _proximal_gradient_descent,
    _momentum,
    _nesterov,
    _adam,
    _adam_defaults,
    _adagrad,
    _adagrad_da,
    _proximal_adagrad,
    _adadelta,
    _rmsprop,
    _rmsprop_centered,
    _ftrl,
    _ftrl_regularized,
)
SPARSE = (
    _gradient_descent,
    _momentum,
    _nesterov,
    _adam,
    _adagrad,
    _proximal_adagrad,
    _rmsprop,
    _ftrl_regularized,
)


def _network(features: Any) -> Any:
    """Two layers from fixed weights, (batch, 3) -> (batch, 1)."""
    with v1.variable_scope("hidden"):
        kernel = v1.get_variable(
            "kernel", initializer=np.linspace(-0.6, 0.7, 6, dtype=np.float32).reshape(3, 2)
        )
        bias = v1.get_variable("bias", [2], initializer=v1.constant_initializer(0.1))
        hidden = tf.tanh(tf.matmul(features, kernel) + bias)
    with v1.variable_scope("out"):
        kernel = v1.get_variable("kernel", initializer=np.array([[0.4], [-0.3]], np.float32))
        bias = v1.get_variable("bias", [1], initializer=v1.zeros_initializer())
        return tf.matmul(hidden, kernel) + bias


def _trained(
    est: Any, model_dir: str, make_train_op: Callable[[Any], Any], steps: int
) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss = tf.identity(
            v1.losses.mean_squared_error(labels, _network(features)), name="the_loss"
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=make_train_op(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=steps
    )
    return {"losses": losses, "variables": tools.checkpoint(model_dir)}


def _dense(make: Callable[[], Any]) -> Callable[[Any, str], dict[str, Any]]:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        def train_op(loss: Any) -> Any:
            return make().minimize(loss, global_step=train.get_global_step())

        return _trained(est, model_dir, train_op, steps=20)

    return program


def _embedding(make: Callable[[], Any]) -> Callable[[Any, str], dict[str, Any]]:
    """Rows of a table by repeated ids: sparse gradients, and two rows that are never seen."""

    def program(est: Any, model_dir: str) -> dict[str, Any]:
        losses: list[float] = []
        table = np.linspace(-0.5, 0.5, 14, dtype=np.float32).reshape(7, 2)
        ids = np.array([[0, 1], [1, 1], [3, 4], [4, 0], [5, 3], [1, 5]], np.int64)
        targets = np.array([1.0, -1.0, 0.5, 2.0, 0.0, 1.5], np.float32)

        def model_fn(features: Any, labels: Any, mode: str) -> Any:
            embedding = v1.get_variable("embedding", initializer=table)
            weights = v1.get_variable("weights", [2], initializer=v1.ones_initializer())
            vectors = tf.reduce_mean(tf.nn.embedding_lookup(embedding, features["ids"]), axis=1)
            loss = tf.reduce_mean(tf.square(tf.reduce_sum(vectors * weights, axis=1) - labels))
            loss = tf.identity(loss, name="the_loss")
            train_op = make().minimize(loss, global_step=train.get_global_step())
            return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

        estimator = est.Estimator(model_fn, model_dir)
        estimator.train(
            tools.batches({"ids": ids}, targets, batch_size=2),
            hooks=[tools.losses_hook(est, losses)],
            steps=12,
        )
        return {"losses": losses, "variables": tools.checkpoint(model_dir)}

    return program


CASES.update({f"dense{make.__name__}": _dense(make) for make in DENSE})
CASES.update({f"embedding{make.__name__}": _embedding(make) for make in SPARSE})


def _exponential_decay(step: Any) -> Any:
    return train.exponential_decay(0.2, step, decay_steps=3, decay_rate=0.5, staircase=True)


def _polynomial_decay(step: Any) -> Any:
    return train.polynomial_decay(0.2, step, decay_steps=8, end_learning_rate=0.01, power=2.0)


def _piecewise_constant(step: Any) -> Any:
    return train.piecewise_constant(step, [2, 5], [0.3, 0.1, 0.02])


def _cosine_decay(step: Any) -> Any:
    return train.cosine_decay(0.2, step, decay_steps=10, alpha=0.1)


def _inverse_time_decay(step: Any) -> Any:
    return train.inverse_time_decay(0.2, step, decay_steps=2, decay_rate=0.5)


def _warm_up(step: Any) -> Any:
    step = tf.cast(step, tf.float32)
    return tf.where(step < 4.0, 0.05 * step, 0.2)


def _schedule(schedule: Callable[[Any], Any]) -> Callable[[Any, str], dict[str, Any]]:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        rates: list[float] = []

        def model_fn(features: Any, labels: Any, mode: str) -> Any:
            step = train.get_or_create_global_step()
            # The original may read the step before or after the update when it fetches the rate,
            # so the update waits.
            rate = tf.identity(schedule(step), name="rate")
            loss = v1.losses.mean_squared_error(labels, _network(features))
            with tf.control_dependencies([rate]):
                train_op = train.GradientDescentOptimizer(rate).minimize(loss, global_step=step)
            hook = est.LoggingTensorHook(
                {"rate": "rate"}, every_n_iter=1, formatter=lambda v: rates.append(float(v["rate"]))
            )
            return est.EstimatorSpec(mode, loss=loss, train_op=train_op, training_hooks=[hook])

        estimator = est.Estimator(model_fn, model_dir)
        estimator.train(tools.batches(*tools.regression()), steps=6)
        estimator.train(tools.batches(*tools.regression()), steps=4)
        return {"rates": rates, "variables": tools.checkpoint(model_dir)}

    return program


SCHEDULES = (
    _exponential_decay,
    _polynomial_decay,
    _piecewise_constant,
    _cosine_decay,
    _inverse_time_decay,
    _warm_up,
)
CASES.update({f"schedule{schedule.__name__}": _schedule(schedule) for schedule in SCHEDULES})


@CASES
def clipped_by_value(est: Any, model_dir: str) -> dict[str, Any]:
    def train_op(loss: Any) -> Any:
        optimizer = _momentum()
        gradients = optimizer.compute_gradients(loss)
        clipped = [
            (tf.clip_by_value(gradient, -0.1, 0.1), variable)
            for gradient, variable in gradients
            if gradient is not None
        ]
        return optimizer.apply_gradients(clipped, global_step=train.get_global_step())

    return _trained(est, model_dir, train_op, steps=8)


@CASES
def clipped_by_global_norm(est: Any, model_dir: str) -> dict[str, Any]:
    def train_op(loss: Any) -> Any:
        variables = v1.trainable_variables()
        gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 0.5)
        return _adam().apply_gradients(
            zip(gradients, variables, strict=True), global_step=train.get_global_step()
        )

    return _trained(est, model_dir, train_op, steps=8)


@CASES
def two_updates_per_step(est: Any, model_dir: str) -> dict[str, Any]:
    """Both optimizers get the global step, so it advances by 2; the second waits for the first."""

    def train_op(loss: Any) -> Any:
        step = train.get_global_step()
        hidden = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, scope="hidden")
        out = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, scope="out")
        gradients = tf.gradients(loss, hidden + out)
        first, second = gradients[: len(hidden)], gradients[len(hidden) :]
        with tf.control_dependencies(gradients):
            one = _adagrad().apply_gradients(zip(first, hidden, strict=True), global_step=step)
        with tf.control_dependencies([one]):
            two = _gradient_descent().apply_gradients(
                zip(second, out, strict=True), global_step=step
            )
        return tf.group(one, two)

    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss = tf.identity(
            v1.losses.mean_squared_error(labels, _network(features)), name="the_loss"
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op(loss))

    estimator = est.Estimator(model_fn, model_dir)
    hook = tools.losses_hook(est, losses)
    estimator.train(tools.batches(*tools.regression()), hooks=[hook], max_steps=7)
    first = tools.plain(estimator.get_variable_value("global_step"))
    estimator.train(tools.batches(*tools.regression()), hooks=[hook], steps=4)
    return {
        "losses": losses,
        "global_step_after_max_steps_7": first,
        "variables": tools.checkpoint(model_dir),
    }


@CASES
def two_optimizers_one_step(est: Any, model_dir: str) -> dict[str, Any]:
    def train_op(loss: Any) -> Any:
        hidden = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, scope="hidden")
        out = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES, scope="out")
        updates = tf.group(
            _adam().minimize(loss, var_list=hidden),
            train.AdamOptimizer(0.01).minimize(loss, var_list=out),
        )
        with tf.control_dependencies([updates]):
            return v1.assign_add(train.get_global_step(), 1).op

    return _trained_names(est, model_dir, train_op)


def _trained_names(est: Any, model_dir: str, train_op: Callable[[Any], Any]) -> dict[str, Any]:
    """As `_trained` for updates that race with gradients: only names and the step compare."""
    _trained(est, model_dir, train_op, steps=3)
    step = tf.train.load_checkpoint(model_dir).get_tensor("global_step")
    return {"layout": tools.names_and_shapes(model_dir), "global_step": tools.plain(step)}


@CASES
def train_op_is_a_tensor(est: Any, model_dir: str) -> dict[str, Any]:
    def train_op(loss: Any) -> Any:
        update = _gradient_descent().minimize(loss, global_step=train.get_global_step())
        with tf.control_dependencies([update]):
            return tf.identity(loss)

    return _trained(est, model_dir, train_op, steps=5)


@CASES
def control_dependencies(est: Any, model_dir: str) -> dict[str, Any]:
    """A counter updated before the weights, and a copy of the weights taken after them."""

    def train_op(loss: Any) -> Any:
        counter = v1.get_variable(
            "counter", [], initializer=v1.zeros_initializer(), trainable=False
        )
        weights = next(
            variable for variable in v1.trainable_variables() if variable.op.name == "out/kernel"
        )
        copy = v1.get_variable("copy", [2, 1], initializer=v1.zeros_initializer(), trainable=False)
        with tf.control_dependencies([v1.assign_add(counter, 2.0)]):
            update = _gradient_descent().minimize(loss, global_step=train.get_global_step())
        with tf.control_dependencies([update]):
            copied = copy.assign(weights.read_value() * (1.0 + counter.read_value()))
        return tf.group(copied, name="everything")

    return _trained(est, model_dir, train_op, steps=5)


@CASES
def written_down_but_not_run(est: Any, model_dir: str) -> dict[str, Any]:
    """Assignments that nothing fetches and nothing depends on do not happen."""

    def train_op(loss: Any) -> Any:
        counter = v1.get_variable(
            "counter", [], initializer=v1.zeros_initializer(), trainable=False
        )
        v1.assign_add(counter, 1.0)
        counter.assign_add(1.0)
        _gradient_descent().minimize(loss)
        return train.get_global_step().assign_add(1)

    return _trained(est, model_dir, train_op, steps=3)


@CASES
def gradient_accumulation(est: Any, model_dir: str) -> dict[str, Any]:
    """Gradients are summed for two steps and applied at every second one."""

    def train_op(loss: Any) -> Any:
        step, optimizer = train.get_global_step(), _gradient_descent()
        pairs = optimizer.compute_gradients(loss)
        sums = [
            v1.get_variable(
                f"sum_{position}",
                variable.shape,
                initializer=v1.zeros_initializer(),
                trainable=False,
            )
            for position, (_, variable) in enumerate(pairs)
        ]
        with tf.control_dependencies([gradient for gradient, _ in pairs]):
            added = tf.group(
                *[
                    total.assign_add(gradient)
                    for total, (gradient, _) in zip(sums, pairs, strict=True)
                ]
            )

        def apply() -> Any:
            update = optimizer.apply_gradients(
                [
                    (total.read_value(), variable)
                    for total, (_, variable) in zip(sums, pairs, strict=True)
                ]
            )
            with tf.control_dependencies([update]):
                return tf.group(*[total.assign(tf.zeros_like(total)) for total in sums])

        with tf.control_dependencies([added]):
            due = tf.equal(tf.math.floormod(step.read_value(), 2), 1)
            applied = tf.cond(due, lambda: _true_after(apply), lambda: tf.constant(False))
        with tf.control_dependencies([applied]):
            return step.assign_add(1)

    return _trained(est, model_dir, train_op, steps=6)


def _true_after(call: Callable[[], Any]) -> Any:
    with tf.control_dependencies([call()]):
        return tf.constant(True)


@CASES
def slots_below_a_scope(est: Any, model_dir: str) -> dict[str, Any]:
    """The scope that is open at `minimize` prefixes the slots' names; `name=` ends them."""

    def train_op(loss: Any) -> Any:
        with v1.variable_scope("optimization"):
            optimizer = train.AdamOptimizer(0.05, name="Moments")
            return optimizer.minimize(loss, global_step=train.get_global_step())

    return _trained(est, model_dir, train_op, steps=3)


@CASES
def regularized_variables(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable(
            "w",
            [3, 1],
            initializer=v1.ones_initializer(),
            regularizer=lambda value: 0.1 * tf.reduce_sum(value**2),
        )
        loss = v1.losses.mean_squared_error(labels, tf.matmul(features, weights))
        collected = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        total = tf.identity(loss + tf.add_n(collected), name="the_loss")
        train_op = _adagrad().minimize(total, global_step=train.get_global_step())
        return est.EstimatorSpec(mode, loss=total, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=5
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {
        "losses": losses,
        "evaluated": tools.plain(evaluated),
        "variables": tools.checkpoint(model_dir),
    }
