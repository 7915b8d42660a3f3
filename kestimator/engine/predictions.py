"""Predictions, batch by batch and row by row.

Synopsis::

    unseen = UnseenPredictions(model, selected(model.spec.predictions, predict_keys))
    for row in rows(unseen.next(batches)):
        ...
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.engine import inputs as _inputs
from kestimator.engine import model as _model
from kestimator.engine import program as _program

MOST_BATCHES_PER_CALL = 32
"""How far predictions run ahead of who takes them."""


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
        self._many = model.made_once(
            ("predictions", *map(id, self._flat)),
            lambda: tf.function(self._build_many, autograph=False),
        )
        self._batches_per_call = 1

    def next(self, batches: _inputs.Batches) -> Any:
        """The predictions for the next batch, as arrays.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        batch = batches.next() if self._positions else []
        with _program.eager_mode():
            values = self._function(*(batch[position] for position in self._positions))
        return self._pack(values)

    def next_rows(self, batches: _inputs.Batches) -> Any:
        """The predictions for the next few batches, one after the other in the same arrays.

        Their number grows from call to call, so that who wants one row waits for one batch.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        if not (self._can_join() and isinstance(batches, _inputs.DatasetBatches)):
            return self.next(batches)
        count = min(self._batches_per_call, batches.remaining or 0)
        self._batches_per_call = min(2 * self._batches_per_call, MOST_BATCHES_PER_CALL)
        if count <= 1:
            return self.next(batches)
        with _program.eager_mode():
            values = self._many(batches.iterator, tf.constant(count))
        batches.consumed(count)
        return self._pack(values)

    def _can_join(self) -> bool:
        """Whether batches of predictions differ in their first dimension alone."""
        return bool(self._positions) and all(
            tensor.shape.rank and tensor.shape[1:].is_fully_defined() for tensor in self._flat
        )

    def _build_many(self, iterator: Any, count: tf.Tensor) -> list[tf.Tensor]:
        def body(done: tf.Tensor, arrays: list[tf.TensorArray]) -> Any:
            flat = _program.flatten(_inputs.features_and_labels(iterator.get_next()))
            values = self._function(*(flat[position] for position in self._positions))
            return done + 1, [a.write(done, v) for a, v in zip(arrays, values, strict=True)]

        arrays = [
            tf.TensorArray(t.dtype, count, infer_shape=False, element_shape=t.shape)
            for t in self._flat
        ]
        _, arrays = tf.while_loop(
            lambda done, _: done < count, body, (tf.constant(0), arrays), parallel_iterations=1
        )
        return [array.concat() for array in arrays]

    def _pack(self, values: Sequence[tf.Tensor]) -> Any:
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
