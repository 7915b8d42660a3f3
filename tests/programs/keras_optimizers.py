"""Keras optimizers with learning rates that the graph computes, wherever they may stand."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import canned, tools

v1 = tf.compat.v1
CASES = tools.Cases()
STEPS = 8


def _decay() -> Any:
    step = v1.train.get_or_create_global_step()
    return v1.train.exponential_decay(0.3, step, 3, 0.5, staircase=True)


def _piecewise() -> Any:
    step = v1.train.get_or_create_global_step()
    return v1.train.piecewise_constant(step, [2, 5], [0.3, 0.2, 0.1])


def _variable() -> Any:
    return v1.get_variable("rate", initializer=0.2, trainable=False)


RATES: dict[str, Callable[[], Any]] = {
    "decay": _decay,
    "decay_by_function": lambda: _decay,
    "piecewise": _piecewise,
    "variable": _variable,
    "constant": lambda: tf.constant(0.2),
    "numpy": lambda: np.float32(0.2),
}


WHOLE_NUMBER = {"whole_number": lambda: 1}
"""Canned estimators of the original store it as an int32, and cannot go on with 1.0."""


def _of_canned(est: Any, model_dir: str, rate: str, name: str, **settings: Any) -> dict[str, Any]:
    def make() -> Any:
        return canned.optimizer(est, name, RATES[rate](), **settings)()

    estimator = est.LinearClassifier(
        canned.linear_columns(), config=canned.config(est, model_dir), optimizer=make
    )
    return canned.trained(estimator, "two", STEPS)


def _minimized(est: Any, optimizer: Any, loss: Any) -> Any:
    """A train op of an optimizer; the original has the old way of Keras 2 alone."""
    if hasattr(est, "errors"):
        return optimizer
    optimizer.iterations = v1.train.get_or_create_global_step()
    return optimizer.get_updates(loss, v1.trainable_variables())[0]


def _model_fn(est: Any, make: Callable[[], Any], in_head: bool) -> Callable[..., Any]:
    """A regression from zeros, by a head or without."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        outputs = tf.matmul(features, weights)
        if not in_head:
            loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
            train_op = _minimized(est, make(), loss) if mode == est.ModeKeys.TRAIN else None
            return est.EstimatorSpec(mode, loss=loss, train_op=train_op)
        optimizer = make() if mode == est.ModeKeys.TRAIN else None
        if not hasattr(est, "errors") and optimizer is not None:
            optimizer.iterations = v1.train.get_or_create_global_step()
        return est.RegressionHead().create_estimator_spec(
            {"x": features},
            mode,
            outputs,
            labels,
            optimizer=optimizer,
            trainable_variables=v1.trainable_variables(),
        )

    return model_fn


def _by_hand(
    est: Any, model_dir: str, rate: str, name: str, in_head: bool, **settings: Any
) -> dict[str, Any]:
    def make() -> Any:
        return canned.optimizer(est, name, {**RATES, **WHOLE_NUMBER}[rate](), **settings)()

    config = canned.config(est, model_dir)
    estimator = est.Estimator(_model_fn(est, make, in_head), config=config)
    data = tools.regression()
    estimator.train(tools.batches(*data), steps=STEPS)
    return {
        "losses": tools.scalars(model_dir, ["loss"]),
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*data, epochs=1))),
        "weights": tools.plain(estimator.get_variable_value("w").ravel()),
    }


CASES["train_op_sgd_whole_number"] = functools.partial(
    _by_hand, rate="whole_number", name="SGD", in_head=False
)
for _rate in RATES:
    CASES[f"canned_sgd_{_rate}"] = functools.partial(
        _of_canned, rate=_rate, name="SGD", momentum=0.5
    )
    CASES[f"train_op_sgd_{_rate}"] = functools.partial(
        _by_hand, rate=_rate, name="SGD", in_head=False, momentum=0.5
    )
for _name in ("Adam", "Adagrad", "Ftrl"):
    CASES[f"canned_{_name.lower()}_decay"] = functools.partial(_of_canned, rate="decay", name=_name)
    CASES[f"train_op_{_name.lower()}_decay"] = functools.partial(
        _by_hand, rate="decay", name=_name, in_head=False
    )
    CASES[f"head_{_name.lower()}_decay"] = functools.partial(
        _by_hand, rate="decay", name=_name, in_head=True
    )


def keras2(est: Any) -> Any:
    """The legacy optimizers and the metrics of Keras 2: part of TensorFlow then, `tf_keras` now."""
    return importlib.import_module("tf_keras") if hasattr(est, "errors") else tf.keras


def _by_keras2(
    est: Any, model_dir: str, name: str, settings: dict[str, Any], deep: bool = False
) -> dict[str, Any]:
    def make() -> Any:
        given = {key: value(est) if callable(value) else value for key, value in settings.items()}
        return getattr(keras2(est).optimizers.legacy, name)(**given)

    if not deep:
        config = canned.config(est, model_dir)
        columns = canned.linear_columns()
        estimator = est.LinearClassifier(columns, config=config, optimizer=make)
        return canned.trained(estimator, "two", STEPS)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        """A table of embeddings, whose gradient is sparse, in a head."""
        table = v1.get_variable("table", [12, 2], initializer=v1.ones_initializer())
        weights = v1.get_variable("w", [2, 1], initializer=v1.constant_initializer(0.3))
        logits = tf.matmul(tf.reduce_mean(tf.gather(table, features["ids"]), 1), weights)
        optimizer = None
        if mode == est.ModeKeys.TRAIN:
            optimizer = make()
            optimizer.iterations = v1.train.get_or_create_global_step()
        return est.RegressionHead().create_estimator_spec(
            features,
            mode,
            logits,
            labels,
            optimizer=optimizer,
            trainable_variables=v1.trainable_variables(),
        )

    ids = np.random.RandomState(3).randint(0, 8, (12, 3))
    data = {"ids": ids}, ids.mean(1, keepdims=True).astype(np.float32) / 8
    estimator = est.Estimator(model_fn, config=canned.config(est, model_dir))
    for _ in range(2):
        estimator.train(tools.batches(*data), steps=STEPS)
    return {
        "losses": tools.scalars(model_dir, ["loss"]),
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*data, epochs=1))),
        "variables": tools.checkpoint(model_dir),
    }


def _schedule(est: Any) -> Any:
    return keras2(est).optimizers.schedules.ExponentialDecay(0.3, 3, 0.8)


KERAS2: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True}),
    "sgd_decay": ("SGD", {"learning_rate": 0.1, "decay": 0.1}),
    "sgd_schedule": ("SGD", {"learning_rate": _schedule}),
    "sgd_tensor": ("SGD", {"learning_rate": lambda est: _decay()}),
    "adam": ("Adam", {"learning_rate": 0.02, "amsgrad": True, "clipnorm": 0.3}),
    "adam_named": ("Adam", {"learning_rate": 0.1, "name": "Own"}),
    "adagrad": ("Adagrad", {"learning_rate": 0.3}),
    "ftrl": ("Ftrl", {"learning_rate": 0.3, "l1_regularization_strength": 0.01}),
    "ftrl_shrinkage": (
        "Ftrl",
        {"learning_rate": 0.3, "l2_shrinkage_regularization_strength": 0.01},
    ),
    "rmsprop": ("RMSprop", {"learning_rate": 0.1, "centered": True}),
    "nadam": ("Nadam", {"learning_rate": 0.1}),
    "adamax": ("Adamax", {"learning_rate": 0.1, "clipvalue": 0.1}),
    "adadelta": ("Adadelta", {"learning_rate": 0.5}),
}
for _name, (_kind, _settings) in KERAS2.items():
    for _deep in (False, True):
        CASES[f"keras2_{'head' if _deep else 'canned'}_{_name}"] = functools.partial(
            _by_keras2, name=_kind, settings=_settings, deep=_deep
        )


@CASES
def keras2_two_optimizers(est: Any, model_dir: str) -> dict[str, Any]:
    def make(name: str) -> Callable[[], Any]:
        return lambda: getattr(keras2(est).optimizers.legacy, name)(0.1)

    estimator = est.DNNLinearCombinedRegressor(
        linear_feature_columns=canned.linear_columns(),
        linear_optimizer=make("Nadam"),
        dnn_feature_columns=[tf.feature_column.numeric_column("age")],
        dnn_hidden_units=[2],
        dnn_optimizer=make("Adam"),
        dnn_activation_fn=None,
        model_dir=model_dir,
    )
    estimator.train(canned.input_fn("number"), steps=3)
    return {"variables": tools.names_and_shapes(model_dir)}


@CASES
def keras2_metrics(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(12)

    def own(metric: Any, *args: Any, **options: Any) -> Any:
        metric.update_state(*args, **options)
        return metric

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        outputs = tf.matmul(features, weights)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, v1.train.get_global_step())
        metrics = None
        if mode == est.ModeKeys.EVAL:
            kinds = keras2(est).metrics
            positive, odds = tf.cast(labels > 0.5, tf.float32), tf.sigmoid(outputs)
            metrics = {
                "mean": own(kinds.Mean(), outputs),
                "sum": own(kinds.Sum(name="named"), outputs),
                "weighted": own(kinds.Mean(), outputs, sample_weight=positive),
                "mae": own(kinds.MeanAbsoluteError(), labels, outputs),
                "rmse": own(kinds.RootMeanSquaredError(), labels, outputs),
                "auc": own(kinds.AUC(num_thresholds=20), positive, odds),
                "precision": own(kinds.Precision(), positive, odds),
                "recall": own(kinds.Recall(thresholds=[0.4, 0.6]), positive, odds),
                "iou": own(kinds.MeanIoU(2), positive, tf.round(odds)),
                "of_tf1": v1.metrics.mean(outputs),
            }
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(tools.batches(x, y), steps=5)

    found = [tools.typed(estimator.evaluate(tools.batches(x, y, 5, epochs=1))) for _ in range(2)]
    return {"evaluated": found, "variables": tools.names_and_shapes(model_dir)}


@CASES
def keras2_added_metrics(est: Any, model_dir: str) -> dict[str, Any]:
    def metric_fn(labels: Any, predictions: Any) -> dict[str, Any]:
        metric = keras2(est).metrics.MeanSquaredError(name="error")
        metric.update_state(labels, predictions["logistic"])
        return {"added": metric}

    estimator = est.LinearClassifier(canned.linear_columns(), model_dir=model_dir)
    with_metric = est.add_metrics(estimator, metric_fn)
    with_metric.train(canned.input_fn("two"), steps=3)
    return {"evaluated": tools.typed(with_metric.evaluate(canned.input_fn("two", 1)))}
