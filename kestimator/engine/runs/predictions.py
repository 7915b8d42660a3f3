"""Predictions, batch by batch and row by row.

Synopsis::

    chosen = selected(model.spec.predictions, predict_keys)
    unobserved = UnobservedPredictions(model, chosen, loan, may_join=True)
    while not unobserved.has_ended(batches):
        for row in rows(unobserved.next(batches, may_run_ahead)):
            ...
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.engine.programs import model_program, program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import compiled, device_loop, elements, session
from kestimator.engine.tracing import execution_modes

MOST_BATCHES_PER_CALL = 64
LONGEST_CALL_SECONDS = 0.5
"""How far predictions run ahead of their consumer."""
SLOW_START_SECONDS = 0.1
"""If the first batch takes longer, the model is not small."""


def selected(predictions: Any, predict_keys: Any) -> Any:
    """Selects the predictions that a caller asks for.

    Args:
        predictions: A tensor, or tensors by key.
        predict_keys: The keys to select: a collection, or a string that contains them. None
            selects all.

    Raises:
        errors.ArgumentError: None of the keys exists, or `predictions` has none.
        errors.ArgumentTypeError: `predict_keys` is not a collection.
    """
    if not predict_keys:
        return predictions
    if not isinstance(predict_keys, Container):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("predict_keys", predict_keys, "a list of keys, or None")
        )
    if not isinstance(predictions, dict):
        raise errors.ArgumentError(
            "`predict_keys` was passed, but the `predictions` of the model_fn are not a dict. "
            f"Received: {type(predictions).__name__}. Omit `predict_keys`."
        )
    chosen = {key: value for key, value in predictions.items() if key in predict_keys}
    if not chosen:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "predict_keys", predict_keys, f"at least one of the keys {list(predictions)}"
            )
        )
    return chosen


class HookedPredictions:
    """Computes predictions batch by batch, each observed by hooks.

    Args:
        model: The program.
        predictions: The tensors to compute.
        hooked: The session, with the hooks.
    """

    def __init__(
        self, model: model_program.ModelProgram, predictions: Any, hooked: device_loop.HookedSession
    ) -> None:
        self._fetches = {"predictions": predictions, "operations": model.operations}
        self._hooked = hooked

    def has_ended(self, batches: _batches.Batches) -> bool:
        """Returns whether a hook requested a stop."""
        del batches  # their end is noticed only when the next batch is requested
        return self._hooked.should_stop

    def next(self, batches: _batches.Batches, may_run_ahead: Callable[[], bool]) -> Any:
        """Returns the predictions for the next batch, as arrays.

        Args:
            batches: The input, which the session reads.
            may_run_ahead: Not used: hooks observe each batch when it is requested.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        del batches, may_run_ahead
        return self._hooked.step(self._fetches)["predictions"]

    def settle(self) -> None:
        """Does nothing: nothing runs between batches."""


class UnobservedPredictions:
    """Computes predictions batch by batch, without hooks.

    If batches may be joined, one call computes several. Their number grows from call to call, so
    a caller that needs one row waits for one batch only. While the caller works on some rows, the
    next ones are computed in the background.

    Args:
        model: The program.
        predictions: The tensors to compute.
        loan: The context in which the variables hold the values to predict with. A single batch
            is taken from the input before this context begins: it may take long to arrive.
        may_join: Whether a call may return several batches, joined in the same arrays.
    """

    def __init__(
        self,
        model: model_program.ModelProgram,
        predictions: Any,
        loan: session.Guard,
        *,
        may_join: bool,
    ) -> None:
        self._loan = loan
        self._predictions = predictions
        self._flat = list(predictions.values()) if isinstance(predictions, dict) else [predictions]
        self._function = model.program.function(self._flat, model.operations)
        self._inputs = model.program.inputs
        # The program keeps it, so it must keep nothing that belongs to this call.
        build = functools.partial(_many, self._function, self._inputs, self._flat)
        function = self._function
        self._many = model.made_once(
            ("predictions", *map(id, self._flat)),
            lambda: compiled.Compiled(build, [function], (tf.int32,)),
        )
        self._joins = may_join and self._can_be_joined()
        self._batches_per_call = 1
        self._most_batches = MOST_BATCHES_PER_CALL
        self._is_small = True
        self._seconds = 0.0
        self._pace_is_known = False
        self._background: execution_modes.Background | None = None
        self._ahead: list[tf.Tensor] | None = None

    def has_ended(self, batches: _batches.Batches) -> bool:
        """Returns whether it is known that there are no more predictions."""
        return self._ahead is None and batches.remaining == 0

    def settle(self) -> None:
        """Waits until the background computation has ended, before the variables change."""
        if self._background is not None:
            self._background.wait()

    def next(self, batches: _batches.Batches, may_run_ahead: Callable[[], bool]) -> Any:
        """Returns the predictions for the next batch or the next few batches, as arrays.

        Args:
            batches: The input.
            may_run_ahead: Returns whether to compute the following batches in the background;
                called while the variables are lent.

        Raises:
            tf.errors.OutOfRangeError: The data has ended.
        """
        if not (self._joins and batches.has_iterator):
            return self._next_batch(batches)
        values, self._ahead = self._ahead, None
        if values is None:
            count = self._next_count(batches)
            if count <= 1:
                packed = self._next_batch(batches)
                self._is_small = self._seconds < SLOW_START_SECONDS
                return packed
            with self._loan():
                start = time.perf_counter()
                values = self._compute(batches, count)
                self._note_pace((time.perf_counter() - start) / count)
                self._run_ahead(batches, may_run_ahead)
        else:
            self.settle()
            # Checked here to save the loan, and again within it: training may have begun since.
            if batches.remaining and may_run_ahead():
                with self._loan():
                    self._run_ahead(batches, may_run_ahead)
        return self._pack(values)

    def _run_ahead(self, batches: _batches.Batches, may: Callable[[], bool]) -> None:
        if self._pace_is_known and batches.remaining and may():
            self._background = self._background or execution_modes.Background()
            # Returns before the values exist, and the lock is free then: changes call `settle`.
            with self._background.running():
                self._ahead = self._compute(batches, self._next_count(batches))

    def _next_batch(self, batches: _batches.Batches) -> Any:
        needed = self._function.inputs
        # The end of a Dataset ends predictions that need none of its values, too.
        takes_batch = needed or batches.has_iterator
        # A batch may end with labels, for which the program has no inputs.
        flat = batches.next() if takes_batch else []
        batch = dict(zip(map(id, self._inputs), flat, strict=False))
        on_one_thread = self._is_small and self._function.is_called_on_one_thread
        with self._loan(), program.eager_mode(), execution_modes.on_one_thread(on_one_thread):
            start = time.perf_counter()
            values = self._function(*(batch[id(tensor)] for tensor in needed))
            self._seconds = time.perf_counter() - start
        return self._pack(values)

    def _next_count(self, batches: _batches.Batches) -> int:
        """Returns how many batches to compute in one call; twice as many the next time."""
        # Without a known end (None) the count is 0, so that `next` computes each batch separately.
        count = min(self._batches_per_call, batches.remaining or 0)
        self._batches_per_call = min(2 * self._batches_per_call, self._most_batches)
        return count

    def _compute(self, batches: _batches.Batches, count: int) -> list[tf.Tensor]:
        values: list[tf.Tensor] = self._many(batches.iterator, count, on_one_thread=self._is_small)
        batches.consumed(count)
        return values

    def _note_pace(self, seconds: float) -> None:
        """Adapts to the time of a batch; it says less if the call also built a function."""
        self._pace_is_known = not self._many.is_new
        if self._pace_is_known:
            self._is_small = seconds < execution_modes.SMALL_STEP_SECONDS
        affordable = max(1, int(LONGEST_CALL_SECONDS / seconds))
        self._most_batches = min(affordable, MOST_BATCHES_PER_CALL)
        self._batches_per_call = min(self._batches_per_call, affordable)

    def _can_be_joined(self) -> bool:
        """Returns whether batches of predictions only differ in their first dimension."""
        return bool(self._function.inputs) and all(
            tensor.shape.rank and tensor.shape[1:].is_fully_defined() for tensor in self._flat
        )

    def _pack(self, values: Sequence[tf.Tensor]) -> Any:
        arrays = [value.numpy() for value in values]
        if isinstance(self._predictions, dict):
            return dict(zip(self._predictions, arrays, strict=True))
        return arrays[0]


def _many(
    function: program.PrunedFunction,
    inputs: Sequence[tf.Tensor],
    predictions: Sequence[tf.Tensor],
    iterator: Any,
    count: tf.Tensor,
) -> list[tf.Tensor]:
    """Returns the joined predictions for some batches; `Compiled` builds a function of it.

    Args:
        function: A function of the program's inputs that returns the predictions for one batch.
        inputs: The inputs.
        predictions: The outputs of the function.
        iterator: The iterator over the batches.
        count: The number of batches, a scalar.
    """

    def body(done: tf.Tensor, arrays: list[tf.TensorArray]) -> Any:
        flat = program.flatten(elements.features_and_labels(iterator.get_next()))
        values = compiled.inlined(function, inputs, flat)
        return done + 1, [a.write(done, v) for a, v in zip(arrays, values, strict=True)]

    arrays = [
        tf.TensorArray(t.dtype, count, infer_shape=False, element_shape=t.shape)
        for t in predictions
    ]
    _, arrays = tf.while_loop(
        lambda done, _: done < count, body, (tf.constant(0), arrays), parallel_iterations=1
    )
    return [array.concat() for array in arrays]


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
                    "Otherwise, pass yield_single_examples=False.",
                )
            )
        return iter(batch)
    sizes = {key: np.shape(value)[0] if np.ndim(value) else None for key, value in batch.items()}
    if len(set(sizes.values())) > 1 or None in sizes.values():
        raise errors.ArgumentError(
            f"Batch length of predictions should be same. Received: {sizes}. Make the "
            "batch the first dimension of every prediction, or pass yield_single_examples=False."
        )
    return map(_dict_maker(tuple(batch)), *batch.values())


@functools.cache
def _dict_maker(keys: tuple[Any, ...]) -> Callable[..., dict[Any, Any]]:
    """Returns a function that makes a dict of values in the order of `keys`.

    Its source is generated for the keys, like that of a `namedtuple` for its fields. For thousands
    of rows it is twice as fast as `dict(zip(keys, values))`.
    """
    names = [f"value_{position}" for position in range(len(keys))]
    items = [f"keys[{position}]: {name}" for position, name in enumerate(names)]
    if all(type(key) is str for key in keys):
        # The `repr` of a string is source of an equal key; that of another object may not be.
        items = [f"{key!r}: {name}" for key, name in zip(keys, names, strict=True)]
    maker: Callable[..., dict[Any, Any]]
    maker = eval(f"lambda {', '.join(names)}: {{{', '.join(items)}}}", {"keys": keys})
    return maker
