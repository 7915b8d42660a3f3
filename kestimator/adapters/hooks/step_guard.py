"""The guard against training whose global step does not move: it may never end.

Synopsis::

    hooks.append(StepGuard(global_step, batches))     # if the train op does not move it

Most train ops move it. Where one does not, a hook may, for example in its `after_run`.
AdaNet does so.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.engine.runs.batches import Batches

_train: Any = tf.compat.v1.train
MOST_STEPS = 100
"""The number of steps within which a hook has to move the global step, if the data has no end."""


class StepGuard(_train.SessionRunHook):
    """Warns if the global step does not move; if the data has no end, it ends training.

    It comes after the hooks that may move it.

    Args:
        global_step: The global step.
        batches: The input.

    Attributes:
        has_moved: Whether the step has moved. Then the guard stops checking.
    """

    def __init__(self, global_step: Any, batches: Batches) -> None:
        self._global_step = global_step
        self._batches = batches
        self._has_warned = False
        self._start: int | None = None
        self._steps = 0
        self.has_moved = False

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Notes where training starts."""
        del coord
        self._start = session.run(self._global_step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Checks whether the step has moved.

        Raises:
            errors.GlobalStepError: It has not moved for too many steps, and the data has no end.
        """
        del run_values
        if self.has_moved:
            return
        self._steps += 1
        self._look(run_context.session)
        if self._steps >= MOST_STEPS and not self.has_moved:
            if not self._batches.is_finite:
                raise stands_still(self._steps)
            self._warn()

    def end(self, session: Any) -> None:
        """Warns if there were steps, and none was counted."""
        if self._steps and not self.has_moved:
            self._look(session)
            if not self.has_moved:
                self._warn()

    def _warn(self) -> None:
        if not self._has_warned:
            logs.warning(
                "%s Checkpoints are written when the global step moves: none has what was trained.",
                _message(self._steps),
            )
        self._has_warned = True

    def _look(self, session: Any) -> None:
        self.has_moved = session.run(self._global_step) != self._start


def stands_still(steps: int) -> errors.GlobalStepError:
    """The error for a global step that did not move in the given number of steps."""
    return errors.GlobalStepError(_message(steps))


def _message(steps: int) -> str:
    detail = f" Nor did a hook advance it in {steps} steps." if steps else ""
    return (
        "`train_op` never advances the global step, so `steps` and `max_steps` cannot end training."
        f"{detail} Pass `global_step=tf.compat.v1.train.get_global_step()` to "
        "`optimizer.minimize` or `apply_gradients`, group the train op with "
        "`global_step.assign_add(1)`, return a Keras optimizer as `train_op`, or pass a hook that "
        "runs such an op after each step."
    )
