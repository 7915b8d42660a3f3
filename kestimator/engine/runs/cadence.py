"""When hooks are due: the question that the runner asks before it hands the device some steps.

Synopsis::

    class EveryTenth(Cadence):
        def steps_until_due(self, global_step):
            return 9 - global_step % 10
"""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf


class Cadence(abc.ABC):
    """When one hook needs to see a step.

    Args:
        hook: The hook.

    Attributes:
        sums_losses: Whether the hook wants to know the losses of all steps.
    """

    sums_losses = False

    def __init__(self, hook: Any) -> None:
        self.hook = hook

    @abc.abstractmethod
    def steps_until_due(self, global_step: int) -> int:
        """The number of steps after `global_step` that may pass before the hook has to see one."""

    def seconds_until_due(self) -> float:
        """The number of seconds that may pass before the hook has to see a step."""
        return float("inf")

    def before_steps(self) -> None:  # noqa: B027
        """Tells the hook that steps are about to run, observed or not."""

    def passed(self, steps: int, global_step: int, loss: Any) -> None:  # noqa: B027
        """Tells the hook that `steps` steps passed unobserved, up to `global_step`."""

    def summed(self, steps: int, loss_sum: float) -> None:  # noqa: B027
        """Tells a hook with `sums_losses` the sum of the losses of unobserved steps."""

    def watched(self) -> tf.Tensor | None:
        """A tensor that the hook wants to see when it becomes NaN."""
        return None
