"""Programs written for tf.estimator run unmodified, and print the original's numbers.

`tests/golden/make_legacy_programs.py` recorded those.
"""

import json

import numpy as np
import pytest

from tests.golden import make_legacy_programs

GOLDEN = json.loads(make_legacy_programs.STORED.read_text())
FAST = ("tf1/gan",)


def differences(expected, actual, path=""):
    """Where two results differ: numbers by more than rounding, all else at all."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return [f"{path}: {sorted(expected.keys() ^ actual.keys())} are in one only"]
        pairs = [(f"{path}/{key}", expected[key], actual[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return [f"{path}: {len(expected)} and {len(actual)} items"]
        pairs = [
            (f"{path}/{number}", *pair)
            for number, pair in enumerate(zip(expected, actual, strict=True))
        ]
    else:
        is_number = isinstance(expected, float) and isinstance(actual, (int, float))
        if expected == actual or (
            is_number and np.allclose(expected, actual, rtol=1e-5, atol=1e-6, equal_nan=True)
        ):
            return []
        return [f"{path}: {expected!r}, and here {actual!r}"]
    return [text for pair in pairs for text in differences(pair[1], pair[2], pair[0])]


def test_every_program_is_recorded():
    assert list(GOLDEN) == make_legacy_programs.program_names()


def _case(name):
    marks = [] if name in FAST else [pytest.mark.slow]
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_case(name) for name in make_legacy_programs.program_names()])
def test_program(name, tmp_path):
    actual = make_legacy_programs.answer(["kestimator", "run"], name, str(tmp_path))
    assert not differences(GOLDEN[name], actual)


@pytest.mark.parametrize(
    ("expected", "actual", "texts"),
    [
        ({"a": [1.0, "x"]}, {"a": [1.000001, "x"]}, []),
        ({"a": [1.0]}, {"a": [1.0001]}, ["/a/0: 1.0, and here 1.0001"]),
        ({"a": 1, "b": 2}, {"a": 1}, [": ['b'] are in one only"]),
        ([1, 2], [1, 3], ["/1: 2, and here 3"]),
        ([1], [1, 3], [": 1 and 2 items"]),
        (float("nan"), float("nan"), []),
        ("x", b"x", [": 'x', and here b'x'"]),
    ],
)
def test_differences(expected, actual, texts):
    assert differences(expected, actual) == texts
