"""The programs of tests/programs/graph_mode.py."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("graph_mode"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("graph_mode", case, tmp_path)
