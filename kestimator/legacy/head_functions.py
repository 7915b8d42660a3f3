"""Functions that heads of libraries call; in tf.estimator they were below the public API.

Each takes and returns what the one in tf.estimator 2.15 did. Heads of one's own can also derive
from `kestimator.Head`, or from a head of one task, whose `batch` has the processed labels, the
weights and the losses of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.exporting.export_outputs import ClassificationOutput
from kestimator.heads import BinaryClassHead, Head, MultiClassHead
from kestimator.heads.parts import base, losses, training, value_checks, weights
from kestimator.heads.parts.classes import Classes
from kestimator.keys import SignatureKeys

_v1 = tf.compat.v1
DEFAULT_SERVING_KEY: Final = SignatureKeys.SERVING_DEFAULT
CLASSIFY_SERVING_KEY: Final = base.CLASSIFICATION
REGRESS_SERVING_KEY: Final = base.REGRESSION
PREDICT_SERVING_KEY: Final = base.PREDICT


def check_logits_final_dim(logits: Any, expected_logits_dimension: int) -> Tensor:
    """Returns logits as float32 `[d0, ..., dn, logits dimension]`.

    Raises:
        errors.ArgumentError: They have another shape.
    """
    return value_checks.checked_logits(logits, expected_logits_dimension)


def all_class_ids(logits: Tensor, n_classes: int) -> Tensor:
    """Returns the ids of all classes for each example: int32 `[batch, n_classes]`."""
    return tf.tile(tf.range(n_classes)[tf.newaxis], [tf.shape(logits)[0], 1])


def all_classes(
    logits: Tensor, n_classes: int, label_vocabulary: Sequence[str] | None = None
) -> Tensor:
    """Returns the names of all classes for each example: string `[batch, n_classes]`."""
    return Classes(n_classes, label_vocabulary).all_names(logits)


def classification_output(
    scores: Tensor, n_classes: int, label_vocabulary: Sequence[str] | None = None
) -> ClassificationOutput:
    """Returns the output of a classification, with the names of all classes.

    Args:
        scores: The probabilities, `[batch, n_classes]`.
        n_classes: The number of classes.
        label_vocabulary: Their names; None for their ids.
    """
    return Classes(n_classes, label_vocabulary).output(scores)


def create_eval_metrics_tuple(
    fn: Callable[..., Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    """Returns the `eval_metrics` of a `TPUEstimatorSpec`: a function, and the tensors it takes.

    Args:
        fn: A function that makes metrics.
        kwargs: Its arguments. Those that are not tensors are bound to the function.
    """
    tensors = {name: value for name, value in kwargs.items() if tf.is_tensor(value)}
    others = {name: value for name, value in kwargs.items() if name not in tensors}

    def of_tensors(**values: Tensor) -> Any:
        return fn(**others, **values)

    return of_tensors, tensors


def create_estimator_spec_train_op(
    head_name: str | None,
    optimizer: Any = None,
    trainable_variables: Sequence[Any] | None = None,
    train_op_fn: Callable[[Tensor], Any] | None = None,
    update_ops: Sequence[Any] | None = None,
    regularized_training_loss: Tensor | None = None,
    loss_reduction: str = "sum_over_batch_size",
) -> Any:
    """Returns the train op of a head; see `Head.create_estimator_spec`.

    Raises:
        errors.ArgumentError: Not exactly one of `optimizer` and `train_op_fn` is given, or there
            is no loss.
    """
    del head_name
    if regularized_training_loss is None:
        raise errors.ArgumentError(
            errors.invalid_argument("regularized_training_loss", None, "the loss of the batch")
        )
    return training.train_op(
        regularized_training_loss,
        loss_reduction=loss_reduction,
        optimizer=optimizer,
        trainable_variables=trainable_variables,
        train_op_fn=train_op_fn,
        update_ops=update_ops,
        scope="training",
    )


def create_estimator_spec_summary(
    regularized_training_loss: Tensor,
    regularization_losses: Sequence[Tensor] | None = None,
    summary_key_fn: Callable[[str], str] | None = None,
) -> None:
    """Adds the summaries of the losses of a head.

    Args:
        regularized_training_loss: The loss.
        regularization_losses: What is in it of regularization.
        summary_key_fn: Returns the tag for "loss" and for "regularization_loss".
    """
    scalars = training.losses(regularized_training_loss, regularization_losses)
    training.summarize({(summary_key_fn or str)(key): scalars[key] for key in scalars})


def check_dense_labels_match_logits_and_reshape(
    labels: Any, logits: Tensor, expected_labels_dimension: int
) -> Tensor:
    """Returns labels as `[d0, ..., dn, expected_labels_dimension]`.

    Raises:
        errors.ArgumentError: They are None, sparse or of another shape.
    """
    if labels is None or isinstance(labels, (tf.SparseTensor, tf.RaggedTensor)):
        raise errors.ArgumentError(errors.invalid_argument("labels", labels, "a dense tensor"))
    tensor = tf.convert_to_tensor(labels)
    return value_checks.shaped("labels", tensor, logits, expected_labels_dimension)


def get_weights_and_check_match_logits(
    features: Any, weight_column: Any, logits: Tensor, allow_per_logit_weights: bool = False
) -> Any:
    """Returns the weights of examples: float32 `[d0, ..., dn, 1]`, or 1.0 without a column.

    Raises:
        errors.ArgumentError: The feature is missing or has another shape.
    """
    width = logits.shape[-1] if allow_per_logit_weights else 1
    found = weights.weights_of(weight_column, features, logits, width=width or 1)
    return 1.0 if found is None else found


def call_loss_fn(
    loss_fn: Callable[..., Tensor],
    labels: Tensor,
    logits: Tensor,
    features: Any,
    expected_loss_dim: int = 1,
) -> Tensor:
    """Returns the losses of examples, `[d0, ..., dn, expected_loss_dim]`.

    Raises:
        errors.ArgumentError: `loss_fn` returns another shape.
    """
    return losses.call_loss_fn(
        losses.checked_loss_fn(loss_fn) or loss_fn,
        labels=labels,
        logits=logits,
        features=features,
        reduction="sum_over_batch_size",
        width=expected_loss_dim,
    )


def validate_n_classes(n_classes: Any) -> Any:
    """Returns a number of classes, which must be 3 or more."""
    return value_checks.checked_count("n_classes", n_classes, 3)


def binary_or_multi_class_head(
    n_classes: int, weight_column: Any, label_vocabulary: Any, loss_reduction: str
) -> Head:
    """Returns the head for a number of classes."""
    settings = {
        "weight_column": weight_column,
        "label_vocabulary": label_vocabulary,
        "loss_reduction": loss_reduction,
    }
    if n_classes == 2:
        return BinaryClassHead(**settings)
    return MultiClassHead(n_classes, **settings)
