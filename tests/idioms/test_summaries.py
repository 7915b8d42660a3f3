"""Summaries that a model_fn makes."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("summaries"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("summaries", case, tmp_path)
