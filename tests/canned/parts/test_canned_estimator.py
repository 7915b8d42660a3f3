"""The base of canned estimators: what it passes on, and its Keras model of a checkpoint."""

from __future__ import annotations

import copy
import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, specs
from kestimator.canned.parts.canned_estimator import CannedEstimator, CannedModel
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.estimator import state_of
from kestimator.interop import to_keras

v1 = tf.compat.v1
COLUMN = tf.feature_column.numeric_column("x", shape=[2])
X = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
WEIGHTS = np.array([[10.0], [1.0]], np.float32)


def never(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
    """A model_fn: nothing here may call it."""
    raise AssertionError


def linear(model_dir: Any = None, config: Any = None, **options: Any) -> CannedEstimator:
    blueprint = to_keras.Blueprint(kestimator.RegressionHead(), linear=LinearPart((COLUMN,)))
    return CannedEstimator(CannedModel(never, blueprint), model_dir, config, **options)


def write(path: pathlib.Path, bias: float) -> str:
    """Writes a checkpoint of the linear model, as a session does; returns its path."""
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in (("x/weights", WEIGHTS), ("bias_weights", [bias])):
            v1.get_variable(f"linear/linear_model/{name}", initializer=tf.constant(value))
        session.run(v1.global_variables_initializer())
        return str(v1.train.Saver().save(session, str(path), write_meta_graph=False))


@pytest.fixture
def model_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with two checkpoints, of the biases 1 and 2."""
    for step in (1, 2):
        write(tmp_path / f"model.ckpt-{step}", float(step))
    return tmp_path


class TestToKeras:
    @pytest.mark.parametrize(("step", "bias"), [(None, 2.0), (1, 1.0), (2, 2.0)])
    def test_takes_the_latest_checkpoint_or_the_one_given(
        self, step: int | None, bias: float, model_dir: pathlib.Path
    ) -> None:
        path = None if step is None else str(model_dir / f"model.ckpt-{step}")
        model = linear(str(model_dir)).to_keras(path)
        np.testing.assert_allclose(model({"x": X})["predictions"], X @ WEIGHTS + bias, rtol=1e-6)

    def test_takes_inputs(self, model_dir: pathlib.Path) -> None:
        given = keras.Input([2], name="x", dtype="float64")
        model = linear(str(model_dir)).to_keras(inputs={"x": given})
        assert model.input["x"].dtype == "float64"
        found = model({"x": X.astype(np.float64)})["predictions"]
        np.testing.assert_allclose(found, X @ WEIGHTS + 2.0, rtol=1e-6)

    def test_needs_a_checkpoint(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.CheckpointNotFoundError, match="model_dir"):
            linear(str(tmp_path)).to_keras()
        with pytest.raises(errors.CheckpointNotFoundError, match="`checkpoint_path`.*ckpt-9"):
            linear(str(tmp_path)).to_keras(str(tmp_path / "model.ckpt-9"))


class TestConstructor:
    def test_passes_its_arguments_on(self, model_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
        config = kestimator.RunConfig(tf_random_seed=5)
        estimator = linear(str(tmp_path / "new"), config, warm_start_from=str(model_dir))
        assert estimator.model_dir == str(tmp_path / "new")
        assert estimator.config.tf_random_seed == 5
        warm_start = state_of(estimator).warm_start_settings
        assert warm_start.ckpt_to_initialize_from == str(model_dir)

    def test_copies_share_the_blueprint(self, model_dir: pathlib.Path) -> None:
        blueprint = to_keras.Blueprint(kestimator.RegressionHead())
        assert copy.deepcopy(blueprint) is blueprint
        model = copy.deepcopy(linear(str(model_dir))).to_keras()
        np.testing.assert_allclose(model({"x": X})["predictions"], X @ WEIGHTS + 2.0, rtol=1e-6)
