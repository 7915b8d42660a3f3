"""Checks of arguments that several public functions and classes take.

Those called `checked_...` return what they checked in the form that the library stores.
"""

from __future__ import annotations

import functools
import numbers
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors, logs
from kestimator._types import Exporter

LARGEST_SIZE = 2**31 - 1
"""The largest number of classes, units or rows of a batch."""

_REFUSED_HOOKS = {
    "tensorflow.python.debug.wrappers": (
        "hooks that need no session: this one debugs a tf.compat.v1.Session, but an Estimator runs "
        "functions",
        "Call tf.debugging.experimental.enable_dump_debug_info(folder) before the first step, and "
        "look at the tensors of every step in TensorBoard's Debugger V2. To find NaN, call "
        "tf.debugging.enable_check_numerics().",
    ),
    "tensorflow.python.training.sync_replicas_optimizer": (
        "no hook of a SyncReplicasOptimizer, because its queues wait for the gradients of other "
        "processes",
        "Minimize with the optimizer that it wraps. RunConfig(train_distribute="
        "tf.distribute.MirroredStrategy()) trains several replicas in parallel, and takes the mean "
        "of their gradients.",
    ),
}
"""Hooks that need a TensorFlow session, by their module: what is expected, and the remedy."""


def checked_hooks(name: str, hooks: Any) -> tuple[Any, ...]:
    """Checks hooks and returns them as a tuple; None becomes empty.

    Args:
        name: What the caller's argument is called.
        hooks: An iterable of `tf.compat.v1.train.SessionRunHook`s, or None.

    Returns:
        The hooks.

    Raises:
        ArgumentTypeError: It is not an iterable, or an element is not a hook or needs a session
            of TensorFlow.
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
    """Checks `CheckpointSaverListener`s and returns them as a tuple; None becomes empty.

    Args:
        listeners: An iterable of listeners, or None.
        name: What the caller's argument is called.

    Returns:
        The listeners.

    Raises:
        ArgumentTypeError: It is not an iterable, or an element is not a listener.
    """
    listener_class = tf.compat.v1.train.CheckpointSaverListener
    return _instances(name, listeners, listener_class, "tf.compat.v1.train.CheckpointSaverListener")


def checked_exporters(exporters: Any) -> tuple[Exporter, ...]:
    """Checks exporters and returns them as a tuple.

    Args:
        exporters: None, an iterable, or one object with a `name` and an `export` method.

    Returns:
        The exporters.

    Raises:
        ArgumentTypeError: An element is not an exporter.
        ArgumentError: A name is empty, not a string, or repeated.
    """
    if exporters is None:
        return ()
    listed = _listed_exporters(exporters)
    names = [exporter.name for exporter in listed]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "exporters",
                names,
                "exporters whose names are strings, neither empty nor repeated",
                "Each exporter writes to a directory with its name.",
            )
        )
    for name in names:
        check_name("name of an exporter", name)
    return tuple(listed)


def checked_int(
    name: str,
    value: Any,
    minimum: int | None = None,
    *,
    maximum: int | None = None,
    takes_bools: bool = False,
    expected: str = "",
    remedy: str = "",
    type_error: type[errors.KestimatorError] = errors.ArgumentTypeError,
) -> int:
    """Checks an integer of Python or numpy and returns it as an `int`.

    A bool is refused unless `takes_bools`: `n_classes=True` is a mistake.

    Args:
        name: What the caller's argument is called.
        value: An integer; also a numpy scalar or an array without dimensions.
        minimum: The smallest allowed value; None for no limit.
        maximum: The largest allowed value; None for no limit.
        takes_bools: Whether to accept True as 1 and False as 0.
        expected: The expectation in the message, instead of the limits.
        remedy: As in `errors.invalid_argument`.
        type_error: The error for a value that is not an integer.

    Returns:
        The integer.

    Raises:
        ArgumentError: It is below or above the limits.
        ArgumentTypeError: It is not an integer. `type_error` replaces this class.
    """
    number = plain_number(value)
    message = errors.invalid_argument(name, value, expected or _range(minimum, maximum), remedy)
    if not isinstance(number, int) or (isinstance(number, bool) and not takes_bools):
        raise type_error(message)
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise errors.ArgumentError(message)
    return int(number)


def checked_sizes(name: str, sizes: Iterable[Any], expected: str, remedy: str) -> list[int]:
    """Checks the sizes of layers and returns them as a list of ints.

    Args:
        name: What the caller's argument is called.
        sizes: Integers above 0 and below 2**31, at least one.
        expected: The expectation in the message.
        remedy: As in `errors.invalid_argument`.

    Raises:
        ArgumentError: An element is not such an integer, or there are no elements.
    """
    listed = list(sizes)
    message = errors.invalid_argument(name, listed, expected, remedy)
    plain = [plain_number(size) for size in listed]
    if isinstance(sizes, bytes) or not plain or not all(map(_is_size, plain)):
        raise errors.ArgumentError(message)
    return plain


def checked_number(
    name: str,
    value: Any,
    expected: str = "a number",
    fits: Callable[[Any], bool] | None = None,
    *,
    type_error: type[errors.KestimatorError] = errors.ArgumentTypeError,
) -> Any:
    """Checks a number of Python or numpy and returns it as an `int` or a `float`.

    True counts as 1, as in `tf.estimator`.

    Args:
        name: What the caller's argument is called.
        value: A number; also a numpy scalar or an array without dimensions.
        expected: The expectation in the message.
        fits: Returns whether a number is allowed; None allows any.
        type_error: The error for a value that is not a number.

    Returns:
        The number: an `int` if it was given as an integer of 64 bits.

    Raises:
        ArgumentError: The number does not fit.
        ArgumentTypeError: It is not a number. `type_error` replaces this class.
    """
    number = plain_number(value)
    if number is None:
        raise type_error(errors.invalid_argument(name, value, expected))
    if number != number:  # NaN is neither below nor above any limit.
        raise errors.ArgumentError(errors.invalid_argument(name, value, expected))
    if fits is not None and not fits(number):
        raise errors.ArgumentError(errors.invalid_argument(name, value, expected))
    if isinstance(number, bool):
        return int(number)
    # TensorFlow's hooks add such numbers to 64-bit integers.
    return float(number) if abs(number) >= 2**63 else number


def checked_numbers(
    name: str, values: Iterable[Any], expected: str, fits: Callable[[Any], bool] | None = None
) -> list[float]:
    """Checks numbers and returns them as floats; a message shows all of them.

    Args:
        name: What the caller's argument is called.
        values: Numbers, as `checked_number` takes them.
        expected: The expectation in the message.
        fits: Returns whether a number is allowed; None allows any.

    Raises:
        ArgumentError: A number does not fit.
        ArgumentTypeError: An element is not a number.
    """
    listed = list(values)
    plain = [plain_number(value) for value in listed]
    message = errors.invalid_argument(name, listed, expected)
    if any(number is None for number in plain):
        raise errors.ArgumentTypeError(message)
    if fits is not None and not all(map(fits, plain)):
        raise errors.ArgumentError(message)
    return [float(number) for number in plain]


def checked_positive(name: str, value: Any) -> Any:
    """Checks a number above 0 and returns it as an `int` or a `float`; None stays None.

    Raises:
        ArgumentError: It is not above 0.
        ArgumentTypeError: It is not a number.
    """
    if value is None:
        return None
    return checked_number(name, value, "a number above 0, or None", _is_positive)


def checked_not_negative(name: str, value: Any, *, optional: bool = False) -> Any:
    """Checks a non-negative number and returns it as an `int` or a `float`.

    If it is optional, None stays None.

    Raises:
        ArgumentError: It is below 0.
        ArgumentTypeError: It is not a number.
    """
    if value is None and optional:
        return None
    expected = "a non-negative number, or None" if optional else "a non-negative number"
    return checked_number(name, value, expected, _is_not_negative)


def plain_number(value: Any) -> Any:
    """Returns a number as a Python `bool`, `int` or `float`; None for other values."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    # A bool is a `numbers.Integral`, too: callers need to know that it is one.
    if isinstance(value, bool):
        return value
    if not isinstance(value, numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


@functools.cache
def warn_without_effect(setting: str, why: str) -> None:
    """Logs that a setting has no effect, only once per process.

    Args:
        setting: The name that users know, such as `RunConfig.protocol`.
        why: The reason and the way out, as sentences.
    """
    # The cache makes this run once for each setting.
    logs.warning("The setting `%s` has no effect. %s", setting, why)


def check_name(name: str, value: Any) -> None:
    """Checks that a name is None, or the path of a folder below the parent folder.

    Raises:
        ArgumentTypeError: It has another type.
        ArgumentError: It leads elsewhere.
    """
    if value is not None and not isinstance(value, str):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, "a string, or None"))
    path = pathlib.PurePath(value or "")
    if path.is_absolute() or ".." in path.parts or "://" in (value or ""):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name, value, "a relative path without '..', for a folder of model_dir"
            )
        )


def checked_path(name: str, value: Any, expected: str = "a path, or None") -> str:
    """Checks a path and returns it as a string.

    Raises:
        ArgumentTypeError: It is not a path.
        ArgumentError: It is not in UTF-8.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, expected))
    path = os.fsdecode(value)
    try:
        path.encode()
    except UnicodeEncodeError as error:  # TensorFlow opens no such path.
        raise errors.ArgumentError(
            errors.invalid_argument(name, value, "a path in UTF-8")
        ) from error
    return path


def check_no_dangling_link(name: str, path: str) -> None:
    """Checks that a directory can be created: no part of its path is a link to nowhere.

    Raises:
        ArgumentError: A part is.
    """
    parts = () if "://" in path else (path, *map(str, pathlib.PurePath(path).parents))
    for part in parts:
        if os.path.islink(part) and not os.path.exists(part):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    name,
                    path,
                    "a directory, or a path where one can be created",
                    f"{part!r} is a link to {os.readlink(part)!r}, which does not exist. Create "
                    "that directory, or remove the link.",
                )
            )


def _range(minimum: int | None, maximum: int | None) -> str:
    if minimum is None or maximum is None:
        limits = "" if minimum is None else f" of at least {minimum}"
        return f"an integer{limits}" if maximum is None else f"an integer of at most {maximum}"
    if maximum == LARGEST_SIZE:
        return f"an integer of at least {minimum}, below 2**31"
    return f"an integer from {minimum} to {maximum}"


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 < number <= LARGEST_SIZE


def _is_positive(number: float) -> bool:
    return number > 0  # False for NaN, too


def _is_not_negative(number: float) -> bool:
    return number >= 0


def _instances(name: str, items: Any, item_class: type, class_name: str) -> tuple[Any, ...]:
    if items is None:
        return ()
    if not isinstance(items, Iterable):
        expected = f"an iterable of {class_name} objects"
        raise errors.ArgumentTypeError(
            errors.invalid_argument(name, items, expected, "Put it in a list.")
        )
    elements = tuple(items)
    for position, item in enumerate(elements):
        if not isinstance(item, item_class):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(f"{name}[{position}]", item, f"a {class_name}")
            )
    return elements


def _listed_exporters(exporters: Any) -> list[Exporter]:
    listed = [exporters] if _is_exporter(exporters) else exporters
    if isinstance(listed, Iterable):
        listed = list(listed)
        if all(_is_exporter(exporter) for exporter in listed):
            return listed
    raise errors.ArgumentTypeError(
        errors.invalid_argument("exporters", exporters, "an Exporter, a list of them, or None")
    )


def _is_exporter(value: object) -> bool:
    return hasattr(value, "name") and callable(getattr(value, "export", None))
