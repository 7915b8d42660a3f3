"""Predictions, batch by batch and row by row.

Synopsis::

    unseen = UnseenPredictions(model, selected(model.spec.predictions, predict_keys))
    for row in rows(unseen.next(batches)):
        ...
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import numpy as np

from kestimator import errors
from kestimator.engine import inputs as _inputs
from kestimator.engine import model as _model
from kestimator.engine import program as _program


def selected(predictions: Any, predict_keys: Any) -> Any:
    """The predictions that a caller wants.

    Args:
        predictions: A tensor, or tensors by key.
        predict_keys: The keys wanted: a collection, or a string that contains them. None means
            all.

    Raises:
        errors.ArgumentError: None of the keys exists, or `predictions` has none.
        errors.ArgumentTypeError: `predict_keys` is no collection.
    """
    if not predict_keys:
        return predictions
    if not isinstance(predict_keys, Container):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("predict_keys", predict_keys, "a list of keys, or None")
        )
    if not isinstance(predictions, dict):
        raise errors.ArgumentError(
            "`predict_keys` is given, but the model_fn's `predictions` is no dict: "
            f"{type(predictions).__name__}. Leave `predict_keys` out."
        )
    chosen = {key: value for key, value in predictions.items() if key in predict_keys}
    if not chosen:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "predict_keys", predict_keys, f"some of the keys {list(predictions)}"
            )
        )
    return chosen


class UnseenPredictions:
    """Computes predictions for one batch after the other, with no hook to see them.

    Args:
        model: The program.
        predictions: The tensors to compute.
    """

    def __init__(self, model: _model.ModelProgram, predictions: Any) -> None:
        self._predictions = predictions
        self._flat = list(predictions.values()) if isinstance(predictions, dict) else [predictions]
        self._function = model.program.function(self._flat, model.operations)
        order = {id(tensor): position for position, tensor in enumerate(model.program.inputs)}
        self._positions = [order[id(tensor)] for tensor in self._function.inputs]

    def next(self, batches: _inputs.Batches) -> Any:
        """The predictions for the next batch, as arrays.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        batch = batches.next() if self._positions else []
        with _program.eager_mode():
            values = self._function(*(batch[position] for position in self._positions))
        arrays = [value.numpy() for value in values]
        if isinstance(self._predictions, dict):
            return dict(zip(self._predictions, arrays, strict=True))
        return arrays[0]


def rows(batch: Any) -> Iterator[Any]:
    """Splits a batch of predictions into its examples.

    Raises:
        errors.ArgumentError: The predictions differ in their batch size.
        errors.ArgumentTypeError: The only prediction is a scalar.
    """
    if not isinstance(batch, dict):
        if not np.ndim(batch):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(
                    "predictions",
                    batch,
                    "a tensor with the batch as its first dimension",
                    "Or pass yield_single_examples=False.",
                )
            )
        yield from batch
        return
    sizes = {key: np.shape(value)[0] if np.ndim(value) else None for key, value in batch.items()}
    if len(set(sizes.values())) > 1 or None in sizes.values():
        raise errors.ArgumentError(
            f"Batch length of predictions should be same. Received: {sizes}. Give every "
            "prediction the batch as its first dimension, or pass yield_single_examples=False."
        )
    keys = tuple(batch)
    for values in zip(*batch.values(), strict=True):
        yield dict(zip(keys, values, strict=True))
