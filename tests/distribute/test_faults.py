"""Workers that do not fit together, workers that die, and workers that are taken away."""

import signal

import pytest
import tensorflow as tf

from kestimator.engine.checkpoints import training_record
from tests.distribute import clusters

pytestmark = pytest.mark.slow  # each starts several processes

PROGRAMS = "tests.distribute.programs"


def test_unequal_models_are_an_error_on_every_worker(tmp_path):
    with clusters.Cluster({"chief": 1, "worker": 1}) as cluster:
        cluster.start(PROGRAMS, "unequal", tmp_path)
        results = cluster.results()
    for position, task in enumerate(results):
        assert f"Worker {position} of 2 has another model" in results[task]["error"]


def test_the_others_end_when_a_worker_dies_and_a_new_start_goes_on(tmp_path):
    with clusters.Cluster({"chief": 1, "worker": 1}) as cluster:
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, 10**6, "workers", "slow")
        cluster.wait_for_line(("chief", 0), "Saving checkpoints for 20")
        cluster.kill(("worker", 0))
        assert cluster.exit_codes()["chief", 0] != 0
    step = int(tf.train.latest_checkpoint(tmp_path).rpartition("-")[2])
    assert step >= 10
    with clusters.Cluster({"chief": 1, "worker": 1}) as cluster:
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, step + 5, "workers")
        cluster.results()
    assert tf.train.latest_checkpoint(tmp_path).endswith(f"model.ckpt-{step + 5}")


def test_all_end_after_the_same_step_when_one_is_taken_away(tmp_path):
    with clusters.Cluster({"chief": 1, "worker": 1}) as cluster:
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, 10**6, "workers", "slow")
        cluster.wait_for_line(("chief", 0), "Saving checkpoints for 20")
        cluster.kill(("worker", 0), signal.SIGTERM)
        codes = cluster.exit_codes()
    assert codes == {("chief", 0): 0, ("worker", 0): -signal.SIGTERM}
    record = training_record.read(str(tmp_path))
    assert record.state == "preempted"
    assert tf.train.latest_checkpoint(tmp_path).endswith(f"model.ckpt-{record.step}")
