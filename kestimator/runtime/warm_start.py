"""Warm start: initial values from the checkpoint of another model.

Synopsis::

    settings = settings_from("/tmp/other_model")
    with graph.as_default():
        apply(settings)        # the variables' initializers now read the checkpoint
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files, keras_files
from kestimator.engine.checkpoints.literal_paths import literal
from kestimator.specs import WarmStartSettings
from kestimator.validation import checks


def settings_from(warm_start_from: Any) -> WarmStartSettings | None:
    """Reads the argument `warm_start_from` of an Estimator.

    Args:
        warm_start_from: None, settings, or the path of a checkpoint, a directory of checkpoints,
            a SavedModel, or a `.keras` or `.weights.h5` file.

    Raises:
        errors.ArgumentError: It is something else.
    """
    if warm_start_from is None or isinstance(warm_start_from, WarmStartSettings):
        return warm_start_from
    expected = (
        "None, WarmStartSettings, or the path of a checkpoint, a directory, a SavedModel or a "
        "Keras file"
    )
    if not isinstance(warm_start_from, str | bytes | os.PathLike) or not warm_start_from:
        raise errors.ArgumentError(
            errors.invalid_argument("warm_start_from", warm_start_from, expected)
        )
    path = checks.checked_path("warm_start_from", warm_start_from, expected)
    variables = os.path.join(path, "variables", "variables")
    return WarmStartSettings(variables if tf.io.gfile.exists(f"{variables}.index") else path)


def check_source(settings: WarmStartSettings | None, model_dir: str) -> None:
    """Checks that the source of a warm start exists and is a checkpoint or may get one.

    Nothing is checked if `model_dir` has a checkpoint, which comes first.

    Raises:
        errors.CheckpointNotFoundError: There is nothing at the path, or something else.
    """
    if settings is None or tf.io.gfile.exists(os.path.join(model_dir, "checkpoint")):
        return
    source = settings.ckpt_to_initialize_from
    if checkpoint_files.is_whole(source) or tf.io.gfile.isdir(source):
        return
    is_there = tf.io.gfile.exists(source)
    if keras_files.is_keras_file(source) and is_there:
        return
    raise errors.CheckpointNotFoundError(
        errors.invalid_argument(
            "warm_start_from",
            source,
            "the prefix of a checkpoint such as 'model_dir/model.ckpt-100', a directory of "
            "checkpoints, a SavedModel or a Keras file",
            "This is another file." if is_there else "Nothing exists there.",
        )
    )


def whole_checkpoint(settings: WarmStartSettings) -> str | None:
    """Returns the checkpoint that a warm start uses completely; None if it uses only parts.

    A Keras file counts as parts: it has no global step.

    Raises:
        errors.CheckpointNotFoundError: There is no checkpoint.
    """
    if keras_files.is_keras_file(settings.ckpt_to_initialize_from):
        return None
    if settings.vars_to_warm_start != ".*" or (
        settings.var_name_to_vocab_info or settings.var_name_to_prev_var_name
    ):
        return None
    return _source_checkpoint(settings.ckpt_to_initialize_from)


def apply(settings: WarmStartSettings) -> None:
    """Makes the initializers of the default graph's variables read the checkpoint.

    Raises:
        errors.CheckpointNotFoundError: There is no checkpoint in the directory, or no Keras file.
        errors.UnreadableCheckpointError: A Keras file cannot be read.
        errors.CheckpointMismatchError: A selected variable is not in the checkpoint, or has another
            shape.
    """
    source = settings.ckpt_to_initialize_from
    path = _source_checkpoint(source)
    try:
        tf.compat.v1.train.warm_start(
            literal(path),
            _each_once(settings.vars_to_warm_start),
            settings.var_name_to_vocab_info,
            settings.var_name_to_prev_var_name,
        )
    except errors.KestimatorError:
        raise
    except (ValueError, tf.errors.OpError) as error:
        kinds: dict[type[Exception], type[errors.CheckpointError]] = {
            ValueError: errors.CheckpointMismatchError,
            tf.errors.NotFoundError: errors.MissingVariableError,
            tf.errors.OpError: errors.UnreadableCheckpointError,
        }
        kind = next(ours for theirs, ours in kinds.items() if isinstance(error, theirs))
        raise kind(
            f"The warm start from {source!r} (`warm_start_from`) is not possible: {error}. Select "
            "only variables that fit, with the `vars_to_warm_start` of WarmStartSettings."
        ) from error


def _each_once(selection: Any) -> Any:
    """Returns what to warm-start, with each variable once, even if several patterns select it.

    A pattern selects all names that start with it: "w" also selects "w/Adam". TensorFlow would
    treat a variable that is selected twice as two parts of one variable.
    """
    if not isinstance(selection, list) or not all(isinstance(one, str) for one in selection):
        return selection
    key = tf.compat.v1.GraphKeys.GLOBAL_VARIABLES
    selected = [v for pattern in selection for v in tf.compat.v1.get_collection(key, scope=pattern)]
    return list({id(variable): variable for variable in selected}.values())


def _source_checkpoint(source: str) -> str:
    if keras_files.is_keras_file(source):
        return keras_files.as_checkpoint(source)
    # In this order: on `ram://`, the prefix of a checkpoint counts as a directory.
    is_prefix = tf.io.gfile.exists(f"{source}.index") or not tf.io.gfile.isdir(source)
    path = source if is_prefix else checkpoint_files.latest_checkpoint(source)
    if path is None:
        raise errors.CheckpointNotFoundError(
            f"`warm_start_from` points to {source!r}, which contains no checkpoint."
        )
    return str(path)
