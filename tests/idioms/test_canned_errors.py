"""Canned estimators refuse what the original refuses."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("canned_errors"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("canned_errors", case, tmp_path)
