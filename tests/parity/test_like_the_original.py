"""Each program of `tests/programs`, run by kestimator, answers as it did with tf.estimator 2.15."""

import pathlib

import pytest

from tests import programs
from tests.parity.golden import assert_golden

# LinearSDCA's steps vary in the original, too: test_sdca.py compares the optimum.
MODULES = [module for module in programs.MODULES if module != "sdca"]
CASES = [(module, case) for module in MODULES for case in programs.cases(module)]


@pytest.mark.parametrize(("module", "case"), CASES, ids=[".".join(names) for names in CASES])
def test_like_the_original(module: str, case: str, tmp_path: pathlib.Path) -> None:
    if case.startswith("keras2"):
        pytest.importorskip("tf_keras")
    assert_golden(module, case, tmp_path)
