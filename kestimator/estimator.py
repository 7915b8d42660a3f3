"""The Estimator: a model_fn that trains, evaluates, predicts and exports.

Synopsis::

    def model_fn(features, labels, mode):
        ...
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = kestimator.Estimator(model_fn, model_dir="/tmp/model")
    estimator.train(input_fn, max_steps=1000)
    metrics = estimator.evaluate(eval_input_fn)

This module checks arguments and orders the calls; `kestimator.runtime` and the engine do the work.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors, logs, preemption, specs
from kestimator._types import Hooks, InputFn, ModelFn, ServingInputReceiverFn
from kestimator.adapters.hooks import keras_callbacks
from kestimator.adapters.hooks import progress as _progress
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_files as _checkpoint_files
from kestimator.engine.checkpoints import damaged_checkpoints
from kestimator.engine.keras_internals import plain_graphs as _plain_graphs
from kestimator.keys import ModeKeys
from kestimator.runtime import (
    arguments,
    callback_hooks,
    evaluation,
    export_request,
    exporting,
    keras_export,
    prediction,
    programs,
    shadowing,
    training,
    warm_start,
)
from kestimator.runtime.export_request import ExportRequest
from kestimator.runtime.state import EstimatorState
from kestimator.validation import checks, kinds, signatures

_v1 = tf.compat.v1


class Estimator:
    """Trains, evaluates, predicts and exports a model that a `model_fn` describes.

    Everything is stored in `model_dir`: checkpoints with the names of tf.estimator 2.15, event
    files, the graph. A second estimator over the same directory resumes from there.

    A `model_fn` is traced once for each mode and input spec. A second `evaluate` or `predict`
    builds nothing, and reads a checkpoint only if the variables hold another one.

    Threads may share an estimator. Each predicts, evaluates and exports the checkpoint that it
    asks for, even while one of them trains.

    Example:
        >>> def model_fn(features, labels, mode):
        ...     w = tf.compat.v1.get_variable("w", [1, 1])
        ...     predictions = features["x"] @ w
        ...     if mode == kestimator.ModeKeys.PREDICT:
        ...         return kestimator.EstimatorSpec(mode, predictions={"y": predictions})
        ...     loss = tf.reduce_mean((predictions - labels) ** 2)
        ...     train_op = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(
        ...         loss, global_step=tf.compat.v1.train.get_global_step())
        ...     return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    Args:
        model_fn: Called with `features` and, if it takes them, `labels`, `mode`, `params` and
            `config`; returns an `EstimatorSpec`.
        model_dir: The directory of checkpoints and events. By default that of `config`, else a
            new temporary directory.
        config: A `RunConfig`.
        params: Hyperparameters, of any type; every call of `model_fn` gets a copy.
        warm_start_from: The source of initial values if `model_dir` has no checkpoint: a
            checkpoint, a directory, a SavedModel, a `.keras` or `.weights.h5` file with the layer
            names of `to_keras`, or `WarmStartSettings`.

    Raises:
        ValueError: `model_fn` cannot be called with the arguments that an Estimator passes;
            `params` is given, but `model_fn` does not take it; `model_dir` differs from that of
            `config`; a subclass redefines a member; `warm_start_from` does not exist.
    """

    def __init__(
        self,
        model_fn: ModelFn,
        model_dir: str | os.PathLike[str] | None = None,
        config: RunConfig | None = None,
        params: Any = None,
        warm_start_from: str | bytes | specs.WarmStartSettings | None = None,
    ) -> None:
        self._assert_members_are_not_overridden()
        signatures.check_model_fn(model_fn, params)
        self._config = arguments.resolved_config(config, model_dir)
        logs.info("Using config: %s", self._config)
        self._params = arguments.copied_params(params)
        self._warm_start = warm_start.settings_from(warm_start_from)
        warm_start.check_source(self._warm_start, self.model_dir)
        self._state = EstimatorState(model_fn, self._params, self._config, self._warm_start)

    @property
    def config(self) -> RunConfig:
        """A copy of the configuration."""
        return copy.deepcopy(self._config)

    @property
    def model_dir(self) -> str:
        """The directory of checkpoints and events."""
        return str(self._config.model_dir)

    @property
    def params(self) -> Any:
        """A copy of the hyperparameters."""
        return copy.deepcopy(self._params)

    @property
    def model_fn(self) -> Callable[..., specs.EstimatorSpec]:
        """The model_fn bound to `params`: `(features, labels, mode, config) -> EstimatorSpec`."""

        def public_model_fn(
            features: Any, labels: Any, mode: str, config: RunConfig
        ) -> specs.EstimatorSpec:
            # Called in a plain graph, where nothing else keeps metrics out of checkpoints.
            with _plain_graphs.metrics_are_local():
                return programs.call_model_fn(
                    self._state, features, labels, mode, config, is_served=True
                )

        return public_model_fn

    def train(
        self,
        input_fn: InputFn,
        hooks: Hooks | None = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Iterable[Any] | None = None,
        *,
        callbacks: Sequence[Any] | None = None,
        verbose: int | str = "auto",
    ) -> Estimator:
        """Trains from the latest checkpoint of `model_dir`, or from the start.

        Args:
            input_fn: Returns the data: a `tf.data.Dataset` or tensors, of `(features, labels)` or
                only of features.
            hooks: `SessionRunHook`s that observe the steps.
            steps: The number of steps to train.
            max_steps: The global step to train up to; nothing happens if it is already reached.
            saving_listeners: `CheckpointSaverListener`s to call around each checkpoint.
            callbacks: Keras callbacks.
            verbose: 1 shows a progress bar, 0 shows none, 'auto' shows one on a terminal.

        Returns:
            The estimator itself.

        Raises:
            ValueError: `steps` and `max_steps` are both given, or not positive.
            TypeError: An element of `hooks` or `saving_listeners` has another type.
            errors.BusyError: Another call of `train` is running: in another thread, or in this
                one, if its hook, listener or input_fn made this call.
            tf.compat.v1.train.NanLossDuringTrainingError: The loss became NaN.
            errors.GlobalStepError: Neither the train op nor a hook advances the global step.
        """
        self._state.convention.check_run(input_fn, ModeKeys.TRAIN)
        steps, max_steps = arguments.checked_steps(steps, max_steps)
        arguments.check_trains(self._config)
        self._check_mode(ModeKeys.TRAIN)
        self._state.distribution.check()
        arguments.check_trains_together(self._config, self._state.distribution.workers)
        train_hooks = list(checks.checked_hooks("hooks", hooks))
        listeners = list(checks.checked_listeners(saving_listeners))
        keras_callbacks.check_callbacks(callbacks)
        _progress.check_verbose(verbose)
        with self._state.claimed():
            self._train(input_fn, train_hooks, steps, max_steps, listeners, callbacks, verbose)
        return self

    def _train(
        self,
        input_fn: InputFn,
        train_hooks: list[Any],
        steps: int | None,
        max_steps: int | None,
        listeners: list[Any],
        callbacks: Sequence[Any] | None,
        verbose: int | str,
    ) -> None:
        """Trains, with arguments that have been checked."""
        if self._config.on_corrupt_checkpoint == "previous" and self._state.is_chief:
            damaged_checkpoints.drop_damaged(self.model_dir)
        start = self._state.distribution.of_chief(self._latest_global_step())
        if max_steps is not None and start >= max_steps:
            logs.warning(
                "Skipping training: %s has already been trained to step %d, and max_steps is %d. "
                "Raise max_steps, or train in another model_dir.",
                self.model_dir,
                start,
                max_steps,
            )
            return
        if steps is not None or max_steps is not None:
            # `steps` counts from the global step that the hook finds, `max_steps` from 0.
            train_hooks.append(_v1.train.StopAtStepHook(num_steps=steps, last_step=max_steps))
        batches = programs.open_input(self._state, input_fn, ModeKeys.TRAIN)
        planned = steps if max_steps is None else max_steps - start
        with self._state.tracker.lock:
            model = programs.program(self._state, ModeKeys.TRAIN, batches)
            progress = _progress.progress_hooks(
                model.spec.loss, verbose, planned, self._state.evaluations
            )
            observer = callback_hooks.training_hook(
                self._state,
                model,
                callbacks,
                steps=planned,
                verbose=int(_progress.shows_progress(verbose)),
                export=self.export_keras,
            )
        with _progress.on_screen(progress), preemption.deferred():
            training.train(
                self._state,
                model,
                batches,
                [*train_hooks, *progress],
                listeners,
                observer,
                planned=planned,
                fails_at_nan=not keras_callbacks.stops_at_nan(callbacks),
            )

    def evaluate(
        self,
        input_fn: InputFn,
        steps: int | None = None,
        hooks: Hooks | None = None,
        checkpoint_path: str | None = None,
        name: str | None = None,
        *,
        callbacks: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Evaluates a checkpoint on all data of `input_fn`, or on `steps` batches.

        Args:
            input_fn: Returns the data.
            steps: How many batches to use; None uses all data.
            hooks: `SessionRunHook`s that observe the steps.
            checkpoint_path: The checkpoint; by default the latest. If there is none, the initial
                values are evaluated.
            name: Distinguishes evaluations: events go to `eval_<name>`.
            callbacks: Keras callbacks.

        Returns:
            The metrics by name in sorted order, including `loss` (the mean over batches), and
            `global_step` last. The values are numpy scalars, and arrays if a metric is one.

        Raises:
            ValueError: `steps` is not positive; `steps` is None and the data has no end;
                `checkpoint_path` does not exist.
            errors.MissingVariableError: The checkpoint lacks a variable of the model.
        """
        self._state.convention.check_run(input_fn, ModeKeys.EVAL)
        self._check_mode(ModeKeys.EVAL)
        steps = arguments.checked_limit("steps", steps)
        checks.check_name("name", name)
        keras_callbacks.check_callbacks(callbacks)
        eval_hooks = list(checks.checked_hooks("hooks", hooks))
        # Before the input is opened, so that a wrong path is an immediate error.
        path = self._checkpoint(checkpoint_path)
        batches = programs.open_input(self._state, input_fn, ModeKeys.EVAL)
        with self._state.tracker.lock:
            path = self._still(path, checkpoint_path)
            model = programs.program(self._state, ModeKeys.EVAL, batches)
            observer = callback_hooks.evaluation_hook(
                self._state, model, callbacks, steps=steps, export=self.export_keras
            )
            observers = [] if observer is None else [observer]
            all_hooks = [*eval_hooks, *model.spec.evaluation_hooks, *observers]
            with self._state.tracker.borrowed(model, path):
                values = evaluation.evaluate(self._state, model, batches, path, steps, all_hooks)
                if observer is not None:
                    observer.end_evaluation(values)
        self._state.evaluations.write(self.eval_dir(name), values, path)
        listed = ", ".join(f"{key} = {values[key]!s}" for key in sorted(values))
        logs.info("Saving dict for global step %d: %s", values["global_step"], listed)
        if path is not None:
            logs.info(
                "Saving 'checkpoint_path' summary for global step %d: %s",
                values["global_step"],
                path,
            )
        return values

    def predict(
        self,
        input_fn: InputFn,
        predict_keys: Any = None,
        hooks: Hooks | None = None,
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[Any]:
        """Predicts, one example at a time.

        The arguments are checked immediately. The first `next` opens the data and the model.

        Args:
            input_fn: Returns features; labels are dropped.
            predict_keys: The predictions to yield, as keys of the dict that `model_fn` returns.
            hooks: `SessionRunHook`s that observe the steps.
            checkpoint_path: The checkpoint; by default the latest.
            yield_single_examples: False yields whole batches.

        Returns:
            A generator of dicts of numpy values (or of arrays, if `predictions` is a tensor).

        Raises:
            ValueError: `checkpoint_path` does not exist; no prediction has a key of
                `predict_keys`; batch sizes differ between predictions.
        """
        self._state.convention.check_run(input_fn, ModeKeys.PREDICT)
        self._check_mode(ModeKeys.PREDICT)
        predict_hooks = list(checks.checked_hooks("hooks", hooks))
        if predict_keys is not None:
            kinds.checked_instance(
                "predict_keys", predict_keys, Iterable, "a list of keys, or None"
            )
        yields_rows = kinds.checked_flag("yield_single_examples", yield_single_examples)
        path = self._checkpoint(checkpoint_path)
        return prediction.predict(
            self._state,
            input_fn,
            predict_keys,
            predict_hooks,
            lambda: self._still(path, checkpoint_path),
            yields_rows,
        )

    def export_saved_model(
        self,
        export_dir_base: str | bytes | os.PathLike[str],
        serving_input_receiver_fn: ServingInputReceiverFn,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        checkpoint_path: str | None = None,
        experimental_mode: str = ModeKeys.PREDICT,
    ) -> bytes:
        """Exports the model for serving, as a SavedModel with a signature for each output.

        Loading the export only needs TensorFlow, and none of the files that it was made from.

        Args:
            export_dir_base: The parent of the new directory, whose name is a timestamp in seconds.
            serving_input_receiver_fn: Creates the placeholders of requests and the features made
                of them; see `kestimator.export`.
            assets_extra: Files to add, as a dict from paths below the export's `assets.extra`
                to the paths of the sources.
            as_text: Whether to write `saved_model.pbtxt`, for people to read.
            checkpoint_path: The checkpoint to export; by default the latest. If there is none, the
                values of the warm start are exported.
            experimental_mode: The mode to export, one of `ModeKeys`; see
                `experimental_export_all_saved_models`.

        Returns:
            The path of the export's directory.

        Raises:
            ValueError: There is no checkpoint and no warm start; there is no receiver function; a
                path of `assets_extra` leads out of the export.
            errors.MissingVariableError: The checkpoint lacks a variable of the model.
        """
        receiver_fns = export_request.checked_mode(experimental_mode, serving_input_receiver_fn)
        request = export_request.checked_request(
            export_dir_base, receiver_fns, assets_extra, as_text
        )
        return self._export(request, checkpoint_path)

    def experimental_export_all_saved_models(
        self,
        export_dir_base: str | bytes | os.PathLike[str],
        input_receiver_fn_map: Mapping[str, ServingInputReceiverFn],
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        checkpoint_path: str | None = None,
    ) -> bytes:
        """Exports the graphs of several modes over one set of variables, as one SavedModel.

        A loader finds them by the tags "train", "eval" and "serve". The first two have one
        signature with the name of the mode: the loss, the predictions and the metrics. The train
        op is in the collection "saved_model_train_op". `SavedModelEstimator` can continue with
        the export, without the model_fn.

        Example:
            >>> supervised_fn = kestimator.export.build_raw_supervised_input_receiver_fn(
            ...     {"x": tf.zeros([1, 1])}, tf.zeros([1, 1], tf.int64))
            >>> modes = kestimator.ModeKeys
            >>> path = estimator.train(input_fn).experimental_export_all_saved_models(
            ...     estimator.model_dir,
            ...     {
            ...         modes.TRAIN: supervised_fn,
            ...         modes.EVAL: supervised_fn,
            ...         modes.PREDICT: receiver_fn,
            ...     },
            ... )

        Args:
            export_dir_base: The parent of the new directory, whose name is a timestamp in seconds.
            input_receiver_fn_map: Receiver functions by mode, for one mode or more. Those for
                TRAIN and EVAL also return labels; see `kestimator.export`. The first given mode
                of TRAIN, EVAL and PREDICT decides which variables are written.
            assets_extra: As for `export_saved_model`.
            as_text: As for `export_saved_model`.
            checkpoint_path: As for `export_saved_model`.

        Returns:
            The path of the export's directory.

        Raises:
            ValueError: There is no checkpoint and no warm start; the map is empty or has a key
                that is not a mode.
            errors.MissingVariableError: The checkpoint lacks a variable of the model.
        """
        receiver_fns = export_request.checked_modes(input_receiver_fn_map)
        request = export_request.checked_request(
            export_dir_base, receiver_fns, assets_extra, as_text
        )
        return self._export(request, checkpoint_path)

    def _export(self, request: ExportRequest, checkpoint_path: str | None) -> bytes:
        self._state.convention.check_export()
        for mode in request.receiver_fns:
            self._check_mode(mode)
        with self._state.tracker.lock:  # so that training deletes no checkpoint
            path = self._checkpoint_to_export(checkpoint_path)
            exported = exporting.export_saved_model(self._state, request, path)
        logs.info("SavedModel written to: %s", os.fsdecode(exported))
        return exported

    def export_savedmodel(
        self,
        export_dir_base: str | bytes | os.PathLike[str],
        serving_input_receiver_fn: ServingInputReceiverFn,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        checkpoint_path: str | None = None,
        strip_default_attrs: bool = True,
    ) -> bytes:
        """The old name of `export_saved_model`.

        Args:
            export_dir_base: As for `export_saved_model`.
            serving_input_receiver_fn: As for `export_saved_model`.
            assets_extra: As for `export_saved_model`.
            as_text: As for `export_saved_model`.
            checkpoint_path: As for `export_saved_model`.
            strip_default_attrs: Ignored: default attributes are always left out, so that older
                versions of TensorFlow can load the export.

        Returns:
            As for `export_saved_model`.
        """
        del strip_default_attrs
        return self.export_saved_model(
            export_dir_base, serving_input_receiver_fn, assets_extra, as_text, checkpoint_path
        )

    def export_keras(
        self,
        path: str | os.PathLike[str],
        checkpoint_path: str | None = None,
        *,
        input_fn: InputFn | None = None,
    ) -> str:
        """Writes the trained Keras model, or the weights of any model, to a file.

        A `.keras` file holds the model that the estimator was made from (`model_to_estimator`), the
        model of a canned estimator, or the one that a model_fn names in
        `EstimatorSpec(keras_model=...)`. If that is compiled, the file has its optimizer's state.

        A `.weights.h5` file holds the weights of such a model, for its `load_weights`. For any
        other model_fn, the variables of a scope are stored like those of a layer.
        `warm_start_from` accepts both.

        Example:
            >>> import keras
            >>> def model_fn(features, labels, mode):
            ...     model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
            ...     y = model(features["x"])
            ...     loss = tf.reduce_mean((y - tf.cast(labels, y.dtype)) ** 2)
            ...     return kestimator.EstimatorSpec(
            ...         mode, {"y": y}, loss, keras.optimizers.SGD(0.1), keras_model=model)
            >>> estimator = kestimator.Estimator(model_fn).train(input_fn, steps=2)
            >>> path = estimator.export_keras(f"{estimator.model_dir}/trained.keras")
            >>> keras.models.load_model(path).count_params()
            2

        Args:
            path: The file; its ending decides what is written. An existing file is replaced.
            checkpoint_path: The checkpoint; by default the latest.
            input_fn: Returns data, for a model_fn that was not called yet and needs features.

        Returns:
            The path.

        Raises:
            ValueError: `path` has another ending or is a directory; there is no checkpoint, or no
                Keras model to write.
        """
        target = keras_export.checked_target(path)
        if input_fn is not None:
            self._state.convention.check_run(input_fn, ModeKeys.PREDICT)
        make_model = getattr(self, "to_keras", None)
        with self._state.tracker.lock:  # so that training deletes no checkpoint
            checkpoint = self._checkpoint(checkpoint_path) or self._trained()
            return keras_export.write(
                target,
                checkpoint,
                make_model,
                lambda: exporting.keras_model(self._state, checkpoint, input_fn),
            )

    def eval_dir(self, name: str | None = None) -> str:
        """Returns the directory in which evaluations called `name` write events.

        Raises:
            ValueError: `name` leads out of `model_dir`.
            TypeError: `name` is not a string.
        """
        checks.check_name("name", name)
        return os.path.join(self.model_dir, f"eval_{name}" if name else "eval")

    def latest_checkpoint(self) -> str | None:
        """Returns the path of the newest checkpoint, or None."""
        return _checkpoint_files.latest_checkpoint(self.model_dir)

    def get_variable_names(self) -> list[str]:
        """Returns the sorted names of all variables in the latest checkpoint.

        Raises:
            ValueError: There is no checkpoint.
        """
        return _checkpoint_files.names(self._trained())

    def get_variable_value(self, name: str) -> np.ndarray:
        """Returns the value of a variable in the latest checkpoint.

        Raises:
            ValueError: There is no checkpoint.
            errors.MissingVariableError: The checkpoint has no such variable.
        """
        kinds.checked_text("name", name, "one of get_variable_names()")
        path = self._trained()
        names = _checkpoint_files.names(path)
        if name.removesuffix(":0") not in names:
            expected = f"a variable of the checkpoint {path!r}, which has {names}"
            raise errors.MissingVariableError(errors.invalid_argument("name", name, expected))
        value: np.ndarray = _checkpoint_files.value(path, name)
        return value

    def _check_mode(self, mode: str) -> None:
        """Does nothing; a subclass may refuse a mode that it cannot run."""

    # Libraries on tf.estimator use these names, so they are as fixed as public ones.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        shadowing.keep_attributes(cls, Estimator, arguments.ATTRIBUTES)

    def _assert_members_are_not_overridden(self) -> None:
        """Refuses a subclass that redefines members; a subclass may redefine this, too."""
        arguments.refuse_overrides(type(self), Estimator)

    @property
    def _model_fn(self) -> ModelFn:
        """The model_fn as it was passed. A new one is used from the next call on."""
        return self._state.model_fn

    @_model_fn.setter
    def _model_fn(self, model_fn: ModelFn) -> None:
        signatures.check_model_fn(model_fn, self._params)
        self._state.replace_model_fn(model_fn)

    @property
    def _model_dir(self) -> str:
        return self.model_dir

    @property
    def _session_config(self) -> Any:
        return self._config.session_config

    def _create_and_assert_global_step(self, graph: tf.Graph) -> Any:
        """Creates the global step in a graph of the caller's."""
        return tf.compat.v1.train.create_global_step(graph)

    def _trained(self) -> str:
        path = self.latest_checkpoint()
        if path is None:
            raise errors.CheckpointNotFoundError(
                f"Could not find a trained model in model_dir: {self.model_dir!r}. Train first."
            )
        return path

    def _checkpoint(self, checkpoint_path: str | None) -> str | None:
        # An empty path means the latest checkpoint, as in tf.estimator.
        if checkpoint_path is None or not (
            path := checks.checked_path("checkpoint_path", checkpoint_path)
        ):
            return self.latest_checkpoint()
        if not _checkpoint_files.is_whole(path):
            raise errors.CheckpointNotFoundError(
                errors.invalid_argument(
                    "checkpoint_path",
                    path,
                    "the prefix of a checkpoint, such as 'model_dir/model.ckpt-100'",
                    "Leave it out to use the latest checkpoint of `model_dir`.",
                )
            )
        return path

    def _still(self, path: str | None, checkpoint_path: str | None) -> str | None:
        """Returns the checkpoint to use, once the lock is held.

        In the meantime, training in another thread may have written the first checkpoint, or
        deleted the one that was the latest. While the lock is held, it does neither.

        Args:
            path: The path that was found for `checkpoint_path`.
            checkpoint_path: The argument of the user.
        """
        if checkpoint_path or self._state.tracker.was_read_from(path):
            return path
        if path is not None and _checkpoint_files.is_whole(path):
            return path
        return self.latest_checkpoint()

    def _latest_global_step(self) -> int:
        path = self.latest_checkpoint()
        return 0 if path is None else _checkpoint_files.global_step_of(path)

    def _checkpoint_to_export(self, checkpoint_path: str | None) -> str | None:
        """Returns the checkpoint to export; None for the values of a partial warm start."""
        path = self._checkpoint(checkpoint_path)
        if path is not None:
            return path
        if self._warm_start is None:
            raise errors.CheckpointNotFoundError(
                f"Couldn't find trained model at {self.model_dir!r}: there is no checkpoint to "
                "export. Train first, or pass `checkpoint_path`."
            )
        return warm_start.whole_checkpoint(self._warm_start)


def state_of(estimator: Estimator) -> EstimatorState:
    """Returns the state of an Estimator, for modules above this one and for tests.

    Not public: the content of the state changes between versions.
    """
    return estimator._state
