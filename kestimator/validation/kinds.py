"""Checks of kinds of arguments that many public functions and classes take.

    >>> checked_flag("as_text", 1)
    True

Those called `checked_...` return what they checked in the form that the library stores. Checks of
numbers, hooks and paths are in `kestimator.validation.checks`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from kestimator import errors
from kestimator.validation import checks


def checked_flag(name: str, value: Any) -> bool:
    """Checks a flag and returns it as a `bool`: True, False, 1, 0 or None, which counts as False.

    Anything else has a truth value, too, but not the one that was meant: "False" is true.

    Raises:
        ArgumentTypeError: It is something else.
    """
    plain = False if value is None else checks.plain_number(value)
    if plain is None or plain not in (0, 1):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, "True or False"))
    return bool(plain)


def checked_choice(
    name: str,
    value: Any,
    choices: Collection[str],
    expected: str = "",
    *,
    remedy: str = "",
    type_error: type[errors.KestimatorError] = errors.ArgumentError,
) -> str:
    """Checks that a string is one of `choices`, and returns it.

    Args:
        name: What the caller's argument is called.
        value: The string.
        choices: The strings that are allowed.
        expected: The expectation in the message, instead of the choices.
        remedy: As in `errors.invalid_argument`.
        type_error: The error for a value that is not a string.

    Raises:
        ArgumentError: It is another string. `type_error` replaces this class for other types.
    """
    # Arrays compare by element, and lists have no hash: only a string is looked up.
    if isinstance(value, str) and value in choices:
        return value
    message = errors.invalid_argument(
        name, value, expected or f"one of {', '.join(map(repr, choices))}", remedy
    )
    raise (errors.ArgumentError if isinstance(value, str) else type_error)(message)


def checked_text(
    name: str,
    value: Any,
    expected: str,
    *,
    type_error: type[errors.KestimatorError] = errors.ArgumentTypeError,
) -> str:
    """Checks that a value is a string, and returns it.

    Raises:
        ArgumentTypeError: It is something else. `type_error` replaces this class.
    """
    if not isinstance(value, str):
        raise type_error(errors.invalid_argument(name, value, expected))
    return value


def checked_mapping(name: str, value: Any, expected: str) -> dict[Any, Any]:
    """Checks a mapping and returns it as a dict; None becomes empty.

    Raises:
        ArgumentTypeError: It is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, expected))
    return dict(value)


def checked_texts(name: str, value: Any, expected: str) -> dict[str, str]:
    """Checks a mapping from strings to strings and returns it as a dict; None becomes empty.

    Raises:
        ArgumentTypeError: It is something else.
    """
    checked = checked_mapping(name, value, expected)
    for key, text in checked.items():
        checked_text(f"{name}[{key!r}]", text, "a string")
    return checked


def checked_instance(name: str, value: Any, kind: Any, expected: str) -> Any:
    """Checks that a value has a type, and returns it.

    Raises:
        ArgumentTypeError: It has another type.
    """
    if not isinstance(value, kind):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, expected))
    return value


def checked_function(
    name: str,
    value: Any,
    expected: str,
    arguments: int = 0,
    names: Collection[str] = (),
    *,
    remedy: str = "",
    type_error: type[errors.KestimatorError] = errors.ArgumentTypeError,
) -> Callable[..., Any]:
    """Checks that a value can be called with some arguments, and returns it.

    Args:
        name: What the caller's argument is called.
        value: The function.
        expected: The expectation in the message.
        arguments: The number of arguments that it gets by position.
        names: The names of those that it gets by keyword.
        remedy: As in `errors.invalid_argument`.
        type_error: The error for a value that is not callable.

    Raises:
        ArgumentError: It takes fewer arguments, or requires more.
        ArgumentTypeError: It is not callable. `type_error` replaces this class.
    """
    message = errors.invalid_argument(name, value, expected, remedy)
    if not callable(value):
        raise type_error(message)
    try:
        inspect.signature(value).bind(*range(arguments), **dict.fromkeys(names))
    except ValueError:  # Builtins written in C may not say what they take.
        pass
    except TypeError as error:
        raise errors.ArgumentError(message) from error
    return value  # type: ignore[no-any-return]


def is_empty(value: Any) -> bool:
    """Whether a value is None, or has no elements."""
    if value is None:
        return True
    return isinstance(value, Collection | np.ndarray) and not len(value)
