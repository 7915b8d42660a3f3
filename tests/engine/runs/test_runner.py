"""The runner: which steps hooks observe, and which run on the device, by what cadences say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine.runs import runner
from kestimator.engine.runs.cadence import Cadence
from tests.engine.parts import Line, Run


class Hook(tf.compat.v1.train.SessionRunHook):
    """Notes the global steps that it observes."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.observed: list[int] = []
        self.stop_at = stop_at

    def before_run(self, run_context: Any) -> Any:
        """Asks for the global step."""
        step = tf.compat.v1.train.get_global_step(run_context.session.graph)
        return tf.compat.v1.train.SessionRunArgs(step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Notes it."""
        self.observed.append(int(run_values.results))
        if self.observed[-1] == self.stop_at:
            run_context.request_stop()


class Every(Cadence):
    """The hook is due where the step before is a multiple of `period`."""

    def __init__(self, hook: Hook, period: int, watched: Any = None) -> None:
        super().__init__(hook)
        self.period = period
        self.unobserved: list[tuple[int, int]] = []
        self._watched = watched

    def steps_until_due(self, global_step: int) -> int:
        """The steps to the next multiple."""
        return -global_step % self.period

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Notes the unobserved steps."""
        self.unobserved.append((steps, global_step))

    def watched(self) -> Any:
        """The tensor given."""
        return self._watched


def runner_of(run: Run, *cadences: Every, nans: list[Any] | None = None) -> runner.Runner:
    """A runner of the run's program, as training makes one."""

    def report_nan(hook: Any, context: Any) -> None:
        assert nans is not None
        nans.append(hook)
        context.request_stop()

    return runner.Runner(
        run.model,
        run.session,
        run.batches,
        cadences,
        global_step=lambda: int(run.value("global_step")),
        report_nan=report_nan,
        lock=run.lock,
    )


@pytest.mark.parametrize("repeat", [None, 100])
def test_hooks_observe_the_steps_at_which_they_are_due(repeat: int | None) -> None:
    run, hook, other = Run(repeat=repeat), Hook(), Hook()
    cadence = Every(hook, 5)
    runner_of(run, cadence, Every(other, 3)).run(12)
    due = [step for step in range(12) if step % 5 == 0 or step % 3 == 0]
    assert hook.observed == other.observed == due
    assert sum(steps for steps, _ in cadence.unobserved) + len(due) == 12
    assert run.value("global_step") == 12


def test_observed_and_unobserved_steps_train_alike() -> None:
    weights = []
    for cadences in ((), (Every(Hook(), 1),), (Every(Hook(), 4),)):
        run = Run()
        loss = runner_of(run, *cadences).run(10)
        weights.append((run.value("w"), loss))
    assert weights[0] == weights[1] == weights[2]
    assert weights[0][0] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("period", [1, 3, 100])
def test_the_end_of_the_data_ends_it(period: int) -> None:
    run = Run(repeat=7)
    runner_of(run, Every(Hook(), period)).run(None)
    assert run.value("global_step") == 7


def test_a_hook_ends_it() -> None:
    run, hook = Run(), Hook(stop_at=4)
    runner_of(run, Every(hook, 4)).run(100)
    assert hook.observed == [0, 4]
    assert run.value("global_step") == 5


def test_a_nan_among_unobserved_steps_is_told_to_who_watches_for_it() -> None:
    run, hook, nans = Run(Line(scale=np.inf)), Hook(), []
    watcher = Every(hook, 50, watched=run.model.spec.loss)
    loss = runner_of(run, watcher, nans=nans).run(100)
    assert nans == [hook]
    assert np.isnan(loss)
    assert run.value("global_step") < 10


def test_a_nan_that_nobody_watches_for_ends_nothing() -> None:
    run, hook = Run(Line(scale=np.inf)), Hook()
    cadence = Every(hook, 10)
    runner_of(run, cadence).run(30)
    assert hook.observed == [0, 10, 20]
    assert sum(steps for steps, _ in cadence.unobserved) == 27
    assert run.value("global_step") == 30


def test_a_float_counts_as_the_next_integer() -> None:
    run = Run()
    runner_of(run).run(2.5)
    assert run.value("global_step") == 3
