"""Warm start and reading variables of the latest checkpoint."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("warm_start"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("warm_start", case, tmp_path)
