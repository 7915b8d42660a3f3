"""How TensorFlow runs what it is given: the eager context, its executors, sessions."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow.python.client import session
from tensorflow.python.eager import context, executor
from tensorflow.python.util import deprecation

SessionInterface = session.SessionInterface
"""The class that TensorFlow takes for a session where it is handed one; it has no public name."""


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Runs eagerly in any graph; `tf.init_scope` does not where eager execution is turned off."""
    mode: contextlib.AbstractContextManager[None] = tf.__internal__.eager_context.eager_mode()
    return mode


def background_executor() -> Any:
    """Makes a thread that runs functions; `tf.experimental.async_scope` gives nobody its own."""
    return executor.new_executor(enable_async=True)


def running_on(one: Any) -> contextlib.AbstractContextManager[None]:
    """Runs functions on an executor; `tf.experimental.async_scope` waits for them at its end."""
    scope: contextlib.AbstractContextManager[None] = context.executor_scope(one)
    return scope


def call_options() -> Any:
    """Returns how functions are run; the public switches set parts of it, and tell none."""
    return context.context().function_call_options


def set_call_options(options: Any) -> None:
    """Says how functions are run; the public switches of rewriting hold for the whole process.

    Args:
        options: What `call_options` returned, or a changed copy of it.
    """
    context.context().function_call_options = options


def start_recording() -> None:
    """Records the `RunMetadata` of functions, which in public a session alone does."""
    context.enable_run_metadata()


def recorded() -> Any:
    """Takes the `RunMetadata` of what has run since `start_recording` or the last call."""
    return context.export_run_metadata()


def stop_recording() -> None:
    """Ends what `start_recording` began."""
    context.disable_run_metadata()


def without_deprecations() -> contextlib.AbstractContextManager[None]:
    """Drops TensorFlow's notes on deprecated names; in public, only the whole log can be quiet."""
    silence: contextlib.AbstractContextManager[None] = deprecation.silence()
    return silence
