"""Work on Keras objects that must not become part of the program that is being traced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from kestimator.engine.tracing import execution_modes


@contextlib.contextmanager
def outside_of_the_trace() -> Iterator[None]:
    """Runs eagerly, and where the program that is being traced sees no variable read or made.

    `tf.init_scope` is eager, too, but the graph of the trace goes on watching variables.
    """
    with tf.Graph().as_default(), execution_modes.eager_mode():
        yield
