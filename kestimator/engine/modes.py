"""How TensorFlow runs what it is given: eagerly, or on the calling thread alone."""

from __future__ import annotations

import contextlib

import tensorflow as tf
from tensorflow.python.eager import context as _context

SMALL_STEP_SECONDS = 0.002
"""A step that takes longer gains more by running ops side by side than it loses by handing them
from thread to thread."""
_ONE_THREAD = "SINGLE_THREADED_EXECUTOR"


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Runs eagerly, also in scripts that turned eager execution off.

    `tf.init_scope` does not do it there: without eager execution it lifts into the default graph.
    """
    mode: contextlib.AbstractContextManager[None] = tf.__internal__.eager_context.eager_mode()
    return mode


def on_one_thread(wanted: bool) -> contextlib.AbstractContextManager[None]:
    """Builds and runs functions for the calling thread, op by op, where `wanted`.

    To hand each op from thread to thread costs more than a small op itself: a small step runs
    two to five times faster so.

    Args:
        wanted: Whether to do it; only for what `PrunedFunction.runs_on_one_thread`.
    """
    if not wanted:
        return contextlib.nullcontext()
    executor: contextlib.AbstractContextManager[None]
    executor = tf.experimental.function_executor_type(_ONE_THREAD)
    return executor


def is_on_one_thread() -> bool:
    """Whether functions are built for `on_one_thread`."""
    return bool(_context.context().function_call_options.executor_type == _ONE_THREAD)
