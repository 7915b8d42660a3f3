"""The interface of heads, and the EstimatorSpec that follows from it.

A head sits on top of a model. It computes the loss, the predictions, the metrics and the signatures
of one kind of task from the model's logits.

    def model_fn(features, labels, mode):
        head = kestimator.BinaryClassHead()
        logits = keras.layers.Dense(head.logits_dimension)(features["x"])
        return head.create_estimator_spec(
            features, mode, logits, labels,
            optimizer=keras.optimizers.Adam(),
            trainable_variables=tf.compat.v1.trainable_variables(),
        )
"""

from __future__ import annotations

import abc
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kestimator import errors
from kestimator._types import Features, Labels, Tensor
from kestimator.engine.keras_internals import plain_graphs
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput
from kestimator.heads.parts import training
from kestimator.keys import ALL_MODES, ModeKeys, SignatureKeys
from kestimator.specs import EstimatorSpec
from kestimator.validation import checks

PREDICT = "predict"
CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a head's ops stand in the graph, and what it writes for TensorBoard.

    Attributes:
        losses: The name scope of labels and losses; None for the head's own.
        training: The name scope of the train op, from the root; None for the head's own.
        class_ids: The name of the op that a head of several classes has for the predicted class.
        summarizes_mean: Whether a head that sums losses also writes their mean in training.
    """

    losses: str | None = "losses"
    training: str | None = "training"
    class_ids: str = "ExpandDims"
    summarizes_mean: bool = False


V1_LAYOUT = Layout(None, None, "ExpandDims_2", summarizes_mean=True)
"""The layout of the heads of `tf.compat.v1.estimator`."""


class Head(abc.ABC):
    """The interface of a head. A user's own head implements the abstract members."""

    _layout = Layout()

    @property
    @abc.abstractmethod
    def name(self) -> str | None:
        """The head's name, a suffix of its metrics' names, or None."""

    @property
    @abc.abstractmethod
    def logits_dimension(self) -> int:
        """The number of logits per example: the last dimension of the logits."""

    @property
    @abc.abstractmethod
    def loss_reduction(self) -> str:
        """How the losses of examples become the loss of a batch; see `tf.losses.Reduction`."""

    @abc.abstractmethod
    def loss(
        self,
        labels: Labels,
        logits: Tensor,
        features: Features | None = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Returns the loss of a batch, regularized: a float32 scalar.

        Args:
            labels: The labels.
            logits: The logits, `[batch, logits_dimension]`.
            features: The features, a dict: weights are among them.
            mode: The mode of the call, one of `ModeKeys`.
            regularization_losses: Scalars to add.

        Raises:
            errors.ArgumentError: Something has an invalid shape, dtype or value.
        """

    @abc.abstractmethod
    def predictions(self, logits: Tensor, keys: Sequence[Any] | None = None) -> dict[Any, Tensor]:
        """Returns the predictions of the head, by `PredictionKeys`.

        Args:
            logits: The logits, `[batch, logits_dimension]`.
            keys: The predictions to return; None for all.

        Raises:
            errors.ArgumentError: A key is unknown, or the logits have another shape.
        """

    @abc.abstractmethod
    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Returns new metrics by name, `keras.metrics.Metric` objects.

        Args:
            regularization_losses: If there are any, there is a metric of their sum.
        """

    @abc.abstractmethod
    def update_metrics(
        self,
        eval_metrics: dict[str, Any],
        features: Features,
        logits: Tensor,
        labels: Labels,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Any]:
        """Counts a batch in metrics, and returns them.

        Args:
            eval_metrics: The result of `metrics`.
            features: The features.
            logits: The logits, `[batch, logits_dimension]`.
            labels: The labels.
            mode: The mode of the call, one of `ModeKeys`.
            regularization_losses: Scalars, if `metrics` was given some.

        Raises:
            errors.ArgumentError: As in `loss`, or the metrics are not those of this head.
        """

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
        """Returns the spec that a `model_fn` returns.

        Args:
            features: The features.
            mode: One of `ModeKeys`.
            logits: The logits, `[batch, logits_dimension]`.
            labels: The labels; not needed to predict.
            optimizer: A Keras optimizer or a `tf.compat.v1.train.Optimizer` that minimizes the
                loss in training, and advances the global step.
            trainable_variables: The variables that `optimizer` trains, a list or a tuple.
            train_op_fn: A function to pass instead of `optimizer`. It makes the train op from the
                loss, and advances the global step.
            update_ops: Further operations of a training step, a list or a tuple.
            regularization_losses: Scalars to add to the loss.

        Returns:
            The spec. Summaries of the loss are added to the graph.

        Raises:
            errors.ArgumentError: Something has an invalid value, shape or dtype.
            errors.ArgumentTypeError: An argument has an invalid type.
        """
        _check_mode(mode)
        with self._scope():
            return self._spec(
                features,
                mode,
                logits,
                labels,
                regularization_losses,
                optimizer=optimizer,
                trainable_variables=trainable_variables,
                train_op_fn=train_op_fn,
                update_ops=update_ops,
            )

    def _scope(self) -> Any:
        """The name scope of the head's ops. A head of a user has none."""
        return contextlib.nullcontext()

    def _spec(
        self,
        features: Features,
        mode: str,
        logits: Tensor,
        labels: Labels | None,
        regularization_losses: Sequence[Tensor] | None,
        **training_options: Any,
    ) -> EstimatorSpec:
        """The result of `create_estimator_spec`; the options are those of `training.train_op`."""
        predictions = self.predictions(logits)
        if mode == ModeKeys.PREDICT:
            outputs = self.export_outputs(predictions)
            return EstimatorSpec(mode, predictions=predictions, export_outputs=outputs)
        losses = _checked_losses(regularization_losses)
        if mode == ModeKeys.EVAL:
            loss, metrics = self._evaluated(features, logits, labels, losses)
            metric_ops = plain_graphs.as_tuples(metrics)
            return EstimatorSpec(mode, predictions, loss, eval_metric_ops=metric_ops)
        loss = self._training_loss(features, logits, labels, losses)
        train_op = training.train_op(
            loss,
            loss_reduction=self.loss_reduction,
            scope=self._layout.training,
            **training_options,
        )
        return EstimatorSpec(mode, predictions, loss, train_op)

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns the signatures of an exported model, from all predictions.

        "serving_default" is the first; here it is all predictions as they are.
        """
        output = PredictOutput(predictions)
        return {SignatureKeys.SERVING_DEFAULT: output, PREDICT: output}

    def _evaluated(
        self,
        features: Features,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """The loss of a batch, and metrics that have counted it."""
        loss = self.loss(labels, logits, features, ModeKeys.EVAL, regularization_losses)
        metrics = self.metrics(regularization_losses=regularization_losses)
        metrics = self.update_metrics(
            metrics, features, logits, labels, regularization_losses=regularization_losses
        )
        return loss, metrics

    def _training_loss(
        self,
        features: Features,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> Tensor:
        """The loss of a training step, written for TensorBoard, too."""
        loss, scalars = self._loss_and_scalars(features, logits, labels, regularization_losses)
        scalars = {**training.losses(loss, regularization_losses), **scalars}
        training.summarize({self._named(key): scalar for key, scalar in scalars.items()})
        return loss

    def _loss_and_scalars(
        self,
        features: Features,
        logits: Tensor,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a training step, and further scalars for TensorBoard by their keys."""
        return self.loss(labels, logits, features, ModeKeys.TRAIN, regularization_losses), {}

    def _named(self, key: str) -> str:
        """A key of this head among those of others."""
        return f"{key}/{self.name}" if self.name else key


def evaluated(
    head: Head, features: Features, logits: Tensor, labels: Labels
) -> tuple[Tensor, dict[str, Any]]:
    """The loss of a batch, and metrics that have counted it, for a head made of other heads.

    Not public. The public `loss` and `update_metrics` of `Head` compute the batch twice.
    """
    return head._evaluated(features, logits, labels, None)


def training_scope(head: Head) -> str | None:
    """The name scope of the train op of a head; None for the head's own. Not public."""
    return head._layout.training


_HeadT = TypeVar("_HeadT", bound=Head)


def with_layout(head: _HeadT, layout: Layout) -> _HeadT:
    """A copy of a head with another layout. Not public."""
    head = copy.copy(head)
    head._layout = layout
    return head


def checked_name(name: Any) -> str | None:
    """Returns a head's name.

    Raises:
        errors.ArgumentTypeError: It is not a string, nor None.
    """
    checks.check_name("name", name)
    return name  # type: ignore[no-any-return]


def _check_mode(mode: Any) -> None:
    if mode not in ALL_MODES:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "mode", mode, f"one of {ALL_MODES}", "Pass on the `mode` of the model_fn."
            )
        )


def _checked_losses(regularization_losses: Any) -> list[Tensor] | None:
    if regularization_losses is None:
        return None
    if not isinstance(regularization_losses, (list, tuple)):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "regularization_losses", regularization_losses, "a list of scalars, or None"
            )
        )
    return list(regularization_losses) or None
