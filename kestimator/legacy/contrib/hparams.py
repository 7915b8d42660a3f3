"""`tf.contrib.training.HParams`: hyperparameters with types, which a command line can set.

Synopsis::

    hparams = HParams(learning_rate=0.1, hidden_units=[64, 32])
    hparams.parse("learning_rate=0.3,hidden_units=[128,64]")
    hparams.values()["learning_rate"]       # 0.3, as the attribute of that name
"""

from __future__ import annotations

import json
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

from kestimator import errors

_PAIR = re.compile(
    r"(?P<name>[a-zA-Z]\w*)(?:\[\s*(?P<index>\d+)\s*\])?\s*=\s*"
    r"(?:\[(?P<items>[^\]]*)\]|(?P<value>[^,\[]*))(?:$|,)"
)


class HParams:
    """Hyperparameters. Each one is an attribute, whose type is that of its first value.

    Args:
        hparam_def: None; buffers of the protocol have gone with `tf.contrib`.
        model_structure: Any object, see `get_model_structure`.
        **kwargs: The names and values.

    Raises:
        errors.ArgumentError: A name or a value is not allowed.
    """

    def __init__(self, hparam_def: None = None, model_structure: Any = None, **kwargs: Any) -> None:
        if hparam_def is not None:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "hparam_def", hparam_def, "None", "Read them from JSON: parse_json."
                )
            )
        self._types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """Adds a hyperparameter.

        Raises:
            errors.ArgumentError: The name is taken, or the value is an empty list.
        """
        if getattr(self, name, None) is not None:
            raise errors.ArgumentError(
                errors.invalid_argument("name", name, "a name that HParams does not have yet")
            )
        is_list = isinstance(value, (list, tuple))
        if is_list and not value:
            raise errors.ArgumentError(
                errors.invalid_argument(name, value, "a list with an element, which gives its type")
            )
        self._types[name] = (type(value[0]) if is_list else type(value), is_list)
        setattr(self, name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        """Changes a hyperparameter; see `override_from_dict`."""
        if name not in self._types:
            raise KeyError(name)
        kind, is_list = self._types[name]
        if isinstance(value, list) != is_list:
            expected = "a list" if is_list else f"one {kind.__name__}, not a list"
            raise errors.ArgumentError(errors.invalid_argument(name, value, expected))
        converted = [_cast(name, kind, item) for item in value] if is_list else None
        setattr(self, name, converted if is_list else _cast(name, kind, value))

    def del_hparam(self, name: str) -> None:
        """Removes a hyperparameter, if there is one of that name."""
        if name in self._types:
            delattr(self, name)
            del self._types[name]

    def override_from_dict(self, values_dict: Mapping[str, Any]) -> Self:
        """Changes hyperparameters, and returns these.

        Raises:
            KeyError: There is none of such a name.
            errors.ArgumentError: A value has another type than the hyperparameter.
        """
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def parse(self, values: str) -> Self:
        """Changes hyperparameters as text says, such as "rate=0.1,units=[3,4]"; returns these.

        An element of a list can be set by its number: "units[1]=5".

        Raises:
            errors.ArgumentError: The text cannot be read, or names an unknown hyperparameter.
        """
        parsed = parse_values(values, {name: kind for name, (kind, _) in self._types.items()})
        for name, value in parsed.items():
            if isinstance(value, dict):
                value = self._with_elements(name, value)
            self.set_hparam(name, value)
        return self

    def _with_elements(self, name: str, elements: Mapping[int, Any]) -> list[Any]:
        before = getattr(self, name)
        if not self._types[name][1] or max(elements) >= len(before):
            expected = f"numbers of elements that `{name}` has, which is {before!r}"
            raise errors.ArgumentError(errors.invalid_argument(name, elements, expected))
        return [elements.get(number, value) for number, value in enumerate(before)]

    def parse_json(self, values_json: str) -> Self:
        """Changes hyperparameters as a JSON object says, and returns these."""
        return self.override_from_dict(json.loads(values_json))

    def to_json(
        self,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """Returns a JSON object; hyperparameters that are functions are left out."""
        values = {name: value for name, value in self.values().items() if not callable(value)}
        return json.dumps(values, indent=indent, separators=separators, sort_keys=sort_keys)

    def values(self) -> dict[str, Any]:
        """Returns the values by name."""
        return {name: getattr(self, name) for name in self._types}

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the value of a name, or `default`.

        Raises:
            errors.ArgumentError: `default` has another type than the hyperparameter.
        """
        if key not in self._types:
            return default
        kind, is_list = self._types[key]
        if default is not None:
            items = default if isinstance(default, list) and is_list else [default]
            if isinstance(default, list) != is_list:
                expected = "a list" if is_list else "no list"
                raise errors.ArgumentError(errors.invalid_argument("default", default, expected))
            for item in items:
                _cast("default", kind, item)
        return getattr(self, key)

    def set_model_structure(self, model_structure: Any) -> None:
        """Sets what `get_model_structure` returns."""
        self._model_structure = model_structure

    def get_model_structure(self) -> Any:
        """Returns the model structure that was given."""
        return self._model_structure

    def __contains__(self, key: str) -> bool:
        return key in self._types

    def __str__(self) -> str:
        return str(sorted(self.values().items()))

    def __repr__(self) -> str:
        return f"HParams({self})"


def parse_values(values: str, type_map: Mapping[str, type]) -> dict[str, Any]:
    """Reads text such as "rate=0.1,units=[3,4],units[1]=5".

    Args:
        values: The text.
        type_map: The type of each hyperparameter; of a list, the type of its elements.

    Returns:
        The values by name: one value, a list, or a dict of elements by their numbers.

    Raises:
        errors.ArgumentError: It cannot be read.
    """
    parsed: dict[str, Any] = {}
    position = 0
    while position < len(values):
        match = _PAIR.match(values, position)
        if match is None:
            raise _malformed(values, f"{values[position:]!r} is no `name=value`.")
        position = match.end()
        name, index = match["name"], match["index"]
        if name not in type_map:
            raise _malformed(values, f"There is no hyperparameter {name!r}.")
        parse = _parser(name, type_map[name], values)
        if index is None and name in parsed:
            raise _malformed(values, f"{name!r} is there twice.")
        if match["items"] is not None:
            if index is not None:
                raise _malformed(values, f"An element of {name!r} cannot be a list.")
            parsed[name] = [parse(item) for item in re.split("[ ,]", match["items"]) if item]
        elif index is None:
            parsed[name] = parse(match["value"])
        else:
            elements = parsed.setdefault(name, {})
            if not isinstance(elements, dict) or int(index) in elements:
                raise _malformed(values, f"{name}[{index}] is there twice.")
            elements[int(index)] = parse(match["value"])
    return parsed


def _malformed(values: str, reason: str) -> errors.ArgumentError:
    expected = 'text such as "rate=0.1,units=[3,4]"'
    return errors.ArgumentError(errors.invalid_argument("values", values, expected, reason))


def _parser(name: str, kind: type, values: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            if kind is bool:
                return text == "true" or (text != "false" and bool(int(text)))
            return kind(text)
        except (TypeError, ValueError):
            raise _malformed(values, f"{text!r} is no {kind.__name__}, as {name!r} is.") from None

    return parse


def _cast(name: str, kind: type, value: Any) -> Any:
    """Returns a value as a hyperparameter's type, if nothing is lost.

    Raises:
        errors.ArgumentError: It is of another type.
    """
    if kind is type(None):
        return value
    if kind is bool or isinstance(value, bool):
        is_fitting = kind is bool and isinstance(value, bool)
    elif issubclass(kind, int):
        is_fitting = isinstance(value, numbers.Integral)
    elif issubclass(kind, float):
        is_fitting = isinstance(value, numbers.Real)
    elif issubclass(kind, (str, bytes)):
        is_fitting = isinstance(value, (str, bytes))
    else:
        is_fitting = isinstance(value, kind)
    if not is_fitting:
        expected = f"a value of type {kind.__name__}"
        raise errors.ArgumentError(errors.invalid_argument(name, value, expected))
    if isinstance(value, kind):
        return value
    is_text = isinstance(value, (str, bytes))
    return _recoded(value) if is_text else kind(value)


def _recoded(value: str | bytes) -> str | bytes:
    return value.encode() if isinstance(value, str) else value.decode()
