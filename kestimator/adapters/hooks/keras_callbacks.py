"""Keras callbacks as hooks of the loop.

Synopsis::

    check(callbacks, model, are_evaluated=False)      # refuses what cannot work, before training
    hook = CallbacksHook(model, callbacks, loss, "train", params={"steps": 100})

For a callback, a call of `train` is one epoch. In `train_and_evaluate`, each evaluation ends an
epoch. Most callbacks have no batch methods, and the loop stays on the device between epochs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.hooks import stock_hooks
from kestimator.engine.keras_internals import keras_objects
from kestimator.engine.runs.cadence import Cadence
from kestimator.engine.tf_internals import tf_summaries
from kestimator.engine.tracing import execution_modes

_train: Any = tf.compat.v1.train
_keras: Any = keras.callbacks
_BATCH_METHODS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
}
_USE_CHECKPOINTS = (
    "The estimator saves checkpoints to `model_dir` and continues from them by itself: remove the "
    "callback, and set `save_checkpoints_steps` or `save_checkpoints_secs` of the RunConfig."
)
_REFUSED = {
    "BackupAndRestore": _USE_CHECKPOINTS,
    "OrbaxCheckpoint": _USE_CHECKPOINTS,
    "SwapEMAWeights": (
        "With `use_ema=True`, the averages replace the weights when training ends, as after `fit`: "
        "remove the callback."
    ),
}
_READERS = (
    *(_keras.CSVLogger, _keras.History, _keras.ModelCheckpoint, _keras.ProgbarLogger),
    *(_keras.RemoteMonitor, _keras.TensorBoard, _keras.TerminateOnNaN),
)
"""Callbacks that set no variables. After all others, the last checkpoint is saved again."""
_SET_THE_LEARNING_RATE = ("LearningRateScheduler", "ReduceLROnPlateau")


class EvaluatedCallbacks(list[Any]):
    """Callbacks of a call of `train` whose epochs end with evaluations.

    Attributes:
        hook: The hook that calls them; None before training begins.
        on_end: What to do after the callbacks' last call.
    """

    hook: CallbacksHook | None = None
    on_end: Callable[[], None] = staticmethod(lambda: None)

    def end_epoch(self, metrics: Mapping[str, Any]) -> bool:
        """Ends an epoch with the metrics of an evaluation; returns whether to stop training."""
        return self.hook is not None and self.hook.end_epoch(metrics)

    def end(self) -> None:
        """Ends training."""
        if self.hook is not None:
            self.hook.end_training()
            self.on_end()


class CallbacksHook(_train.SessionRunHook, Cadence):
    """Calls Keras callbacks as `fit` or `Model.evaluate` would.

    As under `fit`, the loss in `logs` is the mean of the epoch so far, with batches weighted
    equally.

    Args:
        model: The program as a Keras model.
        callbacks: The callbacks.
        loss: The loss of a step.
        kind: 'train' or 'test'.
        params: What Keras calls the parameters of a callback: `steps`, `epochs`, `verbose`.
        after_events: Called after callbacks, which may have set variables.

    Attributes:
        may_set_variables: Whether one of the callbacks may set variables.
    """

    sums_losses = True

    def __init__(
        self,
        model: keras.Model,
        callbacks: Sequence[Any],
        loss: tf.Tensor,
        kind: str,
        params: Mapping[str, Any],
        after_events: Callable[[], None] = lambda: None,
    ) -> None:
        Cadence.__init__(self, self)
        self._model = model
        self._kind = kind
        self._loss = loss
        self._after_events = after_events
        self._ends_by_itself = not isinstance(callbacks, EvaluatedCallbacks)
        self.may_set_variables = any(type(callback) not in _READERS for callback in callbacks)
        self._sees_batches = any(_sees_batches(callback, kind) for callback in callbacks)
        self._writes_model = any(
            isinstance(callback, _keras.ModelCheckpoint) and not callback.save_weights_only
            for callback in callbacks
        )
        self._summaries: dict[str, Any] = {}
        self._epoch = self._batch = self._steps = 0
        self._epoch_is_open = False
        self._loss_sum = 0.0
        self._last_logs: dict[str, float] = {}
        with execution_modes.outside():
            self._list = _keras.CallbackList(
                list(callbacks), add_history=False, add_progbar=False, model=model, **params
            )

    def steps_until_due(self, global_step: int) -> int:
        """None where a callback has a batch method or wants to stop, all otherwise."""
        return 0 if self._sees_batches or self._model.stop_training else stock_hooks.UNLIMITED

    def before_steps(self) -> None:
        """Begins an epoch, unless one has begun."""
        if self._kind == "train" and not self._epoch_is_open:
            self._epoch_is_open = True
            self._batch = 0
            with self._calling():
                self._list.on_epoch_begin(self._epoch, {})

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Counts unobserved batches."""
        self._batch += steps

    def summed(self, steps: int, loss_sum: float) -> None:
        """Adds the losses of unobserved batches."""
        self._steps += steps
        self._loss_sum += loss_sum

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Begins, if the callbacks can write what they want to write."""
        del session, coord
        if self._writes_model:
            self._model.check_that_it_can_be_saved()
        self._call("begin", {})

    def before_run(self, run_context: Any) -> Any:
        """Begins a batch."""
        del run_context
        if self._sees_batches:
            self._call("batch_begin", self._batch, {})
        return _train.SessionRunArgs(self._loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Ends a batch, and training if a callback wants it."""
        self.summed(1, float(np.mean(run_values.results)))
        if self._sees_batches:
            self._call("batch_end", self._batch, self._logs())
        self._batch += 1
        if self._model.stop_training:
            run_context.request_stop()

    def end(self, session: Any) -> None:
        """Ends the epoch, unless an evaluation ends it."""
        del session
        if self._kind == "train" and self._ends_by_itself:
            self.end_epoch({})

    def last_hook(self, after: Callable[[], None]) -> Any:
        """The hook that ends training: other hooks may change weights after the epoch.

        Args:
            after: Called after the callbacks' last calls, if they may have set variables.
        """

        def end() -> None:
            if self._ends_by_itself:
                self.end_training()
                if self.may_set_variables:
                    after()

        return _LastHook(end)

    def end_epoch(self, metrics: Mapping[str, Any]) -> bool:
        """Ends an epoch, if one has begun, and returns whether to stop training.

        Args:
            metrics: The metrics of its evaluation, by their names in `logs`.
        """
        if self._epoch_is_open:
            self._last_logs = {**self._logs(), **_plain(metrics)}
            with self._calling():
                self._list.on_epoch_end(self._epoch, self._last_logs)
            self._epoch += 1
            self._epoch_is_open, self._steps, self._loss_sum = False, 0, 0.0
        return bool(self._model.stop_training)

    def end_training(self) -> None:
        """Ends training, with the logs of the last epoch."""
        self._call("end", self._last_logs)

    def end_evaluation(self, metrics: Mapping[str, Any]) -> None:
        """Ends an evaluation with its metrics."""
        self._call("end", _plain(metrics))

    def _logs(self) -> dict[str, float]:
        return {"loss": self._loss_sum / self._steps} if self._steps else {}

    def _call(self, event: str, *args: Any) -> None:
        with self._calling():
            getattr(self._list, f"on_{self._kind}_{event}")(*args)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        """The surroundings of callbacks: eager execution, and default writers of their own."""
        with execution_modes.outside(), tf_summaries.summary_state(self._summaries):
            yield
        self._after_events()


class _LastHook(_train.SessionRunHook, Cadence):
    """Calls a function at the end of the run.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        Cadence.__init__(self, self)
        self._function = function

    def steps_until_due(self, global_step: int) -> int:
        """All steps."""
        return stock_hooks.UNLIMITED

    def end(self, session: Any) -> None:
        """Calls the function."""
        del session
        self._function()


def hook_for_averages(optimizer: Any, after: Callable[[], None]) -> list[Any]:
    """The hook with which averages of `use_ema` replace the weights at the end, as after `fit`.

    Args:
        optimizer: The Keras optimizer of the program, or None.
        after: Called after the weights have changed.
    """
    if optimizer is None or not keras_objects.averaged_variables(optimizer):
        return []

    def take_over() -> None:
        with execution_modes.outside():
            optimizer.finalize_variable_values(keras_objects.averaged_variables(optimizer))
        after()

    return [_LastHook(take_over)]


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


def check(callbacks: Iterable[Any], model: Any, *, are_evaluated: bool) -> None:
    """Checks that callbacks can do their work in training.

    Args:
        callbacks: The callbacks.
        model: The program as a Keras model.
        are_evaluated: Whether evaluations end epochs, as in `train_and_evaluate`.

    Raises:
        errors.ArgumentError: One of them cannot; the error says what to use instead.
    """
    for callback in callbacks:
        reason = _reason_to_refuse(callback, model, are_evaluated)
        if reason:
            raise errors.ArgumentError(
                f"The callback {type(callback).__name__} in `callbacks` cannot be used here. "
                f"{reason}"
            )


def _reason_to_refuse(callback: Any, model: Any, are_evaluated: bool) -> str | None:
    for name, reason in _REFUSED.items():
        if isinstance(callback, getattr(_keras, name, ())):
            return reason
    if model.optimizer is None and _is_any(callback, _SET_THE_LEARNING_RATE):
        return (
            "It sets the learning rate of a Keras optimizer, and this model has none. Return one "
            "from the model_fn, EstimatorSpec(train_op=keras.optimizers.SGD(0.1)), or compute the "
            "learning rate in the graph, for example with tf.compat.v1.train.exponential_decay."
        )
    restores = isinstance(callback, _keras.EarlyStopping) and callback.restore_best_weights
    if are_evaluated and restores:
        return (
            "Its `restore_best_weights=True` would set weights that no checkpoint has, after the "
            "last evaluation. Pass restore_best_weights=False, and keep the best model with a "
            "kestimator.BestExporter in `EvalSpec(exporters=...)`."
        )
    looks_at_layers = isinstance(callback, _keras.TensorBoard) and (
        callback.histogram_freq or callback.embeddings_freq
    )
    if looks_at_layers and not model.layers:
        return (
            "Its `histogram_freq` and `embeddings_freq` need layers, and the model_fn names no "
            "Keras model in EstimatorSpec(keras_model=...). Pass 0, and call tf.summary.histogram "
            "in the model_fn."
        )
    return None


def _is_any(callback: Any, names: Iterable[str]) -> bool:
    return any(isinstance(callback, getattr(_keras, name)) for name in names)


def stops_at_nan(callbacks: Iterable[Any] | None) -> bool:
    """Whether one of the callbacks ends training without an error when the loss is NaN."""
    return any(isinstance(callback, _keras.TerminateOnNaN) for callback in callbacks or ())


def _sees_batches(callback: Any, kind: str) -> bool:
    # These have batch methods that do nothing as long as they are told to work by epochs.
    if isinstance(callback, _keras.ModelCheckpoint) and callback.save_freq == "epoch":
        return False
    if type(callback) is _keras.TensorBoard and callback.update_freq == "epoch":
        return bool(callback.write_steps_per_second) or keras_objects.profiles_batches(callback)
    return any(
        # An instance may have the method, too, as LambdaCallback sets it.
        method in vars(callback)
        or getattr(type(callback), method) is not getattr(_keras.Callback, method)
        for method in _BATCH_METHODS[kind]
    )


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are numbers, as floats."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number)
    }
