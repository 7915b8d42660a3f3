"""Checkpoints of earlier versions of kestimator, in which some variables have other names.

Synopsis::

    with with_current_names(model, path) as path:
        ...                                  # every variable is stored under its current name

In earlier versions, the names of variables of a `keras.Sequential` with an `Input` began with that
of the model, and the state of every optimizer was in `training`, unlike in tf.estimator.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import model_program, program

_LATER_SCOPE = re.compile(r"^training_\d+/")  # a scope of optimizers after the first one


@contextlib.contextmanager
def with_current_names(model: model_program.ModelProgram, path: str) -> Iterator[str]:
    """Yields a checkpoint with the current names, for the default saver of a program.

    This is the checkpoint itself, unless it lacks variables and has all of them under their former
    names, with their shapes. Then it is a copy that exists inside the context.

    Args:
        model: The program that reads.
        path: The checkpoint.

    Raises:
        errors.CheckpointMismatchError: The checkpoint has all variables under their current and
            under their former names, which stand for different values.
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
    """The names in the checkpoint, by the current names, if an earlier version has written it."""
    saver = model.scaffold.saver
    is_default = saver is None or isinstance(saver, checkpoint_files.DefaultSaver)
    views = checkpoint_files.global_views(model) if is_default else []
    current = [model_program.name(view) for view in views]
    names = _Names(model.graph.former_names)
    has_later_scope = any(map(_LATER_SCOPE.match, current))
    if not (views and (names.have_changed or has_later_scope)):
        return {}
    shapes = checkpoint_files.reader(path).get_variable_to_shape_map()
    needed = [view for view in views if not model.graph.is_optional(view)]
    if has_later_scope and not _holds(shapes, needed, {name: name for name in current}):
        in_first_scope = {name: _LATER_SCOPE.sub("training/", name, count=1) for name in current}
        if _holds(shapes, needed, in_first_scope):
            return {name: source for name, source in in_first_scope.items() if source in shapes}
    if not names.have_changed:
        return {}
    former = {name: names.former(name) for name in current}
    # A former name may be the current name of another variable. So a checkpoint is read either by
    # the current names of all variables or by the former ones.
    if not _holds(shapes, needed, former):
        return {}  # the error for what is missing should name the checkpoint itself
    if _holds(shapes, needed, {name: name for name in former}):
        _refuse_to_choose(path, former)
    return {name: source for name, source in former.items() if source in shapes}


def _holds(
    shapes: Mapping[str, Sequence[int]], needed: Sequence[Any], names: Mapping[str, str]
) -> bool:
    """Whether a checkpoint has a tensor of its own for each variable, under the given names."""
    sources = [(names[model_program.name(view)], view.shape) for view in needed]
    fit = all(name in shapes and shape.is_compatible_with(shapes[name]) for name, shape in sources)
    return fit and len(set(names.values())) == len(names)


def _refuse_to_choose(path: str, former: Mapping[str, str]) -> None:
    """Refuses a checkpoint that the program can read in two ways.

    Raises:
        errors.CheckpointMismatchError: The two ways differ.
    """
    name = next((name for name, source in former.items() if name != source), None)
    if name is not None:
        raise errors.CheckpointMismatchError(
            f"The checkpoint {path!r} has two values for the variable {name!r}: {name!r} is its "
            f"name, and {former[name]!r} was its name in earlier versions of kestimator, which may "
            "have written the checkpoint. To read it by the current names, pass "
            "`Scaffold(saver=tf.compat.v1.train.Saver())`. To read one of an earlier version, pass "
            "a saver whose `var_list` has the variables by their names in the checkpoint."
        )


class _Names:
    """The former names of variables.

    Args:
        of_keras: Those of the variables that Keras made, by their current names.
    """

    def __init__(self, of_keras: Mapping[str, str]) -> None:
        self.have_changed = any(name != former for name, former in of_keras.items())
        # The longest first: the name of one variable may be a part of another's.
        self._of_keras = sorted(of_keras.items(), key=lambda pair: -len(pair[0]))

    def former(self, name: str) -> str:
        """The former name of a variable, or of the slot that a TF1 optimizer keeps for one."""
        for current, former in self._of_keras:
            if name == current or name.startswith(f"{current}/"):
                return former + name.removeprefix(current)
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
