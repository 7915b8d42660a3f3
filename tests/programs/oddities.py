"""Things that real programs get away with."""

import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _sgd(rate: float = 0.1) -> Any:
    return v1.train.GradientDescentOptimizer(rate)


class _HParams:
    """A params object that is no dict, like tf.contrib.training.HParams."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def add_hparam(self, name: str, value: Any) -> None:
        setattr(self, name, value)


def _by_params(est: Any, seen: list[Any] | None = None) -> Any:
    def model_fn(features: Any, labels: Any, mode: str, params: Any) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.constant_initializer(params.start))
        loss = tf.identity(
            tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels)), name="the_loss"
        )
        train_op = _sgd(params.rate).minimize(loss, global_step=v1.train.get_global_step())
        if seen is not None:
            seen.append(sorted(vars(params)))
        params.add_hparam("left_behind", 1)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


@CASES
def params_of_a_class(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []
    seen: list[Any] = []
    params = _HParams(start=0.5, rate=0.05, layers=[3, 2])
    estimator = est.Estimator(_by_params(est, seen), model_dir, params=params)
    params.rate, params.layers = 100.0, None
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=3
    )
    estimator.params.layers.append(1)
    estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {
        "losses": losses,
        "seen": seen,
        "params": [estimator.params.rate, estimator.params.layers],
        "same": estimator.params is estimator.params,
    }


@CASES
def params_are_copied(est: Any, model_dir: str) -> dict[str, Any]:
    seen: list[Any] = []

    def model_fn(features: Any, labels: Any, mode: str, params: Any) -> Any:
        seen.append(sorted(params))
        params["scratch"] = 1
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        return est.EstimatorSpec(
            mode, loss=loss, train_op=_sgd().minimize(loss, v1.train.get_global_step())
        )

    params = {"a": 1, "nested": {"b": [1]}}
    estimator = est.Estimator(model_fn, model_dir, params=params)
    params["a"] = 2
    estimator.params["nested"]["b"].append(2)
    estimator.train(tools.batches(*tools.regression()), steps=1)
    estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {"params": estimator.params, "seen": seen}


@CASES
def params_absent(est: Any, model_dir: str) -> dict[str, Any]:
    """A model_fn that takes params and gets none sees an empty dict."""
    seen: list[Any] = []

    def model_fn(features: Any, labels: Any, mode: str, params: Any) -> Any:
        seen.append(params)
        loss = tf.reduce_mean(tf.square(labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=v1.train.get_global_step().assign_add(1))

    est.Estimator(model_fn, model_dir).train(tools.batches(*tools.regression()), steps=1)
    return {"seen": seen}


@CASES
def input_fn_called_by_hand(est: Any, model_dir: str) -> dict[str, Any]:
    """An input_fn with `params` that the program also calls itself, with params={}."""

    def input_fn(params: Any) -> tf.data.Dataset:
        return tools.batches(
            *tools.regression(), batch_size=params.get("batch_size", 8), epochs=1
        )()

    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    sizes = []
    estimator.train(lambda: input_fn(params={}))
    sizes.append(tools.plain(estimator.get_variable_value("global_step")))
    estimator.train(input_fn)
    sizes.append(tools.plain(estimator.get_variable_value("global_step")))
    return {"steps": sizes}


@CASES
def model_fn_of_another_estimator(est: Any, model_dir: str) -> dict[str, Any]:
    """`estimator.model_fn` wrapped, as add_metrics and gradient-clipping helpers do."""
    losses: list[float] = []
    inner = est.Estimator(tools.linear_model_fn(est, _sgd), f"{model_dir}/inner")

    def model_fn(features: Any, labels: Any, mode: str, config: Any) -> Any:
        spec = inner.model_fn(features, labels, mode, config)
        if mode == est.ModeKeys.PREDICT:
            return spec._replace(
                predictions={**spec.predictions, "more": spec.predictions["outputs"] + 1.0}
            )
        return spec._replace(
            eval_metric_ops={**spec.eval_metric_ops, "mean": v1.metrics.mean(labels)}
        )

    estimator = est.Estimator(model_fn, f"{model_dir}/outer")
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=3
    )
    input_fn = tools.batches(*tools.regression(), epochs=1)
    return {
        "losses": losses,
        "evaluated": tools.typed(estimator.evaluate(input_fn)),
        "rows": tools.plain(list(estimator.predict(input_fn))),
        "inner_trained": os.path.exists(f"{model_dir}/inner/checkpoint"),
    }


@CASES
def replaced_mode(est: Any, model_dir: str) -> dict[str, Any]:
    with tf.Graph().as_default():
        spec = est.EstimatorSpec(est.ModeKeys.EVAL, loss=tf.constant(1.0))
        replaced = spec._replace(loss=tf.constant(2.0))
        return {
            "type": type(replaced).__name__,
            "same_mode": spec._replace(mode="eval").mode,
            "other_mode": tools.error(lambda: spec._replace(mode="train"), ValueError),
        }


@CASES
def subclass_with_a_method(est: Any, model_dir: str) -> dict[str, Any]:
    class Regression(est.Estimator):
        def __init__(self, model_dir: str, rate: float) -> None:
            super().__init__(
                model_fn=tools.linear_model_fn(est, lambda: _sgd(rate)), model_dir=model_dir
            )
            self.rate = rate

        def weights(self) -> list[Any]:
            return tools.plain(self.get_variable_value("w"))

    class Overriding(est.Estimator):
        def train(self, input_fn: Any) -> Any:
            return self

    estimator = Regression(model_dir, 0.05)
    returned = estimator.train(tools.batches(*tools.regression()), steps=2)
    refused = tools.error(lambda: Overriding(tools.linear_model_fn(est, _sgd)), ValueError)
    return {
        "weights": estimator.weights(),
        "type": type(returned).__name__,
        "rate": returned.rate,
        "override": refused,
    }


@CASES
def optimizer_made_outside(est: Any, model_dir: str) -> dict[str, Any]:
    """One TF1 optimizer object at module level for every call."""
    losses: list[float] = []
    optimizer = v1.train.MomentumOptimizer(0.05, 0.9)

    estimator = est.Estimator(tools.linear_model_fn(est, lambda: optimizer), model_dir)
    for _ in range(2):
        estimator.train(
            tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=3
        )
    return {"losses": losses, "variables": tools.checkpoint(model_dir)}


@CASES
def string_and_boolean_labels(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()
    words, flags = np.where(y[:, 0] > 0, "yes", "no"), y[:, 0] > 0

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        if labels.dtype == tf.string:
            labels = tf.equal(labels, "yes")
        assert labels.dtype == tf.bool
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        logits = tf.matmul(features, weights)[:, 0]
        loss = tf.identity(v1.losses.sigmoid_cross_entropy(labels, logits), name="the_loss")
        metrics = {
            "accuracy": v1.metrics.accuracy(labels, logits > 0),
            "rate": v1.metrics.mean(tf.cast(labels, tf.float32)),
        }
        train_op = _sgd(0.5).minimize(loss, v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    results = {}
    for name, labels in (("words", words), ("flags", flags)):
        losses: list[float] = []
        estimator = est.Estimator(model_fn, f"{model_dir}/{name}")
        estimator.train(tools.batches(x, labels), hooks=[tools.losses_hook(est, losses)], steps=3)
        evaluated = estimator.evaluate(tools.batches(x, labels, epochs=1))
        results[name] = {"losses": losses, "evaluated": tools.typed(evaluated)}
    return results


@CASES
def float_steps(est: Any, model_dir: str) -> dict[str, Any]:
    """`max_steps=epochs * rows / batch_size` is a float, often not a whole one."""
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    reached = []
    for limits in ({"max_steps": 4.0}, {"max_steps": 4.5}, {"steps": 2.0}, {"max_steps": 1e1}):
        estimator.train(tools.batches(*tools.regression()), **limits)
        reached.append(tools.plain(estimator.get_variable_value("global_step")))
    evaluated = estimator.evaluate(tools.batches(*tools.regression(12), epochs=1), steps=2.0)
    return {"reached": reached, "evaluated": tools.plain(evaluated)}


@CASES
def numpy_steps_and_paths(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), pathlib.Path(model_dir) / "here")
    estimator.train(tools.batches(*tools.regression()), steps=np.int64(3))
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1), steps=np.int32(1))
    return {"model_dir": os.path.basename(estimator.model_dir), "evaluated": tools.plain(evaluated)}


@CASES
def moved_model_dir(est: Any, model_dir: str) -> dict[str, Any]:
    model_fn = tools.linear_model_fn(est, _sgd)
    est.Estimator(model_fn, f"{model_dir}/one").train(tools.batches(*tools.regression()), steps=3)
    os.rename(f"{model_dir}/one", f"{model_dir}/two")
    estimator = est.Estimator(model_fn, f"{model_dir}/two")
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    estimator.train(tools.batches(*tools.regression()), steps=1)
    return {"evaluated": tools.plain(evaluated), **tools.checkpoint_state(f"{model_dir}/two")}


@CASES
def two_estimators_in_one_directory(est: Any, model_dir: str) -> dict[str, Any]:
    """One trains, another object with the same directory evaluates, in turns."""
    one = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    two = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    input_fn = tools.batches(*tools.regression(), epochs=1)
    evaluated = []
    for turn in range(3):
        (one if turn != 1 else two).train(tools.batches(*tools.regression()), steps=2)
        evaluated += [tools.plain(one.evaluate(input_fn)), tools.plain(two.evaluate(input_fn))]
    return {"evaluated": evaluated}


@CASES
def half_consumed_predictions(est: Any, model_dir: str) -> dict[str, Any]:
    """A generator left half-way, trained on in between, and another one after."""
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    estimator.train(tools.batches(*tools.regression()), steps=2)
    x, _ = tools.regression()
    predictions = estimator.predict(tools.batches(x, batch_size=2, epochs=1))
    first = [tools.plain(next(predictions)["outputs"]) for _ in range(3)]
    predictions.close()
    estimator.train(tools.batches(*tools.regression()), steps=2)
    second = [tools.plain(row["outputs"]) for row in estimator.predict(tools.batches(x, epochs=1))]
    return {"first": first, "second": second}


@CASES
def global_step_by_hand(est: Any, model_dir: str) -> dict[str, Any]:
    """get_or_create_global_step, add to it by hand, use it in the loss."""
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        step = v1.train.get_or_create_global_step()
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        error = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        loss = tf.identity(error + 0.01 * tf.cast(step, tf.float32), name="the_loss")
        with tf.control_dependencies([_sgd().minimize(error), loss]):
            train_op = v1.assign_add(step, 1, name="advance")
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=4
    )
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
    }


@CASES
def state_across_calls(est: Any, model_dir: str) -> dict[str, Any]:
    """Training in many short calls, evaluated in between, is one long training."""
    x, y = tools.regression(4)
    long, short = [], []

    def adam() -> Any:
        return v1.train.AdamOptimizer(0.05)

    whole = est.Estimator(tools.linear_model_fn(est, adam), f"{model_dir}/long")
    whole.train(tools.batches(x, y), hooks=[tools.losses_hook(est, long)], steps=9)
    parts = est.Estimator(tools.linear_model_fn(est, adam), f"{model_dir}/short")
    for _ in range(3):
        parts.train(tools.batches(x, y), hooks=[tools.losses_hook(est, short)], steps=3)
        parts.evaluate(tools.batches(2 * x, y, epochs=1))
        list(parts.predict(tools.batches(x, epochs=1)))
    variables = tools.checkpoint(f"{model_dir}/long")
    assert variables == tools.checkpoint(f"{model_dir}/short"), "the two ways end at other weights"
    return {"long": long, "short": short, "variables": variables}


@CASES
def names_do_not_depend_on_what_came_before(est: Any, model_dir: str) -> dict[str, Any]:
    """Automatic names start anew in every estimator and every mode."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        if mode == est.ModeKeys.TRAIN:
            tf.Variable(1.0, name="only_in_training", trainable=False)
        weights, bias = tf.Variable(np.full([3, 1], 0.5, np.float32)), tf.Variable([0.25])
        outputs = tf.matmul(features, weights) + bias
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        return est.EstimatorSpec(
            mode, loss=loss, train_op=_sgd().minimize(loss, v1.train.get_global_step())
        )

    rows = {}
    for name in ("one", "two"):
        estimator = est.Estimator(model_fn, f"{model_dir}/{name}")
        estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
        estimator.train(tools.batches(*tools.regression()), steps=2)
        predictions = estimator.predict(tools.batches(tools.regression(3)[0], epochs=1))
        rows[name] = [tools.plain(list(predictions)), estimator.get_variable_names()]
    return rows
