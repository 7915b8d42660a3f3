"""UPDATE_OPS and moving averages of batch statistics."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("batch_norm"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("batch_norm", case, tmp_path)
