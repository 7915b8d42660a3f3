"""Checkpoints of earlier versions of kestimator, in which some variables have other names.

Synopsis::

    with with_current_names(model, path) as path:
        ...                                  # every variable is stored under its current name

In earlier versions, the names of variables of a `keras.Sequential` with an `Input` began with that
of the model, unlike in tf.estimator.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import model_program, program


@contextlib.contextmanager
def with_current_names(model: model_program.ModelProgram, path: str) -> Iterator[str]:
    """Yields a checkpoint with the current names, for the default saver of a program.

    This is the checkpoint itself, unless it lacks variables and has all of them under their former
    names, with their shapes. Then it is a copy that exists inside the context.

    Args:
        model: The program that reads.
        path: The checkpoint.
    """
    sources = _sources(model, path)
    if not sources:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kestimator-") as directory:
        copy = os.path.join(directory, "model.ckpt")
        _copy(path, copy, sources)
        yield copy


def _sources(model: model_program.ModelProgram, path: str) -> dict[str, str]:
    """The names in the checkpoint, by the current names of the variables that it seems to lack."""
    saver = model.scaffold.saver
    is_default = saver is None or isinstance(saver, checkpoint_files.DefaultSaver)
    if not (is_default and model.graph.former_names):
        return {}
    shapes = checkpoint_files.reader(path).get_variable_to_shape_map()
    sources: dict[str, str] = {}
    for view in checkpoint_files.global_views(model):
        name = model_program.name(view)
        if name in shapes or model.graph.is_optional(view):
            continue
        former = _former_name(name, model.graph.former_names)
        fits = former in shapes and view.shape.is_compatible_with(shapes[former])
        if not fits or former in sources.values():
            return {}  # the error for what is missing should name the checkpoint itself
        sources[name] = former
    return sources


def _former_name(name: str, former_names: Mapping[str, str]) -> str:
    """The former name of a variable, or of the slot that an optimizer keeps for one.

    TF1 optimizers append to the name of the variable. Keras' put it, with underscores, into theirs.
    """
    # The longest first: the name of one variable may be a part of another's.
    for current, former in sorted(former_names.items(), key=lambda pair: -len(pair[0])):
        if name == current or name.startswith(f"{current}/"):
            return former + name.removeprefix(current)
        current_part, former_part = current.replace("/", "_"), former.replace("/", "_")
        scope, _, last = name.rpartition("/")
        if last == current_part or last.startswith(f"{current_part}_"):
            return f"{scope}/{former_part}{last.removeprefix(current_part)}"
    return name


def _copy(source: str, target: str, sources: Mapping[str, str]) -> None:
    reader: Any = checkpoint_files.reader(source)
    names = {name: name for name in reader.get_variable_to_shape_map()} | dict(sources)
    with checkpoint_files.unreadable_as_error(source), program.eager_mode():
        tf.raw_ops.SaveV2(
            prefix=target,
            tensor_names=list(names),
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(reader.get_tensor(name)) for name in names.values()],
        )
