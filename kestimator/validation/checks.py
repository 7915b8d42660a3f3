"""Checks of arguments that several public functions and classes take.

Those called `checked_...` return what they checked in the form that the library stores.
"""

from __future__ import annotations

import numbers
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Exporter

_REFUSED_HOOKS = {
    "tensorflow.python.debug.wrappers": (
        "hooks that do without a session of their own: this one debugs a tf.compat.v1.Session, and "
        "an Estimator runs functions",
        "Call tf.debugging.experimental.enable_dump_debug_info(folder) before the first step, and "
        "look at the tensors of every step with TensorBoard's Debugger V2; or "
        "tf.debugging.enable_check_numerics() to find NaN.",
    ),
    "tensorflow.python.training.sync_replicas_optimizer": (
        "no hook of a SyncReplicasOptimizer, whose queues are there to wait for the gradients of "
        "other processes",
        "Minimize with the optimizer that it wraps. RunConfig(train_distribute="
        "tf.distribute.MirroredStrategy()) trains several replicas at once, and takes the mean of "
        "their gradients.",
    ),
}
"""Hooks that need a session of TensorFlow's own, by their module: what is expected, the way out."""


def checked_hooks(name: str, hooks: Any) -> tuple[Any, ...]:
    """Returns hooks as a tuple; None is empty.

    Args:
        name: What the caller's argument is called.
        hooks: An iterable of `tf.compat.v1.train.SessionRunHook`s, or None.

    Returns:
        The hooks.

    Raises:
        ArgumentTypeError: Not an iterable, or something in it is not a hook, or one that only a
            session can serve.
    """
    hook_class = tf.compat.v1.train.SessionRunHook
    checked = _instances(name, hooks, hook_class, "tf.compat.v1.train.SessionRunHook")
    for position, hook in enumerate(checked):
        for module, (expected, remedy) in _REFUSED_HOOKS.items():
            if any(base.__module__.startswith(module) for base in type(hook).__mro__):
                argument = f"{name}[{position}]"
                raise errors.ArgumentTypeError(
                    errors.invalid_argument(argument, hook, expected, remedy)
                )
    return checked


def checked_listeners(listeners: Any, name: str = "saving_listeners") -> tuple[Any, ...]:
    """Returns `tf.compat.v1.train.CheckpointSaverListener`s as a tuple; None is empty.

    Args:
        listeners: An iterable of listeners, or None.
        name: What the caller's argument is called.

    Returns:
        The listeners.

    Raises:
        ArgumentTypeError: Not an iterable, or something in it is not a listener.
    """
    listener_class = tf.compat.v1.train.CheckpointSaverListener
    return _instances(name, listeners, listener_class, "tf.compat.v1.train.CheckpointSaverListener")


def checked_exporters(exporters: Any) -> tuple[Exporter, ...]:
    """Returns one exporter, several or none as a tuple.

    Args:
        exporters: None, an iterable, or one object with a `name` and an `export` method.

    Returns:
        The exporters.

    Raises:
        ArgumentTypeError: Something is not an exporter.
        ArgumentError: A name is empty, not a string, or repeated.
    """
    if not exporters:
        return ()
    found = _listed_exporters(exporters)
    names = [exporter.name for exporter in found]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "exporters",
                names,
                "exporters whose names are strings, not empty and not repeated",
                "Each exporter writes into a directory of its name.",
            )
        )
    return tuple(found)


def check_number(name: str, value: Any, expected: str = "a number") -> None:
    """Checks that something is a number.

    Raises:
        ArgumentTypeError: It is not.
    """
    if not isinstance(value, numbers.Real):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, expected))


def check_positive(name: str, value: Any) -> None:
    """Checks that a number is above 0, or None.

    Raises:
        ArgumentError: It is not above 0.
        ArgumentTypeError: It is not a number.
    """
    expected = "a number above 0, or None"
    if value is None:
        return
    check_number(name, value, expected)
    if not value > 0:  # NaN is not, either
        raise errors.ArgumentError(errors.invalid_argument(name, value, expected))


def check_not_negative(name: str, value: Any) -> None:
    """Checks that a number is 0 or more.

    Raises:
        ArgumentError: It is below 0.
        ArgumentTypeError: It is not a number.
    """
    expected = "a number from 0"
    check_number(name, value, expected)
    if not value >= 0:
        raise errors.ArgumentError(errors.invalid_argument(name, value, expected))


def check_name(name: str, value: Any) -> None:
    """Checks that a name is None, or a string that leads to a folder below the one it is put in.

    Raises:
        ArgumentTypeError: It is something else.
        ArgumentError: It leads elsewhere.
    """
    if value is not None and not isinstance(value, str):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, "a string, or None"))
    if value and ".." in pathlib.PurePath(value).parts:
        raise errors.ArgumentError(
            errors.invalid_argument(name, value, "a name without '..', for a folder of model_dir")
        )


def checked_path(name: str, value: Any) -> str:
    """Returns a path as a string.

    Raises:
        ArgumentTypeError: It is no path.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, "a path, or None"))
    return os.fsdecode(value)


def _instances(name: str, items: Any, item_class: type, class_name: str) -> tuple[Any, ...]:
    if items is None:
        return ()
    if not isinstance(items, Iterable):
        expected = f"an iterable of {class_name} objects"
        raise errors.ArgumentTypeError(
            errors.invalid_argument(name, items, expected, "Put it into a list.")
        )
    found = tuple(items)
    for position, item in enumerate(found):
        if not isinstance(item, item_class):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(f"{name}[{position}]", item, f"a {class_name}")
            )
    return found


def _listed_exporters(exporters: Any) -> list[Exporter]:
    found = [exporters] if _is_exporter(exporters) else exporters
    if isinstance(found, Iterable):
        found = list(found)
        if all(_is_exporter(exporter) for exporter in found):
            return found
    raise errors.ArgumentTypeError(
        errors.invalid_argument("exporters", exporters, "an Exporter, a list of them, or None")
    )


def _is_exporter(value: object) -> bool:
    return hasattr(value, "name") and callable(getattr(value, "export", None))
