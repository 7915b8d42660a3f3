"""Queue runners of TF1 input pipelines: threads that fill queues.

Synopsis::

    with filled(runners, session.run):
        ...                                  # steps that dequeue
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any


@contextlib.contextmanager
def filled(runners: Sequence[Any], run: Callable[[Any], Any]) -> Iterator[None]:
    """Runs the enqueue ops of `runners` repeatedly in threads, until the context ends.

    TensorFlow's `start_queue_runners` only works with queues that are nodes of a TF1 graph.

    Args:
        runners: `tf.compat.v1.train.QueueRunner`s.
        run: Runs an op.

    Raises:
        Exception: What an enqueue op raised, if the steps themselves did not raise.
    """
    stop, failures = threading.Event(), list[BaseException]()
    threads = [
        threading.Thread(target=_fill, args=(runner, run, stop, failures), daemon=True)
        for runner in runners
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        # First, because errors that the cancellation causes are not failures.
        stop.set()
        for runner in runners:
            run(runner.cancel_op)
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def _fill(
    runner: Any, run: Callable[[Any], Any], stop: threading.Event, failures: list[BaseException]
) -> None:
    """Runs the enqueue ops of one runner in turn and closes its queue at the end of the data."""
    try:
        while not stop.is_set():
            for operation in runner.enqueue_ops:
                run(operation)
    except runner.queue_closed_exception_types:
        pass
    except BaseException as error:
        if not stop.is_set():
            failures.append(error)
    finally:
        # Steps still get what a closed queue holds, and then the end of the data.
        if not stop.is_set():
            run(runner.close_op)
