"""Features that do not fit the columns are errors when the model is traced, by name."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.feature_column import feature_column_v2

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


class Lengths(feature_column_v2.DenseColumn, collections.namedtuple("Lengths", ["key"])):
    """A column of a library, such as TF-Hub's: dense numbers of one string."""

    name = property(lambda self: f"{self.key}_lengths")
    parse_example_spec = property(lambda self: {self.key: tf.io.FixedLenFeature([1], tf.string)})
    variable_shape = tf.TensorShape([1])
    parents = property(lambda self: [self.key])
    _is_v2_column = True

    def transform_feature(self, transformation_cache: Any, state_manager: Any) -> Any:
        text = transformation_cache.get(self.key, state_manager)
        return tf.cast(tf.strings.length(text), tf.float32)

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> Any:
        return transformation_cache.get(self, state_manager)

    def get_config(self) -> Any:
        return {"key": self.key}


def test_a_dense_column_of_strings(tmp_path: Any) -> None:
    estimator = kestimator.DNNClassifier([2], [Lengths("text")], model_dir=str(tmp_path))
    features = {"text": [["a"], ["bcd"]]}
    estimator.train(lambda: tf.data.Dataset.from_tensors((features, [0, 1])).repeat(2))
    assert estimator.get_variable_value("dnn/hiddenlayer_0/kernel").shape == (1, 2)
