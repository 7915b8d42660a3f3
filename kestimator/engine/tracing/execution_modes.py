"""How TensorFlow runs what it is given: eagerly, on the calling thread alone, in the background."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from kestimator.engine.tf_internals import tf_execution
from kestimator.engine.tf_internals.tf_execution import eager_mode as eager_mode

SMALL_STEP_SECONDS = 0.002
"""A step that takes longer gains more by running ops side by side than it loses by handing them
from thread to thread."""
_ONE_THREAD = "SINGLE_THREADED_EXECUTOR"
_NOWHERE = tf.Graph()


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Runs eagerly, and where code sees nothing of a graph that is being traced.

    Eager mode alone leaves that graph the default one: functions that are traced meanwhile would
    be nested in it.
    """
    with _NOWHERE.as_default(), eager_mode():
        yield


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


class Background:
    """A thread of TensorFlow's that runs functions while the calling thread goes on.

    `tf.experimental.async_scope`, its public face, waits at the end of the scope: nothing could
    be done meanwhile but in the scope, which a generator cannot keep open over a `yield`.
    """

    def __init__(self) -> None:
        self._executor = tf_execution.background_executor()

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Lets functions called inside return at once; their tensors have their values later."""
        return tf_execution.running_on(self._executor)

    def wait(self) -> None:
        """Waits until nothing runs. An error shows where the tensors it concerns are read."""
        try:
            self._executor.wait()
        except tf.errors.OpError:
            self._executor.clear_error()


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Runs functions as they are written: for those that run once, or now and then.

    TensorFlow rewrites a function before its first run, which takes longer than initializing or
    saving a model does. It has no public switch for some functions alone.
    """
    kept = tf_execution.call_options()
    changed = copy.copy(kept)
    changed.config_proto_serialized = _without_rewriting(kept.config_proto_serialized)
    tf_execution.set_call_options(changed)
    try:
        yield
    finally:
        tf_execution.set_call_options(kept)


@functools.lru_cache(maxsize=8)
def _without_rewriting(serialized: bytes | None) -> Any:
    config = tf.compat.v1.ConfigProto.FromString(serialized or b"")
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def is_on_one_thread() -> bool:
    """Whether functions are built for `on_one_thread`."""
    return bool(tf_execution.call_options().executor_type == _ONE_THREAD)
