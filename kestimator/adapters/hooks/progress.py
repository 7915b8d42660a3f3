"""The progress bar of training, and the check of the argument `verbose`.

Synopsis::

    hooks = progress_hooks(loss, verbose=1, steps=100, evaluations=log)
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors, logs
from kestimator.adapters.hooks import event_files, stock_hooks
from kestimator.engine.runs.cadence import Cadence
from kestimator.validation import checks

_train: Any = tf.compat.v1.train
MOST_METRICS = 3
"""The progress line shows at most this many metrics of an evaluation."""


def progress_hooks(
    loss: tf.Tensor,
    verbose: int | str,
    steps: int | None,
    evaluations: event_files.EvaluationLog,
) -> list[Any]:
    """The hooks that serve the argument `verbose` of `train`.

    Args:
        loss: The loss.
        verbose: 1 shows a progress bar, 0 none, 'auto' one on a terminal.
        steps: The number of steps, if it is known.
        evaluations: The results of evaluations, which the bar shows.
    """
    return [ProgressHook(loss, steps, evaluations)] if shows_progress(verbose) else []


@contextlib.contextmanager
def on_screen(hooks: Sequence[Any]) -> Iterator[None]:
    """Keeps log lines out of the line of the progress bar, if there is one among hooks."""
    with contextlib.ExitStack() as stack:
        for hook in hooks:
            if isinstance(hook, ProgressHook):
                stack.enter_context(logs.above(hook))
        yield


def check_verbose(verbose: Any) -> None:
    """Checks the argument `verbose`.

    Raises:
        errors.ArgumentError: It is neither 'auto' nor 0, 1 or 2.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return
    checks.checked_int(
        "verbose",
        verbose,
        0,
        maximum=2,
        takes_bools=True,
        expected="'auto', 0 (silent), or 1 or 2 (progress bar)",
        type_error=errors.ArgumentError,
    )


def shows_progress(verbose: int | str) -> bool:
    """Whether `verbose` asks for a progress bar."""
    return bool(sys.stdout.isatty()) if verbose == "auto" else bool(verbose)


class ProgressHook(_train.SessionRunHook, Cadence):
    """Shows a line with a Keras progress bar, the loss and the latest evaluations.

    Args:
        loss: The loss.
        steps: The number of steps, if it is known.
        evaluations: The results of evaluations; those that come from here on are shown.
    """

    def __init__(
        self, loss: tf.Tensor, steps: int | None, evaluations: event_files.EvaluationLog
    ) -> None:
        Cadence.__init__(self, self)
        self._tensor = loss
        self._bar = keras.utils.Progbar(steps, stateful_metrics=[])
        self._evaluations = evaluations
        self._shown = dict(evaluations.latest)
        self._done = 0
        self._is_first = True
        self._is_open = False  # whether the cursor stands behind the bar

    def steps_until_due(self, global_step: int) -> int:
        """All steps: the bar moves between them."""
        return stock_hooks.UNLIMITED

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Moves the bar."""
        self._done += steps
        if loss is not None:  # otherwise they are about to run
            self._show(loss)

    def before_run(self, run_context: Any) -> Any:
        """Fetches the loss of a step that other hooks want to see."""
        del run_context
        return _train.SessionRunArgs(self._tensor)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Counts the step."""
        del run_context
        self.passed(1, 0, run_values.results)

    def end(self, session: Any) -> None:
        """Finishes the line."""
        del session
        self._show(None, finalize=True)
        self._is_open = False

    def clear(self) -> None:
        """Empties the line; the next step draws it again."""
        if self._is_open:
            self._leave("\r\x1b[K")

    def close(self) -> None:
        """Ends the line of a run that failed."""
        if self._is_open:
            self._leave("\n")

    def _leave(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        self._is_open = False

    def _show(self, loss: Any, *, finalize: bool = False) -> None:
        values = [] if loss is None else [("loss", _plain(loss))]
        for folder, scalars in self._evaluations.latest.items():
            # Each evaluation makes a new dict, so identity tells whether it is on the line already.
            if scalars is not self._shown.get(folder):
                values += _shown_metrics(folder, scalars)
        self._shown = dict(self._evaluations.latest)
        # Progbar averages all other values over the steps; these are shown as they are.
        self._bar.stateful_metrics |= {name for name, _ in values}
        if self._is_first:
            self._is_first = False
            self._note_first_step(values)
        else:
            self._bar.update(self._done, values, finalize=finalize)
            self._is_open = True

    def _note_first_step(self, values: list[tuple[str, Any]]) -> None:
        """Tells the bar of the first step, and draws nothing.

        The first step builds functions, so it says nothing about the time that remains. The bar
        leaves it out of its estimate if it hears of it alone.
        """
        interval, self._bar.interval = self._bar.interval, math.inf
        self._bar.update(1, values, finalize=False)
        self._bar.interval = interval


def _shown_metrics(folder: str, scalars: dict[str, float]) -> list[tuple[str, float]]:
    """The loss and as many other metrics as fit on a line."""
    names = sorted(scalars, key=lambda name: (name != "loss", name))[:MOST_METRICS]
    return [(f"{folder}_{name}", scalars[name]) for name in names]


def _plain(loss: Any) -> Any:
    return None if loss is None else float(np.mean(loss))
