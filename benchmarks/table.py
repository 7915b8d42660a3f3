"""What the benchmark's table says: medians, ratios, targets and their verdicts. No TensorFlow here.

Synopsis::

    results = Results()
    results.add("steps", "linear", "kestimator", {"steps_per_second": 3000.0})
    print(markdown([row.read(results) for row in ROWS]))
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence

ENGINE_TITLES = {
    "kestimator": "kestimator",
    "tf_estimator": "tf.estimator 2.15",
    "fit_1": "Keras fit",
    "fit_100": "Keras fit, 100 steps per execution",
    "loop": "bare loop",
}


class Results:
    """Measurements of several runs, by measure, task and engine."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str, str], list[dict[str, float]]] = {}

    def add(self, measure: str, task: str, engine: str, measurement: dict[str, float]) -> None:
        """Adds what one run measured."""
        self._runs.setdefault((measure, task, engine), []).append(measurement)

    def median(self, measure: str, task: str, engine: str, key: str) -> float | None:
        """The median over the runs, or None where there is none."""
        values = [run[key] for run in self._runs.get((measure, task, engine), []) if key in run]
        return statistics.median(values) if values else None

    def spread(self, measure: str, task: str, engine: str, key: str) -> float | None:
        """The distance of the extremes, as a share of the median."""
        values = [run[key] for run in self._runs.get((measure, task, engine), []) if key in run]
        middle = statistics.median(values) if values else 0.0
        return (max(values) - min(values)) / abs(middle) if middle else None


def better_ratio(value: float | None, other: float | None, *, more_is_better: bool) -> float | None:
    """How many times better `value` is than `other`; above 1 is better, whatever is measured."""
    if value is None or other is None or value <= 0 or other <= 0:
        return None
    return value / other if more_is_better else other / value


@dataclasses.dataclass(frozen=True)
class Target:
    """What is aimed at.

    Attributes:
        bound: The number.
        against: The engine to be better than by the factor `bound`; None takes the number of
            kestimator itself, in the row's unit.
        at_least: Whether `bound` is the smallest that will do, else the largest.
    """

    bound: float
    against: str | None = None
    at_least: bool = True

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        if self.against is None:
            return f"{sign} {self.bound:g}"
        return f"{sign} {self.bound:g} times {ENGINE_TITLES[self.against]}"

    def is_reached(self, number: float | None) -> bool | None:
        """Whether `number` (a ratio, or a value of kestimator) will do; None where it is absent."""
        if number is None:
            return None
        return number >= self.bound if self.at_least else number <= self.bound


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        title: What is measured, with its unit.
        measure: The worker's measure.
        task: The worker's task.
        key: Which of the measured numbers.
        engines: Which engines have it.
        more_is_better: Whether big numbers are good.
        targets: What is aimed at.
        scale: What to multiply the numbers with, to get the title's unit.
        engine_scale: How much of the work an engine gets, where all of it would take too long.
        once: Whether one run is enough, because it takes long and varies little.
    """

    title: str
    measure: str
    task: str
    key: str
    engines: tuple[str, ...] = ("kestimator", "tf_estimator")
    more_is_better: bool = False
    targets: tuple[Target, ...] = ()
    scale: float = 1.0
    engine_scale: tuple[tuple[str, float], ...] = ()
    once: bool = False

    @property
    def job(self) -> tuple[str, str]:
        """The measure and the task: rows that share them share the runs."""
        return self.measure, self.task

    def value(self, results: Results, engine: str) -> float | None:
        """The median of an engine, in the title's unit."""
        found = results.median(self.measure, self.task, engine, self.key)
        return None if found is None else found * self.scale

    def ratio(self, results: Results, engine: str) -> float | None:
        """How many times better kestimator is than `engine`."""
        ours, other = self.value(results, "kestimator"), self.value(results, engine)
        return better_ratio(ours, other, more_is_better=self.more_is_better)

    def verdict(self, results: Results, target: Target) -> tuple[float | None, bool | None]:
        """The number that `target` is about, and whether it is reached."""
        number = (
            self.value(results, "kestimator")
            if target.against is None
            else self.ratio(results, target.against)
        )
        return number, target.is_reached(number)


COLUMNS = ("kestimator", "tf_estimator", "fit_1", "fit_100", "loop")


def markdown(rows: Sequence[Row], results: Results) -> str:
    """The table of all rows, in Markdown."""
    titles = ["", *(ENGINE_TITLES[engine] for engine in COLUMNS), "target", "found", ""]
    lines = [_line(titles), _line(["---", *["---:"] * len(COLUMNS), "---", "---:", "---"])]
    for row in rows:
        values = [number(row.value(results, engine)) for engine in COLUMNS]
        verdicts = [row.verdict(results, target) for target in row.targets]
        shown = [
            f"{number(found)}{'' if target.against is None else ' times'}"
            if found is not None
            else "-"
            for target, (found, _) in zip(row.targets, verdicts, strict=True)
        ]
        marks = [mark(reached) for _, reached in verdicts]
        targets = "<br>".join(map(str, row.targets))
        lines.append(_line([row.title, *values, targets, "<br>".join(shown), "<br>".join(marks)]))
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A row of one engine, before a change and after it.

    Attributes:
        title: What is measured, with its unit.
        before: The median before.
        after: The median after.
        ratio: How many times better it is after the change.
        noise: How far the runs of one side lie apart, as a share of their median: the larger one.
    """

    title: str
    before: float | None
    after: float | None
    ratio: float | None
    noise: float | None

    @property
    def is_slower(self) -> bool:
        """Whether it is worse by more than the runs of one side differ among themselves."""
        if self.ratio is None or self.noise is None:
            return False
        return 1 / self.ratio > 1 + self.noise


def compared(row: Row, before: Results, after: Results, engine: str) -> Comparison:
    """What a row says of an engine in two sets of results."""
    values = [row.value(results, engine) for results in (before, after)]
    spreads = [
        results.spread(row.measure, row.task, engine, row.key) for results in (before, after)
    ]
    ratio = better_ratio(values[1], values[0], more_is_better=row.more_is_better)
    noise = max((spread for spread in spreads if spread is not None), default=None)
    return Comparison(row.title, *values, ratio, noise)


def comparison_markdown(comparisons: Sequence[Comparison]) -> str:
    """The table of a comparison, in Markdown."""
    lines = [
        _line(["", "before", "after", "times as good", "noise", ""]),
        _line(["---", "---:", "---:", "---:", "---:", "---"]),
    ]
    for one in comparisons:
        cells = [number(value) for value in (one.before, one.after, one.ratio, one.noise)]
        lines.append(_line([one.title, *cells, "**slower**" if one.is_slower else ""]))
    return "\n".join(lines)


def missed(rows: Sequence[Row], results: Results) -> list[str]:
    """The titles and targets that are not reached."""
    found = []
    for row in rows:
        for target in row.targets:
            value, reached = row.verdict(results, target)
            if reached is False:
                found.append(f"{row.title}: {number(value)}, target {target}")
    return found


def number(value: float | None) -> str:
    """Three digits that count, or a dash for nothing."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def mark(reached: bool | None) -> str:
    """How a verdict is shown."""
    return {True: "reached", False: "**missed**", None: "not measured"}[reached]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def selected(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """The rows whose measure, task or title contains one of the words; all without words."""

    def matches(row: Row) -> bool:
        text = f"{row.measure} {row.task} {row.title}".lower()
        return any(word.lower() in text for word in only)

    return [row for row in rows if not only or matches(row)]


def jobs(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """The runs that the rows need: for each measure and task, a row with all of its engines."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        known = found.get(row.job)
        engines = dict.fromkeys([*(known.engines if known else ()), *row.engines])
        found[row.job] = dataclasses.replace(row, engines=tuple(engines))
    return found


Runner = Callable[[str, str, str, float], dict[str, float]]
"""Measures a measure and a task with an engine, at a scale."""


def run(rows: Sequence[Row], runner: Runner, repeats: int, scale: float) -> Results:
    """Runs what the rows need, the engines taking turns, and collects the numbers."""
    results = Results()
    for (measure, task), row in jobs(rows).items():
        shares = dict(row.engine_scale)
        for _ in range(1 if row.once else repeats):
            for engine in row.engines:
                share = scale * shares.get(engine, 1.0)
                results.add(measure, task, engine, runner(measure, task, engine, share))
    return results
