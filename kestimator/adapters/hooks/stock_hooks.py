"""When TensorFlow's stock hooks are due.

Synopsis::

    cadence = cadence_of(hook)
    cadence.steps_until_due(global_step)     # steps that may pass before the hook has to see one

The stock hooks count steps in private attributes. While none is due, the loop stays on the device,
and then tells them here how far it went. Any other hook sees every step.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator.adapters.hooks import _internals, saving, step_guard
from kestimator.engine.runs.cadence import Cadence

_train = tf.compat.v1.train
UNLIMITED = 2**62


class EveryStep(Cadence):
    """A hook of unknown cadence: it is due at every step."""

    def steps_until_due(self, global_step: int) -> int:
        """None at all."""
        return 0


class Never(Cadence):
    """A hook that sees no step: it acts at the beginning and at the end."""

    def steps_until_due(self, global_step: int) -> int:
        """All of them."""
        return UNLIMITED


class Timed(Cadence):
    """A hook with a `SecondOrStepTimer` over the global step."""

    def steps_until_due(self, global_step: int) -> int:
        """The steps until the timer triggers."""
        # The hook looks after a step, when the global step is one higher.
        return _steps_until_due(_internals.timer_of(self.hook), global_step + 1)

    def seconds_until_due(self) -> float:
        """The seconds until the timer triggers."""
        return _seconds_until_due(_internals.timer_of(self.hook))


class _TimedAhead(Timed):
    """A timed hook that decides before a step, from the step it saw last."""

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Moves the step seen last."""
        _internals.move_next_step(self.hook, global_step + 1)


class _Logging(Cadence):
    """`LoggingTensorHook` counts the steps that it saw itself."""

    def steps_until_due(self, global_step: int) -> int:
        """The steps until the next line."""
        return _steps_until_due(_internals.timer_of(self.hook), _internals.counted_steps(self.hook))

    def seconds_until_due(self) -> float:
        """The seconds until the next line."""
        return _seconds_until_due(_internals.timer_of(self.hook))

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Counts the unobserved steps too."""
        _internals.count_steps(self.hook, steps)


class _StopAtStep(Cadence):
    def steps_until_due(self, global_step: int) -> int:
        """The steps until the last one, which the hook has to see."""
        # The hook has to see the step that reaches the last one, so one step less may pass.
        return max(0, _internals.last_step(self.hook) - global_step - 1)


class _NanTensor(Never):
    def watched(self) -> tf.Tensor | None:
        """The loss that the hook guards."""
        return _internals.guarded_tensor(self.hook)


class _Waiter(Cadence):
    def steps_until_due(self, global_step: int) -> int:
        """None until the step waited for has come."""
        return UNLIMITED if _internals.has_seen_its_step(self.hook) else 0


class _StepGuard(Cadence):
    def steps_until_due(self, global_step: int) -> int:
        """None until the step has moved."""
        return UNLIMITED if self.hook.has_moved else 0


_CADENCES: dict[type, type[Cadence]] = {
    _train.CheckpointSaverHook: Timed,
    saving.SaverHook: Timed,
    _train.StepCounterHook: Timed,
    _train.SummarySaverHook: _TimedAhead,
    _train.ProfilerHook: _TimedAhead,
    _train.LoggingTensorHook: _Logging,
    _train.StopAtStepHook: _StopAtStep,
    _train.NanTensorHook: _NanTensor,
    _train.FinalOpsHook: Never,
    _train.GlobalStepWaiterHook: _Waiter,
    step_guard.StepGuard: _StepGuard,
}


def cadence_of(hook: Any) -> Cadence:
    """The cadence of `hook`. Subclasses of stock hooks may do anything, so they see every step."""
    if isinstance(hook, Cadence):
        return hook
    kind = _CADENCES.get(type(hook))
    if kind is not None and not _has_methods_of_its_own(hook):
        return kind(hook)
    looks = _has_methods_of_its_own(hook) or any(
        # A mock has these methods, but its class does not.
        getattr(type(hook), method, None) is not getattr(_train.SessionRunHook, method)
        for method in _OF_STEPS
    )
    return EveryStep(hook) if looks else Never(hook)


_OF_STEPS = ("before_run", "after_run")


def _has_methods_of_its_own(hook: Any) -> bool:
    """Whether the methods that see steps were set on the object, and not by its class."""
    return any(method in getattr(hook, "__dict__", {}) for method in _OF_STEPS)


def only_looks(hook: Any) -> bool:
    """Whether a hook is known to move no variables: TensorFlow's stock, and the library's own."""
    is_known = type(hook) in _CADENCES or type(hook).__module__.startswith("kestimator.")
    return is_known and not _has_methods_of_its_own(hook)


def add_listeners(hook: Any, listeners: Sequence[Any]) -> None:
    """Gives a `CheckpointSaverHook` of the model_fn the listeners of a train call.

    Listeners of an earlier call are removed: the internal attribute `is_of_a_train_call` marks
    them.
    """
    before = _internals.listeners_of(hook)
    hook_listeners = [one for one in before if not getattr(one, "is_of_a_train_call", False)]
    for listener in listeners:
        listener.is_of_a_train_call = True
    _internals.use_listeners(hook, [*hook_listeners, *listeners])


def report_nan(hook: Any, context: Any) -> None:
    """Tells a `NanTensorHook` that its tensor became NaN in an unobserved step."""
    hook.after_run(context, _train.SessionRunValues(np.float32(np.nan), None, None))


def _steps_until_due(timer: Any, next_step: int) -> int:
    if isinstance(timer, saving.AnyTimer):
        return min(_steps_until_due(one, next_step) for one in timer.timers)
    every, last = _internals.every_steps(timer), timer.last_triggered_step()
    # A new timer is due immediately. A NeverTriggerTimer has no last step either, but is never due.
    if last is None:
        return 0 if timer.should_trigger_for_step(next_step) else UNLIMITED
    if every is not None:
        return max(0, int(min(last + every, UNLIMITED)) - next_step)
    return 0 if timer.should_trigger_for_step(next_step) else UNLIMITED


def _seconds_until_due(timer: Any) -> float:
    if isinstance(timer, saving.AnyTimer):
        return min(_seconds_until_due(one) for one in timer.timers)
    every, last = _internals.every_secs(timer), _internals.last_triggered_time(timer)
    if every is None or last is None:
        return float("inf")
    return max(0.0, float(last + every) - time.time())
