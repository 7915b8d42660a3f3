"""A Keras `PyDataset` as a Dataset of the batches that `fit` would take.

Synopsis::

    weights = checked_class_weight({0: 1.0, 1: 3.0})
    dataset = dataset_of(py_dataset, num_epochs=1, class_weight=weights)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.validation import checks, kinds


def checked_class_weight(class_weight: Any) -> Mapping[int, float] | None:
    """Returns the argument `class_weight`.

    Raises:
        ArgumentError: It has a class that is negative, or a weight that is not a number.
        ArgumentTypeError: It is not a mapping, or a class or weight has another type.
    """
    if class_weight is None:
        return None
    expected = "a dict from class ids, which are integers, to weights, or None"
    checked = kinds.checked_mapping("class_weight", class_weight, expected)
    for number, weight in checked.items():
        checks.checked_int("class_weight", number, 0, expected=expected)
        checks.checked_number(f"class_weight[{number}]", weight)
    return dict(checked)


def dataset_of(
    py_dataset: keras.utils.PyDataset,
    num_epochs: int | None,
    class_weight: Mapping[int, float] | None,
) -> tf.data.Dataset:
    """Returns the batches of a `PyDataset`.

    Args:
        py_dataset: Its items are batches.
        num_epochs: How often to repeat it; None repeats it without end.
        class_weight: The weights of examples by their classes, or None.

    Raises:
        ArgumentError: It is empty, or its batches do not go with `class_weight`.
    """
    if len(py_dataset) < 1:
        raise errors.ArgumentError(
            errors.invalid_argument("py_dataset", py_dataset, "at least one batch")
        )
    batch_of = functools.partial(_batch, class_weight=class_weight)
    py_dataset.on_epoch_begin()
    first = batch_of(py_dataset[0])
    with tf.init_scope():
        return tf.data.Dataset.from_generator(
            functools.partial(_batches, py_dataset, batch_of, num_epochs, [first]),
            output_signature=tf.nest.map_structure(_spec, first),
        )


def _batches(
    py_dataset: Any, batch_of: Callable[[Any], Any], num_epochs: int | None, first: list[Any]
) -> Iterator[Any]:
    """Yields the batches. `first` has the first one, which is not fetched again, for one pass."""
    epoch = 0
    while num_epochs is None or epoch < num_epochs:
        if not first:
            py_dataset.on_epoch_begin()
        for index in range(len(py_dataset)):
            yield first.pop() if first else batch_of(py_dataset[index])
        py_dataset.on_epoch_end()
        epoch += 1


def _batch(batch: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Returns features, (features, labels) or these with sample weights, as tf.data nests them."""
    if isinstance(batch, list) and not all(map(np.isscalar, batch)):
        batch = tuple(batch)  # as under `fit`
    if not isinstance(batch, tuple):
        return _arrays(batch)
    parts = [_arrays(part) for part in batch if part is not None]
    if class_weight is not None and len(parts) > 1:
        if len(parts) != 2 or isinstance(parts[1], Mapping | tuple):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "class_weight",
                    class_weight,
                    "None, because a batch of `py_dataset` has sample weights or several labels",
                    "Pass the product of both weights as the sample weights.",
                )
            )
        parts.append(_weights_of_classes(parts[1], class_weight))
    return parts[0] if len(parts) == 1 else tuple(parts)


def _weights_of_classes(labels: Any, class_weight: Mapping[int, float]) -> Any:
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    weights = np.ones(labels.shape, keras.config.floatx())
    for number, weight in class_weight.items():
        weights[np.round(labels) == number] = weight
    return weights


def _arrays(part: Any) -> Any:
    """Converts leaves to arrays, and lists to tuples if Keras sees several inputs in them."""
    if isinstance(part, Mapping):
        return {name: _arrays(value) for name, value in part.items()}
    is_several = isinstance(part, list | tuple) and not all(np.isscalar(item) for item in part)
    if is_several:
        return tuple(_arrays(item) for item in part)
    return np.asarray(part)


def _spec(array: Any) -> tf.TensorSpec:
    tensor = tf.convert_to_tensor(array)
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
