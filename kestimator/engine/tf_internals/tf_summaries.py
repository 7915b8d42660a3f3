"""Writers of summaries, of TensorFlow 1 and 2."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import summary_ops_v2

ResourceSummaryWriter = summary_ops_v2._ResourceSummaryWriter
"""The class that a default writer must derive from. The public base class writes nothing."""


def resource_of(writer: tf.summary.SummaryWriter) -> tf.Tensor:
    """The resource that summary ops write to. Public writers do not expose it."""
    return writer._resource


def release_writer(directory: str) -> None:
    """Closes the writer that `tf.compat.v1.summary.FileWriterCache` has for a directory.

    It is closed when nobody else holds it, and the next one to ask the cache gets a new writer.
    The cache's public `clear` closes the writers of all directories, whoever uses them.
    """
    writer = tf.compat.v1.summary.FileWriterCache._cache.pop(directory, None)
    if writer is not None:
        weakref.finalize(writer, writer.event_writer.close)


@contextlib.contextmanager
def summary_state(state: dict[str, Any]) -> Iterator[None]:
    """Gives `tf.summary` another default writer, step and recording, and keeps what they become.

    Code that enters `writer.as_default()` in one call and leaves it in another, as Keras'
    TensorBoard does, would otherwise be the writer of everything in between.

    Args:
        state: What an earlier context with it left; empty at first, when nothing is recorded.
    """
    current = summary_ops_v2._summary_state
    outer = dict(vars(current))
    vars(current).update(vars(type(current)()), **state)
    try:
        yield
    finally:
        state.update(vars(current))
        vars(current).update(outer)
