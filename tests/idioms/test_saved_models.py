"""SavedModelEstimator: trains, evaluates, predicts and exports the graphs of a SavedModel."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("saved_models"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    assert_golden("saved_models", case, tmp_path)
