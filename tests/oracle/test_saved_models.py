"""The original and kestimator read each other's exports of every mode to the same answers.

KESTIMATOR_ORACLE_PYTHON=.venv-oracle/bin/python pytest -m oracle
"""

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.golden.compare import differences
from tests.oracle import saved_models

ORACLE = os.environ.get("KESTIMATOR_ORACLE_PYTHON")
SCRIPT = pathlib.Path(saved_models.__file__)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        not ORACLE,
        reason="KESTIMATOR_ORACLE_PYTHON does not name an interpreter with tf.estimator 2.15",
    ),
]


def by_the_original(task: str, case: str, path: Any, **environment: str) -> Any:
    """What the original's process prints."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(ORACLE), str(SCRIPT), task, case, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**kept, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def here(case: str, path: str) -> Any:
    import kestimator

    return json.loads(json.dumps(saved_models.read(kestimator, case, path)))


@pytest.mark.parametrize("case", [*saved_models.MODELS, *saved_models.HEADS])
def test_the_original_reads_what_kestimator_wrote(case: str, tmp_path: pathlib.Path) -> None:
    import kestimator

    path = saved_models.write(kestimator, case, str(tmp_path))
    wrong = differences(here(case, path), by_the_original("read", case, path))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", saved_models.MODELS)
def test_kestimator_reads_what_the_original_wrote(case: str, tmp_path: pathlib.Path) -> None:
    path = by_the_original("write", case, tmp_path)
    wrong = differences(here(case, path), by_the_original("read", case, path))
    assert not wrong, "\n".join(wrong)


def test_control_flow_of_tf1(tmp_path: pathlib.Path) -> None:
    path = by_the_original("write", "loops", tmp_path, CONTROL_FLOW_V1="1")
    wrong = differences(here("loops", path), by_the_original("read", "loops", path))
    assert not wrong, "\n".join(wrong)
