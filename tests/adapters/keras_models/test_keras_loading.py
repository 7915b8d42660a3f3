"""Files of Keras models: code in them is not run, whatever the process allows."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import pytest

import kestimator
from kestimator import errors
from kestimator.engine.keras_internals import keras_saving


def saved(path: pathlib.Path, *layers: Any) -> pathlib.Path:
    model = keras.Sequential([keras.Input([2]), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.save(path)
    return path


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_code_is_refused(tmp_path: pathlib.Path, ending: str, allowed: bool) -> None:
    path = saved(tmp_path / f"model{ending}", keras.layers.Lambda(lambda x: x, output_shape=(2,)))
    with keras_saving.code_refused():  # restores the setting of the process
        if allowed:
            keras.config.enable_unsafe_deserialization()
        with pytest.raises(errors.ArgumentError, match="keras_model_path.* contains code"):
            kestimator.model_to_estimator(keras_model_path=path, model_dir=tmp_path / "m")
        if allowed and ending == ".keras":  # it still holds for the user's own calls
            assert keras.models.load_model(path).count_params() == 3


def test_other_models_are_loaded(tmp_path: pathlib.Path) -> None:
    path = saved(tmp_path / "model.keras", keras.layers.Activation("relu"))
    estimator = kestimator.model_to_estimator(keras_model_path=path, model_dir=tmp_path / "m")
    assert estimator.model_dir == str(tmp_path / "m")
