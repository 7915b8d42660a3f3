"""Keras' own writing of models and weights, with the names of variables noted beside their values.

Synopsis::

    keras_saving.save_model(model, "model.keras", "name", names)     # names by ids of variables
    keras_saving.save_weights(model, "model.weights.h5", "name", names)
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras.src.saving import saving_lib as _saving_lib


def save_model(model: keras.Model, path: str, attribute: str, names: Mapping[int, str]) -> None:
    """Writes a model: `keras.saving.save_model` has no hook for what is noted beside a value.

    Args:
        model: The model.
        path: The path.
        attribute: The attribute of an HDF5 dataset that a name becomes.
        names: The names by the ids of Keras variables.
    """
    _functions(_store(attribute, names))["save_model"](model, path)


def save_weights(model: keras.Model, path: str, attribute: str, names: Mapping[int, str]) -> None:
    """Writes a model's weights: `save_weights` has no hook for what is noted beside a value.

    Args:
        model: The model.
        path: The path.
        attribute: The attribute of an HDF5 dataset that a name becomes.
        names: The names by the ids of Keras variables.
    """
    _functions(_store(attribute, names))["save_weights_only"](model, path)


def _store(attribute: str, names: Mapping[int, str]) -> type:
    """Keras' store of weights, one that notes the names of variables besides."""

    class NamingStore(_saving_lib.H5IOStore):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            if id(value) in names:
                dataset = self._h5_entry_group[key]
                dataset.attrs[attribute] = names[id(value)]

    return NamingStore


def _functions(store: type) -> dict[str, Callable[..., Any]]:
    """The functions by which Keras saves, as they are, but with another store of weights.

    Which store they use is not for others to choose. They look for it in the globals of their
    module; to change these would change what other threads save meanwhile. So they get globals of
    their own.
    """
    own = {**vars(_saving_lib), "H5IOStore": store}
    for name, function in vars(_saving_lib).items():
        if isinstance(function, types.FunctionType) and function.__globals__ is vars(_saving_lib):
            own[name] = types.FunctionType(
                function.__code__, own, name, function.__defaults__, function.__closure__
            )
            own[name].__kwdefaults__ = function.__kwdefaults__
    return own
