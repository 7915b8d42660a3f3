"""Names, shapes and values of variables in checkpoints."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("variables"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("variables", case, tmp_path)
