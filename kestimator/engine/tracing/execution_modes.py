"""How TensorFlow runs ops: eagerly, only on the calling thread, or in the background."""

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
"""A longer step gains more from running ops in parallel than it loses by passing them between
threads."""
_ONE_THREAD = "SINGLE_THREADED_EXECUTOR"
# A graph for `outside` to enter. Nothing is ever added to it.
_NOWHERE = tf.Graph()


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Runs eagerly, and hides the graph that is being traced.

    Eager mode alone would leave that graph the default one. Functions that are traced inside
    would then be nested in it.
    """
    with _NOWHERE.as_default(), eager_mode():
        yield


def on_one_thread(enabled: bool) -> contextlib.AbstractContextManager[None]:
    """Builds and runs functions on the calling thread, op by op, if `enabled`.

    Passing each op between threads costs more than a small op itself. A small step runs two to
    five times faster on one thread.

    Args:
        enabled: Whether to use one thread. Only for functions for which
            `PrunedFunction.runs_on_one_thread` holds.
    """
    if not enabled:
        return contextlib.nullcontext()
    executor: contextlib.AbstractContextManager[None]
    executor = tf.experimental.function_executor_type(_ONE_THREAD)
    return executor


class Background:
    """A TensorFlow thread that runs functions while the calling thread continues.

    The public `tf.experimental.async_scope` waits at the end of its scope. Other work could only
    be done inside the scope, and a generator cannot keep a scope open over a `yield`.
    """

    def __init__(self) -> None:
        self._executor = tf_execution.background_executor()

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Makes functions called inside return immediately. Their tensors get values later."""
        return tf_execution.running_on(self._executor)

    def wait(self) -> None:
        """Waits until nothing runs. An error is raised where the tensors it concerns are read."""
        try:
            self._executor.wait()
        except tf.errors.OpError:
            # An executor with an error refuses all further work.
            self._executor.clear_error()


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Runs functions without rewriting them first: for functions that run once or rarely.

    TensorFlow rewrites a function before its first run. That takes longer than initializing or
    saving a model. There is no public switch for single functions.
    """
    options = tf_execution.call_options()
    changed = copy.copy(options)
    changed.config_proto_serialized = _without_rewriting(options.config_proto_serialized)
    tf_execution.set_call_options(changed)
    try:
        yield
    finally:
        tf_execution.set_call_options(options)


@functools.lru_cache(maxsize=8)
def _without_rewriting(serialized: bytes | None) -> Any:
    config = tf.compat.v1.ConfigProto.FromString(serialized or b"")
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def is_on_one_thread() -> bool:
    """Whether functions are currently built for one thread; see `on_one_thread`."""
    return bool(tf_execution.call_options().executor_type == _ONE_THREAD)
