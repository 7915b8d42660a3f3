"""The common parts of all runs of a program: a session, a runner, variables with values.

Synopsis::

    session = session_over(state, model, batches)
    runner = runner_over(state, model, session, batches, hooks)
    prepare(state, model, session, hooks, runner.hooked.begin, path)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from kestimator import logs
from kestimator.adapters.hooks import stock_hooks
from kestimator.engine.programs import model_program
from kestimator.engine.runs import agreed_runner
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import runner as _runner
from kestimator.engine.runs import session as _session
from kestimator.keys import ModeKeys
from kestimator.runtime import warm_start
from kestimator.runtime.state import EstimatorState


def prepare(
    state: EstimatorState,
    model: model_program.ModelProgram,
    session: _session.Session,
    hooks: Sequence[Any],
    begin: Callable[[], None],
    path: str | None,
    *,
    as_it_is: bool = False,
) -> None:
    """Lets hooks add ops, finalizes the scaffold, and gives variables their values.

    Called under the lock.
    """
    with model.stale_on_failure(), logs.each_line_once():
        if not as_it_is:
            state.tracker.check_shared(path)  # before hooks write files
        # A checkpoint of the model directory comes before a warm start, as in the original.
        settings = None if as_it_is or path is not None else state.warm_start_settings
        # In the original, each call had a new session, which restarted its random streams.
        model.graph.random_state.restart()
        # Before hooks begin: they find the initial values replaced, as in the original.
        with model.graph.unlocked():
            if settings is not None and not model.warm_started:
                warm_start.apply(settings)
                model.warm_started = True
        with model.changing(hooks):
            begin()
        # After hooks have begun: the scaffold's saver has to find the variables that they made.
        with model.graph.unlocked():
            model.scaffold.finalize()
            model.settle_global_step()
        if as_it_is:
            state.tracker.complete(model, session)
        else:
            state.tracker.load(model, session, path)
        # Savers only write and read the variables of the first replica.
        state.distribution_of(model.mode).broadcast(model.graph)
        state.tracker.initialize_locals(model, session)


def session_over(
    state: EstimatorState, model: model_program.ModelProgram, batches: _batches.Batches
) -> _session.Session:
    """Returns a session whose runs hold the lock."""
    return _session.Session(model.program, batches, lambda: state.tracker.lock)


def runner_over(
    state: EstimatorState,
    model: model_program.ModelProgram,
    session: _session.Session,
    batches: _batches.Batches,
    hooks: Sequence[Any],
    has_to_stop: Callable[[], bool] = lambda: False,
) -> _runner.Runner:
    """Returns a runner over a session, for hooks in their order."""
    trains = model.mode == ModeKeys.TRAIN
    distribution = state.distribution_of(model.mode)
    runner: Callable[..., _runner.Runner] = _runner.Runner
    if distribution.workers > 1:
        runner = functools.partial(agreed_runner.AgreedRunner, distribution)
    return runner(
        model,
        session,
        batches,
        [stock_hooks.cadence_of(hook) for hook in hooks],
        # Without hooks, an evaluation needs no global step: 0 saves the read.
        global_step=state.current_global_step if trains or hooks else lambda: 0,
        report_nan=stock_hooks.report_nan,
        lock=state.tracker.lock,
        before_steps=state.tracker.changed if trains else lambda: None,
        has_to_stop=has_to_stop,
    )
