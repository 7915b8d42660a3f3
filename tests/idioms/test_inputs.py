"""What an input_fn may be and return."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("inputs"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("inputs", case, tmp_path)
