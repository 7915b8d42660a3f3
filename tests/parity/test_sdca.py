"""LinearSDCA finds the original's optimum, to 1e-3 of each weight: its steps vary there, too."""

import json
import pathlib

import numpy as np
import pytest

import kestimator
from tests import programs
from tests.golden.compare import differences
from tests.parity.golden import expected
from tests.selection import members


@pytest.mark.parametrize(
    "case", members(programs.cases("sdca"), fast=["classes_with_weights", "numbers"])
)
def test_like_the_original(case: str, tmp_path: pathlib.Path) -> None:
    answer = json.loads(json.dumps(programs.cases("sdca")[case](kestimator, str(tmp_path))))
    golden = expected("sdca")[case]
    found, optimum = answer.pop("optimum", {}), golden.pop("optimum", {})
    assert not differences(answer, golden)
    assert list(found) == list(optimum)
    for name, values in optimum.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
