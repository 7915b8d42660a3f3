"""Runs a program with kestimator and holds its answers against the original's."""

import json
import pathlib
from typing import Any

from tests import programs
from tests.golden.compare import differences

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "idioms"


def assert_golden(module: str, case: str, model_dir: pathlib.Path) -> None:
    """Fails with one line per value that differs from the golden file."""
    import kestimator

    answer = json.loads(json.dumps(programs.cases(module)[case](kestimator, str(model_dir))))
    wrong = differences(answer, expected(module)[case])
    assert not wrong, (
        f"{module}.{case} differs from tf.estimator 2.15 in {len(wrong)} places:\n"
        + "\n".join(wrong)
    )


def expected(module: str) -> dict[str, Any]:
    """The golden file of one idiom: the original's answer by case."""
    return json.loads((GOLDEN / f"{module}.json").read_text(encoding="utf-8"))
