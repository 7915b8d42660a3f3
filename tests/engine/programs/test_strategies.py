"""Training on several replicas equals training on one with their batches put together.

Each test is a program of `tests.strategy_programs` in a process with two logical CPUs.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
slow = pytest.mark.slow  # all but one of these tests, as each starts a process

EQUAL = {
    "momentum": ["b", "b/Momentum", "global_step", "w", "w/Momentum"],
    "adam": None,
    "decayed_rate": ["b", "global_step", "w"],
    "default_cross_device_ops": None,
    "collected_losses": None,
    "regularized": ["global_step", "linear/w"],
    "keras_losses": None,
    "keras_losses_in_total": None,
    "embeddings": ["global_step", "table", "table/Adagrad"],
    "keras_adam": None,
    "keras_decayed_rate": None,
    "keras_sgd_applied": None,
    "keras_layers_with_tf1_optimizer": None,
    "tf1_variables_with_keras_optimizer": None,
}


def run(name):
    """What a program returns."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.strategy_programs", name],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])[name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[slow] if name != "momentum" else []) for name in EQUAL]
)
def test_two_replicas_train_as_one_with_both_batches(name):
    found = run(name)
    assert found["weights"] < 1e-5
    assert found["losses"] < 1e-5
    assert found["replicas"] == 0.0
    assert found["steps"] == list(range(12))
    assert not any("replica" in variable for variable in found["names"])
    if EQUAL[name]:
        assert found["names"] == EQUAL[name]
    one, other = found["evaluations"]
    assert one == pytest.approx(other, abs=1e-5)
    assert len(found["predictions"]) == 24


@slow
@pytest.mark.parametrize("name", ["canned_combined", "canned_linear", "canned_network"])
def test_canned_estimators_train_as_one_with_both_batches(name):
    """Their summary of the loss is the head's, of one replica, so it is not compared."""
    found = run(name)
    assert found["weights"] < 1e-5
    assert found["replicas"] == 0.0
    assert not any("replica" in variable for variable in found["names"])


@slow
def test_recurrent_estimators_train_as_one_with_both_batches():
    assert run("recurrent") < 1e-5


@slow
def test_estimators_of_one_replica_say_so():
    (kmeans, kmeans_checkpoint), (sdca, sdca_checkpoint) = run("refusals")
    assert kmeans.startswith("KMeans cannot train on 2 replicas: each would move the centers")
    assert sdca.startswith("LinearSDCA cannot train on 2 replicas: they would have to share")
    assert kmeans_checkpoint is None
    assert sdca_checkpoint is None


@slow
def test_batch_normalization_keeps_the_mean_of_the_replicas():
    found = run("batch_normalization")
    assert len(found["names"]) == 2
    assert found["moved"] > 0.1
    assert found["difference"] < 1e-6
    assert found["replicas"] == 0.0


@slow
def test_training_goes_on_with_and_without_a_strategy():
    found = run("resumed")
    assert found["weights"] < 1e-5
    assert found["step"] == 12


@slow
def test_evaluation_of_another_checkpoint_leaves_training_alone():
    assert run("evaluated_in_between") == {"weights": 0.0, "replicas": 0.0}


@slow
def test_data_ends_with_the_last_full_group_of_batches():
    found = run("ends")
    expected = {
        "counted 3": 1,
        "counted 4": 2,
        "counted 5, last short": 2,
        "uncounted 3": 1,
        "uncounted 6": 3,
    }
    assert found == {**expected, **{f"{name} hooked": n for name, n in expected.items()}}


@slow
def test_tensors_of_an_iterator_are_taken_in_turn():
    assert run("tensors_as_input") == {"weights": 0.0}


@slow
def test_one_device_is_as_none():
    assert set(run("one_device").values()) == {0.0}


@slow
def test_replicas_are_equal_after_many_steps():
    assert run("many_steps") == {"replicas": 0.0, "step": 1000}


@slow
def test_scaffolds_summaries_and_assigning_hooks_see_one_variable():
    assert run("own_saver_and_hooks") == {
        "before": [[1.0], [1.0]],
        "after": [[2.0], [2.0]],
        "names": ["global_step", "w"],
        "replicas": 0.0,
    }


@slow
def test_input_fn_learns_how_many_replicas_share_its_batches():
    assert run("input_contexts") == {"train": [1, 0, 2], "eval": [1, 0, 1]}


@slow
def test_errors_say_what_is_wrong():
    found = run("errors")
    assert "CentralStorageStrategy with 2 replicas is not supported" in found["central"]
    assert found["model_fn"] == "from the model_fn"


@slow
def test_replicas_of_a_head_add_up_as_its_reduction_says():
    found = run("heads")
    assert len(found) == 4
    assert max(found.values()) < 1e-6


@slow
def test_keras_models_train_as_one_with_both_batches():
    found = run("keras_model_to_estimator")
    assert found.pop("same names")
    assert max(found.values()) < 1e-5


@slow
def test_steps_of_a_keras_models_own_are_not_spread():
    assert "train_step" in run("keras_model_with_its_own_step")


@slow
@pytest.mark.parametrize("name", ["exported_with_tf1", "exported_with_keras"])
def test_exports_of_every_mode_are_for_one_replica(name):
    found = run(name)
    one, other = found["losses"]
    assert one == pytest.approx(other, rel=1e-5)
    assert found["weights"] < 1e-5
    assert found["goes on"] == [6, 6]


@slow
def test_layers_of_keras2():
    found = run("keras2_layers")
    assert found["weights"] < 1e-6
    assert found["refused"] == [True, True]
