"""Heads of eager tensors, and what they refuse."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("heads_eagerly"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("heads_eagerly", case, tmp_path)
