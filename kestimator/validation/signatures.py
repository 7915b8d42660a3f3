"""Calls functions with the arguments that they accept, and checks early that this is possible.

    >>> call_with_accepted(lambda features, mode: mode, features={}, mode="train", params={})
    'train'

A `model_fn`, an `input_fn`, a `logit_fn` or a `loss_fn` may leave out arguments that it does not
use. A function accepts the arguments that it names. `**kwargs` alone accepts nothing, as in
`tf.estimator`; but in the wrapper of a decorator, the names of the wrapped function count.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from kestimator import errors, logs

_Result = TypeVar("_Result")

MODEL_FN_ARGUMENTS = ("features", "labels", "mode", "params", "config")
INPUT_FN_ARGUMENTS = ("mode", "params", "config", "input_context")

_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def accepted_arguments(function: Callable[..., Any], name: str = "function") -> frozenset[str]:
    """Returns the names that can be passed to a callable as keyword arguments.

    Args:
        function: A function, a method, a `functools.partial`, a class, or an object with
            `__call__`. `self` of a bound method and bound arguments of a partial do not count.
        name: What the caller's argument is called.

    Returns:
        The names.

    Raises:
        ArgumentTypeError: `function` is not callable.
    """
    _check_callable(name, function)
    return frozenset(_keyword_names(function))


def call_with_accepted(function: Callable[..., _Result], /, *args: Any, **offered: Any) -> _Result:
    """Calls a function with `args` and with the offered keyword arguments that it accepts.

    Args:
        function: The callable.
        *args: Positional arguments, always passed.
        **offered: Keyword arguments, of which only the accepted ones are passed.

    Returns:
        What the function returns.
    """
    accepted = accepted_arguments(function)
    return function(*args, **{name: offered[name] for name in offered if name in accepted})


def check_model_fn(model_fn: Callable[..., Any] | None, params: Any = None) -> None:
    """Checks that `Estimator` can call a `model_fn`.

    Args:
        model_fn: The function that was passed to the estimator.
        params: The `params` that were passed to the estimator.

    Raises:
        ArgumentError: It is None, does not take `features`, takes an argument that no estimator
            offers, or does not take `params` although they were given.
        ArgumentTypeError: It is not callable.
    """
    if model_fn is None:
        raise errors.ArgumentError(
            errors.invalid_argument("model_fn", None, "a function of (features, labels, mode)")
        )
    _check_callable("model_fn", model_fn)
    accepted = accepted_arguments(model_fn) - {"self"}
    _check_features_accepted(model_fn, accepted)
    _check_only_known_arguments(model_fn, accepted)
    _check_params_accepted(model_fn, accepted, params)


def check_input_fn(input_fn: Callable[..., Any], name: str = "input_fn") -> None:
    """Checks that an `input_fn` can be called with what an estimator offers.

    Args:
        input_fn: The function.
        name: What the caller's argument is called.

    Raises:
        ArgumentTypeError: It is not callable, or it requires an argument that no estimator
            offers.
    """
    _check_callable(name, input_fn)
    unknown = sorted(_required_arguments(input_fn) - set(INPUT_FN_ARGUMENTS))
    if unknown:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                name,
                input_fn,
                f"a function that requires no arguments other than {_listed(INPUT_FN_ARGUMENTS)}",
                f"It requires {_listed(unknown)}. Bind them, as in "
                f"functools.partial({_function_name(input_fn)}, {unknown[0]}=...).",
            )
        )


def _keyword_names(function: Callable[..., Any]) -> list[str]:
    """Returns the names that can be passed by keyword, in order."""
    if isinstance(function, functools.partial):
        # Positional arguments of a partial bind the first names.
        free = _keyword_names(function.func)[len(function.args) :]
        return [name for name in free if name not in function.keywords]
    try:
        # The signature of the wrapper itself: only if it passes on `**kwargs` can it be called with
        # the names of the wrapped function.
        signature = inspect.signature(function, follow_wrapped=False)
    except ValueError:  # Builtins written in C may not say what they take.
        return []
    names = [p.name for p in signature.parameters.values() if p.kind in _BY_KEYWORD]
    passes_on = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    wrapped = getattr(function, "__wrapped__", None)
    if passes_on and callable(wrapped):
        names += [name for name in _keyword_names(wrapped) if name not in names]
    return names


def _required_arguments(function: Callable[..., Any]) -> set[str]:
    """Returns the required names; arguments that are bound by position do not count."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return set()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind not in variadic}


def _check_callable(name: str, function: object) -> None:
    if not callable(function):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, function, "a callable"))


def _check_features_accepted(model_fn: Callable[..., Any], accepted: frozenset[str]) -> None:
    if "features" not in accepted:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "model_fn",
                model_fn,
                "a function with an argument called `features`",
                f"It takes {_listed(sorted(accepted)) or 'no arguments by name'}.",
            )
        )


def _check_only_known_arguments(model_fn: Callable[..., Any], accepted: frozenset[str]) -> None:
    unknown = sorted(accepted - set(MODEL_FN_ARGUMENTS))
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "model_fn",
                model_fn,
                f"a function with no arguments other than {_listed(MODEL_FN_ARGUMENTS)}",
                f"It also takes {_listed(unknown)}. Pass such values in `params`, or bind them, "
                f"as in functools.partial({_function_name(model_fn)}, {unknown[0]}=...).",
            )
        )


def _check_params_accepted(
    model_fn: Callable[..., Any], accepted: frozenset[str], params: Any
) -> None:
    if params is not None and "params" not in accepted:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "params",
                params,
                "None, because `model_fn` has no argument called `params`",
                f"Add `params` to the arguments of {_function_name(model_fn)}, or do not pass it.",
            )
        )
    if params is None and "params" in accepted:
        logs.warning(
            "model_fn %s takes `params`, but the Estimator received none. It will get {}.",
            _function_name(model_fn),
        )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _function_name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
