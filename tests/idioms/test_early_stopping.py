"""Early stopping: at which step it stops, and what it leaves."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("early_stopping"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("early_stopping", case, tmp_path)
