"""The common part of the model_fns of canned estimators: parts, heads, training.

Synopsis::

    from kestimator.canned.parts.linear_models import LinearPart

    part = LinearPart.checked("feature_columns", columns, "sum")
    built = part.build(features, units=head.logits_dimension, mode=mode)
    training = Training(built.variables, optimizer, learning_rate)
    return spec(head, features, labels, mode, built.logits, [training])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.adapters.optimizers import canned_optimizers, tf1_optimizers
from kestimator.canned.parts import generations
from kestimator.engine.graphs import op_names
from kestimator.heads import BinaryClassHead, Head, MultiClassHead, RegressionHead
from kestimator.heads.parts import base
from kestimator.specs import EstimatorSpec
from kestimator.validation import checks

_v1 = tf.compat.v1
SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


@dataclasses.dataclass(frozen=True)
class Built:
    """A part of a model in the graph.

    Attributes:
        logits: (batch, units).
        variables: The variables that training changes.
        update_ops: Further operations of a training step.
    """

    logits: Tensor
    variables: list[Any]
    update_ops: list[tf.Operation] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Training:
    """How the variables of a part are trained.

    Attributes:
        variables: The variables.
        optimizer: A name, an optimizer, or a function that returns one.
        learning_rate: The rate of an optimizer given by name; None for its default.
        argument: The name of the caller's argument.
        clipnorm: The norm to which an optimizer given by name clips each gradient, or None.
    """

    variables: Sequence[Any]
    optimizer: Any
    learning_rate: float | None = None
    argument: str = "optimizer"
    clipnorm: float | None = None


def spec(
    head: Head,
    features: Any,
    labels: Any,
    mode: str,
    logits: Tensor,
    parts: Sequence[Training],
    update_ops: Sequence[tf.Operation] = (),
    *,
    generation: generations.Generation = generations.V2,
    scope: generations.Scope | None = None,
) -> EstimatorSpec:
    """The result of a canned model_fn.

    All parts minimize the same loss, and the first part counts the steps. Gradients of replicas are
    averaged, or summed if the head sums losses.

    Args:
        head: The head.
        features: The features.
        labels: The labels.
        mode: One of `ModeKeys`.
        logits: (batch, units).
        parts: The parts of the model.
        update_ops: Further operations of a training step.
        generation: The generation of the estimator.
        scope: The scope of the model, if it has a single one.
    """
    scope = generations.Scope() if scope is None else scope
    with op_names.scope(scope.head):
        return head.create_estimator_spec(
            features=features,
            mode=mode,
            logits=logits,
            labels=labels,
            train_op_fn=_train_op_fn(head, parts, generation, scope),
            update_ops=list(update_ops) or None,
        )


def _train_op_fn(
    head: Head,
    parts: Sequence[Training],
    generation: generations.Generation,
    scope: generations.Scope,
) -> Callable[[Tensor], tf.Operation]:
    is_sum = head.loss_reduction in (_v1.losses.Reduction.SUM, tf.losses.Reduction.SUM)

    def make(loss: Tensor) -> tf.Operation:
        step, names = _v1.train.get_or_create_global_step(), set[str]()
        variables = [variable for part in parts for variable in part.variables]
        with tf1_optimizers.slots_called(scope.slots, variables):
            operations = [
                canned_optimizers.minimize(
                    generation.optimizer(part.optimizer, part.learning_rate),
                    loss,
                    part.variables,
                    # The first part counts the global step: a step of all parts is one step.
                    step=None if place else step,
                    learning_rate=part.learning_rate,
                    clipnorm=part.clipnorm,
                    used_names=names,
                    sum_over_replicas=is_sum,
                    argument=part.argument,
                )
                for place, part in enumerate(parts)
            ]
        return operations[0] if len(operations) == 1 else tf.group(*operations)

    return make


def classification_head(
    n_classes: int,
    weight_column: Any,
    label_vocabulary: Any,
    loss_reduction: str,
    generation: generations.Generation = generations.V2,
) -> Head:
    """The head of a classifier.

    Raises:
        errors.ArgumentError: `n_classes` is below 2, or another argument cannot be used.
    """
    count = checks.checked_int(
        "n_classes",
        n_classes,
        2,
        maximum=checks.LARGEST_SIZE,
        type_error=errors.ArgumentError,
    )
    options = {
        "weight_column": weight_column,
        "label_vocabulary": label_vocabulary,
        "loss_reduction": loss_reduction,
    }
    head = (
        BinaryClassHead(**options, areas=generation.areas)
        if count == 2
        else MultiClassHead(count, **options)
    )
    return base.with_layout(head, generation.layout)


def regression_head(
    label_dimension: int,
    weight_column: Any,
    loss_reduction: str,
    generation: generations.Generation = generations.V2,
) -> Head:
    """The head of a regressor."""
    head = RegressionHead(
        label_dimension=label_dimension, weight_column=weight_column, loss_reduction=loss_reduction
    )
    return base.with_layout(head, generation.layout)


def check_head(head: Any) -> None:
    """Checks the head of an estimator.

    Raises:
        errors.ArgumentError: It is not a head.
    """
    if not (hasattr(head, "logits_dimension") and hasattr(head, "create_estimator_spec")):
        raise errors.ArgumentError(
            errors.invalid_argument("head", head, "a Head, such as kestimator.RegressionHead()")
        )


def refuse_replicas(name: str, why: str) -> None:
    """Checks that the model being built trains on one replica.

    Raises:
        errors.ArgumentError: There are more.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        raise errors.ArgumentError(
            f"{name} cannot train on {replicas} replicas: {why} Omit `train_distribute` in the "
            "RunConfig."
        )


def summarize_layer(tag: str, value: Tensor) -> None:
    """Writes the fraction of a layer's values that are zero, and their histogram."""
    zeros = tf.reduce_mean(tf.cast(tf.equal(value, 0.0), tf.float32))
    _v1.summary.scalar(f"{tag}/fraction_of_zero_values", zeros)
    _v1.summary.histogram(f"{tag}/activation", value)
