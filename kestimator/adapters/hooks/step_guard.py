"""The guard against training whose global step does not move: it would never end.

Synopsis::

    hooks.append(StepGuard(global_step))     # if the train op does not move it

Most train ops move it. Where one does not, a hook may, for example in its `after_run`.
AdaNet does so.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors

_train: Any = tf.compat.v1.train
MOST_STEPS = 100
"""The number of steps within which a hook has to move the global step."""


class StepGuard(_train.SessionRunHook):
    """Ends training with an error if the global step does not move.

    It comes after the hooks that may move it.

    Args:
        global_step: The global step.

    Attributes:
        has_moved: Whether the step has moved. Then the guard stops checking.
    """

    def __init__(self, global_step: Any) -> None:
        self._global_step = global_step
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
            errors.GlobalStepError: It has not moved for too many steps.
        """
        del run_values
        if self.has_moved:
            return
        self._steps += 1
        self._look(run_context.session)
        if self._steps >= MOST_STEPS and not self.has_moved:
            raise stands_still(self._steps)

    def end(self, session: Any) -> None:
        """Checks once more, at the end of short data.

        Raises:
            errors.GlobalStepError: There were steps, and none was counted.
        """
        if self._steps and not self.has_moved:
            self._look(session)
            if not self.has_moved:
                raise stands_still(self._steps)

    def _look(self, session: Any) -> None:
        self.has_moved = session.run(self._global_step) != self._start


def stands_still(steps: int) -> errors.GlobalStepError:
    """The error for a global step that did not move in the given number of steps."""
    detail = f" Nor did a hook advance it in {steps} steps." if steps else ""
    return errors.GlobalStepError(
        "`train_op` never advances the global step, so training would not know when to stop."
        f"{detail} Pass `global_step=tf.compat.v1.train.get_global_step()` to "
        "`optimizer.minimize` or `apply_gradients`, group the train op with "
        "`global_step.assign_add(1)`, return a Keras optimizer as `train_op`, or pass a hook that "
        "runs such an op after each step."
    )
