"""A scope for work on Keras objects that must not become part of the traced program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from kestimator.engine.tracing import execution_modes


@contextlib.contextmanager
def outside_of_the_trace() -> Iterator[None]:
    """Runs eagerly, where the traced program does not notice variables being read or made.

    `tf.init_scope` is eager as well, but there the traced graph continues to watch variables.
    """
    with tf.Graph().as_default(), execution_modes.eager_mode():
        yield
