"""TF1 optimizers: trajectories, slots, schedules, clipping, sparse gradients."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("optimizers"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("optimizers", case, tmp_path)
