"""`train_and_evaluate` with the same script on every task of a cluster."""

import pytest

from tests.distribute import clusters

pytestmark = pytest.mark.slow  # each starts several processes

PROGRAMS = "tests.distribute.programs"


def test_two_workers_train_and_an_evaluator_evaluates(tmp_path):
    with clusters.Cluster({"chief": 1, "worker": 1, "evaluator": 1}) as cluster:
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, 40, "workers")
        results = cluster.results()
    assert results["chief", 0]["metrics"] is None
    assert results["worker", 0]["metrics"] is None
    assert results["evaluator", 0]["metrics"]["global_step"] == 40
    assert results["evaluator", 0]["steps"][-1] == 40


def test_a_killed_evaluator_continues_with_what_it_missed(tmp_path):
    with clusters.Cluster({"chief": 1, "evaluator": 1}) as cluster:
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, 60, "slow")
        cluster.wait_for_line(("evaluator", 0), "Saving dict for global step")
        cluster.kill(("evaluator", 0))
        cluster.processes["evaluator", 0].wait()
        cluster.processes["chief", 0].wait(clusters.LONGEST_SECONDS)
        cluster.start(PROGRAMS, "train_and_evaluate", "tf1", tmp_path, 60, tasks=[("evaluator", 0)])
        results = cluster.results()
    # The five newest checkpoints exist.
    assert set(results["evaluator", 0]["steps"]) >= {20, 30, 40, 50, 60}
