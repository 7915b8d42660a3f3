"""The hook that runs the host call of a TPUEstimatorSpec.

Synopsis::

    hook = HostCallHook(operations)      # of the graph of a model_fn
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_train: Any = tf.compat.v1.train


class HostCallHook(_train.SessionRunHook):
    """Runs tensors and operations with every step, and opens and closes writers of summaries.

    Args:
        fetches: A nest of them, or None.
    """

    def __init__(self, fetches: Any) -> None:
        self._fetches = fetches
        self._open: list[tf.Operation] = []
        self._close: list[tf.Operation] = []

    def begin(self) -> None:
        """Finds the writers of the graph."""
        if self._open:
            return  # the graph of the hook runs again
        operations = tf.compat.v1.get_default_graph().get_operations()
        self._open = [op for op in operations if op.type.startswith("CreateSummary")]
        for opening in self._open:
            flush = tf.raw_ops.FlushSummaryWriter(writer=opening.inputs[0])
            with tf.control_dependencies([flush]):
                self._close.append(tf.raw_ops.CloseSummaryWriter(writer=opening.inputs[0]))

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Opens the writers."""
        del coord
        session.run(self._open)

    def before_run(self, run_context: Any) -> Any:
        """Asks for the host call."""
        del run_context
        return _train.SessionRunArgs(self._fetches)

    def end(self, session: Any) -> None:
        """Closes the writers."""
        session.run(self._close)
