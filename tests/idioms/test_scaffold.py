"""Scaffold, moving averages, init_from_checkpoint, lookup tables."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("scaffold"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("scaffold", case, tmp_path)
