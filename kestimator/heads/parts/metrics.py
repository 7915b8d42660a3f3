"""The metrics of a head, counted together.

Synopsis::

    roc = area("ROC", "scores", method="interpolation")
    metrics = made({"accuracy": ratio("correct", "weight"), "auc": roc})
    sums_of(metrics, ["accuracy"]).update_state(
        weighted_sums({"correct": correct, "weight": ones}, weights),
        {"scores": Scores(probabilities, positive, weights)},
    )
    metrics["accuracy"].result()

One `tf.keras.metrics` object per metric would add up the same numbers many times, and AUC over
200 thresholds twice. Here every metric is a formula over sums that all metrics share. A matrix
product and a histogram count a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.engine.keras_internals import plain_graphs
from kestimator.heads.parts import areas
from kestimator.keys import MetricKeys

BATCHES = "batches"
_REGULARIZATION = "regularization"


@dataclasses.dataclass(frozen=True)
class Formula:
    """A metric as a function of sums.

    Attributes:
        value: The function; it is called with the sums, then the histograms.
        sums: The names of the sums.
        histograms: The names of the histograms.
    """

    value: Callable[..., Tensor]
    sums: tuple[str, ...] = ()
    histograms: tuple[str, ...] = ()


def ratio(numerator: str, denominator: str) -> Formula:
    """One sum divided by another; 0 where that is 0."""
    return Formula(tf.math.divide_no_nan, (numerator, denominator))


def area(curve: Literal["ROC", "PR"], histogram: str, method: str) -> Formula:
    """The area under a curve; see `areas.METHODS`."""
    return Formula(areas.METHODS[method][curve], (), (histogram,))


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores that a histogram counts.

    Attributes:
        probabilities: In [0, 1].
        positive: 1 for positives and 0 for negatives, float32 of the same shape.
        weights: Of a shape that broadcasts to it, or None.
    """

    probabilities: Tensor
    positive: Tensor
    weights: Tensor | None


class Sums(keras.metrics.Metric):
    """The sums and histograms of several metrics.

    Args:
        sums: The names of the sums.
        histograms: The names of the histograms.
    """

    def __init__(self, sums: Sequence[str], histograms: Sequence[str]) -> None:
        super().__init__(name="sums", dtype="float32")
        self._sum_names = list(sums)
        self._histogram_names = list(histograms)
        # One vector for all sums, so that a batch is one assignment.
        self._totals = self.add_variable([len(sums)], "zeros", name="totals")
        self._histograms = None
        if histograms:
            shape = [len(histograms), *areas.SHAPE]
            self._histograms = self.add_variable(shape, "zeros", name="histograms")

    def update_state(
        self, sums: Mapping[str, Tensor], scores: Mapping[str, Scores] | None = None
    ) -> None:
        """Counts a batch.

        Args:
            sums: Scalars by the names of sums; one that is missing stays as it is.
            scores: The scores of histograms, by their names.
        """
        self._totals.assign_add(tf.stack([sums.get(name, 0.0) for name in self._sum_names]))
        if scores and self._histograms is not None:
            ordered = [scores[name] for name in self._histogram_names]
            counts = [areas.histogram(s.probabilities, s.positive, s.weights) for s in ordered]
            self._histograms.assign_add(tf.stack(counts))

    def result(self) -> dict[str, Tensor]:
        """All sums and histograms by name."""
        names = [*self._sum_names, *self._histogram_names]
        return dict(zip(names, self.values(self._sum_names, self._histogram_names), strict=True))

    def values(self, sums: Sequence[str], histograms: Sequence[str]) -> list[Tensor]:
        """Some of the sums, then some of the histograms."""
        return [
            tf.convert_to_tensor(variable)[all_names.index(name)]
            for variable, all_names, names in (
                (self._totals, self._sum_names, sums),
                (self._histograms, self._histogram_names, histograms),
            )
            for name in names
        ]


class HeadMetric(keras.metrics.Metric):
    """A metric of a head, over sums that the head's other metrics share.

    `Head.update_metrics` counts a batch for all of them, and `reset_state` of one resets all.

    Args:
        name: The name, as in the results of `evaluate`.
        formula: How the value follows from the sums.
        sums: The sums.
    """

    def __init__(self, name: str, formula: Formula, sums: Sums) -> None:
        super().__init__(name=name, dtype="float32")
        self._formula = formula
        self.sums = sums

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Refuses: the sums belong to several metrics.

        Raises:
            errors.KestimatorError: Always.
        """
        raise errors.KestimatorError(
            f"The metric {self.name!r} shares its sums with the other metrics of its head. Call "
            "head.update_metrics(metrics, features, logits, labels), which updates all of them."
        )

    def result(self) -> Tensor:
        """The value over all batches since the last reset."""
        values = self.sums.values(self._formula.sums, self._formula.histograms)
        return self._formula.value(*values)

    @property
    def updates(self) -> list[tf.Operation]:
        """The ops that count a batch for all metrics of the head, in a user's own TF1 graph.

        An Estimator runs them itself; in eager mode there are none.
        """
        return plain_graphs.updates_of(self.sums.variables)

    def reset_state(self) -> None:
        """Forgets all batches, for all metrics of the head."""
        self.sums.reset_state()


def made(formulas: Mapping[str, Formula]) -> dict[str, keras.metrics.Metric]:
    """Makes the metrics of some formulas, over sums that no other metrics have."""
    sums = _distinct(name for formula in formulas.values() for name in formula.sums)
    histograms = _distinct(name for formula in formulas.values() for name in formula.histograms)
    # In a TF1 graph the sums are local variables: a saver would miss global ones in checkpoints.
    with plain_graphs.metrics_are_local():
        shared = Sums(sums, histograms)
    return {name: HeadMetric(name, formula, shared) for name, formula in formulas.items()}


def sums_of(metrics: Mapping[str, Any], names: Iterable[str]) -> Sums:
    """The sums behind those metrics that are called `names`.

    Raises:
        errors.ArgumentError: There are none.
    """
    for name in names:
        if isinstance(metrics.get(name), HeadMetric):
            return metrics[name].sums  # type: ignore[no-any-return]
    raise errors.ArgumentError(
        errors.invalid_argument(
            "eval_metrics", sorted(metrics), "the dict that this head's `metrics()` returned"
        )
    )


def weighted_sums(columns: Mapping[str, Tensor], weights: Tensor | None) -> dict[str, Tensor]:
    """The sum of each column, scalars by name.

    Args:
        columns: Float32 tensors of equal shape, by the names of their sums.
        weights: Their weights, of a shape that broadcasts to theirs, or None.
    """
    some = next(iter(columns.values()))
    rows = tf.reshape(tf.stack(list(columns.values()), axis=-1), [-1, len(columns)])
    if weights is None:
        totals = tf.reduce_sum(rows, axis=0)
    else:
        if not weights.shape.is_compatible_with(some.shape):
            weights = tf.broadcast_to(weights, tf.shape(some))
        # The product multiplies by the weights and sums all columns in one op.
        totals = tf.linalg.matvec(rows, tf.reshape(weights, [-1]), transpose_a=True)
    return dict(zip(columns, tf.unstack(totals, num=len(columns)), strict=True))


def regularization(losses: Sequence[Tensor] | None) -> dict[str, Tensor]:
    """The sums of the formula of `with_regularization`."""
    return {_REGULARIZATION: tf.add_n(list(losses)), BATCHES: tf.constant(1.0)} if losses else {}


def with_regularization(
    formulas: Mapping[str, Formula], losses: Sequence[Tensor] | None
) -> dict[str, Formula]:
    """The formulas of a head and, if there are such losses, the formula of their mean."""
    if not losses:
        return dict(formulas)
    return {**formulas, MetricKeys.LOSS_REGULARIZATION: ratio(_REGULARIZATION, BATCHES)}


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
