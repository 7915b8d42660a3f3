"""What a model_fn gets of arrays, numbers and lists that an input_fn returns: themselves."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.keys import ModeKeys

v1 = tf.compat.v1
X = np.array([[1.0], [2.0]], np.float32)
# From tf.estimator 2.15: each arrives as the input_fn returned it.
CONSTANTS = {
    "array": X,
    "float64": X.astype(np.float64),
    "list": [[1.0], [2.0]],
    "scalar": 1.5,
    "numpy_scalar": np.int64(2),
    "string": "abc",
    "strings": ["a", "b"],
    "array_of_strings": np.array(["a", "b"], object),
    "dict": {"x": X, "none": None},
    "nested": {"inner": {"x": X}, "tuple": (X, X)},
}


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    same_type = type(first) is type(second)
    return same_type and bool(np.all(np.asarray(first) == np.asarray(second)))


class Recorder:
    """A model_fn that keeps what it gets, and whose loss is the sum of its labels."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        self.calls.append((features, labels))
        weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        loss = weight + (0.0 if labels is None else tf.reduce_sum(labels))
        train_op = v1.assign_add(v1.train.get_global_step(), 1)
        return kestimator.EstimatorSpec(mode, {"y": weight + tf.zeros([2, 1])}, loss, train_op)


@pytest.mark.parametrize("features", CONSTANTS.values(), ids=CONSTANTS)
def test_constants_arrive_as_they_are(features: Any, tmp_path: pathlib.Path) -> None:
    model_fn = Recorder()
    estimator = kestimator.Estimator(model_fn, str(tmp_path))

    def input_fn() -> Any:
        return features, X

    estimator.train(input_fn, steps=3)
    assert estimator.evaluate(input_fn, steps=2)["loss"] == 3.0
    rows = estimator.predict(input_fn)
    assert [next(rows)["y"][0] for _ in range(5)] == [0.0] * 5  # the same batch for ever
    assert all(equal(features, received) for received, _ in model_fn.calls)
    assert [type(labels) for _, labels in model_fn.calls] == [np.ndarray, np.ndarray, type(None)]


def test_tensors_beside_constants_stay_tensors(tmp_path: pathlib.Path) -> None:
    model_fn = Recorder()

    def input_fn() -> Any:
        sparse = tf.sparse.from_dense(X)
        return {"constant": tf.constant(X), "array": X, "sparse": sparse}, tf.constant(X)

    kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn, steps=2)
    ((features, labels),) = model_fn.calls
    kinds = {name: type(value) for name, value in features.items()}
    assert kinds["array"] is np.ndarray
    assert kinds["sparse"] is tf.SparseTensor
    assert tf.is_tensor(features["constant"])
    assert tf.is_tensor(labels)


def test_other_values_make_another_program(tmp_path: pathlib.Path) -> None:
    model_fn = Recorder()
    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(lambda: (X, X), steps=1)
    losses = [estimator.evaluate(lambda n=n: (X, X * n), steps=1)["loss"] for n in (1, 2, 1)]
    assert losses == [3.0, 6.0, 3.0]
    evaluations = len(model_fn.calls) - 1
    assert evaluations == 2  # equal values share one


def test_a_canned_estimator_has_one_program_for_all_arrays(tmp_path: pathlib.Path) -> None:
    columns = [tf.feature_column.numeric_column("x")]
    estimator = kestimator.LinearRegressor(columns, model_dir=str(tmp_path))
    for factor in (1.0, 2.0):
        estimator.train(lambda f=factor: ({"x": X * f}, X), steps=1)
    assert len(estimator._state.programs.of(ModeKeys.TRAIN)) == 1
    assert estimator.evaluate(lambda: ({"x": X}, X), steps=1)["global_step"] == 2
