"""Runs steps that several processes take together, each in its own call of `train`.

Synopsis::

    runner = AgreedRunner(distribution, model, session, batches, cadences, ...)   # as a Runner
    loss = runner.run()

The collective ops of a step wait for all processes. A process that ran one step more than the
others would wait forever. So before each turn, every process says what it wants, and all do the
same: they stop if one of them has to stop, they take one observed step if a hook of one of them is
due, else they run the smallest number of steps that one of them wants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf

from kestimator.engine.programs import distribution as _distribution
from kestimator.engine.runs import device_loop
from kestimator.engine.runs import runner as _runner

_INTERRUPT: Final = -2
_STOP: Final = -1
_OBSERVE: Final = 0


class AgreedRunner(_runner.Runner):
    """A runner that agrees with those of other processes.

    Args:
        distribution: Agrees with the other processes.
        *args: As for `Runner`.
        **kwargs: As for `Runner`.
    """

    def __init__(self, distribution: _distribution.Distribution, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._distribution = distribution
        # Collective ops wait for each other, which one thread could not do.
        self._steps_are_small = False

    def run(self, steps: int | None = None) -> Any:
        """As `Runner.run`. It ends when a process stops or has no more data, after the same step.

        The other processes keep the batches that they have left.
        """
        steps_left = device_loop.NO_LIMIT if steps is None else math.ceil(steps)
        loss = None
        if not self._distribution.agreed(int(self._batches.remaining is not None)):
            self._batches.remaining = None  # the end of the data is looked for at each step
        while (wanted := self._distribution.agreed(self._wanted(steps_left))) > _STOP:
            self._before_steps()
            for cadence in self._cadences:
                cadence.before_steps()
            if wanted == _OBSERVE:
                if not self._all_have_data():
                    self.data_ended = True
                    break
                loss = self._hooked_step()
                steps_left -= 1
            else:
                result = self._run_unobserved(wanted)
                steps_left -= result.steps
                loss = loss if result.loss is None else result.loss
                if result.data_ended:
                    self.data_ended = True
                    break
        self.was_interrupted = wanted == _INTERRUPT
        return loss

    def _wanted(self, steps_left: int) -> int:
        """What this process wants: to end, `_OBSERVE`, or a number of unobserved steps."""
        if self._has_to_stop():
            return _INTERRUPT
        if self.hooked.should_stop or steps_left <= 0:
            return _STOP
        remaining = self._batches.remaining
        if remaining == 0:
            self.data_ended = True
            return _STOP
        # A graph that computes batches ends with an exception, in the middle of a step.
        may_end_within = self._batches.is_finite and not self._batches.has_iterator
        # A watched tensor has a value of its own in each process, so a loop may not end by it.
        watches_more = any(tensor is not self._model.spec.loss for _, tensor in self._watchers)
        if may_end_within or watches_more:
            return _OBSERVE
        unobserved = min(self._steps_until_due(steps_left), self._longest_stretch())
        return unobserved if remaining is None else min(unobserved, remaining)

    def _all_have_data(self) -> bool:
        if self._batches.remaining is not None:
            return True
        return bool(self._distribution.agreed(int(self._batches.has_next())))

    @property
    def _all_have(self) -> Callable[[tf.Tensor], tf.Tensor]:
        return self._distribution.all_have

    def _values_of(self, request: device_loop.StepRequest, metadata: Any) -> Any:
        if self._batches.remaining is not None:
            return super()._values_of(request, metadata)
        # The session takes the batch that `has_next` found.
        return self._session.run_step(request.fetches, request.feeds, request.options, metadata)

    def _note_pace(self, seconds_per_step: float) -> None:
        self._seconds_per_step = seconds_per_step
