"""`tf.contrib.rnn`: bidirectional layers on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor

_v1 = tf.compat.v1


def stack_bidirectional_dynamic_rnn(
    cells_fw: Sequence[Any],
    cells_bw: Sequence[Any],
    inputs: Tensor,
    initial_states_fw: Sequence[Any] | None = None,
    initial_states_bw: Sequence[Any] | None = None,
    dtype: Any = None,
    sequence_length: Any = None,
    parallel_iterations: int | None = None,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[Tensor, tuple[Any, ...], tuple[Any, ...]]:
    """Returns the outputs of the last layer, and the states of the layers in both directions.

    Args:
        cells_fw: The cells of the layers, forward.
        cells_bw: The cells of the layers, backward.
        inputs: `[batch, time, width]`, or `[time, batch, width]` if `time_major`.
        initial_states_fw: The first state of each forward cell; None for zeros of `dtype`.
        initial_states_bw: The first state of each backward cell.
        dtype: The dtype of states without a first one.
        sequence_length: The length of each sequence, `[batch]`; None if all are whole.
        parallel_iterations: How many steps may run at the same time.
        time_major: The order of dimensions.
        scope: The variable scope; "stack_bidirectional_rnn" if None.

    Raises:
        errors.ArgumentError: The lists differ in length, or there is no cell.
    """
    states = (initial_states_fw, initial_states_bw)
    counts = {len(listed) for listed in (cells_fw, cells_bw, *states) if listed is not None}
    if counts != {len(cells_fw)} or not cells_fw:
        expected = "lists of the same length for both directions, with a cell or more"
        raise errors.ArgumentError(errors.invalid_argument("cells_fw", cells_fw, expected))
    outputs, states_fw, states_bw = inputs, [], []
    with _v1.variable_scope(scope or "stack_bidirectional_rnn"):
        for layer, (cell_fw, cell_bw) in enumerate(zip(cells_fw, cells_bw, strict=True)):
            with _v1.variable_scope(f"cell_{layer}"):
                both, (state_fw, state_bw) = _v1.nn.bidirectional_dynamic_rnn(
                    cell_fw,
                    cell_bw,
                    outputs,
                    sequence_length=sequence_length,
                    initial_state_fw=initial_states_fw and initial_states_fw[layer],
                    initial_state_bw=initial_states_bw and initial_states_bw[layer],
                    dtype=dtype,
                    parallel_iterations=parallel_iterations,
                    time_major=time_major,
                )
                outputs = tf.concat(both, 2)
            states_fw.append(state_fw)
            states_bw.append(state_bw)
    return outputs, tuple(states_fw), tuple(states_bw)
