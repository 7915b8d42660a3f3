"""EstimatorSpec in each mode and what predict yields."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("specs"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("specs", case, tmp_path)
