"""How TensorFlow runs ops: the eager context, its executors, sessions."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow.python.client import session
from tensorflow.python.eager import context, executor
from tensorflow.python.util import deprecation

SessionInterface = session.SessionInterface
"""The class by which TensorFlow recognizes a session. It has no public name."""


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Runs eagerly in any graph, even where eager execution is off, unlike `tf.init_scope`."""
    mode: contextlib.AbstractContextManager[None] = tf.__internal__.eager_context.eager_mode()
    return mode


def background_executor() -> Any:
    """Makes a thread that runs functions. `tf.experimental.async_scope` cannot make a new one."""
    return executor.new_executor(enable_async=True)


def running_on(background: Any) -> contextlib.AbstractContextManager[None]:
    """Runs functions on an executor. `tf.experimental.async_scope` would wait at its end."""
    scope: contextlib.AbstractContextManager[None] = context.executor_scope(background)
    return scope


def call_options() -> Any:
    """Returns how functions are run. Public switches can set parts of it, but read nothing."""
    return context.context().function_call_options


def set_call_options(options: Any) -> None:
    """Sets how functions are run. The public switches of rewriting affect the whole process.

    Args:
        options: What `call_options` returned, or a changed copy of it.
    """
    context.context().function_call_options = options


def start_recording() -> None:
    """Starts recording the `RunMetadata` of functions. In public, only a session records it."""
    context.enable_run_metadata()


def recorded() -> Any:
    """Returns the `RunMetadata` of what ran since `start_recording` or the last call."""
    return context.export_run_metadata()


def stop_recording() -> None:
    """Stops the recording that `start_recording` started."""
    context.disable_run_metadata()


def without_deprecations() -> contextlib.AbstractContextManager[None]:
    """Silences notes on deprecated names. Public code can only silence the whole log."""
    silence: contextlib.AbstractContextManager[None] = deprecation.silence()
    return silence
