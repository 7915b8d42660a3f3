"""Evaluation: a run over batches that ends with the values of the metrics.

Synopsis::

    metrics = evaluate(state, model, batches, path, steps, hooks)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kestimator import errors, logs
from kestimator.adapters.hooks import automatic_hooks
from kestimator.engine.programs import model_program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import step_errors
from kestimator.runtime import runs
from kestimator.runtime.state import EstimatorState


def evaluate(
    state: EstimatorState,
    model: model_program.ModelProgram,
    batches: _batches.Batches,
    path: str | None,
    steps: int | None,
    hooks: Sequence[Any],
    *,
    as_it_is: bool = False,
) -> dict[str, Any]:
    """Evaluates on all batches, or on `steps` of them, and returns the metrics.

    Other threads wait until it has ended: the metrics are variables of the program.

    Args:
        state: The state of the estimator.
        model: The program of the evaluation.
        batches: The input.
        path: The checkpoint to evaluate; None evaluates the initial values.
        steps: How many batches to use; None uses all data.
        hooks: The hooks.
        as_it_is: Whether to evaluate the current values of variables instead of `path`.
    """
    session = runs.session_over(state, model, batches)
    all_hooks = [*hooks, *automatic_hooks.evaluation_hooks(steps)]
    start = time.time()
    logs.info("Starting evaluation at %s", time.strftime("%Y-%m-%dT%H:%M:%S"))
    with logs.each_line_once(), state.tracker.lock, model.graph.as_default():
        runner = runs.runner_over(state, model, session, batches, all_hooks)
        runs.prepare(state, model, session, all_hooks, runner.hooked.begin, path, as_it_is=as_it_is)
        batches.initialize(steps)
        # Not earlier: whether a Dataset ends is known once it is created.
        _check_that_it_ends(batches, steps, hooks)
        with session.start_queue_runners():
            runner.hooked.after_create_session()
            with step_errors.explained(model.program, batches):
                runner.run(steps)
            runner.hooked.end()
        # Still under the lock: other evaluations share the variables of metrics.
        values = session.run({**model.metric_values, "global_step": model.global_step})
    logs.info("Inference Time : %.5fs", time.time() - start)
    logs.info("Finished evaluation at %s", time.strftime("%Y-%m-%d-%H:%M:%S"))
    step = values.pop("global_step")
    return {**values, "global_step": np.int64(step)}


def _check_that_it_ends(batches: _batches.Batches, steps: int | None, hooks: Sequence[Any]) -> None:
    """Checks that an evaluation ends; if there are hooks, one of them may end it.

    Raises:
        errors.ArgumentError: The data has no end, and neither `steps` nor hooks are given.
    """
    if steps is not None or batches.is_finite:
        return
    message = (
        "evaluate(steps=None) runs to the end of the data, but the data of `input_fn` never ends. "
        "Pass `steps`, or remove `.repeat()` from the Dataset."
    )
    if not hooks:
        raise errors.ArgumentError(message)
    logs.warning("%s The evaluation ends only if a hook stops it.", message)
