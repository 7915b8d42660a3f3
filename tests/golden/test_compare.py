"""The judge of the golden files: what it lets pass and what it does not."""

import math

import pytest

from tests import programs
from tests.golden.compare import differences
from tests.parity.golden import expected


@pytest.mark.parametrize(
    ("actual", "golden"),
    [
        (1.000001, 1.0),
        ([1e-7, 1.0], [0.0, 1.0]),
        (math.nan, math.nan),
        (-math.inf, -math.inf),
        ({"b": [1, "x"], "a": None}, {"a": None, "b": [1, "x"]}),
        ({"about_steps": [1, 12]}, {"about_steps": [1, 11]}),
    ],
)
def test_equal(actual, golden):
    assert differences(actual, golden) == []


@pytest.mark.parametrize(
    ("actual", "golden", "where"),
    [
        (1.00002, 1.0, ""),
        ({"loss": [1.0, 1e-5]}, {"loss": [1.0, 0.0]}, "loss[1]"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, "a.b"),
        ({"steps": [12]}, {"steps": [11]}, "steps[0]"),
        ({"about_steps": [14]}, {"about_steps": [11]}, "about_steps[0]"),
        ([1], [1, 2], ""),
        ({}, {"a": 1}, ""),
        ({"a": 1}, {}, ""),
        (1, 1.0, ""),
        (True, 1, ""),
        (0.0, math.nan, ""),
    ],
)
def test_different(actual, golden, where):
    found = differences(actual, golden)
    assert len(found) == 1
    assert found[0].startswith(f"{where}: ")


@pytest.mark.parametrize("module", programs.MODULES)
def test_every_program_has_a_golden_answer(module):
    assert set(expected(module)) == set(programs.cases(module))
