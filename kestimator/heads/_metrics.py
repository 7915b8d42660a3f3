"""The metrics of a head, counted together.

Synopsis::

    metrics = made({"accuracy": ratio("correct", "weight"), "auc": area("ROC", "scores")})
    count(metrics, columns={"correct": ..., "weight": ...}, weights=weights,
          scores={"scores": Scores(probabilities, labels, weights)})
    metrics["accuracy"].result()

One `tf.keras.metrics` object for each metric would add up the same numbers many times, AUC over
200 thresholds twice. Here every metric is a formula over sums that it shares with the others, and
a batch is counted with one product of matrices and one histogram.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import keras
import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.heads import _areas

Columns: TypeAlias = Mapping[str, Tensor]
"""Numbers of equal shape, one for each thing that is counted, by what they are."""


@dataclasses.dataclass(frozen=True)
class Formula:
    """How a metric follows from sums.

    Attributes:
        value: Called with the sums, then the histograms.
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
    """The area under a curve; see `_areas.METHODS`."""
    return Formula(_areas.METHODS[method][curve], (), (histogram,))


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a histogram counts.

    Attributes:
        probabilities: In [0, 1].
        labels: 0 or 1; whatever is not 0 counts as 1. The same shape.
        weights: Of a shape that broadcasts to it, or None.
    """

    probabilities: Tensor
    labels: Tensor
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
        self._totals = self.add_variable([len(sums)], "zeros", name="totals")
        if histograms:
            shape = [len(histograms), *_areas.SHAPE]
            self._histograms = self.add_variable(shape, "zeros", name="histograms")

    def update_state(
        self,
        columns: Columns,
        weights: Tensor | None,
        scores: Mapping[str, Scores],
        once: Mapping[str, Tensor],
    ) -> None:
        """Counts a batch.

        Args:
            columns: Tensors of equal shape, by the names of sums.
            weights: What to multiply them with, of a shape that broadcasts to theirs, or None.
            scores: By the names of histograms.
            once: Scalars to add as they are, by the names of sums.
        """
        counted = _weighted_sums([columns[n] for n in self._sum_names if n in columns], weights)
        order = [n for n in self._sum_names if n in columns]
        parts = {**dict(zip(order, tf.unstack(counted, num=len(order)), strict=True)), **once}
        self._totals.assign_add(tf.stack([parts[name] for name in self._sum_names]))
        if self._histogram_names:
            found = [scores[name] for name in self._histogram_names]
            made = [_areas.histogram(s.probabilities, s.labels, s.weights) for s in found]
            self._histograms.assign_add(tf.stack(made))

    def result(self) -> dict[str, Tensor]:
        """All sums and histograms by name."""
        totals = tf.convert_to_tensor(self._totals)
        values = {name: totals[i] for i, name in enumerate(self._sum_names)}
        for i, name in enumerate(self._histogram_names):
            values[name] = tf.convert_to_tensor(self._histograms)[i]
        return values


class HeadMetric(keras.metrics.Metric):
    """A metric of a head, over sums that the head's other metrics share.

    `Head.update_metrics` counts a batch for all of them at once; `reset_state` of one resets all.

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
        values = self.sums.result()
        return self._formula.value(
            *(values[name] for name in (*self._formula.sums, *self._formula.histograms))
        )

    def reset_state(self) -> None:
        """Forgets all batches, for all metrics of the head."""
        self.sums.reset_state()


def made(formulas: Mapping[str, Formula]) -> dict[str, keras.metrics.Metric]:
    """Makes the metrics of some formulas, over sums of their own."""
    sums = Sums(
        _distinct(name for formula in formulas.values() for name in formula.sums),
        _distinct(name for formula in formulas.values() for name in formula.histograms),
    )
    return {name: HeadMetric(name, formula, sums) for name, formula in formulas.items()}


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


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _weighted_sums(columns: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """The sum of each column over everything, float32 [number of columns]."""
    stacked = tf.stack(columns, axis=-1)
    rows = tf.reshape(stacked, [-1, len(columns)])
    if weights is None:
        return tf.reduce_sum(rows, axis=0)
    if not weights.shape.is_compatible_with(columns[0].shape):
        weights = tf.broadcast_to(weights, tf.shape(columns[0]))
    return tf.linalg.matvec(rows, tf.reshape(weights, [-1]), transpose_a=True)
