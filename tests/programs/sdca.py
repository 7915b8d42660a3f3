"""Linear estimators trained by LinearSDCA: its single steps vary, its optimum does not."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import canned, tools

CASES = tools.Cases()
fc = tf.feature_column


def features() -> dict[str, np.ndarray]:
    names = np.array([f"example {row}" for row in range(canned.ROWS)], dtype="S12")
    return {**canned.features(), "key": names}


def columns() -> list[Any]:
    """Numbers, words with missing ones, several ids for an example, a cross."""
    cross = fc.crossed_column([canned.bucketized(), "color"], 8)
    several = canned.identity("several")
    return [canned.age(), fc.numeric_column("pair", shape=2), canned.color(), several, cross]


def input_fn(
    kind: str | None, epochs: int | None = None, batch: int = canned.ROWS
) -> Callable[[], tf.data.Dataset]:
    return tools.batches(features(), kind and canned.labels(kind), batch, epochs)


KINDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "classes": ("LinearClassifier", "two", {}, {}),
    "classes_with_weights": (
        "LinearClassifier",
        "two",
        {"symmetric_l1_regularization": 0.2},
        {"weight_column": "weight"},
    ),
    "classes_adaptively": (
        "LinearClassifier",
        "two",
        {"symmetric_l2_regularization": 4.0, "adaptive": True},
        {"loss_reduction": "sum"},
    ),
    "numbers": ("LinearRegressor", "number", {"symmetric_l2_regularization": 2.0}, {}),
    "numbers_with_weights": (
        "LinearRegressor",
        "number",
        {"symmetric_l1_regularization": 1.0},
        {"weight_column": "weight"},
    ),
}


def estimator(est: Any, kind: str, model_dir: str) -> Any:
    name, _, settings, options = KINDS[kind]
    return getattr(est, name)(
        feature_columns=columns(),
        optimizer=est.experimental.LinearSDCA("key", **settings),
        config=canned.config(est, model_dir),
        **options,
    )


def _trained(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    label = KINDS[kind][1]
    made = estimator(est, kind, model_dir).train(input_fn(label), steps=150)
    evaluated = made.evaluate(input_fn(label, 1))
    weights = [name for name in made.get_variable_names() if name.startswith("linear/")]
    return {
        "shapes": tools.names_and_shapes(model_dir),
        "tags": canned.tags(model_dir),
        "keys": list(evaluated),
        "first loss": tools.scalars(model_dir, ["loss"])["loss"]["values"][0],
        "optimum": {
            "loss": tools.plain(evaluated["loss"]),
            **{name: tools.plain(np.ravel(made.get_variable_value(name))) for name in weights},
        },
    }


CASES.update({kind: functools.partial(_trained, kind=kind) for kind in KINDS})


def _linear(est: Any, name: str = "LinearClassifier", key: str = "key", **options: Any) -> Any:
    given = {"feature_columns": columns(), "optimizer": est.experimental.LinearSDCA(key), **options}
    return getattr(est, name)(**given)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "three classes": lambda est: _linear(est, n_classes=3),
    "two numbers": lambda est: _linear(est, "LinearRegressor", label_dimension=2),
    "a mean": lambda est: _linear(est, sparse_combiner="mean"),
    "no squares": lambda est: _linear(
        est, optimizer=est.experimental.LinearSDCA("key", symmetric_l2_regularization=0.0)
    ),
    "negative costs": lambda est: _linear(
        est, optimizer=est.experimental.LinearSDCA("key", symmetric_l1_regularization=-1.0)
    ),
}


@CASES
def what_is_refused(est: Any, model_dir: str) -> dict[str, Any]:
    del model_dir

    def use(make: Callable[[Any], Any]) -> None:
        make(est).train(input_fn("two"), steps=1)

    return {
        name: tools.error(functools.partial(use, make), ValueError)
        for name, make in REFUSED.items()
    }
