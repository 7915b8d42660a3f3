import pytest

from benchmarks import rows as all_rows
from benchmarks import table

FAST = table.Row(
    "steps per second",
    "steps",
    "linear",
    "rate",
    engines=("kestimator", "tf_estimator"),
    more_is_better=True,
    targets=(table.Target(4, "tf_estimator"),),
)
SMALL = table.Row(
    "seconds",
    "start",
    "linear",
    "seconds",
    targets=(table.Target(2, "tf_estimator"), table.Target(0.5, at_least=False)),
)


def results(**runs):
    made = table.Results()
    for engine, values in runs.items():
        for value in values:
            made.add("steps", "linear", engine, {"rate": value})
    return made


def test_median_is_over_the_runs_that_have_the_key():
    made = results(kestimator=[1.0, 9.0, 2.0])
    made.add("steps", "linear", "kestimator", {})
    assert made.median("steps", "linear", "kestimator", "rate") == 2.0


def test_median_of_nothing_is_none():
    assert table.Results().median("steps", "linear", "kestimator", "rate") is None


def test_spread_is_relative_to_the_median():
    assert results(kestimator=[1.0, 2.0, 4.0]).spread(
        "steps", "linear", "kestimator", "rate"
    ) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("value", "other", "more_is_better", "ratio"),
    [
        (8.0, 2.0, True, 4.0),
        (8.0, 2.0, False, 0.25),
        (None, 2.0, True, None),
        (1.0, 0.0, True, None),
    ],
)
def test_ratio_above_one_is_better(value, other, more_is_better, ratio):
    assert table.better_ratio(value, other, more_is_better=more_is_better) == ratio


@pytest.mark.parametrize(("ours", "reached"), [([8.0], True), ([7.9], False)])
def test_target_against_an_engine(ours, reached):
    made = results(kestimator=ours, tf_estimator=[2.0])
    assert FAST.verdict(made, FAST.targets[0]) == (pytest.approx(ours[0] / 2), reached)


def test_target_for_the_value_itself():
    made = table.Results()
    made.add("start", "linear", "kestimator", {"seconds": 0.6})
    assert SMALL.verdict(made, SMALL.targets[1]) == (0.6, False)


def test_target_without_a_measurement_is_open():
    assert FAST.verdict(results(kestimator=[8.0]), FAST.targets[0]) == (None, None)
    assert table.missed([FAST], results(kestimator=[8.0])) == []


def test_markdown_has_a_line_for_each_row_and_marks_what_is_missed():
    made = results(kestimator=[2.0], tf_estimator=[1.0])
    text = table.markdown([FAST], made)
    header, rule, line = text.splitlines()
    assert header.count("|") == rule.count("|") == line.count("|")
    assert "**missed**" in line
    assert "2.00 times" in line
    assert table.missed([FAST], made) == [
        "steps per second: 2.00, target ≥ 4 times tf.estimator 2.15"
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (12345.6, "12,346"), (99.94, "99.9"), (0.0123, "0.01")]
)
def test_number(value, shown):
    assert table.number(value) == shown


def test_selected_by_words():
    assert table.selected([FAST, SMALL], []) == [FAST, SMALL]
    assert table.selected([FAST, SMALL], ["START"]) == [SMALL]


def test_rows_of_one_job_share_their_runs():
    other = table.Row("loop", "steps", "linear", "rate", engines=("loop", "kestimator"))
    (job,) = table.jobs([FAST, other]).values()
    assert job.engines == ("kestimator", "tf_estimator", "loop")


def test_engines_take_turns():
    calls = []

    def runner(measure, task, engine, scale):
        calls.append((engine, scale))
        return {"rate": 1.0}

    row = table.Row(**{**vars(FAST), "engine_scale": (("tf_estimator", 0.5),)})
    table.run([row], runner, repeats=2, scale=1.0)
    assert calls == [("kestimator", 1.0), ("tf_estimator", 0.5)] * 2


def test_row_measured_once():
    calls = []
    row = table.Row(**{**vars(FAST), "once": True})
    table.run([row], lambda *arguments: calls.append(arguments) or {}, repeats=3, scale=1.0)
    assert len(calls) == 2


def test_rows_have_different_titles():
    titles = [row.title for row in all_rows.ROWS]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(
    ("before", "after", "is_slower"),
    [
        ([100.0, 100.0, 100.0], [90.0, 90.0, 90.0], True),
        ([100.0, 110.0, 90.0], [90.0, 91.0, 92.0], False),  # the runs before differ by a fifth
        ([100.0, 101.0, 102.0], [200.0, 201.0, 202.0], False),
        ([], [90.0], False),
    ],
)
def test_a_row_is_slower_by_more_than_noise(before, after, is_slower):
    found = table.compared(
        FAST, results(kestimator=before), results(kestimator=after), "kestimator"
    )
    assert found.is_slower is is_slower
    text = table.comparison_markdown([found])
    assert ("**slower**" in text) is is_slower
    assert FAST.title in text
