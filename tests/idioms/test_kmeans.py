"""Clustering moves centers as the original does."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("kmeans"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("kmeans", case, tmp_path)
