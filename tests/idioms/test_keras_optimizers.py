"""Keras optimizers whose rates a graph computes: losses, metrics, variables."""

import pathlib

import pytest

from tests import programs
from tests.idioms.golden import assert_golden


@pytest.mark.parametrize("case", programs.cases("keras_optimizers"))
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    if case.startswith("keras2"):
        pytest.importorskip("tf_keras")
    assert_golden("keras_optimizers", case, tmp_path)
