"""train_and_evaluate: the order of calls, what is evaluated, exported and returned."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("training"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("training", case, tmp_path)
