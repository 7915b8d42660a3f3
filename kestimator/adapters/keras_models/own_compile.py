"""Models whose class has its own `compile`: the arguments that it got, for a copy.

Synopsis::

    arguments = arguments_of(model)            # {"d_optimizer": Adam, "loss_fn": loss}
    before = dict(vars(copy))
    copy.compile(**arguments)                  # with fresh optimizers and metrics
    check(model, copy, before)

Keras does not record these arguments. Such a `compile` usually keeps each of them in the attribute
of the same name, or passes it on to Keras, which records it. Whether this is so is checked: it must
give the copy the attributes that the model has.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kestimator.engine.keras_internals import keras_objects

_OF_KERAS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
"""The arguments of Keras' `compile` that have an effect here."""
_ABSENT = object()


def arguments_of(model: keras.Model) -> dict[str, Any]:
    """The arguments of the `compile` of a model's class.

    Raises:
        ValueError: An argument is kept nowhere, or is a layer, which the copy would share.
    """
    recorded = _recorded(model)
    parameters = list(inspect.signature(type(model).compile).parameters.values())[1:]
    arguments = {
        parameter.name: _argument(model, parameter.name, recorded)
        for parameter in parameters
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        arguments |= {
            name: value
            for name, value in recorded.items()
            if name not in arguments and not _same(value, _DEFAULTS[name]())
        }
    for name, value in arguments.items():
        if any(isinstance(leaf, keras.Layer) for leaf in keras.tree.flatten(value)):
            raise ValueError(f"its argument {name!r} is a layer, which cannot be shared")
    return arguments


def check(model: keras.Model, copy: keras.Model, before: Mapping[str, Any]) -> None:
    """Checks that a copy was compiled like the model.

    Args:
        model: The model.
        copy: The copy, after `compile`.
        before: The attributes of the copy before it.

    Raises:
        ValueError: Something that `compile` set differs.
    """
    recorded, copied = _recorded(model), _recorded(copy)
    different = [name for name in _OF_KERAS if not _same(recorded.get(name), copied.get(name))]
    plain = keras.Sequential()
    plain.compile()
    attributes = {
        name: value
        for name, value in vars(copy).items()
        if before.get(name, _ABSENT) is not value and name not in vars(plain)
    }
    different += [
        name
        for name, value in attributes.items()
        if not _same(vars(model).get(name, _ABSENT), value)
    ]
    if different:
        raise ValueError(f"the copy differs in {different}")


def optimizers_besides(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    """The optimizers in attributes of a model, except the one that Keras knows."""
    return {
        name: value
        for name, value in vars(model).items()
        if isinstance(value, keras.optimizers.Optimizer) and value is not model.optimizer
    }


_DEFAULTS = {"optimizer": lambda: keras.optimizers.get("rmsprop")}
_DEFAULTS |= {name: lambda: None for name in _OF_KERAS[1:]}


def _recorded(model: keras.Model) -> dict[str, Any]:
    arguments = keras_objects.compile_arguments(model)
    return {name: arguments[name] for name in _OF_KERAS}


def _argument(model: keras.Model, name: str, recorded: Mapping[str, Any]) -> Any:
    if recorded.get(name) is not None:
        return recorded[name]
    for attribute in (name, f"_{name}"):
        if attribute in vars(model):
            return vars(model)[attribute]
    if name in recorded:
        return None
    raise ValueError(f"it keeps its argument {name!r} in no attribute `{name}`")


def _same(one: Any, other: Any) -> bool:
    """Whether two values do the same, as far as can be told."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, types.FunctionType):
        cells = [[cell.cell_contents for cell in f.__closure__ or ()] for f in (one, other)]
        return one.__code__ is other.__code__ and _same(*cells)
    if hasattr(one, "get_config"):
        return _same(*({**each.get_config(), "name": None} for each in (one, other)))
    if isinstance(one, keras.Variable):
        return np.array_equal(one.numpy(), other.numpy())
    try:
        return bool(np.all(one == other))
    except Exception:  # whatever the comparison of the user's class raises
        return False
