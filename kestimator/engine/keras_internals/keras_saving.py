"""Saves models and weights with Keras, with the names of variables; refuses files with code.

Synopsis::

    keras_saving.save_model(model, "model.keras", "name", names)     # names by ids of variables
    keras_saving.save_weights(model, "model.weights.h5", "name", names)
    with keras_saving.code_refused():
        keras.models.load_model("model.keras")
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras.src.saving import saving_lib as _saving_lib
from keras.src.saving import serialization_lib as _serialization_lib


def code_refused() -> contextlib.AbstractContextManager[Any]:
    """A context in which Keras refuses files that hold code, whatever the process allows.

    `keras.config.enable_unsafe_deserialization` cannot be undone, and counts for more than the
    `safe_mode` of `load_model`.
    """
    scope: contextlib.AbstractContextManager[Any] = _serialization_lib.SafeModeScope(safe_mode=True)
    return scope


def save_model(model: keras.Model, path: str, attribute: str, names: Mapping[int, str]) -> None:
    """Writes a model with names: `keras.saving.save_model` has no hook for attributes of values.

    Args:
        model: The model.
        path: The path.
        attribute: The attribute of HDF5 datasets in which names are stored.
        names: The names by the ids of Keras variables.
    """
    _functions(_store(attribute, names))["save_model"](model, path)


def save_weights(model: keras.Model, path: str, attribute: str, names: Mapping[int, str]) -> None:
    """Writes a model's weights with names: `save_weights` has no hook for attributes of values.

    Args:
        model: The model.
        path: The path.
        attribute: The attribute of HDF5 datasets in which names are stored.
        names: The names by the ids of Keras variables.
    """
    _functions(_store(attribute, names))["save_weights_only"](model, path)


def _store(attribute: str, names: Mapping[int, str]) -> type:
    """A subclass of Keras' store of weights that also stores the names of variables."""

    class NamingStore(_saving_lib.H5IOStore):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            if id(value) in names:
                dataset = self._h5_entry_group[key]
                dataset.attrs[attribute] = names[id(value)]

    return NamingStore


def _functions(store: type) -> dict[str, Callable[..., Any]]:
    """Copies of the functions with which Keras saves, but with another store of weights.

    Keras offers no choice of the store: its functions find it in the globals of their module.
    Changing these globals would affect what other threads save at the same time. So the copies get
    their own globals.
    """
    module_globals = {**vars(_saving_lib), "H5IOStore": store}
    # All functions of the module, since they call each other through their globals.
    for name, function in vars(_saving_lib).items():
        if isinstance(function, types.FunctionType) and function.__globals__ is vars(_saving_lib):
            module_globals[name] = types.FunctionType(
                function.__code__, module_globals, name, function.__defaults__, function.__closure__
            )
            module_globals[name].__kwdefaults__ = function.__kwdefaults__
    return module_globals
