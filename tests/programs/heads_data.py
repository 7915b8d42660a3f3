"""Data, heads and labels for the programs about heads."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

ROWS = 10
WORDS = ["low", "middle", "high"]
REDUCTIONS = ("sum_over_batch_size", "sum")


def features() -> dict[str, np.ndarray]:
    """Numbers (rows, 3), and weights: one is 0."""
    random = np.random.RandomState(3)
    weights = random.uniform(0.1, 2.0, ROWS).astype(np.float32)
    weights[4] = 0.0
    return {"x": random.uniform(-1.0, 1.0, (ROWS, 3)).astype(np.float32), "w": weights}


def _signal() -> np.ndarray:
    return features()["x"] @ np.array([1.0, -2.0, 0.5], np.float32)


def labels(kind: str, named: bool = False) -> Any:
    """Labels of all rows for a kind of head; `named`: as strings."""
    signal = _signal()
    ids = np.digitize(signal, [-0.5, 0.6])
    several = np.stack([signal > -0.4, signal < 0.3, features()["x"][:, 0] > 0], 1).astype(np.int64)
    made = {
        "binary": (signal > 0.1).astype(np.int64),
        "multi_class": ids,
        "multi_label": several,
        "regression": signal[:, None],
        "regression_of_two": np.stack([signal, 1.0 - signal], 1),
        "poisson": np.digitize(signal, [-1.0, 0.0, 1.0]).astype(np.float32),
        "logistic": 1.0 / (1.0 + np.exp(-2.0 * signal)),
    }[kind]
    return np.array(WORDS)[made] if named and kind in ("binary", "multi_class") else made


def sparse(indicators: Any, named: bool) -> tf.SparseTensor:
    """Labels of several classes as a sparse tensor of ids or names."""
    where = tf.where(tf.equal(indicators, 1))
    classes = tf.gather(WORDS, where[:, 1]) if named else where[:, 1]
    shape = tf.shape(indicators, out_type=tf.int64)
    return tf.SparseTensor(tf.stack([where[:, 0], _place(where[:, 0])], 1), classes, shape)


def _place(rows: Any) -> Any:
    """For sorted row numbers: the how manieth of its row each is."""
    same = tf.cast(tf.equal(rows[:, None], rows[None, :]), tf.int64)
    return tf.reduce_sum(tf.linalg.band_part(same, -1, 0), axis=1) - 1


def head(est: Any, kind: str, named: bool = False, **arguments: Any) -> Any:
    """A head of a kind."""
    words = {"label_vocabulary": WORDS[: 2 if kind == "binary" else 3]} if named else {}
    return {
        "binary": lambda: est.BinaryClassHead(**words, **arguments),
        "multi_class": lambda: est.MultiClassHead(3, **words, **arguments),
        "multi_label": lambda: est.MultiLabelHead(3, **words, **arguments),
        "regression": lambda: est.RegressionHead(**arguments),
        "regression_of_two": lambda: est.RegressionHead(2, **arguments),
        "poisson": lambda: est.PoissonRegressionHead(**arguments),
        "logistic": lambda: est.LogisticRegressionHead(**arguments),
    }[kind]()


KINDS = (
    "binary",
    "multi_class",
    "multi_label",
    "regression",
    "regression_of_two",
    "poisson",
    "logistic",
)
CLASSIFIERS = KINDS[:3]


def every_combination() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, kind and arguments of `head`: every head x reduction x weights x vocabulary."""
    for kind, reduction, weighted in itertools.product(KINDS, REDUCTIONS, (False, True)):
        for named in (False, True) if kind in CLASSIFIERS else (False,):
            arguments: dict[str, Any] = {"loss_reduction": reduction, "named": named}
            if weighted:
                arguments["weight_column"] = "w"
            marks = ["mean" if reduction != "sum" else "sum"]
            marks += ["weighted"] if weighted else []
            marks += ["named"] if named else []
            yield f"{kind}_{'_'.join(marks)}", kind, arguments
