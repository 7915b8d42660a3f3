"""Compiled Keras models from files: whole, undamaged, and without code of theirs being run.

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
from kestimator.engine.keras_internals import outside_programs

_H5 = (".h5", ".hdf5")
_ENDINGS = (".keras", *_H5)


def load(path: str, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Loads a model that `keras.Model.save` wrote.

    Args:
        path: A `.keras` or a `.h5` file.
        custom_objects: Classes and functions that it names, by name.

    Raises:
        errors.ArgumentError: It is another kind of file; it holds code; something that it names
            is not known.
        errors.KerasFileError: There is no such file, or it is damaged.
    """
    _check(path)
    try:
        with outside_programs.outside_of_the_trace():
            known = {
                **(_named_functions(path) if path.endswith(_H5) else {}),
                **(custom_objects or {}),
            }
            return keras.models.load_model(path, custom_objects=known, safe_mode=True)
    except Exception as error:  # whatever the classes raise that the file names
        raise _problem(path, error) from error


def _named_functions(path: str) -> dict[str, str]:
    """The names by which an `.h5` file has losses and metrics, as names.

    `compile` takes names, and Keras has lost the way to the functions that older names mean.
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
            f"The file {path!r}, which `keras_model_path` names, holds weights without a model. "
            "Build the model, call its `load_weights`, compile it, and pass it as `keras_model`."
        )
    if os.path.isdir(path) or not path.endswith(_ENDINGS):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "keras_model_path",
                path,
                "a file that keras.Model.save writes, which ends in '.keras' or '.h5'",
                "Keras 3 loads no SavedModels: load such a model where it was saved, and save it "
                "as '.keras' or '.h5'.",
            )
        )
    if not os.path.isfile(path):
        raise errors.KerasFileError(f"There is no file {path!r}, which `keras_model_path` names.")
    damage = _damage_of_zip(path) if path.endswith(".keras") else _damage_of_h5(path)
    if damage:
        raise errors.KerasFileError(
            f"The file {path!r}, which `keras_model_path` names, cannot be read as what "
            f"keras.Model.save writes: {damage}. Save it again."
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
            found = file.attrs.get("model_config")
            json.loads(found if found is not None else "null")
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        return str(error)
    return "it has no configuration of a model" if found is None else None


def _problem(path: str, error: Exception) -> Exception:
    text = str(error)
    if "lambda" in text.lower():
        return errors.ArgumentError(
            f"The file {path!r}, which `keras_model_path` names, holds the code of a Python "
            "lambda, which is not run, as it could be anything. If you trust it, load the model "
            "yourself with keras.models.load_model(..., safe_mode=False), and pass it as "
            "`keras_model`."
        )
    if isinstance(error, OSError):
        return errors.KerasFileError(
            f"The file {path!r}, which `keras_model_path` names, cannot be read: {text}. "
            "Save it again."
        )
    return errors.ArgumentError(
        f"The model in {path!r}, which `keras_model_path` names, cannot be made: {text}. Expected: "
        "classes and functions of Keras, or of `custom_objects` by the names that the file has."
    )
