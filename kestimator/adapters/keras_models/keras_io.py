"""Features, labels and outputs of a Keras model, by the names that the model has for them.

Synopsis::

    x = inputs_of(model, {"age": ages, "color": colors})
    check_labels(model, labels, model.loss)
    predictions = named_outputs(model, model(x))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors

# Keras' names for unnamed inputs. A single feature of any name fits such an input.
_AUTOMATIC_INPUT = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")


def input_names(model: keras.Model) -> list[str]:
    """The names of the inputs; none where the model does not know its inputs beforehand."""
    return [tensor.name for tensor in getattr(model, "inputs", None) or []]


def output_names(model: keras.Model) -> list[str]:
    """The names of the outputs, in their order; none where the model does not know them.

    Those of a dict are its keys, others are called as their layers.
    """
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name] if model.layers else []
    output = getattr(model, "output", None) if input_names(model) else None
    if isinstance(output, Mapping):
        return [str(key) for key in output]
    return _unique(getattr(model, "output_names", None) or [])


def inputs_of(model: keras.Model, features: Any) -> Any:
    """Puts features into the structure that the model is called with.

    Args:
        model: The model. If it does not know its inputs, it gets the features as they are.
        features: A dict by input name, a tensor for the only input, or a list or tuple in the
            order of the inputs. Features without an input are left out.

    Raises:
        errors.NamesError: An input has no feature of its name.
        errors.InputError: There are more or fewer features than inputs.
    """
    names = input_names(model)
    if not names:
        return features
    return _packed(model, features_by_name(model.name, names, features))


def features_by_name(model: str, names: Sequence[str], features: Any) -> dict[str, Any]:
    """The features by the names of the inputs.

    Args:
        model: The name of the model, for messages.
        names: The names of its inputs.
        features: As for `inputs_of`.

    Raises:
        errors.InputError: As for `inputs_of`.
    """
    if isinstance(features, Mapping):
        return _by_name(names, features)
    if isinstance(features, list | tuple) and not hasattr(features, "_fields"):
        flat = keras.tree.flatten(features)
    else:
        flat = [features]
    if len(flat) != len(names):
        raise errors.InputError(
            f"The Keras model {model!r} has {len(names)} inputs, {list(names)}, but received "
            f"{len(flat)} features. Pass a dict of features with these names as keys."
        )
    return dict(zip(names, flat, strict=True))


def check_labels(model: keras.Model, labels: Any, loss: Any) -> None:
    """Checks that there are labels where a loss needs them.

    Args:
        model: The model.
        labels: The labels.
        loss: The argument `loss` of `compile`.

    Raises:
        errors.NamesError: Labels have names, and one that the loss needs is missing.
        errors.InputError: There are none.
    """
    if loss is None:
        return
    if labels is None:
        raise errors.InputError(
            f"The Keras model {model.name!r} was compiled with a loss, but `input_fn` returns no "
            "labels. Return (features, labels)."
        )
    needed = list(loss) if isinstance(loss, Mapping) else output_names(model)
    if isinstance(labels, Mapping):
        _check_names("labels", labels, [name for name in needed if name], "outputs")


def named_outputs(model: keras.Model, outputs: Any) -> dict[str, tf.Tensor]:
    """The outputs by name: a flat dict has its keys, others have the names of `output_names`.

    Where the model does not know the names, they are `output_1` and so on.
    """
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items()}
    flat = keras.tree.flatten(outputs)
    names = output_names(model)
    if len(names) != len(flat):
        names = [f"output_{number}" for number in range(1, len(flat) + 1)]
    return dict(zip(names, flat, strict=True))


def _by_name(names: Sequence[str], features: Mapping[Any, Any]) -> dict[str, Any]:
    if len(names) == len(features) == 1 and _AUTOMATIC_INPUT.fullmatch(names[0]):
        return {names[0]: next(iter(features.values()))}
    _check_names("features", features, names, "inputs")
    return {name: features[name] for name in names}


def _check_names(kind: str, values: Mapping[Any, Any], needed: Sequence[str], target: str) -> None:
    missing = sorted(set(needed) - set(values))
    if missing:
        unknown = sorted(map(str, set(values) - set(needed)))
        stray = f" Unknown: {unknown}." if unknown else ""
        raise errors.NamesError(
            f"The {kind} of `input_fn` do not match the Keras model, which has the {target} "
            f"{list(needed)}. Missing: {missing}.{stray} Rename the {kind}, or the {target} of "
            "the model."
        )


def _packed(model: keras.Model, by_name: Mapping[str, Any]) -> Any:
    if isinstance(model, keras.Sequential):
        return next(iter(by_name.values()))
    return keras.tree.map_structure(lambda tensor: by_name[tensor.name], model.input)


def _unique(names: Sequence[str]) -> list[str]:
    """Names made unique: a layer with two outputs has the same name for both."""
    unique: list[str] = []
    for name in names:
        count = sum(other == name or other.startswith(f"{name}_again_") for other in unique)
        unique.append(f"{name}_again_{count}" if count else name)
    return unique
