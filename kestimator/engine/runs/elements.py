"""Elements of an input: features, pairs with labels, and triples with sample weights.

Synopsis::

    check(element, takes_weights=False)
    features, labels = features_and_labels(element)

Everything that runs takes pairs. The sample weights of a triple travel with the features.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.keys import WeightedKeys


def features_and_labels(element: Any) -> tuple[Any, Any]:
    """Reads an element of an input as `(features, labels)`, labels being None if absent.

    The features of a triple are `{"features": features, "sample_weights": weights}`.
    """
    if not _is_sequence(element):
        return element, None
    if len(element) == 3:
        features, labels, weights = element
        return {WeightedKeys.FEATURES: features, WeightedKeys.WEIGHTS: weights}, labels
    return element[0], element[1]


def as_element(features: Any, labels: Any, like: Any) -> Any:
    """The inverse of `features_and_labels`.

    Args:
        features: The features.
        labels: The labels.
        like: An element of the structure that the result has.
    """
    if not _is_sequence(like):
        return features
    if len(like) == 3:
        return features[WeightedKeys.FEATURES], labels, features[WeightedKeys.WEIGHTS]
    return features, labels


def constants_key(constants: Any) -> str:
    """A key of the arrays and numbers in a nest: equal for equal ones, empty if there are none."""
    digest, is_empty = hashlib.sha256(), True
    for value in tf.nest.flatten(constants):
        if value is None or tf.is_tensor(value):
            continue
        is_empty = False
        array = np.asarray(value)
        digest.update(repr((type(value), array.dtype, array.shape)).encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return "" if is_empty else digest.hexdigest()


def with_constants(tensors: Any, constants: Any) -> Any:
    """Puts arrays and numbers of the nest `constants` into the place of the tensors for them."""

    def choose(tensor: Any, value: Any) -> Any:
        return tensor if value is None or tf.is_tensor(value) else value

    return tf.nest.map_structure(choose, tensors, constants)


def check(element: Any, *, takes_weights: bool) -> None:
    """Checks that an element has as many parts as the model takes.

    Args:
        element: The element, or its spec.
        takes_weights: Whether the model takes sample weights.

    Raises:
        errors.InputError: It has other parts.
    """
    if not isinstance(element, list | tuple) or len(element) == 2:
        return
    if len(element) == 3 and takes_weights and _is_sequence(element):
        return
    expected = "(features, labels), or a Dataset of such pairs"
    if takes_weights:
        expected = "(features, labels) or (features, labels, sample_weights), or a Dataset of them"
    weights = (
        " Sample weights are taken by the Estimators of model_to_estimator. For others, put the "
        "weights into the features, and name them in the `weight_column` of the head."
    )
    raise errors.InputError(
        f"`input_fn` should return {expected}. Received a {type(element).__name__} of "
        f"{len(element)} elements. To pass several features, put them into a dict, or nest them: "
        f"((first, second), labels).{weights if len(element) == 3 and not takes_weights else ''}"
    )


def _is_sequence(element: Any) -> bool:
    # A namedtuple is one nest of features, not a pair.
    return isinstance(element, list | tuple) and not hasattr(element, "_fields")
