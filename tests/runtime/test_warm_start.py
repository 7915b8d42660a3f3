"""What a warm start reads is checked when the estimator is made, and before the first step."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str, params: Any) -> kestimator.EstimatorSpec:
    w = v1.get_variable(params.get("name", "w"), params.get("shape", [1]))
    step = v1.train.get_global_step()
    return kestimator.EstimatorSpec(mode, {"w": w}, tf.reduce_sum(w), step.assign_add(1))


def input_fn() -> Any:
    return tf.data.Dataset.from_tensors({"x": 1.0})


def estimator(path: Any, source: Any = None, **params: Any) -> Any:
    return kestimator.Estimator(model_fn, path, params=params, warm_start_from=source)


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    estimator(tmp_path / "source").train(input_fn, steps=1)
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path, "Nothing exists there"),
        (lambda path: path.with_suffix(".keras"), "Nothing exists there"),
        (lambda path: kestimator.WarmStartSettings(path), "Nothing exists there"),
        (lambda path: path.write_text("x") and path, "This is another file"),
    ],
)
def test_what_is_no_checkpoint(
    tmp_path: pathlib.Path, make: Callable[[pathlib.Path], Any], reason: str
) -> None:
    with pytest.raises(errors.CheckpointNotFoundError, match=f"`warm_start_from`.*{reason}"):
        estimator(tmp_path / "m", make(tmp_path / "other"))
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_comes_first(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    estimator(tmp_path / "m", source).train(input_fn, steps=1)
    again = estimator(tmp_path / "m", tmp_path / "deleted meanwhile").train(input_fn, steps=1)
    assert again.get_variable_value("global_step") == 2


def test_a_directory_may_get_its_checkpoint_later(tmp_path: pathlib.Path) -> None:
    (tmp_path / "source").mkdir()
    second = estimator(tmp_path / "m", tmp_path / "source")
    with pytest.raises(errors.CheckpointNotFoundError, match="`warm_start_from`"):
        second.train(input_fn, steps=1)
    first = estimator(tmp_path / "source").train(input_fn, steps=1)
    second.train(input_fn, steps=1)
    assert second.get_variable_value("w") == first.get_variable_value("w")


@pytest.mark.parametrize("params", [{"shape": [2]}, {"name": "other"}])
def test_variables_that_do_not_fit(
    tmp_path: pathlib.Path, source: pathlib.Path, params: Any
) -> None:
    with pytest.raises(errors.CheckpointMismatchError, match="`warm_start_from`"):
        estimator(tmp_path / "m", source, **params).train(input_fn, steps=1)
    assert not (tmp_path / "m").exists()
