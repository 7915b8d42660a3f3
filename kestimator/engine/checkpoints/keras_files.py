"""Converts weights that Keras saved to a checkpoint with the variable names of an estimator.

Synopsis::

    if is_keras_file(path):
        prefix = as_checkpoint(path)     # for tf.train.load_checkpoint and the like

Only the weights of a `.keras` file are read; no code of its model runs.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.engine.programs import program

_WEIGHTS_IN_MODEL = "model.weights.h5"
_ENDINGS = (".keras", ".weights.h5")

NAME = "kestimator_name"
"""The attribute that holds the variable name of a value, in files that kestimator writes."""

VARIABLES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "conv1d": ("kernel", "bias"),
    "conv2d": ("kernel", "bias"),
    "conv3d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "embedding": ("embeddings",),
    "layer_normalization": ("gamma", "beta"),
}
"""The order in which Keras numbers the variables of a layer: its files do not name them."""


def layer_name(variable: str) -> str:
    """Returns the name of a Keras layer for a variable or a scope; Keras allows no slashes.

    >>> layer_name("linear/linear_model/a.b/weights")
    'linear.linear_model.a..b.weights'
    """
    return variable.replace(".", "..").replace("/", ".")


def variable_name(layer: str) -> str:
    """Returns the name of a variable or of a scope for that of a Keras layer.

    A dot at the end, which distinguishes a layer from an input of its name, is dropped.

    >>> variable_name("linear.linear_model.a..b.weights")
    'linear/linear_model/a.b/weights'
    """
    parts = layer.replace("..", "\0").removesuffix(".").split(".")
    return "/".join(part.replace("\0", ".") for part in parts)


def is_keras_file(path: str) -> bool:
    """Returns whether a path is that of a file that Keras saves."""
    return path.endswith(_ENDINGS) and not os.path.isdir(path)


def as_checkpoint(path: str) -> str:
    """Writes the weights of a Keras file into a checkpoint that exists until the process ends.

    The variable of a layer with only one is stored under the name of the layer and under
    `<layer>/<variable>`; variables of other layers only under the latter.

    Args:
        path: A `.keras` or a `.weights.h5` file.

    Returns:
        The prefix of the checkpoint.

    Raises:
        errors.CheckpointNotFoundError: The file does not exist.
        errors.UnreadableCheckpointError: It cannot be read, or has no weights.
    """
    if not os.path.isfile(path):
        raise errors.CheckpointNotFoundError(
            f"`warm_start_from` names the Keras file {path!r}, which does not exist."
        )
    return _converted(os.path.abspath(path), os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _converted(path: str, modified: int) -> str:
    del modified  # part of the cache key: a changed file is read again
    values = _values(path)
    if not values:
        raise errors.UnreadableCheckpointError(f"The Keras file {path!r} has no weights.")
    directory = tempfile.mkdtemp(prefix="kestimator-")
    # A warm start may read the checkpoint at any later call, so it stays until the end.
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    prefix = os.path.join(directory, "keras")
    names = sorted(values)
    with program.eager_mode():
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(values[name]) for name in names],
        )
    return prefix


def _values(path: str) -> dict[str, np.ndarray]:
    try:
        if path.endswith(_ENDINGS[1]):
            return _read(path)
        with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS_IN_MODEL) as file:
            return _read(file)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise errors.UnreadableCheckpointError(
            f"`warm_start_from` names the file {path!r}, which cannot be read: {error}. Expected a "
            "file that keras.Model.save or save_weights wrote. Save it again."
        ) from error


def _read(file: Any) -> dict[str, np.ndarray]:
    with h5py.File(file, "r") as stored:
        groups: list[Any] = []
        stored.visititems(lambda _, item: groups.append(item))
        return {
            name: value
            for group in groups
            if isinstance(group, h5py.Group) and "name" in group.attrs and len(group)
            for name, value in _variables(group)
        }


def _variables(group: h5py.Group) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the variables of a layer, whose group is called `…/<class>_<number>/vars`."""
    # Files that kestimator wrote have the names. In others, they follow from the layer's class.
    if all(NAME in group[key].attrs for key in group):
        yield from ((str(group[key].attrs[NAME]), group[key][()]) for key in group)
        return
    scope = variable_name(str(group.attrs["name"]))
    kind = group.name.split("/")[-2].rstrip("0123456789").rstrip("_")
    variables = VARIABLES.get(kind, ())
    values = [group[key][()] for key in sorted(group, key=int)]
    if len(values) == 1:
        yield scope, _without_rows(scope, values[0])
    for number, value in enumerate(values):
        yield f"{scope}/{variables[number] if number < len(variables) else number}", value


def _without_rows(name: str, value: np.ndarray) -> np.ndarray:
    """Removes the row dimension of a bias, which Keras stores as a table of one row."""
    is_bias = name.endswith(("/bias_weights", "/bias")) and value.ndim == 2
    return value[0] if is_bias and len(value) == 1 else value
