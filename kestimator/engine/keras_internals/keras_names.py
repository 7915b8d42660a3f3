"""Automatic names of Keras, as if nothing else had been made in the process.

Synopsis::

    automatic_name(keras.optimizers.Adam)     # "adam"
    use_stable_paths(model)                   # "sequential_3/dense_7/kernel" is "dense/kernel"

Keras counts automatic names per process, and puts them into the paths of variables. These paths are
the names in checkpoints. Names that the user gave stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras
from keras.src.utils import naming as _naming

from kestimator.engine.keras_internals import keras_objects

_SEED_GENERATOR = "seed_generator"
# `Bidirectional` puts these before the names of the two layers that it makes of one.
_PARTS_OF_WRAPPERS = ("forward_", "backward_")


def automatic_name(kind: type) -> str:
    """The first name that Keras gives an object of a class. The rule has no public name."""
    return str(_naming.to_snake_case(kind.__name__))


def stable_name(name: str, kind: type) -> str:
    """A name without its count, if Keras made the name."""
    automatic = automatic_name(kind)
    return automatic if re.fullmatch(rf"{re.escape(automatic)}_\d+", name) else name


def unused_name(name: str, used: set[str]) -> str:
    """Returns `name`, or `name` with the first unused number, and marks the result as used."""
    candidate, count = name, 0
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate


def use_stable_paths(model: keras.Model) -> None:
    """Gives the variables of a model paths that do not depend on other objects in the process.

    The paths do not contain the model's own name, since Keras adds it only to some of them.

    Args:
        model: The model. Nobody else may use it, because its paths change.
    """
    names = _counted_from_zero([*_automatic_names(model), *_names_of_seeds(model)])
    used_paths: set[str] = set()
    for variable in model.variables:
        parts = variable.path.split("/")
        parts = parts[1:] if len(parts) > 1 and parts[0] == model.name else parts
        path = "/".join(names.get(part, part) for part in parts)
        keras_objects.use_path(variable, unused_name(path, used_paths))


def _automatic_names(model: keras.Model) -> Iterable[tuple[str, str]]:
    """The automatic names of layers, each with its stem: the name without a count."""
    for layer in keras_objects.all_layers(model):
        automatic = automatic_name(type(layer))
        for stem in (automatic, *(f"{part}{automatic}" for part in _PARTS_OF_WRAPPERS)):
            if re.fullmatch(rf"{re.escape(stem)}(_\d+)?", layer.name):
                yield layer.name, stem


def _names_of_seeds(model: keras.Model) -> Iterable[tuple[str, str]]:
    for variable in model.variables:
        for part in variable.path.split("/"):
            if re.fullmatch(rf"{_SEED_GENERATOR}(_\d+)?", part):
                yield part, _SEED_GENERATOR


def _counted_from_zero(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """New names by old names. The names of a stem are numbered from zero, in their old order."""
    by_stem: dict[str, set[str]] = {}
    for name, stem in names:
        by_stem.setdefault(stem, set()).add(name)
    counted: dict[str, str] = {}
    for stem, stem_names in by_stem.items():
        # The first name of a stem has no number, hence the `or 0`.
        ordered = sorted(stem_names, key=lambda name: int(name[len(stem) + 1 :] or 0))
        counted |= {
            name: stem if number == 0 else f"{stem}_{number}" for number, name in enumerate(ordered)
        }
    return counted
