"""Writes files that Keras reads atomically, with the variable names of an estimator.

Synopsis::

    target = checked_target("model.keras")
    write(target, lambda part: save(model, part, names))      # names by the ids of variables
    write(target, lambda part: write_weights(part, values))   # values by the names of variables

Files of Keras do not contain the names of variables. Here each value has its name as an attribute,
which `kestimator.engine.checkpoints.keras_files` reads and Keras ignores.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from kestimator import errors
from kestimator.engine.checkpoints import keras_files, leftovers
from kestimator.engine.keras_internals import keras_saving
from kestimator.engine.tracing import execution_modes
from kestimator.validation import checks

MODEL, WEIGHTS = ".keras", ".weights.h5"
_PREFIX = ".kestimator-temp-"
_KERNELS = {2: "dense", 3: "conv1d", 4: "conv2d", 5: "conv3d"}  # by their number of dimensions
_OF_OPTIMIZERS = ("iteration", "dynamic_scale")


def checked_target(path: Any) -> str:
    """Checks the path of a file to write and returns it.

    Raises:
        errors.ArgumentTypeError: It is not a path.
        errors.ArgumentError: It has another ending, it is a directory, or its directory does not
            exist.
    """
    target = checks.checked_path("path", path, "the path of a file")
    if not target.endswith((MODEL, WEIGHTS)):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "path", target, f"a name that ends in {MODEL!r} (the model) or {WEIGHTS!r}"
            )
        )
    if os.path.isdir(target):
        raise errors.ArgumentError(
            errors.invalid_argument("path", target, "the path of a file, not of a directory")
        )
    directory = os.path.dirname(target) or "."
    if not os.path.isdir(directory):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "path", target, f"a file in an existing directory; create {directory!r} first"
            )
        )
    return target


def write(target: str, write_part: Callable[[str], None]) -> str:
    """Writes a file atomically: at every moment it is complete or absent.

    Args:
        target: The path; an existing file is replaced.
        write_part: Writes it to another path in the same directory, with the same ending.

    Returns:
        The path.
    """
    # In a directory, the file keeps its ending, by which Keras chooses the format. The directory is
    # beside the target, because a rename must stay within one file system.
    parent = os.path.dirname(target) or "."
    leftovers.delete_abandoned(parent, rf"{re.escape(_PREFIX)}[a-z0-9_]{{8}}")
    directory = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    try:
        with leftovers.claimed(directory):
            part = os.path.join(directory, os.path.basename(target))
            write_part(part)
            os.replace(part, target)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return target


def save(model: keras.Model, path: str, names: Mapping[int, str]) -> None:
    """Lets Keras write a model or its weights, with variable names added.

    Args:
        model: The model.
        path: The path; its ending decides what is written.
        names: The names by the ids of Keras variables.

    Raises:
        errors.ArgumentError: Keras cannot save the model.
    """
    is_model = path.endswith(MODEL)
    try:
        with execution_modes.eager_mode():
            save_to = keras_saving.save_model if is_model else keras_saving.save_weights
            save_to(model, path, keras_files.NAME, names)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise errors.ArgumentError(
            f"Keras cannot save the model {model.name!r}: {error}. A custom class needs "
            f"`get_config`. To write only the weights, use a file name that ends in {WEIGHTS!r}."
        ) from error


def names_in(model: keras.Model, names: Collection[str]) -> dict[int, str]:
    """Returns the paths of variables by id, for the paths that are names in a checkpoint."""
    return {id(variable): variable.path for variable in model.variables if variable.path in names}


@contextlib.contextmanager
def holding(
    variables: Mapping[str, keras.Variable], value_of: Callable[[str], Any]
) -> Iterator[None]:
    """Sets Keras variables to other values until the context ends.

    Args:
        variables: The variables by name.
        value_of: Returns the value for a name.
    """
    previous_values = [(variable, variable.numpy()) for variable in variables.values()]
    try:
        for name, variable in variables.items():
            variable.assign(value_of(name))
        yield
    finally:
        for variable, value in previous_values:
            variable.assign(value)


def weight_names(names: Sequence[str]) -> list[str]:
    """Selects the variables of a model: no optimizer slots and no global step.

    The names of slots of TF1 optimizers start with the name of their variable. Those of Keras
    optimizers are in a scope that has a count of iterations.

    >>> weight_names(["adam/iteration", "adam/w_momentum", "global_step", "w", "w/Adam"])
    ['w']
    """
    all_names = set(names)
    scopes = {
        name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _OF_OPTIMIZERS
    }
    return [
        name
        for name in names
        if not all_names & set(_scopes_of(name))
        and not scopes & set(_scopes_of(name))
        and not re.match(r"training/|global_step$|signal_early_stopping/", name)
        and not re.search(r"(^|/)(beta[12]_power(_\d+)?|seed_generator_state)$", name)
    ]


def write_weights(path: str, values: Mapping[str, np.ndarray]) -> None:
    """Writes variables without a Keras model to where Keras expects those of layers.

    A scope is a layer, and its variables determine its kind: `dense/kernel` and `dense/bias`
    belong to a dense layer. Layers of one kind are numbered in the order of their names.

    Args:
        path: The path.
        values: The values by name.
    """
    layers: dict[str, list[str]] = {}
    for name in sorted(values, key=_natural):
        layers.setdefault(name.rpartition("/")[0] or name, []).append(name)
    counts: dict[str, int] = {}
    with h5py.File(path, "w") as file:
        for layer, names in layers.items():
            kind, ordered = _kind(layer, names, values)
            number = counts[kind] = counts.get(kind, -1) + 1
            group = file.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}")
            variables = group.create_group("vars")
            variables.attrs["name"] = keras_files.layer_name(layer)
            for position, name in enumerate(ordered):
                dataset = variables.create_dataset(str(position), data=values[name])
                dataset.attrs[keras_files.NAME] = name


def _kind(
    layer: str, names: Sequence[str], values: Mapping[str, np.ndarray]
) -> tuple[str, list[str]]:
    """Returns the kind of Keras layer that has these variables, and their order in it."""
    paths = {name.removeprefix(f"{layer}/"): name for name in names}
    kernel = values.get(paths.get("kernel", ""))
    if kernel is not None and set(paths) <= {"kernel", "bias"}:
        order = [paths[name] for name in ("kernel", "bias") if name in paths]
        return _KERNELS.get(kernel.ndim, "layer"), order
    for kind, variables in keras_files.VARIABLES.items():
        if set(paths) == set(variables):
            return kind, [paths[name] for name in variables]
    return "layer", list(names)


def _scopes_of(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _natural(name: str) -> list[Any]:
    """Returns a sort key that puts `dense_10` after `dense_2`, and `dense` before both."""
    # Scopes first: "\0" sorts before all characters of names, "/" does not.
    parts = re.split(r"(\d+)", name.replace("/", "\0"))
    return [int(part) if part.isdigit() else part for part in parts]
