"""A table of 442 patients with diabetes, and the feature columns of a wide and deep model of it.

The table, `diabetes.csv`, is that of Efron, Hastie, Johnstone and Tibshirani, "Least Angle
Regression", Annals of Statistics 32 (2004), as scikit-learn passes it on (BSD 3-Clause): age,
sex, body mass index, blood pressure and six blood measurements of each patient, and a measure of
how far the disease had come a year later.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

TABLE = pathlib.Path(__file__).with_name("diabetes.csv")
TEST_ROWS = 100
BATCH = 38
HIDDEN_UNITS = (16, 8)
MEASURES = ("ldl", "hdl", "cholesterol_ratio", "log_triglycerides", "glucose")
Data = tuple[dict[str, np.ndarray], np.ndarray]


def load_data(seed: int = 7) -> tuple[Data, Data]:
    """The patients in random order, as `((features, labels), (features, labels))`.

    Returns:
        342 examples to train on and 100 to test with. A label is 1 where the disease has come
        further than in half of all patients.
    """
    with TABLE.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    columns = dict(zip(names, rows.T, strict=True))
    progression = columns.pop("progression")
    features: dict[str, np.ndarray] = {
        **columns,
        "sex": np.where(columns["sex"] == 1, "one", "two").astype("S3"),  # the source has 1 and 2
        **{name: standardized(columns[name]) for name in MEASURES},
    }
    labels = (progression > np.median(progression)).astype(np.int64)
    order = np.random.RandomState(seed).permutation(len(labels))
    test, train = order[:TEST_ROWS], order[TEST_ROWS:]
    return of_rows(features, labels, train), of_rows(features, labels, test)


def of_rows(features: dict[str, np.ndarray], labels: np.ndarray, rows: np.ndarray) -> Data:
    """Some of the rows."""
    return {name: values[rows] for name, values in features.items()}, labels[rows]


def standardized(values: np.ndarray) -> np.ndarray:
    """Values around 0."""
    return ((values - values.mean()) / values.std()).astype(np.float32)


def linear_columns() -> list[Any]:
    """The wide part: buckets, words, and what they say together."""
    age, bmi, sex = buckets_of_age(), buckets_of_bmi(), sexes()
    return [
        age,
        bmi,
        sex,
        tf.feature_column.crossed_column([age, "sex"], 32),
        tf.feature_column.crossed_column([age, bmi], 64),
    ]


def deep_columns() -> list[Any]:
    """The deep part: numbers, indicators, and embeddings of what has many values."""
    pairs = tf.feature_column.crossed_column([buckets_of_age(), buckets_of_bmi()], 64)
    return [
        *(tf.feature_column.numeric_column(name) for name in MEASURES),
        tf.feature_column.bucketized_column(
            tf.feature_column.numeric_column("blood_pressure"), [80, 90, 100, 110]
        ),
        tf.feature_column.indicator_column(sexes()),
        tf.feature_column.embedding_column(buckets_of_bmi(), 3),
        tf.feature_column.embedding_column(pairs, 4),
    ]


def buckets_of_age() -> Any:
    """Ages by decade."""
    ages = tf.feature_column.numeric_column("age")
    return tf.feature_column.bucketized_column(ages, [30, 40, 50, 60, 70])


def buckets_of_bmi() -> Any:
    """Body mass indices by the usual classes."""
    bmi = tf.feature_column.numeric_column("bmi")
    return tf.feature_column.bucketized_column(bmi, [18.5, 22, 25, 27.5, 30, 35])


def sexes() -> Any:
    """The two values that the source has."""
    return tf.feature_column.categorical_column_with_vocabulary_list("sex", ["one", "two"])


def batches_of(data: Data, batch_size: int, *, endless: bool = False) -> Callable[[], Any]:
    """An input_fn over `data`."""

    def input_fn() -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(data)
        return (dataset.repeat() if endless else dataset).batch(batch_size)

    return input_fn
