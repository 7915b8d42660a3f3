"""The runtime of an Estimator: its variables, its programs, and the runs over them.

Synopsis::

    runtime = Runtime(model_fn, params, config, warm_start=None)
    batches = runtime.open_input(input_fn, ModeKeys.TRAIN)
    model = runtime.program(ModeKeys.TRAIN, batches)
    loss = runtime.train(model, batches, hooks, listeners)

`Estimator` checks arguments and says what is called in which order; here it is done. Several
threads may call at once: who traces or touches the variables holds `memory.lock` meanwhile.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors, export, inputs, specs
from kestimator._types import InputFn, ModelFn, ServingInputReceiverFn
from kestimator.adapters.hooks import automatic_hooks, event_files, stock_hooks
from kestimator.adapters.optimizers import canned_optimizers, train_ops
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_files, checkpoint_tracker, keras_writing
from kestimator.engine.programs import distribution, model_program, tf2_summaries
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import device_loop, predictions
from kestimator.engine.runs import runner as _runner
from kestimator.engine.runs import session as _session
from kestimator.engine.saved_models import saved_model
from kestimator.engine.variables import variable_store
from kestimator.keys import ModeKeys
from kestimator.runtime import warm_start
from kestimator.validation import keras2
from kestimator.validation import signatures as _signatures

_v1 = tf.compat.v1
_logger = logging.getLogger("kestimator")


class Runtime:
    """What an Estimator keeps between calls, and runs.

    Args:
        model_fn: The model_fn.
        params: Its hyperparameters; every call gets a copy.
        config: The configuration, with its `model_dir`.
        warm_start_settings: Where variables start if there is no checkpoint.

    Attributes:
        config: The configuration.
        warm_start_settings: Where variables start if there is no checkpoint.
        store: The variables, shared by all programs.
        memory: Which checkpoint the variables hold.
        distribution: The replicas that train.
        programs: The traced programs, by mode and input spec.
        evaluations: The results of evaluations.
    """

    def __init__(
        self,
        model_fn: ModelFn,
        params: Any,
        config: RunConfig,
        warm_start_settings: specs.WarmStartSettings | None,
    ) -> None:
        self._model_fn = model_fn
        self._params = params
        self.warm_start_settings = warm_start_settings
        self.config = config
        self.store = variable_store.VariableStore()
        self.memory = checkpoint_tracker.Memory(self.store)
        self.distribution = distribution.of(config.train_distribute)
        self.programs: dict[Any, model_program.ModelProgram] = {}
        self.evaluations = event_files.EvaluationLog()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, by `copy` or by pickle, is made anew: it has read and traced nothing yet."""
        return Runtime, (self._model_fn, self._params, self.config, self.warm_start_settings)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keeps other calls of `train` away, whose variables these are meanwhile.

        Raises:
            errors.BusyError: One goes on.
        """
        if not self.memory.claim():
            raise errors.BusyError(
                "`train` was called while another `train` of this estimator goes on: in another "
                "thread, or in the one that calls this hook, listener or input_fn. Let it end "
                "first. Meanwhile, `evaluate`, `predict` and exports work on its checkpoints; to "
                "train another model, make an Estimator with a model_dir of its own."
            )
        try:
            yield
        finally:
            self.memory.give_back()

    def current_global_step(self) -> int:
        """The global step that the variables hold."""
        with self.memory.lock, _program.eager_mode():
            return int(self.store["global_step"].variable.numpy())

    def call_model_fn(
        self, features: Any, labels: Any, mode: str, config: RunConfig
    ) -> specs.EstimatorSpec:
        """Calls the model_fn with what it takes.

        Raises:
            errors.ArgumentError: There are labels, and it takes none.
        """
        offered = {"mode": mode, "params": copy.deepcopy(self._params), "config": config}
        if "labels" in _signatures.accepted_arguments(self._model_fn):
            offered["labels"] = labels
        elif labels is not None:
            raise errors.ArgumentError(
                "`model_fn` does not take labels, but `input_fn` returns labels. Add an argument "
                "`labels` to the model_fn, or return features alone."
            )
        spec: specs.EstimatorSpec = _signatures.call_with_accepted(
            self._model_fn, features=features, **offered
        )
        return spec

    def open_input(self, input_fn: InputFn, mode: str) -> _batches.Batches:
        """Calls an input_fn with what it takes, and opens what it returns."""
        if mode == ModeKeys.PREDICT and isinstance(input_fn, inputs.ArrayInput):
            with _program.eager_mode():
                batch = input_fn.only_batch()
            if batch is not None:
                return _batches.OneBatch(batch)
        replicas = self.distribution.replicas if mode == ModeKeys.TRAIN else 1
        self._make_global_step()

        def call() -> Any:
            accepted = _signatures.accepted_arguments(input_fn)
            offered: dict[str, Callable[[], Any]] = {
                "mode": lambda: mode,
                "params": lambda: copy.deepcopy(self._params),
                "config": lambda: copy.deepcopy(self.config),
                "input_context": lambda: distribution.input_context(replicas),
            }
            given = {name: offered[name]() for name in offered if name in accepted}
            if tf.executing_eagerly():
                return input_fn(**given)
            with self.memory.lock:  # it may make variables, as a model_fn does
                return input_fn(**given)

        seed = self.config.tf_random_seed
        batches = _batches.open_input(call, seed=seed, store=self.store)
        batches.per_step = replicas
        return batches

    def _make_global_step(self) -> None:
        """Makes the one variable that graphs of inputs share with programs, before either asks."""
        with self.memory.lock, _program.eager_mode():
            if "global_step" not in self.store:
                self.store.uninitialized("global_step", tf.TensorShape([]), tf.int64)

    def program(self, mode: str, batches: _batches.Batches) -> model_program.ModelProgram:
        """The program for a mode and an input: traced now, or kept from before."""
        with self.memory.lock:
            return self._known_or_traced(mode, batches)

    def _known_or_traced(self, mode: str, batches: _batches.Batches) -> model_program.ModelProgram:
        element_spec = batches.element_spec
        if mode == ModeKeys.PREDICT:
            element_spec = (element_spec[0], None)
        key = (mode, _program.spec_key(element_spec))
        known = self.programs.get(key)
        if known is not None and known.serves(batches.random_ops, [*batches.initializers]):
            return known

        writer = tf2_summaries.LazyWriter(str(self.config.model_dir))

        def call(features: Any, labels: Any) -> specs.EstimatorSpec:
            if mode != ModeKeys.TRAIN:
                return self.call_model_fn(features, labels, mode, copy.deepcopy(self.config))
            with tf.name_scope("kestimator"):  # its ops take no names from the model's variables
                step = _v1.train.get_global_step().read_value() + 1
            with writer.as_default(step=step):
                return self.call_model_fn(features, labels, mode, copy.deepcopy(self.config))

        model = model_program.ModelProgram.trace(
            call,
            mode=mode,
            element_spec=element_spec,
            seed=self.config.tf_random_seed,
            store=self.store,
            complete=self._completed,
            finish=self._finish_spec,
            distribution=self.distribution if mode == ModeKeys.TRAIN else None,
            random_ops_before=batches.random_ops,
            input_variables=[*batches.initializers],
        )
        if mode == ModeKeys.EVAL:
            model.initialize_own_metrics()
        model.summary_writer = writer
        self.programs[key] = model
        return model

    def _completed(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        spec = train_ops.with_losses_of_layers(spec)
        if spec.mode != ModeKeys.TRAIN:
            return spec
        if keras2.is_optimizer(spec.train_op):
            train_op = canned_optimizers.train_operation_of_keras2(spec)
        else:
            train_op = train_ops.train_operation(spec, self.store)
        return spec._replace(train_op=train_op)

    def _finish_spec(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        if spec.mode == ModeKeys.TRAIN:
            event_files.add_loss(spec.loss)
            tf2_summaries.run_with_tf1_summaries()
        if not (spec.scaffold.saver or _v1.get_collection(_v1.GraphKeys.SAVERS)):
            saver = checkpoint_files.default_saver(
                self.config.keep_checkpoint_max, self.config.keep_checkpoint_every_n_hours
            )
            _v1.add_to_collection(_v1.GraphKeys.SAVERS, saver)
        checkpoint_tracker.add_ready_ops(spec.scaffold)
        return spec

    def _prepare(
        self,
        model: model_program.ModelProgram,
        session: _session.Session,
        hooks: Sequence[Any],
        begin: Callable[[], None],
        path: str | None,
        *,
        as_it_is: bool = False,
    ) -> None:
        """Lets hooks add their ops, builds what the scaffold lacks, and gives variables values.

        Called under the lock.
        """
        if not as_it_is:
            self.memory.check_shared(path)  # before hooks write files
        settings = None if as_it_is or path is not None else self.warm_start_settings
        model.graph.random_state.restart()
        with model.graph.unlocked():
            if settings is not None and not model.warm_started:
                warm_start.apply(settings)
                model.warm_started = True
        with model.changing(hooks):
            begin()
        with model.graph.unlocked():
            model.scaffold.finalize()
            model.settle_global_step()
        if as_it_is:
            self.memory.complete(model, session)
        else:
            self.memory.load(model, session, path)
        self.distribution.broadcast(model.graph)
        self.memory.initialize_locals(model, session)

    def train(
        self,
        model: model_program.ModelProgram,
        batches: _batches.Batches,
        hooks: Sequence[Any],
        listeners: Sequence[Any],
    ) -> Any:
        """Trains until a hook or the data ends it, and gives the last loss; None for no step."""
        path = checkpoint_files.latest_checkpoint(str(self.config.model_dir))
        session = self._session_over(model, batches)
        with model.graph.as_default(), self.memory.in_training():
            all_hooks = [
                *automatic_hooks.chief_hooks(model, self.config, self.memory, listeners),
                *hooks,
                *automatic_hooks.loss_hooks(model, self.config),
                *model.spec.training_hooks,
            ]
            all_hooks += automatic_hooks.step_hooks(model, all_hooks)
            runner = self._runner(model, session, batches, all_hooks)

            def begin() -> None:
                tf.io.gfile.makedirs(str(self.config.model_dir))  # nothing is written before this
                runner.hooked.begin()

            with self.memory.lock:
                self._prepare(model, session, all_hooks, begin, path)
            checkpoint_files.remember_kept(model.scaffold.saver, str(self.config.model_dir))
            batches.initialize()
            with session.start_queue_runners():
                runner.hooked.after_create_session()
                with self.memory.lock:
                    self.distribution.broadcast(model.graph)
                loss = runner.run()
                runner.hooked.end()
        self._flush_events()
        if model.summary_writer is not None:
            with _program.eager_mode():
                model.summary_writer.flush()
        return loss

    def _session_over(
        self, model: model_program.ModelProgram, batches: _batches.Batches
    ) -> _session.Session:
        """A session whose runs hold the lock."""
        return _session.Session(model.program, batches, lambda: self.memory.lock)

    def _flush_events(self) -> None:
        """Has on disk what hooks wrote: of TensorFlow's, only the one for summaries sees to it."""
        if self.config.log_step_count_steps or self.config.save_summary_steps:
            tf.compat.v1.summary.FileWriterCache.get(str(self.config.model_dir)).flush()

    def _runner(
        self,
        model: model_program.ModelProgram,
        session: _session.Session,
        batches: _batches.Batches,
        hooks: Sequence[Any],
    ) -> _runner.Runner:
        trains = model.mode == ModeKeys.TRAIN
        return _runner.Runner(
            model,
            session,
            batches,
            [stock_hooks.cadence_of(hook) for hook in hooks],
            global_step=self.current_global_step if trains or hooks else lambda: 0,
            report_nan=stock_hooks.report_nan,
            lock=self.memory.lock,
            before_steps=self.memory.changed if trains else lambda: None,
        )

    def evaluate(
        self,
        model: model_program.ModelProgram,
        batches: _batches.Batches,
        path: str | None,
        steps: int | None,
        hooks: Sequence[Any],
        *,
        as_it_is: bool = False,
    ) -> dict[str, Any]:
        """Evaluates on all batches, or on `steps` of them, and gives the metrics.

        Other threads wait until it has ended: the metrics are variables of the program.

        Args:
            model: The program that evaluates.
            batches: The input.
            path: The checkpoint to evaluate; None evaluates the initial values.
            steps: How many batches to use; None goes to the end of the data.
            hooks: The hooks.
            as_it_is: Whether to evaluate what memory holds, instead of `path`.
        """
        session = self._session_over(model, batches)
        with self.memory.lock, model.graph.as_default():
            runner = self._runner(model, session, batches, hooks)
            self._prepare(model, session, hooks, runner.hooked.begin, path, as_it_is=as_it_is)
            batches.initialize(steps)
            _check_that_it_ends(batches, steps, hooks)
            with session.start_queue_runners():
                runner.hooked.after_create_session()
                runner.run(steps)
                runner.hooked.end()
            values = session.run({**model.metric_values, "global_step": model.global_step})
        step = values.pop("global_step")
        return {**values, "global_step": np.int64(step)}

    def predict(
        self,
        input_fn: InputFn,
        predict_keys: Any,
        hooks: Sequence[Any],
        path: Callable[[], str | None],
        yield_single_examples: bool,
    ) -> Iterator[Any]:
        """Gives predictions of a checkpoint: row by row, or batch by batch.

        Args:
            input_fn: Gives features.
            predict_keys: The predictions to give; None gives all.
            hooks: The hooks.
            path: Gives the checkpoint, or None for initial values; asked under the lock.
            yield_single_examples: Whether to go row by row.
        """
        batches = self.open_input(input_fn, ModeKeys.PREDICT)
        model = self.program(ModeKeys.PREDICT, batches)
        chosen = predictions.selected(model.spec.predictions, predict_keys)
        for batch in self._batches_of(model, batches, chosen, hooks, path, yield_single_examples):
            if yield_single_examples:
                yield from predictions.rows(batch)
            else:
                yield batch

    def _batches_of(
        self,
        model: model_program.ModelProgram,
        batches: _batches.Batches,
        chosen: Any,
        hooks: Sequence[Any],
        path: Callable[[], str | None],
        may_join: bool,
    ) -> Iterator[Any]:
        """Gives one batch of predictions after the other, or several joined where allowed.

        The lock is held while they are computed: not at a `yield`, nor while hooks are called.
        """
        compute: predictions.HookedPredictions | predictions.UnseenPredictions
        all_hooks = [*hooks, *model.spec.prediction_hooks]
        plain = self._session_over(model, batches)
        with self.memory.lock, model.graph.as_default():
            checkpoint = path()
            loan = checkpoint_tracker.Loan(self.memory, model, plain, checkpoint)
            hooked = device_loop.HookedSession(
                _session.Session(model.program, batches, loan), all_hooks
            )
            with self.memory.borrowed(model, checkpoint):
                self._prepare(model, plain, all_hooks, hooked.begin, checkpoint)
                loan.keep()
            if all_hooks:
                compute = predictions.HookedPredictions(model, chosen, hooked)
            else:
                compute = predictions.UnseenPredictions(model, chosen, loan, may_join=may_join)
            self.memory.read_by(compute)
        batches.initialize()
        with plain.start_queue_runners():
            with model.graph.as_default():
                hooked.after_create_session()
            try:
                while not compute.has_ended(batches):
                    with model.graph.as_default():
                        batch = compute.next(batches, lambda: not self.memory.training)
                    yield batch
            except tf.errors.OutOfRangeError:
                pass  # the end of the data
            finally:
                compute.settle()
        with model.graph.as_default():
            hooked.end()

    def trace_export(
        self, mode: str, receiver_fn: ServingInputReceiverFn
    ) -> tuple[model_program.ModelProgram, saved_model.ServableGraph]:
        """Traces the model_fn behind the placeholders of a receiver. Called under the lock."""
        receivers: list[Any] = []

        def call(_features: Any, _labels: Any) -> specs.EstimatorSpec:
            receivers.append(export.checked_receiver(receiver_fn()))
            features, labels = receivers[0].features, getattr(receivers[0], "labels", None)
            return self.call_model_fn(features, labels, mode, copy.deepcopy(self.config))

        model = model_program.ModelProgram.trace(
            call,
            mode=mode,
            element_spec=(None, None),
            seed=self.config.tf_random_seed,
            store=self.store,
            complete=self._completed,
        )
        with model.graph.as_default():
            outputs = export.outputs_for_mode(model)
            signatures = export.signature_defs(receivers[0], outputs, mode)
        tags = export.TAGS[mode]
        return model, saved_model.servable_graph(model, signatures=signatures, tags=tags)

    @contextlib.contextmanager
    def keras_model(
        self, path: str, input_fn: InputFn | None
    ) -> Iterator[tuple[keras.Model | None, dict[int, str]]]:
        """The Keras model that the model_fn names, with the values of a checkpoint meanwhile.

        Args:
            path: The checkpoint.
            input_fn: What to call the model_fn for, if it was not called yet.

        Yields:
            The model, or None; and by the ids of its variables, their names.
        """
        with self.memory.lock:
            model = self._named_keras_model()
            if model is None and input_fn is not None:
                batches = self.open_input(input_fn, ModeKeys.PREDICT)
                model = self.program(ModeKeys.PREDICT, batches).spec.keras_model
            if model is None:
                yield None, {}
                return
            slots = {id(slot.variable): slot.name for slot in self.store}
            optimizer = getattr(model, "optimizer", None)
            variables = [*model.variables, *(optimizer.variables if optimizer is not None else ())]
            named = {slots[id(v.value)]: v for v in variables if id(v.value) in slots}
            checkpoint = checkpoint_files.reader(path)
            known = {name: v for name, v in named.items() if checkpoint.has_tensor(name)}
            self.memory.settle()
            with _program.eager_mode(), keras_writing.holding(known, checkpoint.get_tensor):
                yield model, {id(variable): name for name, variable in known.items()}

    def _named_keras_model(self) -> keras.Model | None:
        """The Keras model of a program; that of the training, if it has one replica alone."""
        modes = [ModeKeys.EVAL, ModeKeys.PREDICT]
        if self.distribution.replicas == 1:
            modes.insert(0, ModeKeys.TRAIN)
        for mode in modes:
            for (traced, _), program in self.programs.items():
                if traced == mode and program.spec.keras_model is not None:
                    return program.spec.keras_model
        return None

    @contextlib.contextmanager
    def exported_values(
        self,
        traced: Sequence[tuple[model_program.ModelProgram, saved_model.ServableGraph]],
        path: str | None,
    ) -> Iterator[str]:
        """The path of the values to export; those of a partial warm start are written first.

        Called under the lock.
        """
        if path is not None:
            for model, _ in traced:
                saved_model.check_checkpoint(model, path)
            yield path
            return
        model, graph = traced[0]
        session = self._session_over(model, saved_model.NoBatches())
        with tempfile.TemporaryDirectory() as directory:
            with model.graph.as_default(), self.memory.preserved():
                self._prepare(model, session, [], lambda: None, None)
                values = os.path.join(directory, "model.ckpt")
                graph.saver.save(session, values, write_meta_graph=False, write_state=False)
            yield values


def _check_that_it_ends(batches: _batches.Batches, steps: int | None, hooks: Sequence[Any]) -> None:
    """Checks that an evaluation has an end; a hook may be there to make one.

    Raises:
        errors.ArgumentError: The data has no end, and there is nothing else to stop at.
    """
    if steps is not None or batches.is_finite:
        return
    message = (
        "evaluate(steps=None) goes to the end of the data, but the data of `input_fn` has none. "
        "Pass `steps`, or drop `.repeat()` from the Dataset."
    )
    if not hooks:
        raise errors.ArgumentError(message)
    _logger.warning("%s This returns only if a hook stops it.", message)
