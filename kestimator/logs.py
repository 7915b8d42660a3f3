"""The log lines of the library, and the screen that they share with a progress bar.

Synopsis::

    logs.info("Restoring parameters from %s", path)
    with logs.each_line_once():          # while hooks of TensorFlow log
        ...
    with logs.above(bar):                # while a bar is on the screen
        ...

The lines go to TensorFlow's logger, as those of tf.estimator did. So they show with
`tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.INFO)`, beside the lines of TensorFlow's
own hooks.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import tensorflow as tf


class Bar(Protocol):
    """Something that stands in the last line of the screen."""

    def clear(self) -> None:
        """Empties that line, for another text."""

    def close(self) -> None:
        """Ends that line, as it is."""


_bars: list[Bar] = []
"""Those on the screen, of the runs of all threads."""


def debug(message: str, *args: Any, exc_info: bool = False) -> None:
    """Logs a line for those who look for a fault."""
    _log(logging.DEBUG, message, *args, exc_info=exc_info)


def info(message: str, *args: Any) -> None:
    """Logs what happens."""
    _log(logging.INFO, message, *args)


def warning(message: str, *args: Any) -> None:
    """Logs what is probably not intended."""
    _log(logging.WARNING, message, *args)


def notice(message: str, *args: Any) -> None:
    """Logs what happens; prints it above the bar if there is one and the log is silent."""
    if _bars and not is_shown():
        _clear_bars()
        sys.stdout.write(f"{message % args}\n")
        sys.stdout.flush()
    else:
        _log(logging.INFO, message, *args)


def is_shown() -> bool:
    """Returns whether the log shows what happens, and not warnings alone."""
    return bool(tf.get_logger().isEnabledFor(logging.INFO))


@contextlib.contextmanager
def each_line_once() -> Iterator[None]:
    """Keeps lines off TensorFlow's handler that the root logger prints on the same screen.

    `logging.basicConfig()` after the import of TensorFlow adds a second handler for the lines of
    TensorFlow's logger.
    """
    handlers = [handler for handler in tf.get_logger().handlers if _is_screen(handler)]
    once = _Once()
    for handler in handlers:
        handler.addFilter(once)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(once)


@contextlib.contextmanager
def above(bar: Bar) -> Iterator[None]:
    """Clears the line of a bar before each log line, and ends it if an error leaves it open."""
    clearing = _Clearing()
    logger = tf.get_logger()
    logger.addFilter(clearing)
    _bars.append(bar)
    try:
        yield
    finally:
        logger.removeFilter(clearing)
        _bars.remove(bar)
        bar.close()


class _Once(logging.Filter):
    """Passes the records that no handler of the root logger prints on the screen."""

    def filter(self, record: logging.LogRecord) -> bool:
        root = logging.getLogger()
        return not tf.get_logger().propagate or not any(
            _is_screen(handler) and record.levelno >= handler.level for handler in root.handlers
        )


class _Clearing(logging.Filter):
    """Passes all records, each to an empty line of the screen."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        _clear_bars()
        return True


def _log(level: int, message: str, *args: Any, exc_info: bool = False) -> None:
    logger = tf.get_logger()
    if logger.isEnabledFor(level):
        with each_line_once():
            logger.log(level, message, *args, exc_info=exc_info)


def _clear_bars() -> None:
    for bar in _bars:
        bar.clear()


def _is_screen(handler: logging.Handler) -> bool:
    # The handler of absl holds the one that prints.
    stream = getattr(getattr(handler, "python_handler", handler), "stream", None)
    # The standard streams of a service are None, and so is the stream of a handler without one.
    return stream is not None and stream in (
        sys.stdout,
        sys.stderr,
        sys.__stdout__,
        sys.__stderr__,
    )
