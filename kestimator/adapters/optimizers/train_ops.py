"""Optimizers: a Keras optimizer as `train_op`, over variables of either world.

Synopsis::

    specs.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.Adam())
    specs.EstimatorSpec(mode, loss=loss, train_op=minimize(optimizer, loss, variables))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors, logs, specs
from kestimator.adapters.optimizers import keras_optimizers, sparse_updates
from kestimator.engine.keras_internals import keras_objects
from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store
from kestimator.keys import ModeKeys

_v1 = tf.compat.v1


def with_losses_of_layers(spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
    """Adds the losses of Keras layers to the loss of a spec, if a Keras optimizer minimises it.

    These are the losses of regularizers and of `add_loss`, like under `fit` and Keras' `evaluate`.
    Losses that the loss contains already are not added. Any other spec keeps its loss, since its
    model_fn decides what is minimised. The log then names what the loss lacks.

    Raises:
        errors.ArgumentError: A loss that is to be added was made in a branch or a loop.
    """
    graph = _v1.get_default_graph()
    if spec.loss is None or spec.mode == ModeKeys.PREDICT:
        return spec
    if not isinstance(graph, program.ProgramGraph):
        return spec
    optimizer = spec.train_op
    # An optimizer that the model_fn has applied minimised another loss than a sum made here.
    if isinstance(optimizer, keras.optimizers.Optimizer) and not (
        spec.mode == ModeKeys.TRAIN and _is_applied(optimizer)
    ):
        return spec._replace(loss=graph.keras_losses.added_to(spec.loss))
    message = graph.keras_losses.lacking(spec.loss)
    if message is not None and graph.replica is None:
        logs.warning(message)
    return spec


def train_operation(
    spec: specs.EstimatorSpec, store: variable_store.VariableStore
) -> tf.Operation | tf.Tensor:
    """The train op of a spec: as given, or minimising its loss with the given Keras optimizer.

    A Keras optimizer that the model_fn has applied already only advances the global step.

    Raises:
        errors.ArgumentError: There is nothing to train, or no gradient reaches it.
    """
    optimizer = spec.train_op
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if not _is_applied(optimizer):
        _minimize("train_op", optimizer, spec.loss, _v1.trainable_variables(), store)
    return _next_step()


def minimize(
    optimizer: Any,
    loss: tf.Tensor,
    variables: Sequence[Any],
    *,
    counts: bool = True,
    sum_over_replicas: bool = False,
) -> tf.Operation | tf.Tensor:
    """A train op that minimizes `loss` and advances the global step, inside a model_fn.

    Args:
        optimizer: A Keras optimizer or a `tf.compat.v1.train.Optimizer`.
        loss: A scalar.
        variables: The variables that it trains, of Keras and of TensorFlow.
        counts: Whether it advances the global step; of several optimizers one does.
        sum_over_replicas: Whether a Keras optimizer applies the sum of the replicas' gradients;
            otherwise it applies their mean. A TF1 optimizer asks the graph.

    Raises:
        errors.ArgumentError: It is not an optimizer, there is nothing to train, no gradient reaches
            it, or a Keras optimizer is used outside of a model_fn.
    """
    if isinstance(optimizer, _v1.train.Optimizer):
        step = _v1.train.get_or_create_global_step() if counts else None
        return optimizer.minimize(loss, global_step=step, var_list=list(variables))
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "optimizer",
                optimizer,
                "a keras.optimizers.Optimizer or a tf.compat.v1.train.Optimizer",
            )
        )
    graph = _v1.get_default_graph()
    if not isinstance(graph, program.ProgramGraph) or graph.creator is None:
        raise errors.ArgumentError(
            "`optimizer` is a Keras optimizer, which can only create a train op while an Estimator "
            "calls its model_fn. Pass a tf.compat.v1.train.Optimizer here."
        )
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    # A Keras optimizer applies the mean over replicas. This factor makes it the sum.
    if sum_over_replicas and replicas > 1:
        loss = loss * replicas
    _minimize("optimizer", optimizer, loss, variables, graph.creator.store)
    return _next_step() if counts else tf.no_op()


def _next_step() -> tf.Operation:
    return _v1.train.get_global_step().assign_add(1, read_value=False)


def _minimize(
    name: str,
    optimizer: keras.optimizers.Optimizer,
    loss: tf.Tensor,
    views: Sequence[Any],
    store: variable_store.VariableStore,
) -> None:
    """Applies an optimizer; its writes are Keras', so every training step runs them."""
    optimizer = keras_optimizers.usable(optimizer, store)
    variables = [_as_keras(view, store) for view in views]
    if not variables:
        raise errors.ArgumentError(
            f"`{name}` is a Keras optimizer, but the model has no trainable variables. Create the "
            "layers inside the model_fn, or read the variables of an existing model there."
        )
    # A LossScaleOptimizer divides the gradients again when it applies them.
    scale = getattr(optimizer, "scale_loss", lambda value: value)
    gradients = tf.gradients(scale(loss), [variable.value for variable in variables])
    pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
    if not pairs:
        raise errors.ArgumentError(
            f"`{name}` is a Keras optimizer, but no gradient of `loss` reaches any of the "
            f"trainable variables {[variable.path for variable in variables]}. Check that `loss` "
            "depends on them."
        )
    with sparse_updates.rows_alone(optimizer):
        optimizer.apply_gradients(pairs)


def _as_keras(view: Any, store: variable_store.VariableStore) -> keras.Variable:
    if isinstance(view, keras.Variable):
        return view
    slot = store.get(view.name.split(":")[0])
    if slot is not None and slot.keras_variable is not None:
        return slot.keras_variable
    # Keras' optimizers update Keras variables only, so a TF1 variable is wrapped.
    return keras_objects.ForeignVariable(view)


def _is_applied(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the graph being built has a write of the optimizer's count of iterations."""
    graph = tf.compat.v1.get_default_graph()
    if not isinstance(graph, program.ProgramGraph):
        return False
    # Compared with both tensors of a capture: with only the memory, an applied optimizer was missed
    # during a trace, and every step trained twice.
    counter = keras_objects.step_counter(optimizer).value.handle
    return any(
        op.type.startswith("Assign")
        for external, internal in graph.captures
        if external is counter or internal is counter  # a trace's variables answer with the latter
        for op in internal.consumers()
    )
