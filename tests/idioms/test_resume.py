"""Model directories that the original wrote are trained on."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("resume"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("resume", case, tmp_path)
