"""Exports of every mode: signatures, and what they answer, train and evaluate to."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("exports"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("exports", case, tmp_path)
