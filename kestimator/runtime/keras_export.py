"""Writes the files of `Estimator.export_keras`: a Keras model, or weights of any model.

Synopsis::

    target = checked_target("model.keras")
    write(target, "model_dir/model.ckpt-100", make_model, held_model)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files, keras_writing
from kestimator.engine.tracing import execution_modes
from kestimator.validation import keras2

checked_target = keras_writing.checked_target
HeldModel = contextlib.AbstractContextManager[tuple[keras.Model | None, dict[int, str]]]
"""Inside, the model has the values of a checkpoint. The dict has names by ids of variables."""


def write(
    target: str,
    checkpoint: str,
    make_model: Callable[[str], keras.Model] | None,
    held_model: Callable[[], HeldModel],
) -> str:
    """Writes a file for Keras atomically.

    Args:
        target: The path, as returned by `checked_target`.
        checkpoint: The checkpoint to write.
        make_model: Creates a Keras model from a checkpoint; None if the estimator cannot.
        held_model: Returns the model that a model_fn named, if it named one.

    Returns:
        The path.

    Raises:
        errors.ArgumentError: There is no Keras model to write.
    """
    model = _made(make_model, checkpoint, target)
    if model is not None and keras2.is_model(model):
        is_whole = target.endswith(keras_writing.MODEL)
        return keras_writing.write(target, model.save if is_whole else model.save_weights)
    if model is not None:
        return _saved(
            model, target, keras_writing.names_in(model, checkpoint_files.names(checkpoint))
        )
    with execution_modes.outside(), held_model() as (model, ids):
        if model is not None:
            return _saved(model, target, ids)
    if target.endswith(keras_writing.MODEL):
        raise errors.ArgumentError(
            f"There is no Keras model to write to {target!r}, because no call of the model_fn has "
            "returned one. Return it in `EstimatorSpec(..., keras_model=model)`. Then call "
            "`predict`, `evaluate` or `train` first, or pass `input_fn`. To write only the "
            f"weights, use a path that ends in {keras_writing.WEIGHTS!r}."
        )
    names = keras_writing.weight_names(checkpoint_files.names(checkpoint))
    values = {name: checkpoint_files.value(checkpoint, name) for name in names}
    return keras_writing.write(target, lambda part: keras_writing.write_weights(part, values))


def _made(
    make_model: Callable[[str], keras.Model] | None, checkpoint: str, target: str
) -> keras.Model | None:
    """Returns the model; None if Keras has no equivalent of it and its weights are enough."""
    try:
        return None if make_model is None else make_model(checkpoint)
    except errors.ArgumentError:
        if target.endswith(keras_writing.MODEL):
            raise
        return None


def _saved(model: Any, target: str, names: dict[int, str]) -> str:
    return keras_writing.write(target, lambda part: keras_writing.save(model, part, names))
