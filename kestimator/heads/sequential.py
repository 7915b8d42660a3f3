"""A head for every step of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Features, Labels, Tensor
from kestimator.exporting.export_outputs import ExportOutput
from kestimator.heads.multi import MultiHead
from kestimator.heads.parts import base, value_checks
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec


class SequentialHeadWrapper(base.Head):
    """Applies a head to every step of a sequence, and leaves out the padding.

    Losses and metrics count the steps of a mask, which is one of the features. Predictions are made
    for all steps, and include the mask.

        >>> import kestimator
        >>> head = kestimator.experimental.SequentialHeadWrapper(kestimator.BinaryClassHead())
        >>> features = {"sequence_length_mask": tf.constant([[True, False]])}
        >>> logits = tf.constant([[[0.0], [9.0]]])
        >>> float(head.loss(tf.constant([[1, 0]]), logits, features))
        0.6931471824645996

    Args:
        static_head: The head of one step.
        sequence_length_mask: The feature that is the mask, a bool tensor `[batch, time]`.
        feature_columns: Names of features that have a value for each step and that the head needs,
            such as its weights: one, several or None.

    Logits are `[batch, time, logits_dimension]`; labels and features are dense,
    `[batch, time]` or `[batch, time, n]`, or sparse with just the steps of the mask.

    Raises:
        errors.ArgumentError: The head is a `MultiHead`.
        errors.ArgumentTypeError: Something is not a head or not a name.
    """

    def __init__(
        self,
        static_head: base.Head,
        sequence_length_mask: str = "sequence_length_mask",
        feature_columns: str | Iterable[str] | None = None,
    ) -> None:
        _check_head(static_head)
        self._static_head = static_head
        self._mask_key = _checked_key("sequence_length_mask", sequence_length_mask)
        self._feature_keys = _checked_keys(feature_columns)

    @property
    def static_head(self) -> base.Head:
        """The head of one step."""
        return self._static_head

    @property
    def input_sequence_mask_key(self) -> str:
        """The feature that is the mask."""
        return self._mask_key

    @property
    def name(self) -> str | None:
        """The name of the head of one step, with "_sequential"; None if it has none."""
        name = self._static_head.name
        return f"{name}_sequential" if name else None

    @property
    def logits_dimension(self) -> int:
        """The number of logits that the head needs per step."""
        return self._static_head.logits_dimension

    @property
    def loss_reduction(self) -> str:
        """How the losses of all steps become the loss of a batch."""
        return self._static_head.loss_reduction

    def loss(
        self,
        labels: Labels,
        logits: Tensor,
        features: Features | None = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Returns the loss over the steps of the mask; see `Head.loss`."""
        labels, logits, features = self._steps(labels, logits, features)
        return self._static_head.loss(labels, logits, features, mode, regularization_losses)

    def predictions(self, logits: Tensor, keys: Sequence[Any] | None = None) -> dict[Any, Tensor]:
        """Returns what the head predicts for every step; see `Head.predictions`."""
        return self._static_head.predictions(logits, keys)

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Returns new metrics; see `Head.metrics`."""
        return self._static_head.metrics(regularization_losses=regularization_losses)

    def update_metrics(
        self,
        eval_metrics: dict[str, Any],
        features: Features,
        logits: Tensor,
        labels: Labels,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Any]:
        """Counts the steps of the mask in metrics; see `Head.update_metrics`."""
        labels, logits, features = self._steps(labels, logits, features)
        return self._static_head.update_metrics(
            eval_metrics, features, logits, labels, mode, regularization_losses
        )

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns the signatures of the head of one step; see `Head.export_outputs`."""
        return self._static_head.export_outputs(predictions)

    def create_estimator_spec(
        self,
        features: Features,
        mode: str,
        logits: Tensor,
        labels: Labels | None = None,
        optimizer: Any = None,
        trainable_variables: Sequence[Any] | None = None,
        train_op_fn: Callable[[Tensor], Any] | None = None,
        update_ops: Sequence[Any] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """Returns the spec that a `model_fn` returns; see `Head.create_estimator_spec`.

        The predictions of mode PREDICT have the mask among them, under its name.
        """
        if mode == ModeKeys.PREDICT:
            spec = self._static_head.create_estimator_spec(features, mode, logits)
            predictions = {**spec.predictions, self._mask_key: self._mask(features)}
            return spec._replace(predictions=predictions)
        labels, logits, features = self._steps(labels, logits, features)
        return self._static_head.create_estimator_spec(
            features=features,
            mode=mode,
            logits=logits,
            labels=labels,
            optimizer=optimizer,
            trainable_variables=trainable_variables,
            train_op_fn=train_op_fn,
            update_ops=update_ops,
            regularization_losses=regularization_losses,
        )

    def _mask(self, features: Features | None) -> Tensor:
        """The mask, `[batch, time]`."""
        mask = tf.convert_to_tensor(_needed(features, self._mask_key, "`sequence_length_mask`"))
        if mask.shape.rank != 2:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    f"features[{self._mask_key!r}]",
                    mask,
                    "a mask of shape (batch, time)",
                    "Create it with tf.sequence_mask(lengths).",
                )
            )
        return tf.cast(mask, tf.bool)

    def _steps(
        self, labels: Labels, logits: Tensor, features: Features | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Labels, logits and features of the steps of the mask: `[steps, ...]`."""
        mask = self._mask(features)
        flat = {
            key: _flat(f"features[{key!r}]", _needed(features, key, "`feature_columns`"), mask)
            for key in self._feature_keys
        }
        return _flat("labels", labels, mask), _flat("logits", logits, mask), flat


def _flat(name: str, tensor: Any, mask: Tensor) -> Tensor:
    """The values of those steps that a mask names, `[steps, n]`.

    Raises:
        errors.ArgumentError: The tensor does not have a value for every step.
    """
    if isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_sparse()
    if tensor is None or not isinstance(tensor, tf.SparseTensor):
        tensor = _dense(name, tensor, mask)
        flat = tf.boolean_mask(tensor, mask)
    else:
        flat = _of_sparse(name, tensor, mask)
    # The wrapped head sees each step as an example: (steps, n), where n may be 1.
    return flat if tensor.shape.rank > 2 else tf.expand_dims(flat, -1)


def _dense(name: str, tensor: Any, mask: Tensor) -> Tensor:
    tensor = None if tensor is None else tf.convert_to_tensor(tensor)
    if tensor is None or not tensor.shape[:2].is_compatible_with(mask.shape):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                tensor,
                "a value for each step: a tensor of shape (batch, time) or (batch, time, n), "
                f"because the mask has shape {tuple(mask.shape)}",
            )
        )
    message = f"`{name}` and the mask have different numbers of steps. Their shapes follow."
    shape, expected = tf.shape(tensor)[:2], tf.shape(mask)
    fits = tf.reduce_all(tf.equal(shape, expected))
    return value_checks.tensor_where(fits, tensor, message, shape, expected)


def _of_sparse(name: str, tensor: tf.SparseTensor, mask: Tensor) -> Tensor:
    # The mask selects steps in row-major order, so the sparse values need that order too.
    tensor = tf.sparse.reorder(tensor)
    values = tensor.values
    if tensor.shape.rank > 2:
        values = tf.reshape(values, [-1, *tensor.shape[2:]])
    steps, expected = tf.shape(values)[0], tf.math.count_nonzero(mask, dtype=tf.int32)
    message = f"`{name}` must have as many values as the mask has steps. Both numbers follow."
    return value_checks.tensor_where(tf.equal(steps, expected), values, message, steps, expected)


def _needed(features: Features | None, key: str, argument: str) -> Any:
    if not isinstance(features, Mapping) or key not in features:
        received = sorted(map(str, features)) if isinstance(features, Mapping) else features
        raise errors.ArgumentError(
            errors.invalid_argument(
                "features", received, f"a dict with the key {key!r} of {argument}"
            )
        )
    return features[key]


def _check_head(head: Any) -> None:
    if isinstance(head, MultiHead):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "static_head",
                head,
                "a head for a single task",
                "Use one model for each task. Steps of several tasks are not supported.",
            )
        )
    if not isinstance(head, base.Head):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("static_head", head, "a Head, such as BinaryClassHead()")
        )


def _checked_key(argument: str, key: Any) -> str:
    if not isinstance(key, str):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(argument, key, "a string, the name of a feature")
        )
    return key


def _checked_keys(keys: Any) -> tuple[str, ...]:
    listed = [keys] if isinstance(keys, str) else [] if keys is None else keys
    if not isinstance(listed, Iterable):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("feature_columns", keys, "names of features, or None")
        )
    return tuple(_checked_key("feature_columns", key) for key in listed)
