"""The network of recurrent estimators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters.feature_columns import (
    column_features,
    column_kinds,
    input_layers,
    sequence_columns,
)
from kestimator.canned.parts import model_fns
from kestimator.engine.keras_internals import keras_state, outside_programs
from kestimator.keys import ModeKeys
from kestimator.validation import checks, kinds

_v1 = tf.compat.v1
_DEFAULT_CELL = "simple_rnn"
_LAYERS = {
    "simple_rnn": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell),
    "lstm": (keras.layers.LSTM, keras.layers.LSTMCell),
    "gru": (keras.layers.GRU, keras.layers.GRUCell),
}

_SIZES = "a positive integer, or a list of them, one for each recurrent layer"
_OR_CELLS = "Or pass `rnn_cell_fn`, which creates the cells."


@dataclasses.dataclass(frozen=True)
class RecurrentPart:
    """A recurrent network over feature columns.

    Attributes:
        columns: Columns of sequences, ordered by name.
        context: Dense columns, ordered by name: the same at every step.
        make_layer: Makes the recurrent layer.
    """

    columns: Sequence[column_kinds.Column]
    context: Sequence[column_kinds.Column]
    make_layer: Callable[[], Any]

    @classmethod
    def checked(
        cls,
        columns: Any,
        context: Any,
        units: Any,
        cell_type: Any,
        rnn_cell_fn: Any,
        return_sequences: bool,
    ) -> RecurrentPart:
        """Checks the arguments of a caller.

        Args:
            columns: Columns of sequences.
            context: Dense columns, or None.
            units: Sizes of layers, or the size of one.
            cell_type: "simple_rnn", "lstm", "gru", or a class of cells; None for "simple_rnn".
            rnn_cell_fn: In place of the two: a function that returns a cell, or a list of them.
            return_sequences: Whether there are logits for each step.

        Raises:
            errors.ArgumentError: One of them is invalid.
        """
        ordered = column_kinds.checked_columns(
            "sequence_feature_columns", columns, column_kinds.Place.SEQUENCE
        )
        context_columns: Sequence[column_kinds.Column] = ()
        if context is not None and not (isinstance(context, list) and not context):
            context_columns = column_kinds.checked_columns(
                "context_feature_columns", context, column_kinds.Place.DENSE
            )
        make = _checked_layer(units, cell_type, rnn_cell_fn)
        return cls(ordered, context_columns, lambda: make(return_sequences))

    def build(
        self, features: column_features.Features, *, units: int, mode: str | None
    ) -> tuple[model_fns.Built, Tensor]:
        """Adds the network to the graph.

        Args:
            features: The features.
            units: The number of logits per example, or per step.
            mode: One of `ModeKeys`.

        Returns:
            The network, and the mask of sequences, (batch, time).
        """
        training = mode == ModeKeys.TRAIN
        layers = [_layer(self.make_layer), keras.layers.Dense(units, name="logits")]
        columns = [*self.columns, *self.context, *layers]
        with input_layers.trainable_variables_made(columns) as variables:
            sequences = sequence_columns.sequence_layer(
                features, self.columns, self.context, training=training
            )
            with _v1.variable_scope("rnn_model", auxiliary_name_scope=False):
                net = layers[0](sequences.values, mask=sequences.mask, training=training)
                logits = layers[1](net)
        _v1.summary.histogram("rnn_model/sequence_input_layer/sequence_length", sequences.lengths)
        return model_fns.Built(logits, variables), sequences.mask


def _layer(make: Callable[[], Any]) -> Any:
    """A recurrent layer. Without dropout it has no seeds in checkpoints, like in the original.

    Keras 3 gives seeds to every cell. If made outside of the trace, they do not join the program.
    """
    with outside_programs.outside_of_the_trace(), keras_state.names_from_zero(None):
        layer = make()
    return make() if any(map(_drops, [layer.cell, *getattr(layer.cell, "cells", ())])) else layer


def _drops(cell: Any) -> bool:
    return bool(getattr(cell, "dropout", 0.0) or getattr(cell, "recurrent_dropout", 0.0))


def _checked_layer(units: Any, cell_type: Any, rnn_cell_fn: Any) -> Callable[[bool], Any]:
    """A function that makes the recurrent layer; its argument is `return_sequences`."""
    if rnn_cell_fn is not None:
        _check_cell_fn(rnn_cell_fn, units, cell_type)
        return lambda sequences: _of_cells(_made_cells(rnn_cell_fn), sequences)
    is_one = not isinstance(units, Iterable) or checks.plain_number(units) is not None
    sizes = [_checked_size(units)] if is_one else _checked_sizes(units)
    is_name = isinstance(cell_type, str) and cell_type in _LAYERS
    if cell_type is not None and not is_name:
        expected = f"one of {list(_LAYERS)}, or a cell class"
        kinds.checked_function(
            "cell_type", cell_type, expected, names=["units"], type_error=errors.ArgumentError
        )
    # One layer of a known cell is Keras' own layer, named after the cell; all others are named
    # `rnn`.
    if is_name and is_one:
        layer, _ = _LAYERS[cell_type]
        return lambda sequences: layer(sizes[0], return_sequences=sequences, name=cell_type)
    make = cell_type if callable(cell_type) else _LAYERS[cell_type or _DEFAULT_CELL][1]
    return lambda sequences: _of_cells(
        [_checked_cell("cell_type(units=…)", make(units=size)) for size in sizes], sequences
    )


def _of_cells(cells: list[Any], return_sequences: bool) -> Any:
    return keras.layers.RNN(
        cells[0] if len(cells) == 1 else cells, return_sequences=return_sequences, name="rnn"
    )


def _made_cells(rnn_cell_fn: Callable[[], Any]) -> list[Any]:
    result = rnn_cell_fn()
    cells = list(result) if isinstance(result, list | tuple) else [result]
    return [_checked_cell("rnn_cell_fn()", cell) for cell in cells]


def _checked_cell(name: str, cell: Any) -> Any:
    if not (hasattr(cell, "call") and hasattr(cell, "state_size")):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name, cell, "a cell with `call` and `state_size`, such as keras.layers.GRUCell(8)"
            )
        )
    return cell


def _check_cell_fn(rnn_cell_fn: Any, units: Any, cell_type: Any) -> None:
    if units is not None or cell_type is not None:
        raise errors.ArgumentError(
            "`units` and `cell_type` cannot be combined with `rnn_cell_fn`. Received: "
            f"units={units!r}, cell_type={cell_type!r}. Omit either them or `rnn_cell_fn`."
        )
    expected = "a function without arguments that returns a cell"
    kinds.checked_function("rnn_cell_fn", rnn_cell_fn, expected, type_error=errors.ArgumentError)


def _checked_size(units: Any) -> int:
    return checks.checked_int(
        "units",
        units,
        1,
        maximum=checks.LARGEST_SIZE,
        expected=_SIZES,
        remedy=_OR_CELLS,
        type_error=errors.ArgumentError,
    )


def _checked_sizes(units: Iterable[Any]) -> list[int]:
    return checks.checked_sizes("units", units, _SIZES, _OR_CELLS)
