"""Keras optimizers with learning rates that the graph computes, wherever they may stand."""

import functools
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
