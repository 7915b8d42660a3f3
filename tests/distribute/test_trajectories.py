"""One device, mirrored replicas and several workers train alike, if they see the same batches."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.distribute import clusters

pytestmark = pytest.mark.slow  # each starts five processes


def alone(*arguments):
    """The result of a program in a process without a cluster, with two logical CPUs."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.distribute.programs", *arguments],
        cwd=clusters.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=clusters.LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def difference(one, other):
    """The largest difference, relative to values above 1."""
    assert one.keys() == other.keys()
    scaled = {key: np.subtract(one[key], other[key]) / (1 + np.abs(other[key])) for key in one}
    return max(float(np.max(np.abs(values))) for values in scaled.values())


@pytest.mark.parametrize("model", ["tf1", "keras_normalized", "wide_and_deep"])
def test_all_agree_over_50_steps(model, tmp_path):
    alone("first_step", model, str(tmp_path / "one_device"))
    for kind in ("mirrored", "workers"):
        shutil.copytree(tmp_path / "one_device", tmp_path / kind)
    single, mirrored = (
        alone("trajectory", model, kind, str(tmp_path / kind))
        for kind in ("one_device", "mirrored")
    )
    with clusters.Cluster({"chief": 1, "worker": 1}) as cluster:
        directory = tmp_path / "workers"
        cluster.start("tests.distribute.programs", "trajectory", model, "workers", directory)
        workers = cluster.results()
    chief = workers["chief", 0]
    assert len(single["losses"]) == 50
    for other in (mirrored, chief):
        np.testing.assert_allclose(other["losses"], single["losses"], atol=1e-5)
        assert difference(other["weights"], single["weights"]) < 1e-5
        assert difference(other["evaluation"], single["evaluation"]) < 1e-5
    # The loss is the mean over all workers, on each of them.
    assert workers["worker", 0]["losses"] == chief["losses"]
