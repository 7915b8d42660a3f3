"""Early stopping: hooks that end training based on the results of evaluations.

Synopsis::

    hook = stop_if_no_decrease_hook(estimator, "loss", max_steps_without_decrease=1000)
    train_spec = kestimator.TrainSpec(input_fn, hooks=[hook])
    kestimator.train_and_evaluate(estimator, train_spec, eval_spec)

The estimator has the results of its own evaluations in memory. Those of other and of earlier
processes are in event files. Hooks that check at time intervals also check whenever there is a new
result in memory.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.adapters.hooks import event_files, stock_hooks
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import program
from kestimator.engine.runs.cadence import Cadence
from kestimator.estimator import Estimator, state_of
from kestimator.train_eval import stopping_rules
from kestimator.validation import checks, kinds

_v1: Any = tf.compat.v1
_train: Any = _v1.train


def make_early_stopping_hook(
    estimator: Estimator,
    should_stop_fn: Callable[[], Any],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training when a function returns True.

    Args:
        estimator: The estimator to train.
        should_stop_fn: Called without arguments, after the first step and then at intervals.
        run_every_secs: The seconds between two calls.
        run_every_steps: The steps between two calls; pass `run_every_secs=None` with it.

    Returns:
        The hook, for `Estimator.train` or `TrainSpec`. It adds the variable
        `signal_early_stopping/STOP` to checkpoints, as `tf.estimator` does.

    Raises:
        ArgumentError: None or both of the intervals are given, or one is out of range.
        ArgumentTypeError: `estimator` or `should_stop_fn` has another type.
    """
    _check_estimator(estimator)
    _check_callable("should_stop_fn", should_stop_fn)
    return EarlyStoppingHook(should_stop_fn, _timer(run_every_secs, run_every_steps))


def stop_if_higher_hook(
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: str | os.PathLike[str] | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training once a metric was above a threshold.

    Example:
        >>> hook = kestimator.experimental.stop_if_higher_hook(estimator, "accuracy", 0.9)
        >>> train_spec = kestimator.TrainSpec(input_fn, hooks=[hook])

    Args:
        estimator: The estimator to train.
        metric_name: The name of the metric in the results of `evaluate`.
        threshold: The threshold.
        eval_dir: The directory of the evaluation's events; by default `estimator.eval_dir()`.
        min_steps: Evaluations before this global step do not count.
        run_every_secs: The seconds between two checks, besides those of new results.
        run_every_steps: The steps between two checks; pass `run_every_secs=None` with it.

    Returns:
        The hook; see `make_early_stopping_hook`.

    Raises:
        ArgumentError: A number is out of range.
        ArgumentTypeError: An argument has a type that cannot be used.
        MetricNotFoundError: In training: evaluations have no such metric.
    """
    rule = stopping_rules.Threshold(metric_name, threshold, min_steps, higher=True)
    return _metric_hook(estimator, rule, eval_dir, run_every_secs, run_every_steps)


def stop_if_lower_hook(
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: str | os.PathLike[str] | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training once a metric was below a threshold.

    Args:
        estimator: As for `stop_if_higher_hook`.
        metric_name: As for `stop_if_higher_hook`.
        threshold: As for `stop_if_higher_hook`.
        eval_dir: As for `stop_if_higher_hook`.
        min_steps: As for `stop_if_higher_hook`.
        run_every_secs: As for `stop_if_higher_hook`.
        run_every_steps: As for `stop_if_higher_hook`.

    Returns:
        The hook; see `make_early_stopping_hook`.
    """
    rule = stopping_rules.Threshold(metric_name, threshold, min_steps, higher=False)
    return _metric_hook(estimator, rule, eval_dir, run_every_secs, run_every_steps)


def stop_if_no_increase_hook(
    estimator: Estimator,
    metric_name: str,
    max_steps_without_increase: int | None,
    eval_dir: str | os.PathLike[str] | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
    *,
    patience: int | None = None,
    min_delta: float = 0.0,
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training when a metric has not increased for a while.

    Example:
        >>> hook = kestimator.experimental.stop_if_no_increase_hook(
        ...     estimator, "accuracy", None, patience=3, min_delta=0.001)

    Args:
        estimator: As for `stop_if_higher_hook`.
        metric_name: As for `stop_if_higher_hook`.
        max_steps_without_increase: The steps from the best evaluation to the one that ends
            training; None if only `patience` counts.
        eval_dir: As for `stop_if_higher_hook`.
        min_steps: As for `stop_if_higher_hook`.
        run_every_secs: As for `stop_if_higher_hook`.
        run_every_steps: As for `stop_if_higher_hook`.
        patience: The number of evaluations in a row without an improvement that ends training.
            (Not in `tf.estimator`.)
        min_delta: An evaluation has to be better by more than this to count as better.

    Returns:
        The hook; see `make_early_stopping_hook`.

    Raises:
        ArgumentError: A number is out of range, or nothing says how long to wait.
        ArgumentTypeError: An argument has a type that cannot be used.
        MetricNotFoundError: In training: evaluations have no such metric.
    """
    rule = stopping_rules.NoImprovement(
        metric_name,
        max_steps_without_increase,
        patience=patience,
        min_delta=min_delta,
        min_steps=min_steps,
        higher=True,
    )
    return _metric_hook(estimator, rule, eval_dir, run_every_secs, run_every_steps)


def stop_if_no_decrease_hook(
    estimator: Estimator,
    metric_name: str,
    max_steps_without_decrease: int | None,
    eval_dir: str | os.PathLike[str] | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
    *,
    patience: int | None = None,
    min_delta: float = 0.0,
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training when a metric has not decreased for a while.

    Args:
        estimator: As for `stop_if_no_increase_hook`.
        metric_name: As for `stop_if_no_increase_hook`.
        max_steps_without_decrease: As `max_steps_without_increase` there.
        eval_dir: As for `stop_if_no_increase_hook`.
        min_steps: As for `stop_if_no_increase_hook`.
        run_every_secs: As for `stop_if_no_increase_hook`.
        run_every_steps: As for `stop_if_no_increase_hook`.
        patience: As for `stop_if_no_increase_hook`.
        min_delta: As for `stop_if_no_increase_hook`.

    Returns:
        The hook; see `make_early_stopping_hook`.
    """
    rule = stopping_rules.NoImprovement(
        metric_name,
        max_steps_without_decrease,
        patience=patience,
        min_delta=min_delta,
        min_steps=min_steps,
        higher=False,
    )
    return _metric_hook(estimator, rule, eval_dir, run_every_secs, run_every_steps)


def make_stop_at_checkpoint_step_hook(
    estimator: Estimator, last_step: int, wait_after_file_check_secs: float = 30
) -> tf.compat.v1.train.SessionRunHook:
    """Makes a hook that ends training at a global step; a worker waits for its checkpoint.

    Args:
        estimator: The estimator to train.
        last_step: The global step.
        wait_after_file_check_secs: The seconds that a worker other than the chief waits between
            two checks for the checkpoint.

    Raises:
        ArgumentError: `last_step` is None or not positive, or the wait is negative.
        ArgumentTypeError: An argument has a type that cannot be used.
    """
    _check_estimator(estimator)
    last = checks.checked_positive("last_step", last_step)
    wait = checks.checked_not_negative("wait_after_file_check_secs", wait_after_file_check_secs)
    if last is None:
        raise errors.ArgumentError(errors.invalid_argument("last_step", None, "a global step"))
    if estimator.config.is_chief:
        return _train.StopAtStepHook(last_step=last)
    return StopAtCheckpointStepHook(estimator.model_dir, last, wait)


class EarlyStoppingHook(_train.SessionRunHook, stock_hooks.Timed):
    """Calls a function at intervals to decide whether to stop.

    Args:
        should_stop_fn: The function.
        timer: The intervals.
        has_news: Returns whether to call it now, regardless of the intervals.
        at_end: Called at the end.
    """

    def __init__(
        self,
        should_stop_fn: Callable[[], Any],
        timer: Any,
        has_news: Callable[[], bool] = lambda: False,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(self)
        self._should_stop_fn = should_stop_fn
        self._timer = timer
        self._has_news = has_news
        self._at_end = at_end

    def begin(self) -> None:
        """Adds the variable that records in checkpoints whether training was stopped."""
        with _v1.variable_scope("signal_early_stopping", reuse=_v1.AUTO_REUSE):
            stop = _v1.get_variable(
                "STOP",
                shape=[],
                dtype=tf.bool,
                initializer=_v1.constant_initializer(False),
                collections=[_v1.GraphKeys.GLOBAL_VARIABLES],
                trainable=False,
            )
        graph = _v1.get_default_graph()
        if isinstance(graph, program.ProgramGraph):
            # The directory may have been trained without early stopping before.
            graph.optional.add(stop.op.name)
        self._global_step = _train.get_global_step()
        self._stop = _v1.assign(stop, True)

    def before_run(self, run_context: Any) -> Any:
        """Fetches the global step."""
        del run_context
        return _train.SessionRunArgs(self._global_step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Calls the function if it is due."""
        step = run_values.results
        is_due = self._timer.should_trigger_for_step(step)
        if is_due:
            self._timer.update_last_triggered_step(step)
        # Always call `_has_news` first: it marks the news as seen.
        if (self._has_news() or is_due) and self._should_stop_fn():
            logs.notice("Requesting early stopping at global step %d.", step)
            # Before the stop, so that the last checkpoint has the variable set.
            run_context.session.run(self._stop)
            run_context.request_stop()

    def end(self, session: Any) -> None:
        """Calls `at_end`."""
        del session
        self._at_end()


class StopAtCheckpointStepHook(_train.SessionRunHook, Cadence):
    """Ends training once the checkpoint of a step is on disk.

    Args:
        model_dir: The directory of the checkpoints.
        last_step: The step.
        wait_secs: The seconds between two checks.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        model_dir: str,
        last_step: int,
        wait_secs: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(self)
        self._model_dir = model_dir
        self._last_step = last_step
        self._wait_secs = wait_secs
        self._sleep = sleep

    def begin(self) -> None:
        """Finds the global step."""
        self._global_step = _train.get_global_step()

    def steps_until_due(self, global_step: int) -> int:
        """Returns the steps until the last one."""
        return max(0, math.ceil(self._last_step) - global_step - 1)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Looks for the checkpoint once the step is reached, and waits if it is absent."""
        del run_values
        if run_context.session.run(self._global_step) < self._last_step:
            return
        path = checkpoint_files.latest_checkpoint(self._model_dir)
        if path is not None and checkpoint_files.global_step_of(path) >= self._last_step:
            run_context.request_stop()
        else:
            self._sleep(self._wait_secs)


class _EvaluationResults:
    """The results of an estimator's evaluations in one directory."""

    def __init__(self, estimator: Estimator, directory: str) -> None:
        self._log: event_files.EvaluationLog = state_of(estimator).evaluations
        self._seen: Any = None
        self._in_files: dict[int, dict[str, float]] | None = None
        self.directory = directory
        self.were_there = False

    def have_news(self) -> bool:
        """Returns whether the estimator has evaluated since the last call."""
        before, self._seen = self._seen, self._log.latest.get(os.path.basename(self.directory))
        # By identity: a new result may equal the one before.
        return self._seen is not before

    def read(self) -> stopping_rules.Results:
        """Returns all results: those of this process from memory, others from event files."""
        in_memory = self._log.scalars(self.directory)
        # Without these, another process may evaluate. Its files grow, so read them each time.
        if self._in_files is None or not in_memory:
            with program.eager_mode():
                self._in_files = event_files.read_scalars(self.directory)
        steps = sorted({*self._in_files, *in_memory})
        self.were_there = self.were_there or bool(steps)
        return {step: {**self._in_files.get(step, {}), **in_memory.get(step, {})} for step in steps}


def _metric_hook(
    estimator: Estimator,
    rule: stopping_rules.Rule,
    eval_dir: str | os.PathLike[str] | None,
    run_every_secs: float | None,
    run_every_steps: int | None,
) -> EarlyStoppingHook:
    _check_estimator(estimator)
    rule = rule.checked()
    timer = _timer(run_every_secs, run_every_steps)
    directory = (
        estimator.eval_dir() if eval_dir is None else checks.checked_path("eval_dir", eval_dir)
    )
    results = _EvaluationResults(estimator, directory)

    def should_stop() -> bool:
        reason = rule.reason_to_stop(results.read())
        if reason is not None:
            logs.notice("Stopping early because of the metric %r: %s.", rule.metric, reason)
        return reason is not None

    def warn_if_blind() -> None:
        if not results.were_there:
            logs.warning(
                "Early stopping by the metric %r never had a result: whenever the hook checked, "
                "there was no evaluation in %s. Evaluate more often (`save_checkpoints_steps` of "
                "the RunConfig, `throttle_secs` or `every_steps` of the EvalSpec), or pass the "
                "`eval_dir` of the evaluation.",
                rule.metric,
                results.directory,
            )

    # An interval in steps is kept exactly; results in between do not count.
    has_news = results.have_news if run_every_steps is None else (lambda: False)
    return EarlyStoppingHook(should_stop, timer, has_news, warn_if_blind)


def _timer(run_every_secs: float | None, run_every_steps: int | None) -> Any:
    if (run_every_secs is None) == (run_every_steps is None):
        raise errors.ArgumentError(
            "Exactly one of `run_every_secs` and `run_every_steps` must be given. Received: "
            f"run_every_secs={run_every_secs}, run_every_steps={run_every_steps}. To use "
            "`run_every_steps`, pass `run_every_secs=None`."
        )
    if run_every_secs is not None:
        seconds = checks.checked_not_negative("run_every_secs", run_every_secs)
        return _train.SecondOrStepTimer(every_secs=seconds)
    steps = checks.checked_positive("run_every_steps", run_every_steps)
    return _train.SecondOrStepTimer(every_steps=steps)


def _check_estimator(estimator: Any) -> None:
    if not isinstance(estimator, Estimator):
        expected = "a kestimator.Estimator"
        raise errors.ArgumentTypeError(errors.invalid_argument("estimator", estimator, expected))


def _check_callable(name: str, function: Any) -> None:
    kinds.checked_function(name, function, "a function without arguments")
