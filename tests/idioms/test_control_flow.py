"""Conditionals, loops, scans and recurrent networks inside a model_fn."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("control_flow"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("control_flow", case, tmp_path)
