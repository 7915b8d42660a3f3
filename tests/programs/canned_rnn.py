"""Recurrent estimators, trained on from what the original wrote."""

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import canned, resume, tools

CASES = tools.Cases()
MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {}
fc = tf.feature_column
ROWS, BATCH, TIME = 12, 4, 5
WORDS = ["a", "b", "c", "d"]


def _lengths() -> np.ndarray:
    """How long the sequences are; one of each batch is of full length, and one is empty."""
    lengths = np.random.RandomState(5).randint(1, TIME + 1, ROWS)
    lengths[::BATCH] = TIME
    lengths[6] = 0
    return lengths


def mask() -> np.ndarray:
    return np.arange(TIME)[None, :] < _lengths()[:, None]


def _sparse(values: np.ndarray) -> tf.SparseTensor:
    places = np.argwhere(mask())
    return tf.SparseTensor(places, values[mask()], values.shape)


def features() -> dict[str, Any]:
    random = np.random.RandomState(6)
    return {
        "words": _sparse(np.array([*WORDS, "?"])[random.randint(0, 5, (ROWS, TIME))]),
        "ids": _sparse(random.randint(0, 6, (ROWS, TIME))),
        "numbers": _sparse(random.uniform(-1, 1, (ROWS, TIME)).astype(np.float32)),
        "age": random.uniform(10, 70, ROWS).astype(np.float32)[:, None],
        "city": random.randint(0, 3, ROWS)[:, None],
        "weight": random.uniform(0.2, 2.0, (ROWS, 1)).astype(np.float32),
        "weights": random.uniform(0.2, 2.0, (ROWS, TIME)).astype(np.float32),
    }


def labels(kind: str) -> np.ndarray:
    random = np.random.RandomState(7)
    return {
        "two": random.randint(0, 2, (ROWS, 1)),
        "three": random.randint(0, 3, (ROWS, 1)),
        "number": random.normal(size=(ROWS, 1)).astype(np.float32),
        "large number": 1000 * random.normal(size=(ROWS, 1)).astype(np.float32),
        "steps of two": random.randint(0, 2, (ROWS, TIME)),
        "steps of three": random.randint(0, 3, (ROWS, TIME)),
    }[kind]


def _doubled(numbers: tf.SparseTensor) -> tf.SparseTensor:
    return tf.SparseTensor(numbers.indices, 2.0 * numbers.values, numbers.dense_shape)


def sequence_columns() -> list[Any]:
    """One of each kind of sequence."""
    ids = fc.sequence_categorical_column_with_identity("ids", 6)
    words = fc.sequence_categorical_column_with_vocabulary_list("words", WORDS)
    hashed = fc.sequence_categorical_column_with_hash_bucket("words", 7)
    return [
        fc.embedding_column(ids, 2),
        fc.indicator_column(words),
        fc.embedding_column(hashed, 3),
        fc.sequence_numeric_column("numbers", normalizer_fn=_doubled),
    ]


def context_columns() -> list[Any]:
    return [
        fc.embedding_column(fc.categorical_column_with_identity("city", 3), 2),
        fc.numeric_column("age", normalizer_fn=lambda x: x / 50.0),
    ]


def _stacked() -> Any:
    cells = [tf.keras.layers.SimpleRNNCell(3), tf.keras.layers.LSTMCell(2)]
    return tf.keras.layers.StackedRNNCells(cells)


BOTH = {"context_feature_columns": context_columns}
Kind = tuple[str, str, dict[str, Any]]
KINDS: dict[str, Kind] = {
    "simple": ("RNNClassifier", "two", {"units": 4, "cell_type": "simple_rnn", **BOTH}),
    "default_cell": ("RNNClassifier", "two", {"units": [4]}),
    "lstm": ("RNNClassifier", "three", {"units": 4, "cell_type": "lstm", "n_classes": 3}),
    "gru": (
        "RNNClassifier",
        "two",
        {
            "units": 4,
            "cell_type": "gru",
            "optimizer": "Adam",
            "weight_column": "weight",
            "loss_reduction": "sum",
        },
    ),
    "two_layers": ("RNNClassifier", "two", {"units": [4, 3], "cell_type": "gru", **BOTH}),
    "stacked_cells": (
        "RNNEstimator",
        "number",
        {"head": "RegressionHead", "rnn_cell_fn": _stacked, "optimizer": ("SGD", 0.05)},
    ),
    "clipped": (
        "RNNEstimator",
        "large number",
        {"head": "RegressionHead", "units": [3], "cell_type": "simple_rnn"},
    ),
    "sequences": (
        "RNNClassifier",
        "steps of two",
        {"units": 4, "cell_type": "lstm", "return_sequences": True, "weight_column": "weights"},
    ),
    "sequences_of_three": (
        "RNNClassifier",
        "steps of three",
        {
            "units": [3],
            "cell_type": "gru",
            "return_sequences": True,
            "n_classes": 3,
            "sequence_mask": "the_mask",
            **BOTH,
        },
    ),
}


def _made(est: Any, options: dict[str, Any]) -> dict[str, Any]:
    made = dict(options)
    for key, value in options.items():
        if key.endswith("feature_columns"):
            made[key] = value()
        elif key == "head":
            made[key] = getattr(est, value)()
        elif key == "optimizer" and isinstance(value, tuple):
            made[key] = canned.optimizer(est, *value)
    return made


def estimator(est: Any, kind: str, model_dir: str) -> Any:
    name, _, options = KINDS[kind]
    return getattr(est.experimental, name)(
        sequence_feature_columns=sequence_columns(),
        config=canned.config(est, model_dir),
        **_made(est, options),
    )


def input_fn(kind: str | None, epochs: int | None = None) -> Callable[[], tf.data.Dataset]:
    def read() -> tf.data.Dataset:
        data = features() if kind is None else (features(), labels(kind))
        return tf.data.Dataset.from_tensor_slices(data).repeat(epochs).batch(BATCH)

    return read


def write(est: Any, model_dir: str, kind: str) -> None:
    estimator(est, kind, model_dir).train(input_fn(KINDS[kind][1]), steps=3)


def _resumed(est: Any, model_dir: str, kind: str) -> dict[str, Any]:
    folder = os.path.join(model_dir, "copy")
    shutil.copytree(resume.STORED / f"rnn_{kind}", folder)
    label, resumed = KINDS[kind][1], estimator(est, kind, folder)
    before = resumed.evaluate(input_fn(label, 1))
    resumed.train(input_fn(label), steps=12)
    losses = tools.scalars(folder, ["loss"])["loss"]
    rows = list(resumed.predict(input_fn(None, 1)))
    return {
        "before": tools.plain(before),
        "losses": losses,
        "evaluated": tools.typed(resumed.evaluate(input_fn(label, 1))),
        "rows": tools.plain(rows[:6]),
        "types": [[key, str(value.dtype), list(value.shape)] for key, value in rows[0].items()],
        "variables": tools.checkpoint(folder),
        "tags": canned.tags(folder),
    }


MODEL_DIRS.update({f"rnn_{kind}": functools.partial(write, kind=kind) for kind in KINDS})
CASES.update({kind: functools.partial(_resumed, kind=kind) for kind in KINDS})


@CASES
def first_weights(est: Any, model_dir: str) -> dict[str, Any]:
    """What starts from zero or one does so."""
    made = estimator(est, "lstm", model_dir)
    made.train(input_fn("three"), steps=1)
    sizes = tools.names_and_shapes(model_dir)
    return {
        "shapes": sizes,
        "bias": np.round(made.get_variable_value("rnn_model/lstm/lstm_cell/bias")).tolist(),
    }


def _rnn(est: Any, **options: Any) -> Any:
    given = {"sequence_feature_columns": sequence_columns(), "units": [3], **options}
    return est.experimental.RNNClassifier(**given)


def _head_of_one(est: Any) -> Any:
    options = {"units": [3], "return_sequences": True}
    return est.experimental.RNNEstimator(est.BinaryClassHead(), sequence_columns(), **options)


def _identity() -> Any:
    return fc.categorical_column_with_identity("city", 3)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "cell function and units": lambda est: _rnn(est, rnn_cell_fn=_stacked),
    "cell function and type": lambda est: _rnn(
        est, units=None, cell_type="lstm", rnn_cell_fn=_stacked
    ),
    "unknown cell": lambda est: _rnn(est, cell_type="mlp"),
    "cell that is none": lambda est: _rnn(est, units=None, rnn_cell_fn=lambda: 3),
    "head of one example for sequences": _head_of_one,
    "one class": lambda est: _rnn(est, n_classes=1),
    "column of no sequence": lambda est: _rnn(
        est, sequence_feature_columns=[fc.embedding_column(_identity(), 2)]
    ),
    "numeric column of no sequence": lambda est: _rnn(
        est, sequence_feature_columns=[fc.numeric_column("age")]
    ),
    "categories of a sequence": lambda est: _rnn(
        est,
        sequence_feature_columns=[fc.sequence_categorical_column_with_identity("ids", 6)],
    ),
    "sequence for a context": lambda est: _rnn(est, context_feature_columns=sequence_columns()),
    "sequence in a network": lambda est: est.DNNClassifier([3], sequence_columns()[:1]),
    "unknown optimizer": lambda est: _rnn(est, optimizer="Momentum"),
    "mask that is no name": lambda est: _rnn(est, return_sequences=True, sequence_mask=3),
    "wrapped head of several": lambda est: est.experimental.SequentialHeadWrapper(
        est.MultiHead([est.BinaryClassHead(name="a")])
    ),
    "columns of a wrapper that are no names": lambda est: est.experimental.SequentialHeadWrapper(
        est.BinaryClassHead(), "mask", [3]
    ),
}


@CASES
def what_is_refused(est: Any, model_dir: str) -> dict[str, Any]:
    del model_dir

    def use(make: Callable[[Any], Any]) -> None:
        made = make(est)
        if hasattr(made, "train"):
            made.train(input_fn("two"), steps=1)

    kinds = (TypeError, tf.errors.InvalidArgumentError, ValueError)
    return {
        name: tools.error(functools.partial(use, make), *kinds) for name, make in REFUSED.items()
    }
