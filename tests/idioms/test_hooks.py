"""Session hooks and checkpoint listeners: their order, their fetches, what they can do."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("hooks"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("hooks", case, tmp_path)
