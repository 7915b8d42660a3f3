"""RunConfig: seeds, checkpoints, summaries, the step counter."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("run_config"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("run_config", case, tmp_path)
