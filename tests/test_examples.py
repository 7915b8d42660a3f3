"""The examples run, and do without warnings what they say."""

import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
PROGRAMS = {
    "digits": (500, r"Test accuracy 0\.9\d+, in \d+ seconds"),
    "wide_and_deep": (600, r"On the test: accuracy 0\.7\d+, auc 0\.8\d+"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_runs(name, tmp_path):
    steps, last_line = PROGRAMS[name]
    command = [sys.executable, "-W", "error::UserWarning", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(
        [*command, "--steps", str(steps), "--model-dir", str(tmp_path / "model")],
        env={"PYTHONPATH": str(EXAMPLES.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "is not exported" not in done.stdout
    assert re.search(last_line, done.stdout), done.stdout[-1000:]
    assert "Loaded again, it gives the same" in done.stdout


def test_demo_runs_them_all():
    makefile = (EXAMPLES.parent / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"examples/(\w+)\.py", makefile) == list(PROGRAMS)
