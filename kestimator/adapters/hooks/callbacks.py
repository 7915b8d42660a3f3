"""Keras callbacks and the progress bar, as hooks of the loop.

Synopsis::

    hooks = training_hooks(
        model, [keras.callbacks.CSVLogger("log.csv")], verbose=0, steps=100, evaluations=log)

For a callback, a train call is one epoch. Most callbacks override none of the batch methods. They
are called at the start and at the end, and the loop stays on the device in between.
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
from kestimator.engine.programs import model_program
from kestimator.engine.runs import keras_model
from kestimator.engine.runs.cadence import Cadence
from kestimator.validation import checks

_train: Any = tf.compat.v1.train
MOST_METRICS = 3
"""The progress line shows at most this many metrics of an evaluation."""
_BATCH_METHODS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
}


def training_hooks(
    model: model_program.ModelProgram,
    callbacks: Sequence[Any] | None,
    verbose: int | str,
    steps: int | None,
    evaluations: event_files.EvaluationLog,
) -> list[Any]:
    """The hooks that serve the arguments `callbacks` and `verbose` of `train`.

    Args:
        model: The program that trains.
        callbacks: Keras callbacks, or None.
        verbose: 1 shows a progress bar, 0 none, 'auto' one on a terminal.
        steps: The number of steps, if it is known.
        evaluations: The results of evaluations, which the bar shows.

    Raises:
        errors.ArgumentTypeError: `callbacks` holds something else.
        errors.ArgumentError: `verbose` is something else.
    """
    hooks: list[Any] = _callbacks_hook(model, callbacks, "train")
    if _shows_progress(verbose):
        hooks.append(ProgressHook(model.spec.loss, steps, evaluations))
    return hooks


@contextlib.contextmanager
def on_screen(hooks: Sequence[Any]) -> Iterator[None]:
    """Keeps log lines out of the line of the progress bar, if there is one among hooks."""
    with contextlib.ExitStack() as stack:
        for hook in hooks:
            if isinstance(hook, ProgressHook):
                stack.enter_context(logs.above(hook))
        yield


def evaluation_hooks(
    model: model_program.ModelProgram, callbacks: Sequence[Any] | None
) -> list[Any]:
    """The hooks that serve the argument `callbacks` of `evaluate`."""
    return _callbacks_hook(model, callbacks, "test")


def check_callbacks(callbacks: Any) -> None:
    """Checks the argument `callbacks`, before anything is opened.

    Raises:
        errors.ArgumentTypeError: It is not a list of Keras callbacks.
    """
    if callbacks is None:
        return
    if not isinstance(callbacks, (list, tuple)):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("callbacks", callbacks, "a list of Keras callbacks, or None")
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise errors.ArgumentTypeError(
                errors.invalid_argument("callbacks", callback, "keras.callbacks.Callback objects")
            )


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


def _callbacks_hook(
    model: model_program.ModelProgram, callbacks: Sequence[Any] | None, kind: str
) -> list[Any]:
    return [CallbacksHook(model, callbacks, kind)] if callbacks else []


def _shows_progress(verbose: int | str) -> bool:
    return bool(sys.stdout.isatty()) if verbose == "auto" else bool(verbose)


class CallbacksHook(_train.SessionRunHook, Cadence):
    """Calls Keras callbacks as `fit` or `Model.evaluate` would.

    Args:
        model: The program.
        callbacks: The callbacks.
        kind: 'train' or 'test'.
    """

    def __init__(
        self, model: model_program.ModelProgram, callbacks: Sequence[Any], kind: str
    ) -> None:
        Cadence.__init__(self, self)
        self._kind = kind
        self._loss = model.spec.loss
        self._model = keras_model.ProgramModel(model)
        self._list = keras.callbacks.CallbackList(
            list(callbacks), add_history=False, add_progbar=False, model=self._model
        )
        self._sees_batches = any(_sees_batches(callback, kind) for callback in callbacks)
        self._batch = 0
        self._logs: dict[str, Any] = {}

    def steps_until_due(self, global_step: int) -> int:
        """None where a callback has a batch method, all otherwise."""
        return 0 if self._sees_batches else stock_hooks.UNLIMITED

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Counts unobserved batches."""
        self._batch += steps
        self._logs = {"loss": _plain(loss)}

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Begins."""
        del session, coord
        self._call("begin", {})
        if self._kind == "train":
            self._list.on_epoch_begin(0, {})

    def before_run(self, run_context: Any) -> Any:
        """Begins a batch."""
        del run_context
        self._call("batch_begin", self._batch, {})
        return _train.SessionRunArgs(self._loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Ends a batch, and training if a callback wants it."""
        self._logs = {"loss": _plain(run_values.results)}
        self._call("batch_end", self._batch, self._logs)
        self._batch += 1
        if self._model.stop_training:
            run_context.request_stop()

    def end(self, session: Any) -> None:
        """Ends."""
        del session
        if self._kind == "train":
            self._list.on_epoch_end(0, self._logs)
        self._call("end", self._logs)

    def _call(self, event: str, *args: Any) -> None:
        getattr(self._list, f"on_{self._kind}_{event}")(*args)


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


def _sees_batches(callback: Any, kind: str) -> bool:
    base = keras.callbacks.Callback
    return any(
        # An instance may have the method, too, as LambdaCallback sets it.
        method in vars(callback) or getattr(type(callback), method) is not getattr(base, method)
        for method in _BATCH_METHODS[kind]
    )


def _plain(loss: Any) -> Any:
    return None if loss is None else float(np.mean(loss))
