"""The original reads what kestimator writes, and goes on as kestimator would have.

KESTIMATOR_ORACLE_PYTHON=.venv-oracle/bin/python pytest -m oracle
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.golden.compare import differences
from tests.programs import resume, tools

ORACLE = os.environ.get("KESTIMATOR_ORACLE_PYTHON")
READ_BACK = pathlib.Path(__file__).resolve().parent / "read_back.py"

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        not ORACLE,
        reason="KESTIMATOR_ORACLE_PYTHON does not name an interpreter with tf.estimator 2.15",
    ),
]


@pytest.mark.parametrize("kind", resume.KINDS)
def test_the_original_trains_on(kind: str, tmp_path: pathlib.Path) -> None:
    import kestimator

    written, copy = tmp_path / "written", tmp_path / "copy"
    resume.write(kestimator, str(written), kind)
    state = tools.checkpoint(str(written))
    shutil.copytree(written, copy)

    done = subprocess.run(
        [ORACLE, str(READ_BACK), kind, str(copy)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])

    assert not differences(answer.pop("found"), json.loads(json.dumps(state)))
    here = json.loads(json.dumps(resume.train_on(kestimator, str(written), kind)))
    wrong = differences(here, answer)
    assert not wrong, "\n".join(wrong)
