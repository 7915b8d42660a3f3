"""Things that real programs get away with."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("oddities"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("oddities", case, tmp_path)
