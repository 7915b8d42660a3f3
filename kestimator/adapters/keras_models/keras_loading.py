"""Loads compiled Keras models from undamaged files, without running code in them.

Synopsis::

    model = load("model.keras", custom_objects={"Mine": Mine})
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import keras

from kestimator import errors
from kestimator.engine.keras_internals import keras_saving, outside_programs

_H5 = (".h5", ".hdf5")
_ENDINGS = (".keras", *_H5)


def load(path: str, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Loads a model that `keras.Model.save` wrote.

    Args:
        path: A `.keras` or a `.h5` file.
        custom_objects: Classes and functions that it names, by name.

    Raises:
        errors.ArgumentError: It is another kind of file; it holds code; something that it names
            is unknown.
        errors.KerasFileError: There is no such file, or it is damaged.
    """
    _check(path)
    try:
        with outside_programs.outside_of_the_trace(), keras_saving.code_refused():
            objects = {
                **(_named_functions(path) if path.endswith(_H5) else {}),
                **(custom_objects or {}),
            }
            return keras.models.load_model(path, custom_objects=objects, safe_mode=True)
    except Exception as error:  # whatever the classes raise that the file names
        raise _problem(path, error) from error


def _named_functions(path: str) -> dict[str, str]:
    """The names of the losses and metrics in an `.h5` file, mapped to themselves.

    `compile` accepts names, but Keras no longer finds the functions of older names.
    """
    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs.get("training_config", "{}"))
    parts = [config.get(key) for key in ("loss", "metrics", "weighted_metrics")]
    return {name: name for name in _texts(parts)}


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, str):
        yield config
    elif isinstance(config, dict) and "class_name" not in config:
        yield from _texts(list(config.values()))
    elif isinstance(config, list):
        for part in config:
            yield from _texts(part)


def _check(path: str) -> None:
    if path.endswith(".weights.h5"):
        raise errors.ArgumentError(
            f"The file {path!r} in `keras_model_path` contains weights, but no model. "
            "Build the model, call its `load_weights`, compile it, and pass it as `keras_model`."
        )
    if os.path.isdir(path) or not path.endswith(_ENDINGS):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "keras_model_path",
                path,
                "a file written by keras.Model.save, with the suffix '.keras' or '.h5'",
                "Keras 3 cannot load SavedModels. Load such a model where it was saved, and save "
                "it as '.keras' or '.h5'.",
            )
        )
    if not os.path.isfile(path):
        raise errors.KerasFileError(f"The file {path!r} in `keras_model_path` does not exist.")
    damage = _damage_of_zip(path) if path.endswith(".keras") else _damage_of_h5(path)
    if damage:
        raise errors.KerasFileError(
            f"The file {path!r} in `keras_model_path` cannot be read as a file of "
            f"keras.Model.save: {damage}. Save the model again."
        )


def _damage_of_zip(path: str) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        return str(error)
    return f"its part {broken!r} is damaged" if broken else None


def _damage_of_h5(path: str) -> str | None:
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            json.loads(config if config is not None else "null")
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        return str(error)
    return "it has no model configuration" if config is None else None


def _problem(path: str, error: Exception) -> Exception:
    text = str(error)
    if "safe_mode" in text or "lambda" in text.lower():
        return errors.ArgumentError(
            f"The file {path!r} in `keras_model_path` contains code, such as that of a Python "
            "lambda. It is not run because it could do anything. If you trust it, load the model "
            "yourself with keras.models.load_model(..., safe_mode=False), and pass it as "
            "`keras_model`."
        )
    if isinstance(error, OSError):
        return errors.KerasFileError(
            f"The file {path!r} in `keras_model_path` cannot be read: {text}. Save the model again."
        )
    return errors.ArgumentError(
        f"The model in {path!r} (`keras_model_path`) cannot be created: {text}. Expected: classes "
        "and functions of Keras, or of `custom_objects` under the names that the file uses."
    )
