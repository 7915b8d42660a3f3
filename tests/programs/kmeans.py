"""Clustering, from given centers: full batches; small ones as far as they do not race."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import canned, tools

CASES = tools.Cases()
fc = tf.feature_column
ROWS = 24


def points() -> np.ndarray:
    random = np.random.RandomState(8)
    places = np.array([[0, 0], [3, 1], [-1, 4]], np.float32)
    return (places[np.arange(ROWS) % 3] + random.normal(0, 0.7, (ROWS, 2))).astype(np.float32)


def input_fn(epochs: int | None = None, batch: int = ROWS) -> Callable[[], tf.data.Dataset]:
    return tools.batches(points(), None, batch, epochs)


def first() -> np.ndarray:
    return np.array([[-1, 0], [2, -2], [1, 5]], np.float32)


KINDS: dict[str, dict[str, Any]] = {
    "full_batch": {"use_mini_batch": False},
    "full_batch_of_angles": {"use_mini_batch": False, "distance_metric": "cosine"},
    "small_batches": {},
    "small_batches_of_angles": {"distance_metric": "cosine"},
    "iterations_of_several_steps": {"mini_batch_steps_per_iteration": 3},
    "iterations_of_angles": {"mini_batch_steps_per_iteration": 3, "distance_metric": "cosine"},
}


def made(est: Any, model_dir: str, **options: Any) -> Any:
    given = {"num_clusters": 3, "initial_clusters": first(), **options}
    return est.experimental.KMeans(config=canned.config(est, model_dir), **given)


def _served(est: Any, estimator: Any, model_dir: str) -> dict[str, Any]:
    def receiver() -> Any:
        given = tf.compat.v1.placeholder(tf.float32, [None, 2])
        return est.export.ServingInputReceiver(given, given)

    path = estimator.export_saved_model(f"{model_dir}/export", receiver).decode()
    signatures = tf.saved_model.load(path).signatures
    given = tf.constant(points()[:3])
    return {
        name: {key: tools.plain(value.numpy()) for key, value in signature(given).items()}
        for name, signature in signatures.items()
    }


def _started(est: Any, model_dir: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a step does of which nothing depends on the order of the original's own reads."""
    estimator = made(est, model_dir, **options)
    estimator.train(input_fn(), steps=1)
    variables = tools.checkpoint(model_dir)
    return {
        "losses": tools.scalars(model_dir, ["loss", "loss/raw"]),
        "shapes": tools.names_and_shapes(model_dir),
        "dtypes": {name: variable["dtype"] for name, variable in variables.items()},
        "counts": variables["Variable"],
        "tags": canned.tags(model_dir),
    }


def _trained(est: Any, model_dir: str, options: dict[str, Any]) -> dict[str, Any]:
    estimator = made(est, model_dir, **options)
    estimator.train(input_fn(), steps=6)
    return {
        "losses": tools.scalars(model_dir, ["loss", "loss/raw"]),
        "variables": tools.checkpoint(model_dir),
        "evaluated": tools.typed(estimator.evaluate(input_fn(), steps=1)),
        "score": tools.plain(estimator.score(input_fn())),
        "predicted": tools.plain(list(estimator.predict(input_fn(1)))[:4]),
        "indices": tools.plain(list(estimator.predict_cluster_index(input_fn(1)))),
        "transformed": tools.plain(list(estimator.transform(input_fn(1)))[:4]),
        "centers": tools.plain(estimator.cluster_centers()),
        "served": _served(est, estimator, model_dir),
        "tags": canned.tags(model_dir),
        "eval tags": canned.tags(f"{model_dir}/eval"),
    }


for _name, _options in KINDS.items():
    _program = _started if _options.get("use_mini_batch", True) else _trained
    CASES[_name] = functools.partial(_program, options=_options)


@CASES
def features_by_name(est: Any, model_dir: str) -> dict[str, Any]:
    """The order of names, not of the dict; or that of columns."""

    def named() -> tf.data.Dataset:
        columns = {"b": points()[:, 1:], "a": points()[:, :1]}
        return tf.data.Dataset.from_tensor_slices(columns).batch(ROWS).repeat()

    plain = made(est, f"{model_dir}/plain", use_mini_batch=False).train(named, steps=3)
    columns = [fc.numeric_column("b"), fc.numeric_column("a")]
    chosen = made(est, f"{model_dir}/columns", use_mini_batch=False, feature_columns=columns).train(
        named, steps=3
    )
    return {
        "plain": tools.plain(plain.cluster_centers()),
        "columns": tools.plain(chosen.cluster_centers()),
        "variables": tools.names_and_shapes(f"{model_dir}/columns"),
    }


@CASES
def a_tolerance(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = made(est, model_dir, use_mini_batch=False, relative_tolerance=0.01)
    estimator.train(input_fn(), steps=50)
    return {
        "step": tools.plain(estimator.get_variable_value("global_step")),
        "centers": tools.plain(estimator.cluster_centers()),
    }


@CASES
def constants(est: Any, model_dir: str) -> dict[str, Any]:
    del model_dir
    kind = est.experimental.KMeans
    return {name: getattr(kind, name) for name in dir(kind) if name.isupper()}


REFUSED: dict[str, dict[str, Any]] = {
    "unknown first centers": {"initial_clusters": "nope"},
    "unknown distance": {"distance_metric": "manhattan"},
    "too few points for kmeans++": {
        "initial_clusters": "kmeans_plus_plus",
        "num_clusters": ROWS + 1,
        "seed": 1,
    },
}


@CASES
def what_is_refused(est: Any, model_dir: str) -> dict[str, Any]:
    def use(name: str) -> None:
        made(est, f"{model_dir}/{name}", **REFUSED[name]).train(input_fn(), steps=1)

    kinds = (tf.errors.InvalidArgumentError, ValueError)
    return {name: tools.error(functools.partial(use, name), *kinds) for name in REFUSED}
