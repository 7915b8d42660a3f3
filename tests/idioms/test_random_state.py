"""The programs of tests/programs/random_state.py."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("random_state"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("random_state", case, tmp_path)
