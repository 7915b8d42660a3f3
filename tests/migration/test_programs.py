"""Whole programs: migrated, they go on in the original's model_dir, and print what it prints.

`make_goldens.py` records what the programs print with the original, and the checkpoints from which
they start there.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from kestimator import migration
from tests.migration.make_goldens import GOLDEN, PROGRAMS, arguments

FILES = sorted(PROGRAMS.glob("*.py"))
NEW_COMMENTS = ("# before TensorFlow", "# for Keras layers")
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


@pytest.fixture
def migrated(tmp_path):
    """Writes a migrated program, beside the model_dir that the original wrote."""

    def migrated(name):
        path = pathlib.Path(shutil.copy(PROGRAMS / f"{name}.py", tmp_path))
        (file,) = migration.migrate_paths([path])
        migration.write(file)
        model_dir = tmp_path / "model"
        shutil.copytree(GOLDEN / name, model_dir)
        return path, [str(path), *arguments(name, str(model_dir))]

    return migrated


def assert_prints_the_same(printed, name):
    """Compares numbers to five digits, and all other text exactly."""
    expected = (GOLDEN / name / "printed.txt").read_text()
    assert NUMBER.sub("", printed) == NUMBER.sub("", expected)
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (printed, expected)]
    np.testing.assert_allclose(*numbers, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_second_migration_changes_nothing(file):
    first = migration.migrate_source(file.read_text())
    assert first.is_changed
    assert re.findall(r"tf\.(?:estimator|layers|contrib)\.", first.after) == []
    second = migration.migrate_source(first.after)
    assert second.after == first.after
    assert second.changes == ()
    comments = [re.findall("#.*", text) for text in (first.before, first.after)]
    assert comments[0] == [comment for comment in comments[1] if comment not in NEW_COMMENTS]


@pytest.mark.slow
@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_programs_go_on_where_the_original_stopped(name, migrated):
    _, argv = migrated(name)
    # A process of its own: programs have flags, and may turn the behavior of TensorFlow 2 off.
    run = subprocess.run(
        [sys.executable, *argv],
        env={**os.environ, "PYTHONPATH": str(PROGRAMS.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert_prints_the_same(run.stdout, name)
