"""Heads in model_fns: losses, metrics, predictions, exports, summaries."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("heads"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("heads", case, tmp_path)
