"""The example program on real data trains as the original does."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("wide_and_deep"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("wide_and_deep", case, tmp_path)
