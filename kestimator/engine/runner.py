"""Runs a program's steps: on the device while nobody looks, under the hooks' eyes otherwise.

Synopsis::

    runner = Runner(model, session, batches, hooks)
    with runner.running():            # begin, values, after_create_session ... end
        loss = runner.run_to_end()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

from kestimator.engine import inputs as _inputs
from kestimator.engine import loop as _loop
from kestimator.engine import model as _model
from kestimator.engine import session as _session

LONGEST_QUIET_SECONDS = 0.5
"""How long the device keeps control: Ctrl-C and deadlines are seen at this distance."""


class Cadence(Protocol):
    """How often a hook looks; see `kestimator.adapters.stock_hooks`."""

    hook: Any

    def quiet_steps(self, global_step: int) -> int:
        """How many steps may pass before the hook has to see one."""

    def quiet_seconds(self) -> float:
        """How many seconds may pass before the hook has to see a step."""

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Tells the hook that steps passed unseen."""

    def watched(self) -> Any:
        """A tensor that the hook wants to see when it becomes NaN, or None."""


class Runner:
    """Drives the steps of one train or evaluate call.

    Args:
        model: The program.
        session: The session over it.
        batches: The input.
        cadences: The hooks, each with how often it looks, in order.
        global_step: Reads the global step.
        report_nan: Tells a hook that its watched tensor became NaN.
        before_steps: Called before any steps run.
    """

    def __init__(
        self,
        model: _model.ModelProgram,
        session: _session.Session,
        batches: _inputs.Batches,
        cadences: Sequence[Cadence],
        *,
        global_step: Callable[[], int],
        report_nan: Callable[[Any, Any], None],
        before_steps: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._session = session
        self._batches = batches
        self._cadences = list(cadences)
        self._global_step = global_step
        self._report_nan = report_nan
        self._before_steps = before_steps
        self._watchers = [c for c in self._cadences if c.watched() is not None]
        self.hooked = _loop.HookedSession(session, [c.hook for c in self._cadences])

    def run(self, steps: int | None = None) -> Any:
        """Runs steps until a hook asks to stop, the data ends, or `steps` of them ran.

        Returns:
            The loss of the last step, or None if there was none.
        """
        left = _loop.NO_LIMIT if steps is None else math.ceil(steps)
        loss = None
        try:
            while left > 0 and not self.hooked.should_stop:
                quiet = self._quiet_steps(left)
                self._before_steps()
                if quiet > 0:
                    result = self._run_unseen(quiet)
                    left -= result.steps
                    loss = loss if result.loss is None else result.loss
                    if self._has_ended(result):
                        break
                if self._wants_a_look(left) and not self.hooked.should_stop:
                    loss = self.hooked.step(self._model.fetches)["loss"]
                    left -= 1
        except tf.errors.OutOfRangeError:
            pass  # the end of the data
        return loss

    def _quiet_steps(self, left: int) -> int:
        step = self._global_step()
        if left <= 0 or any(cadence.quiet_seconds() <= 0 for cadence in self._cadences):
            return 0
        quiet = min([left, *(cadence.quiet_steps(step) for cadence in self._cadences)])
        return math.ceil(quiet)  # `steps` and `max_steps` may be floats

    def _wants_a_look(self, left: int) -> bool:
        return left > 0 and self._quiet_steps(left) == 0

    def _run_unseen(self, quiet: int) -> _loop.LoopResult:
        before = self._global_step()
        seconds = min(
            [LONGEST_QUIET_SECONDS, *(cadence.quiet_seconds() for cadence in self._cadences)]
        )
        loop = self._model.loop([cadence.watched() for cadence in self._watchers])
        result = loop.run(self._batches, steps=quiet, until_step=before + quiet, seconds=seconds)
        after = self._global_step()
        for cadence in self._cadences:
            cadence.passed(result.steps, after, result.loss)
        self._tell_not_finite(result)
        return result

    def _tell_not_finite(self, result: _loop.LoopResult) -> None:
        context = tf.compat.v1.train.SessionRunContext(
            tf.compat.v1.train.SessionRunArgs(None), self._session
        )
        for cadence, is_nan in zip(self._watchers, result.not_finite, strict=True):
            if is_nan:
                self._report_nan(cadence.hook, context)
        self.hooked.should_stop = self.hooked.should_stop or context.stop_requested

    def _has_ended(self, result: _loop.LoopResult) -> bool:
        return result.data_ended or getattr(self._batches, "remaining", None) == 0
