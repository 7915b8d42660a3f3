"""Features that do not fit the columns are errors when the model is traced, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.adapters.feature_columns import column_checks

fc = tf.feature_column
X = np.ones([8, 2], "float32")
PAIR = fc.numeric_column("x", [2])
ID = fc.categorical_column_with_identity("c", 3)

CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no feature": (
        PAIR,
        {"xx": X, "a": X},
        r"^Feature 'x' is not in features dictionary, .*The features are \['a', 'xx'\]\.$",
    ),
    "no categorical feature": (ID, {"x": X}, r"^Feature 'c' is not in features dictionary"),
    "no batch": (
        PAIR,
        {"x": X[0]},
        r"^Invalid argument `features\['x'\]`\. Expected: shape \(batch, 2\).*"
        r"add `\.batch\(\.\.\.\)`",
    ),
    "no batch of scalars": (
        fc.numeric_column("x"),
        {"x": np.float32(1)},
        r"^Invalid argument `features\['x'\]`\. Expected: a batch .*add `\.batch\(\.\.\.\)`",
    ),
    "no batch of ids": (ID, {"c": np.int64(1)}, r"^Invalid argument `features\['c'\]`\..*batch"),
    "three numbers": (
        PAIR,
        {"x": np.ones([8, 3])},
        r"^Invalid argument `features\['x'\]`\. Expected: shape \(batch, 2\), because the column "
        r"'x' .*shape=\(8, 3\)",
    ),
    "strings": (
        PAIR,
        {"x": np.array([["1", "2"]])},
        r"^Invalid argument `features\['x'\]`\. Expected: numbers.*tf\.strings\.to_number",
    ),
}


@pytest.mark.parametrize(("column", "features", "text"), CASES.values(), ids=CASES)
def test_errors(column: Any, features: dict[str, Any], text: str) -> None:
    tensors = {name: tf.constant(value) for name, value in features.items()}
    # Strings for numbers were a TypeError in tf.estimator, too.
    kind = TypeError if "strings" in text else ValueError
    with pytest.raises(kind, match=text) as caught:
        column_checks.check_features(tensors, [column])
    assert isinstance(caught.value, errors.KestimatorError)


@pytest.mark.parametrize(
    "features",
    [
        {"x": X},
        {"x": np.ones([8, 2, 1])},
        {"x": X.astype("int64")},
        {"x": tf.sparse.from_dense(X)},
        {PAIR: X},
    ],
)
def test_taken(features: Any) -> None:
    column_checks.check_features(
        {k: v if isinstance(v, tf.SparseTensor) else tf.constant(v) for k, v in features.items()},
        [PAIR],
    )


def test_logs_nothing(caplog: Any) -> None:
    column = fc.bucketized_column(PAIR, [0.5])
    caplog.clear()
    column_checks.check_features({"x": tf.constant(X)}, [column])
    assert caplog.text == ""


def test_unknown_shape_is_not_refused() -> None:
    with tf.Graph().as_default():
        for shape in (None, [None, None], [None, 2]):
            placeholder = tf.compat.v1.placeholder(tf.float32, shape)
            column_checks.check_features({"x": placeholder}, [PAIR])


@pytest.mark.parametrize("call", ["train", "evaluate", "predict"])
@pytest.mark.parametrize("kind", [kestimator.DNNClassifier, kestimator.LinearClassifier])
def test_every_call_of_a_canned_estimator(tmp_path: Any, kind: Any, call: str) -> None:
    def forgets_batch() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(({"x": X}, np.zeros([8], "int64")))

    arguments = {"hidden_units": [2]} if kind is kestimator.DNNClassifier else {}
    estimator = kind(feature_columns=[PAIR], model_dir=tmp_path / "model", **arguments)
    with pytest.raises(errors.InputError, match=r"add `\.batch"):
        list(getattr(estimator, call)(forgets_batch) or ())
    assert not (tmp_path / "model").exists()
