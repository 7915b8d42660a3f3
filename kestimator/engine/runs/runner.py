"""Runs the steps of a program: on the device until a hook is due, then one observed step.

Synopsis::

    runner = Runner(
        model, session, batches, cadences,
        global_step=global_step, report_nan=report_nan, lock=tracker.lock)
    runner.hooked.begin()                    # then values get into the variables
    runner.hooked.after_create_session()
    loss = runner.run()
    runner.hooked.end()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.programs import model_program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import device_loop, locks
from kestimator.engine.runs import session as _session
from kestimator.engine.runs.cadence import Cadence
from kestimator.engine.tracing import execution_modes
from kestimator.keys import ModeKeys

LONGEST_UNOBSERVED_SECONDS = 0.5
"""How long one call on the device may take: Ctrl-C and deadlines are noticed after it."""
FIRST_STRETCH = 100
"""How many steps to run before their cost is known."""
MOST_PLAIN_OBSERVED_STEPS = 30
"""After this many observed steps in a row, building a function for them pays off."""
SLOW_FIRST_STEP_SECONDS = 2.0
"""If the first step takes longer, the step itself is slow, not only building its functions."""


class Runner:
    """Drives the steps of one call of `train` or `evaluate`.

    Args:
        model: The program.
        session: The session over it.
        batches: The input.
        cadences: The cadences of the hooks, in the order of the hooks.
        global_step: Reads the global step.
        report_nan: Tells a hook that its watched tensor became NaN.
        lock: Held while steps run and while their functions are built, not while hooks run.
        before_steps: Called before any steps run.
        has_to_stop: Asked before any steps run; they do not if it returns True.

    Attributes:
        hooked: The session with the hooks.
        data_ended: Whether the last run ended with the data.
        was_interrupted: Whether it ended because it had to stop, here or in another process.
    """

    def __init__(
        self,
        model: model_program.ModelProgram,
        session: _session.Session,
        batches: _batches.Batches,
        cadences: Sequence[Cadence],
        *,
        global_step: Callable[[], int],
        report_nan: Callable[[Any, Any], None],
        lock: locks.FairLock,
        before_steps: Callable[[], None] = lambda: None,
        has_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._model = model
        self._session = session
        self._batches = batches
        self._cadences = list(cadences)
        self._global_step = global_step
        self._report_nan = report_nan
        self._lock = lock
        self._before_steps = before_steps
        self._has_to_stop = has_to_stop
        # None until a stretch has been timed; the first stretch is `FIRST_STRETCH` steps long.
        self._seconds_per_step: float | None = None
        self._steps_are_small = True
        # The global step, with the value of `session.runs` at which it was read; None if unknown.
        self._known_step: tuple[int, int] | None = None
        self._observed_in_a_row = 0
        self.data_ended = self.was_interrupted = False
        # Hooks that check a tensor for NaN, with that tensor.
        self._watchers = [
            (cadence.hook, tensor)
            for cadence in self._cadences
            if (tensor := cadence.watched()) is not None
        ]
        self.hooked = device_loop.HookedSession(session, [c.hook for c in self._cadences])

    def run(self, steps: int | None = None) -> Any:
        """Runs steps until a hook asks to stop, the data ends, or `steps` of them ran.

        Returns:
            The loss of the last step, or None if there was none.
        """
        # The argument checks accept floats: 2.5 steps are three.
        steps_left = device_loop.NO_LIMIT if steps is None else math.ceil(steps)
        loss = None
        try:
            while steps_left > 0 and not self.should_stop:
                unobserved = self._steps_until_due(steps_left)
                # Before, not after: an error in a step leaves variables that equal no checkpoint.
                self._before_steps()
                for cadence in self._cadences:
                    cadence.before_steps()
                # One call for both saves the cost of a second call, which counts with small steps.
                if self._can_observe_within(unobserved, steps_left):
                    ran, loss = self._run_and_observe(unobserved)
                    steps_left -= ran
                    continue
                if unobserved > 0:
                    result = self._run_unobserved(unobserved)
                    steps_left -= result.steps
                    loss = loss if result.loss is None else result.loss
                    if self._has_ended(result):
                        self.data_ended = True
                        break
                # Checked again: a hook that is due by time may have become due meanwhile.
                if self._wants_observation(steps_left) and not self.should_stop:
                    loss = self._hooked_step()
                    steps_left -= 1
        except tf.errors.OutOfRangeError:
            self.data_ended = True
        self.was_interrupted = self._has_to_stop()
        return loss

    @property
    def should_stop(self) -> bool:
        """Whether a hook has asked to stop, or the caller has to."""
        return self.hooked.should_stop or self._has_to_stop()

    def _step(self) -> int:
        """Returns the global step, and reads it only if something else may have moved it."""
        # Reading the variable is one more op per call. A run of the session may have moved
        # the step: hooks may run anything.
        if self._known_step is None or self._known_step[1] != self._session.runs:
            self._known_step = (self._global_step(), self._session.runs)
        return self._known_step[0]

    def _moved(self, steps: int) -> None:
        """Notes that the device has run `steps` steps."""
        # A train op that adds another number than 1 cannot be counted, so the step is read again.
        if self._known_step is None or not self._model.advances_by_one:
            self._known_step = None
        # Steps of an evaluation do not change the global step.
        elif self._model.mode == ModeKeys.TRAIN:
            self._known_step = (self._known_step[0] + steps, self._known_step[1])

    def _steps_until_due(self, steps_left: int) -> int:
        step = self._step()
        if steps_left <= 0 or any(cadence.seconds_until_due() <= 0 for cadence in self._cadences):
            return 0
        # The hook that is due first decides for all of them: they observe the same step.
        unobserved = min([steps_left, *(c.steps_until_due(step) for c in self._cadences)])
        return math.ceil(unobserved)  # `steps` and `max_steps` may be floats

    def _wants_observation(self, steps_left: int) -> bool:
        return steps_left > 0 and self._steps_until_due(steps_left) == 0

    def _hooked_step(self) -> Any:
        request = self.hooked.ask(self._model.fetches)
        metadata = tf.compat.v1.RunMetadata()
        start = self._lock.clock()
        values = self._values_of(request, metadata)
        seconds = self._lock.clock() - start
        self._observed_in_a_row += 1
        self._moved(1)
        # The first observed steps run without TensorFlow's graph optimization, so their duration
        # says little about the pace of later steps.
        if self._observed_in_a_row > MOST_PLAIN_OBSERVED_STEPS:
            self._note_pace(seconds)
        elif seconds > SLOW_FIRST_STEP_SECONDS:
            self._seconds_per_step, self._steps_are_small = seconds, False
        return self.hooked.tell(request, values, metadata)["loss"]

    def _note_pace(self, seconds_per_step: float) -> None:
        """Notes how long a step took, unless the time includes building a function."""
        self._seconds_per_step = seconds_per_step
        # Such a step looks slow; it would send the next stretch to many threads, which builds yet
        # another function.
        if not self._device_loop().was_built:
            self._steps_are_small = seconds_per_step < execution_modes.SMALL_STEP_SECONDS

    def _values_of(self, request: device_loop.StepRequest, metadata: Any) -> Any:
        """Runs a step that hooks observe.

        After many observed steps in a row, the batch is taken on the device, too. Building the
        function for that costs as much time as it saves in a hundred steps.
        """
        are_few = self._observed_in_a_row < MOST_PLAIN_OBSERVED_STEPS
        if self._batches.has_iterator and not are_few:
            with self._lock:
                compiled = self._compiled(request)
                if compiled is not None:
                    function, pack = compiled
                    is_small = self._steps_are_small
                    loop = self._device_loop()
                    return pack(loop.observe(self._batches, function, on_one_thread=is_small))
        return self._session.run_step(
            request.fetches, request.feeds, request.options, metadata, as_written=are_few
        )

    def _compiled(self, request: device_loop.StepRequest) -> Any:
        """Returns a function for an observed step and how to pack its values, or None.

        Steps with feeds, with a trace, or with fetches from the graph of the input return None:
        the session runs them.
        """
        if request.feeds or request.options.trace_level:
            return None
        return self._session.observing(request.fetches)

    def _run_unobserved(self, unobserved: int) -> device_loop.LoopResult:
        before, start = self._step(), self._lock.clock()
        self._observed_in_a_row = 0
        with self._lock:
            result = self._device_loop().run(
                self._batches,
                # `until_step` matters where one step moves the global step by more than 1.
                steps=min(unobserved, self._longest_stretch()),
                until_step=before + unobserved,
                on_one_thread=self._steps_are_small,
            )
        # The loop ends early at a NaN or at the end of the data, possibly before its first step.
        if result.steps:
            self._note_pace((self._lock.clock() - start) / result.steps)
        self._moved(result.steps)
        after = self._step()
        for cadence in self._cadences:
            cadence.passed(result.steps, after, result.loss)
            cadence.summed(result.steps, result.loss_sum)
        self._tell_not_finite(result)
        return result

    def _can_observe_within(self, unobserved: int, steps_left: int) -> bool:
        """Returns whether the unobserved steps and the observed one fit in one call."""
        # One call can take a batch for each step only if it is known that there are enough of them.
        remaining = self._batches.remaining
        return (
            0 < unobserved < min(steps_left, self._longest_stretch())
            and remaining is not None
            and remaining > unobserved
            and self._model.advances_by_one
        )

    def _run_and_observe(self, unobserved: int) -> tuple[int, Any]:
        """Runs unobserved steps and then an observed one.

        Hooks state their fetches before the call: the number of unobserved steps is known then.

        Returns:
            The number of steps that ran, and the loss of the last one. A NaN may end them early.
        """
        start, step = self._lock.clock(), self._step()
        self._observed_in_a_row = 0
        # Hooks count these steps before they have run: `ask` needs to know where the observed one
        # stands. If a NaN ends the call early, they are told below how many did run.
        for cadence in self._cadences:
            cadence.passed(unobserved, step + unobserved, None)
        request = self.hooked.ask(self._model.fetches)
        metadata = tf.compat.v1.RunMetadata()
        with self._lock:
            compiled = self._compiled(request)
            tensors = None
            if compiled is None:
                result = self._device_loop().run(
                    self._batches,
                    steps=unobserved,
                    until_step=step + unobserved,
                    on_one_thread=self._steps_are_small,
                )
            else:
                result, tensors = self._device_loop().run_and_observe(
                    self._batches, unobserved, compiled[0], on_one_thread=self._steps_are_small
                )
        for cadence in self._cadences:
            cadence.summed(result.steps, result.loss_sum)
        if any(result.not_finite):
            # The observed step has not run. The loop continues from here, unless a hook raises an
            # error for the NaN or requests a stop. Hooks subtract the steps that did not run.
            self._moved(result.steps)
            for cadence in self._cadences:
                cadence.passed(result.steps - unobserved, step + result.steps, result.loss)
            self._tell_not_finite(result)
            return result.steps, result.loss
        self._moved(unobserved + 1)
        if compiled is None:
            values = self._session.run_step(
                request.fetches, request.feeds, request.options, metadata
            )
        else:
            assert tensors is not None
            values = compiled[1](tensors)
        self._note_pace((self._lock.clock() - start) / (unobserved + 1))
        return unobserved + 1, self.hooked.tell(request, values, metadata)["loss"]

    def _device_loop(self) -> device_loop.DeviceLoop:
        """Returns the device loop, which stops at NaN in the loss or in a watched tensor."""
        model = self._model
        watched = [tensor for _, tensor in self._watchers if tensor is not model.spec.loss]
        sums_losses = any(cadence.sums_losses for cadence in self._cadences)
        all_have = self._all_have  # the loop outlives the runner

        def make() -> device_loop.DeviceLoop:
            return device_loop.DeviceLoop(
                model.program,
                model.spec.loss,
                model.operations,
                watched,
                model.irregular_global_step,
                sums_losses=sums_losses,
                all_have=all_have,
            )

        # The loop stays with the program for the next call. Watched tensors are outputs of its
        # step, so they belong to the key.
        key = ("device loop", sums_losses, *(tensor.ref() for tensor in watched))
        loop: device_loop.DeviceLoop = model.made_once(key, make)
        return loop

    @property
    def _all_have(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Tells whether a flag is true in all processes that take the steps together."""
        return lambda has_batches: has_batches

    def _longest_stretch(self) -> int:
        """Returns how many steps may run before hooks and Ctrl-C need a turn."""
        # The pace of the call before is the only guide: the clock is not read on the device.
        if self._seconds_per_step is None:
            return FIRST_STRETCH
        seconds = min(
            [
                LONGEST_UNOBSERVED_SECONDS,
                *(cadence.seconds_until_due() for cadence in self._cadences),
            ]
        )
        return max(1, int(seconds / self._seconds_per_step))

    def _tell_not_finite(self, result: device_loop.LoopResult) -> None:
        context = tf.compat.v1.train.SessionRunContext(
            tf.compat.v1.train.SessionRunArgs(None), self._session
        )
        # The loop reports the loss first, then each watched tensor in the order of the watchers.
        loss_is_nan, *tensors_are_nan = result.not_finite
        pending = iter(tensors_are_nan)
        for hook, tensor in self._watchers:
            is_nan = loss_is_nan if tensor is self._model.spec.loss else next(pending)
            if is_nan:
                self._report_nan(hook, context)
        self.hooked.should_stop = self.hooked.should_stop or context.stop_requested

    def _has_ended(self, result: device_loop.LoopResult) -> bool:
        return result.data_ended or self._batches.remaining == 0
