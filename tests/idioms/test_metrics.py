"""Streaming metrics, losses, what evaluate returns and writes."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("metrics"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("metrics", case, tmp_path)
