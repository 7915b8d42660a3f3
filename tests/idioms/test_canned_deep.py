"""Deep and combined estimators go on from what the original wrote."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("canned_deep"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("canned_deep", case, tmp_path)
