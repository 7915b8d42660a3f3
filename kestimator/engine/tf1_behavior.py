"""What TensorFlow decides by whether eager execution is on outside, decided as for a TF1 graph.

Synopsis::

    with tf1_summaries(), tf1_moving_averages():
        model_fn(...)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tensorflow.python.framework import ops as _ops
from tensorflow.python.summary import summary as _summary
from tensorflow.python.training import moving_averages as _moving_averages


@contextlib.contextmanager
def tf1_summaries() -> Iterator[None]:
    """Lets `tf.compat.v1.summary` make TF1 summary ops, for the event file that training writes.

    Where eager execution is on, TensorFlow would turn them into TF2 summaries of the default
    writer, or warn that there is none; the decision has no public switch.
    """
    kept = _summary._should_invoke_v2_op
    _summary._should_invoke_v2_op = lambda: False
    try:
        yield
    finally:
        _summary._should_invoke_v2_op = kept


@contextlib.contextmanager
def tf1_moving_averages() -> Iterator[None]:
    """Lets `tf.train.ExponentialMovingAverage` follow tensors, as it does in a TF1 graph.

    It refuses them where eager execution is on outside, though their shadow variables are
    updated by an op that a TF1 train op runs.
    """

    class GraphOps:
        def __getattr__(self, name: str) -> Any:
            return getattr(_ops, name)

        def executing_eagerly_outside_functions(self) -> bool:
            return False

    _moving_averages.ops = GraphOps()
    try:
        yield
    finally:
        _moving_averages.ops = _ops
