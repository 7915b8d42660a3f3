"""Several tasks on one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Features, Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput
from kestimator.heads.parts import (
    base,
    training,
    value_checks,
)
from kestimator.heads.parts import (
    losses as _losses,
)
from kestimator.heads.parts import (
    metrics as _metrics,
)
from kestimator.keys import MetricKeys, ModeKeys, SignatureKeys
from kestimator.validation import checks


class MultiHead(base.Head):
    """A head of heads: each has its own logits and its own labels.

    The loss is the weighted sum of theirs. Predictions have tuples `(head name, key)` as keys;
    metrics are those of the heads, and "loss/<head name>" for each.

        >>> from kestimator import BinaryClassHead, RegressionHead
        >>> head = MultiHead([BinaryClassHead(name="click"), RegressionHead(2, name="price")])
        >>> head.name, head.logits_dimension
        ('click_price', 3)

    Args:
        heads: The heads, which all need names.
        head_weights: The weight of each head's loss; None weighs all the same.

    Labels are a dict by head name. Logits are one tensor, of which each head takes its
    `logits_dimension` in turn, or a dict by head name.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    def __init__(
        self, heads: Sequence[base.Head], head_weights: Sequence[float] | None = None
    ) -> None:
        self._heads = _checked_heads(heads)
        self._head_weights = _checked_weights(head_weights, len(self._heads))

    @property
    def heads(self) -> tuple[base.Head, ...]:
        """The heads, in the order of their logits."""
        return tuple(self._heads)

    @property
    def name(self) -> str:
        """The names of the heads, joined by "_"."""
        return "_".join(self._names)

    @property
    def logits_dimension(self) -> int:
        """The number of logits that all heads need together."""
        return sum(head.logits_dimension for head in self._heads)

    @property
    def loss_reduction(self) -> str:
        """The reduction of every head."""
        return self._heads[0].loss_reduction

    def loss(
        self,
        labels: Labels,
        logits: Tensor | Mapping[str, Tensor],
        features: Features | None = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Returns the weighted sum of the heads' losses; see `Head.loss`."""
        losses = self._losses_of_heads(labels, logits, features, mode)
        return self._merged(losses, regularization_losses)

    def predictions(
        self,
        logits: Tensor | Mapping[str, Tensor],
        keys: Sequence[tuple[str, str]] | None = None,
    ) -> dict[Any, Tensor]:
        """Returns the predictions of the heads, by `(head name, key)`; see `Head.predictions`."""
        split = self._split(logits)
        by_key: dict[tuple[str, str], Tensor] = {}
        for name, head in zip(self._names, self._heads, strict=True):
            with op_names.same_scope(name):
                predictions = head.predictions(split[name])
            by_key |= {(name, key): prediction for key, prediction in predictions.items()}
        return {key: by_key[key] for key in value_checks.checked_names("keys", keys, list(by_key))}

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Returns new metrics; see `Head.metrics`."""
        metrics = self._own_metrics(regularization_losses)
        for head in self._heads:
            metrics |= head.metrics()
        return metrics

    def update_metrics(
        self,
        eval_metrics: dict[str, Any],
        features: Features,
        logits: Tensor | Mapping[str, Tensor],
        labels: Labels,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Any]:
        """Counts a batch in the metrics of all heads; see `Head.update_metrics`."""
        losses = self._losses_of_heads(labels, logits, features, mode)
        self._count(eval_metrics, losses, regularization_losses)
        split = self._split(logits)
        for name, head in zip(self._names, self._heads, strict=True):
            head.update_metrics(eval_metrics, features, split[name], labels[name], mode)
        return eval_metrics

    def export_outputs(self, predictions: Mapping[Any, Tensor]) -> dict[str, ExportOutput]:
        """Returns the outputs of each head, after its name, and all predictions.

        "serving_default" is that of the first head; each head's own is under its name.
        """
        default = SignatureKeys.SERVING_DEFAULT
        outputs: dict[str, ExportOutput] = {}
        for name, head in zip(self._names, self._heads, strict=True):
            by_key = head.export_outputs({k: v for (of, k), v in predictions.items() if of == name})
            # Only the first head sets the default signature.
            outputs.setdefault(default, by_key[default])
            outputs[name] = by_key[default]
            outputs |= {f"{name}/{key}": output for key, output in by_key.items() if key != default}
        outputs[base.PREDICT] = PredictOutput(predictions)
        return outputs

    def _scope(self) -> Any:
        return op_names.scope(self.name)

    def _evaluated(
        self,
        features: Features,
        logits: Tensor | Mapping[str, Tensor],
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Any]]:
        split = self._split(logits)
        self._check_labels(labels)
        losses: dict[str, Tensor] = {}
        metrics = self._own_metrics(regularization_losses)
        for name, head in zip(self._names, self._heads, strict=True):
            # Loss and metrics of a head come from one call, which computes the batch once.
            with op_names.same_scope(name):
                losses[name], head_metrics = base.evaluated(
                    head, features, split[name], labels[name]
                )
            metrics |= head_metrics
        self._count(metrics, losses, regularization_losses)
        return self._merged(losses, regularization_losses), metrics

    def _training_loss(
        self,
        features: Features,
        logits: Tensor | Mapping[str, Tensor],
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None,
    ) -> Tensor:
        losses = self._losses_of_heads(labels, logits, features, ModeKeys.TRAIN)
        for head in self._heads:
            pass_training_scopes(head)
        training.summarize({_loss_of(name): loss for name, loss in losses.items()})
        loss = self._merged(losses, regularization_losses)
        training.summarize(training.losses(loss, regularization_losses))
        return loss

    @property
    def _names(self) -> list[str]:
        return [str(head.name) for head in self._heads]

    def _split(self, logits: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The logits of each head by its name.

        Raises:
            errors.ArgumentError: Logits are missing, or too many.
        """
        if isinstance(logits, Mapping):
            self._check_names("logits", logits)
            return {name: logits[name] for name in self._names}
        tensor = tf.cast(tf.convert_to_tensor(logits), tf.float32)
        widths = [head.logits_dimension for head in self._heads]
        if value_checks.last_dimension(tensor) not in (None, sum(widths)):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "logits.shape",
                    tuple(tensor.shape.as_list()),
                    f"(batch, {sum(widths)}), because the heads need {widths} logits",
                )
            )
        return dict(zip(self._names, tf.split(tensor, widths, axis=-1), strict=True))

    def _check_labels(self, labels: Labels) -> None:
        if not isinstance(labels, Mapping):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "labels", labels, f"a dict with labels for the heads {self._names}"
                )
            )
        self._check_names("labels", labels)

    def _check_names(self, argument: str, values: Mapping[str, Any]) -> None:
        missing = [name for name in self._names if name not in values]
        if missing:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    argument,
                    sorted(map(str, values)),
                    f"a dict with the names of the heads as keys: {self._names}",
                    f"Missing: {missing}.",
                )
            )

    def _losses_of_heads(
        self,
        labels: Labels,
        logits: Tensor | Mapping[str, Tensor],
        features: Features | None,
        mode: str | None,
    ) -> dict[str, Tensor]:
        split = self._split(logits)
        self._check_labels(labels)
        losses: dict[str, Tensor] = {}
        for name, head in zip(self._names, self._heads, strict=True):
            with op_names.same_scope(name):
                losses[name] = head.loss(labels[name], split[name], features, mode)
        return losses

    def _merged(
        self, losses: Mapping[str, Tensor], regularization_losses: Sequence[Tensor] | None
    ) -> Tensor:
        """The loss of all heads together."""
        weighted = [
            loss if weight == 1.0 else loss * weight
            for loss, weight in zip(losses.values(), self._head_weights, strict=True)
        ]
        return _losses.total(tf.add_n(weighted), regularization_losses)

    def _own_metrics(self, regularization_losses: Sequence[Tensor] | None) -> dict[str, Any]:
        """The metrics of the losses; regularization counts for all heads together."""
        formulas = {_loss_of(name): _metrics.ratio(name, _metrics.BATCHES) for name in self._names}
        named = {
            self._named(key) if key == MetricKeys.LOSS_REGULARIZATION else key: formula
            for key, formula in _metrics.with_regularization(
                formulas, regularization_losses
            ).items()
        }
        return _metrics.made(named)

    def _count(
        self,
        metrics: Mapping[str, Any],
        losses: Mapping[str, Tensor],
        regularization_losses: Sequence[Tensor] | None,
    ) -> None:
        counted = {**losses, **_metrics.regularization(regularization_losses)}
        sums = _metrics.sums_of(metrics, map(_loss_of, self._names))
        sums.update_state({_metrics.BATCHES: tf.constant(1.0), **counted})


def pass_training_scopes(head: base.Head) -> None:
    """Opens and leaves the name scopes of the train ops of a head, as if it had made them.

    In the original, the heads of a `MultiHead` make train ops that do nothing. Their number is in
    the names of the optimizer's variables.
    """
    for part in head.heads if isinstance(head, MultiHead) else ():
        pass_training_scopes(part)
    with training.open_scope(base.training_scope(head)):
        pass


def _loss_of(name: str) -> str:
    return f"{MetricKeys.LOSS}/{name}"


def _checked_heads(heads: Any) -> list[base.Head]:
    listed = list(heads) if isinstance(heads, (list, tuple)) else []
    if not listed or not all(isinstance(head, base.Head) for head in listed):
        raise errors.ArgumentError(
            errors.invalid_argument("heads", heads, "a non-empty list of Heads")
        )
    names = [head.name for head in listed]
    if not all(names) or len(set(names)) < len(names):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "heads", names, "heads with unique names", "Pass a different `name` to each head."
            )
        )
    reductions = [head.loss_reduction for head in listed]
    if len(set(reductions)) > 1:
        raise errors.ArgumentError(
            errors.invalid_argument("heads", reductions, "heads with the same `loss_reduction`")
        )
    return listed


def _checked_weights(head_weights: Any, count: int) -> list[float]:
    if head_weights is None:
        return [1.0] * count
    if not isinstance(head_weights, (list, tuple)) or len(head_weights) != count:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "head_weights", head_weights, f"a list of {count} numbers, one for each head"
            )
        )
    return checks.checked_numbers("head_weights", head_weights, "numbers")
