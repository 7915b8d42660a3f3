"""Linear estimators from zero: losses, metrics, predictions, variables, tags."""

import functools
from typing import Any

import tensorflow as tf

from tests.programs import canned, tools

fc = tf.feature_column
CASES = tools.Cases()


def _classified(
    est: Any, model_dir: str, kind: str = "two", steps: int = 60, **options: Any
) -> dict[str, Any]:
    options = {"feature_columns": canned.linear_columns(), **options}
    estimator = est.LinearClassifier(config=canned.config(est, model_dir), **options)
    return canned.trained(estimator, kind, steps=steps, thin=7)


def _named(est: Any, model_dir: str, name: str) -> dict[str, Any]:
    return _classified(est, model_dir, optimizer=name)


CASES.update({f"name_{name}": functools.partial(_named, name=name) for name in canned.OPTIMIZERS})


def _by_object(
    est: Any, model_dir: str, name: str, settings: dict[str, Any], schedule: bool = False
) -> dict[str, Any]:
    rate = canned.decayed() if schedule else 0.05
    make = canned.optimizer(est, name, rate, **settings)
    return _classified(est, model_dir, steps=25, optimizer=make)


OBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ftrl_l1": ("Ftrl", {"l1_regularization_strength": 0.05}),
    "ftrl_l2": ("Ftrl", {"l2_regularization_strength": 0.5}),
    "ftrl_all": (
        "Ftrl",
        {
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.1,
            "learning_rate_power": -0.6,
            "initial_accumulator_value": 0.2,
            "beta": 0.1,
        },
    ),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.3}),
    "adam": ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.5, "rho": 0.8}),
    "rmsprop_centered": ("RMSprop", {"momentum": 0.5, "centered": True}),
    "clipnorm": ("SGD", {"clipnorm": 0.1}),
    "clipvalue": ("Adagrad", {"clipvalue": 0.02}),
    "global_clipnorm": ("Adagrad", {"global_clipnorm": 0.1}),
}
CASES.update(
    {
        f"object_{key}": functools.partial(_by_object, name=name, settings=settings)
        for key, (name, settings) in OBJECTS.items()
    }
)
CASES.update(
    {
        f"schedule_{name}": functools.partial(_by_object, name=name, settings={}, schedule=True)
        for name in ("SGD", "Ftrl", "Adam")
    }
)


@CASES
def long(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.LinearClassifier(
        canned.linear_columns(), config=canned.config(est, model_dir), n_classes=3
    )
    return canned.trained(estimator, "three", steps=200, thin=20)


@CASES
def no_optimizer(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(est, model_dir, optimizer=None)


@CASES
def three_classes(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(est, model_dir, "three", n_classes=3)


@CASES
def three_classes_summed_and_weighted(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(
        est, model_dir, "three", n_classes=3, weight_column="weight", loss_reduction="sum"
    )


@CASES
def vocabulary(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(est, model_dir, "words", n_classes=3, label_vocabulary=canned.CLASSES)


@CASES
def weighted(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(est, model_dir, weight_column=fc.numeric_column("weight"))


@CASES
def summed(est: Any, model_dir: str) -> dict[str, Any]:
    return _classified(est, model_dir, loss_reduction="sum", optimizer="SGD")


@CASES
def dense_columns(est: Any, model_dir: str) -> dict[str, Any]:
    """A linear model over what a network would be given; embeddings need initial values."""
    embedding = fc.embedding_column(
        canned.identity(), 2, initializer=tf.compat.v1.constant_initializer(0.3)
    )
    columns = [embedding, fc.indicator_column(canned.color()), canned.age()]
    return _classified(est, model_dir, feature_columns=columns, optimizer="Adagrad")


def _combined(est: Any, model_dir: str, combiner: str) -> dict[str, Any]:
    columns = [canned.identity("several"), canned.age()]
    return _classified(est, model_dir, feature_columns=columns, sparse_combiner=combiner)


CASES.update(
    {
        f"combiner_{combiner}": functools.partial(_combined, combiner=combiner)
        for combiner in ("sum", "mean", "sqrtn")
    }
)


@CASES
def regression(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.LinearRegressor(
        canned.linear_columns(), config=canned.config(est, model_dir), weight_column="weight"
    )
    return canned.trained(estimator, "number", steps=60, thin=7)


@CASES
def regression_of_two_numbers(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.LinearRegressor(
        canned.linear_columns(),
        config=canned.config(est, model_dir),
        label_dimension=2,
        loss_reduction="sum",
        optimizer="Adam",
    )
    return canned.trained(estimator, "numbers", steps=20)


@CASES
def with_a_head(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.LinearEstimator(
        est.RegressionHead(name="ages"), [canned.age()], config=canned.config(est, model_dir)
    )
    return canned.trained(estimator, "number", steps=20)


@CASES
def trained_twice(est: Any, model_dir: str) -> dict[str, Any]:
    """The second estimator goes on with slots and rates of the first."""
    for _ in range(2):
        answer = _classified(est, model_dir, optimizer="Adam")
    return answer
