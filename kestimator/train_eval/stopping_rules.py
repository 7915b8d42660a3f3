"""Rules that decide whether to stop training, based on the results of evaluations.

Synopsis::

    rule = NoImprovement("loss", 1000, patience=None, min_delta=0.0, min_steps=0, higher=False)
    rule.reason_to_stop({100: {"loss": 0.5}, 1100: {"loss": 0.6}})
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from kestimator import errors
from kestimator.validation import checks

Results = Mapping[int, Mapping[str, float]]
"""The scalar results of evaluations, by step and metric, in the order of steps."""


class Rule(Protocol):
    """Decides whether to stop, based on the results of evaluations."""

    @property
    def metric(self) -> str:
        """The metric that the rule uses."""

    def checked(self) -> Rule:
        """Checks the fields and returns the rule with plain numbers.

        Raises:
            errors.ArgumentError: A number is out of range.
            errors.ArgumentTypeError: A type cannot be used.
        """

    def reason_to_stop(self, results: Results) -> str | None:
        """Returns the reason to stop; None to continue.

        Raises:
            errors.MetricNotFoundError: There are results, and none has the metric.
        """


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Stops once the metric was above or below a threshold.

    Attributes:
        metric: The metric.
        threshold: The threshold.
        min_steps: Evaluations before this step do not count.
        higher: Whether to stop above the threshold; False: below.
    """

    metric: str
    threshold: float
    min_steps: int
    _: dataclasses.KW_ONLY
    higher: bool

    def checked(self) -> Threshold:
        """Checks the fields."""
        _check_metric(self.metric)
        return dataclasses.replace(
            self,
            min_steps=checks.checked_not_negative("min_steps", self.min_steps),
            threshold=checks.checked_number("threshold", self.threshold),
        )

    def reason_to_stop(self, results: Results) -> str | None:
        """Returns the reason to stop; None to continue."""
        for step, value in _series(results, self.metric, self.min_steps):
            if value > self.threshold if self.higher else value < self.threshold:
                side = "above" if self.higher else "below"
                return f"at step {step}, it was {value}, {side} the threshold {self.threshold}"
        return None


@dataclasses.dataclass(frozen=True)
class NoImprovement:
    """Stops when the metric has not improved for some steps or evaluations.

    Attributes:
        metric: The metric.
        max_steps: The number of steps without improvement; None for no limit.
        patience: The number of evaluations without improvement; None for no limit.
        min_delta: A value has to be better by more than this to count as better.
        min_steps: Evaluations before this step do not count.
        higher: Whether a higher value is better.
    """

    metric: str
    max_steps: int | None
    _: dataclasses.KW_ONLY
    patience: int | None
    min_delta: float
    min_steps: int
    higher: bool

    def checked(self) -> NoImprovement:
        """Checks the fields."""
        _check_metric(self.metric)
        name = f"max_steps_without_{'increase' if self.higher else 'decrease'}"
        if self.max_steps is None and self.patience is None:
            expected = "a number of steps, or None if `patience` is given"
            raise errors.ArgumentError(errors.invalid_argument(name, None, expected))
        return dataclasses.replace(
            self,
            min_steps=checks.checked_not_negative("min_steps", self.min_steps),
            max_steps=checks.checked_not_negative(name, self.max_steps, optional=True),
            patience=checks.checked_positive("patience", self.patience),
            min_delta=checks.checked_not_negative("min_delta", self.min_delta),
        )

    def reason_to_stop(self, results: Results) -> str | None:
        """Returns the reason to stop; None to continue."""
        # Each call reads all results: a rule keeps no state between calls or processes.
        best, best_step, without = math.nan, 0, 0
        for position, (step, value) in enumerate(_series(results, self.metric, self.min_steps)):
            if position == 0 or self._is_better(value, best):
                best, best_step, without = value, step, 0
            else:
                without += 1
            if self._is_long(step - best_step, without):
                return (
                    f"at step {step}, it had not improved on {best} (step {best_step}) for "
                    f"{step - best_step} steps and {without} evaluations"
                )
        return None

    def _is_better(self, value: float, best: float) -> bool:
        if math.isnan(best):
            return not math.isnan(value)
        return value - best > self.min_delta if self.higher else best - value > self.min_delta

    def _is_long(self, steps: int, evaluations: int) -> bool:
        return (self.max_steps is not None and steps >= self.max_steps) or (
            self.patience is not None and evaluations >= self.patience
        )


def _series(results: Results, metric: str, min_steps: int) -> Iterator[tuple[int, float]]:
    """Returns the steps and values of the metric, from `min_steps` on."""
    counted = {step: values for step, values in results.items() if step >= min_steps}
    # Some evaluations may lack the metric. If all do, its name is wrong.
    if counted and not any(metric in values for values in counted.values()):
        names = sorted({name for values in counted.values() for name in values})
        raise errors.MetricNotFoundError(
            errors.invalid_argument("metric_name", metric, f"a metric of the evaluations: {names}")
        )
    return ((step, values[metric]) for step, values in counted.items() if metric in values)


def _check_metric(metric: Any) -> None:
    if not isinstance(metric, str):
        expected = "the name of a metric that `evaluate` returns"
        raise errors.ArgumentTypeError(errors.invalid_argument("metric_name", metric, expected))
