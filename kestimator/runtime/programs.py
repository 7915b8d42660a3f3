"""Calls a model_fn and an input_fn, traces programs, and keeps them by mode and input spec.

Synopsis::

    batches = open_input(state, input_fn, ModeKeys.TRAIN)
    model = program(state, ModeKeys.TRAIN, batches)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import errors, inputs, logs, specs
from kestimator._types import InputFn
from kestimator.adapters.hooks import event_files
from kestimator.adapters.optimizers import canned_optimizers, train_ops
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_files, checkpoint_tracker
from kestimator.engine.programs import model_program, tf2_summaries
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import dataset_iterators, elements
from kestimator.keys import ModeKeys
from kestimator.runtime.state import EstimatorState
from kestimator.validation import keras2
from kestimator.validation import signatures as _signatures

_v1 = tf.compat.v1


def call_model_fn(
    state: EstimatorState,
    features: Any,
    labels: Any,
    mode: str,
    config: RunConfig,
    *,
    is_served: bool,
) -> specs.EstimatorSpec:
    """Calls the model_fn with the arguments that it takes.

    Args:
        state: The state of the estimator.
        features: The features.
        labels: The labels, or None.
        mode: The mode.
        config: The configuration that the model_fn gets.
        is_served: Whether the features come from a request, and not from an input_fn.

    Raises:
        errors.ArgumentError: There are labels, and the model_fn takes none.
    """
    params = state.convention.model_params(state.params, mode, is_served=is_served)
    offered = {"mode": mode, "params": params, "config": config}
    if "labels" in _signatures.accepted_arguments(state.model_fn):
        offered["labels"] = labels
    elif labels is not None:
        raise errors.ArgumentError(
            "`model_fn` does not take labels, but `input_fn` returns labels. Add an argument "
            "`labels` to the model_fn, or return only features."
        )
    logs.info("Calling model_fn.")
    result = _signatures.call_with_accepted(state.model_fn, features=features, **offered)
    spec: specs.EstimatorSpec = state.convention.estimator_spec(result)
    logs.info("Done calling model_fn.")
    return spec


def open_input(state: EstimatorState, input_fn: InputFn, mode: str) -> _batches.Batches:
    """Calls an input_fn with the arguments that it takes, and opens what it returns."""
    # Making a Dataset of one batch takes longer than its prediction; see `only_batch`.
    if mode == ModeKeys.PREDICT and isinstance(input_fn, inputs.ArrayInput):
        with _program.eager_mode():
            batch = input_fn.only_batch()
        if batch is not None:
            return _batches.OneBatch(batch)
    distribution = state.distribution_of(mode)
    _make_global_step(state)

    def call() -> Any:
        accepted = _signatures.accepted_arguments(input_fn)
        offered: dict[str, Callable[[], Any]] = {
            "mode": lambda: mode,
            "params": lambda: state.convention.input_params(state.params, mode),
            "config": lambda: copy.deepcopy(state.config),
            "input_context": lambda: distribution.input_context,
        }
        arguments = {name: offered[name]() for name in offered if name in accepted}
        if tf.executing_eagerly():
            return input_fn(**arguments)
        with state.tracker.lock:  # it may make variables, like a model_fn
            return input_fn(**arguments)

    seed = state.config.tf_random_seed
    batches = _batches.open_input(
        call, seed=seed, store=state.store, takes_weights=state.takes_weights
    )
    batches.per_step = distribution.replicas
    return batches


def _make_global_step(state: EstimatorState) -> None:
    """Creates the global step, which the graphs of inputs and programs share."""
    with state.tracker.lock, _program.eager_mode():
        if "global_step" not in state.store:
            state.store.uninitialized("global_step", tf.TensorShape([]), tf.int64)


def program(
    state: EstimatorState, mode: str, batches: _batches.Batches
) -> model_program.ModelProgram:
    """Returns the program for a mode and an input: an earlier one, or a new one."""
    try:
        with state.tracker.lock:
            return _known_or_traced(state, mode, batches)
    except Exception as error:
        if batches.source is not None and dataset_iterators.has_single_examples(batches.source):
            error.add_note(
                "The Dataset of the input_fn has single examples, without a batch dimension. "
                "Add `.batch(...)` if the model expects batches."
            )
        raise


def _known_or_traced(
    state: EstimatorState, mode: str, batches: _batches.Batches
) -> model_program.ModelProgram:
    spec = batches.element_spec
    if mode == ModeKeys.PREDICT:
        # Labels are dropped: inputs with and without them share a program.
        spec = (spec[0], None)
    constants = _constants(state, mode, batches)
    key = (spec, constants and elements.constants_key(constants))
    known = state.programs.find(mode, key)
    if known is not None and known.serves(batches.random_ops, [*batches.initializers]):
        return known

    model = model_program.ModelProgram.trace(
        TrainableSource(state, mode, constants),
        mode=mode,
        element_spec=spec,
        seed=state.config.tf_random_seed,
        store=state.store,
        distribution=state.distribution_of(mode),
        random_ops_before=batches.random_ops,
        input_variables=[*batches.initializers],
    )
    state.programs.add(mode, key, model)
    return model


def _constants(state: EstimatorState, mode: str, batches: _batches.Batches) -> Any:
    """The arrays and numbers that the model_fn gets as they are, in a nest; None without any."""
    constants = batches.constants
    # A replica gets its own part of the input.
    if constants is None or not state.takes_constants or batches.per_step > 1:
        return None
    if mode == ModeKeys.TRAIN and state.distribution.replicas > 1:
        return None
    return (constants[0], None) if mode == ModeKeys.PREDICT else constants


class Source:
    """A model_fn to be traced, and what the library adds to its spec.

    Args:
        state: The state of the estimator.
        mode: The mode.
    """

    is_served = True
    summary_writer: tf2_summaries.LazyWriter | None = None

    def __init__(self, state: EstimatorState, mode: str) -> None:
        self._state = state
        self._mode = mode

    def call(self, features: Any, labels: Any) -> specs.EstimatorSpec:
        """Calls the model_fn, once for each replica."""
        config = copy.deepcopy(self._state.config)
        return call_model_fn(
            self._state, features, labels, self._mode, config, is_served=self.is_served
        )

    def complete(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Completes the spec of a replica with its loss and its train op, in the graph."""
        spec = train_ops.with_losses_of_layers(spec)
        if spec.mode != ModeKeys.TRAIN:
            return spec
        if keras2.is_optimizer(spec.train_op):
            train_op = canned_optimizers.train_operation_of_keras2(spec)
        else:
            train_op = train_ops.train_operation(spec, self._state.store)
        return spec._replace(train_op=train_op)

    def finish(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Returns the spec of all replicas unchanged: a graph for serving needs no more."""
        return spec


class TrainableSource(Source):
    """A source whose program the estimator runs: it writes summaries and has a saver."""

    is_served = False

    def __init__(self, state: EstimatorState, mode: str, constants: Any = None) -> None:
        super().__init__(state, mode)
        self._constants = constants
        self._writer = self.summary_writer = tf2_summaries.LazyWriter(str(state.config.model_dir))

    def call(self, features: Any, labels: Any) -> specs.EstimatorSpec:
        """Calls the model_fn; in training, `tf.summary` writes to the model directory."""
        if self._constants is not None:
            features, labels = elements.with_constants((features, labels), self._constants)
        if self._mode != ModeKeys.TRAIN:
            return super().call(features, labels)
        with tf.name_scope("kestimator"):  # its ops take no names from the model's variables
            step = _v1.train.get_global_step().read_value() + 1
        with self._writer.as_default(step=step):
            return super().call(features, labels)

    def finish(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Adds the same as tf.estimator to the graph: summaries, a saver and ready ops."""
        if spec.mode == ModeKeys.TRAIN:
            event_files.add_loss(spec.loss)
            tf2_summaries.run_with_tf1_summaries()
        if not (spec.scaffold.saver or _v1.get_collection(_v1.GraphKeys.SAVERS)):
            saver = checkpoint_files.default_saver(
                self._state.config.keep_checkpoint_max,
                self._state.config.keep_checkpoint_every_n_hours,
            )
            _v1.add_to_collection(_v1.GraphKeys.SAVERS, saver)
        checkpoint_tracker.add_ready_ops(spec.scaffold)
        return spec
