"""Configurations for TPUs: what they store beside what the original's programs show."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, tpu
from kestimator.tpu.tpu_config import parsed_iterations_per_loop


class Resolver:
    """A resolver that cannot be copied, as one that holds a connection."""

    def master(self) -> str:
        return "grpc://host:1"

    def cluster_spec(self) -> tf.train.ClusterSpec:
        return tf.train.ClusterSpec({"worker": ["host:1", "host:2"]})

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot be copied")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (3, False)),
        ("3", (3, False)),
        ("30s", (30, True)),
        ("2m", (120, True)),
        ("1h", (3600, True)),
    ],
)
def test_iterations_per_loop(value: Any, expected: tuple[int, bool]) -> None:
    assert parsed_iterations_per_loop(value) == expected


def test_job_name_of_tf_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"service": {"tpu_worker_job_name": "pod"}}))
    assert tpu.TPUConfig().tpu_job_name == "pod"
    assert tpu.TPUConfig(tpu_job_name="mine").tpu_job_name == "mine"


def test_evaluator_keeps_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"cluster": {"chief": ["c:1"]}, "task": {"type": "evaluator", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    assert tpu.RunConfig(master="grpc://host:1").evaluation_master == ""


def test_workers_are_not_filtered_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"chief": ["c:1"], "worker": ["w:1"]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    assert kestimator.RunConfig().session_config.device_filters
    assert tpu.RunConfig().session_config is None
    assert tpu.RunConfig().num_worker_replicas == 2


def test_is_a_run_config_whose_copies_share_the_resolver() -> None:
    resolver = Resolver()
    config = tpu.RunConfig(tpu.TPUConfig(5), cluster=resolver, model_dir="a")
    assert isinstance(config, kestimator.RunConfig)
    for copied in (copy.deepcopy(config), config.replace(model_dir="b")):
        assert copied.cluster is resolver
        assert copied.tpu_config == config.tpu_config
        assert copied.cluster_spec == config.cluster_spec
        assert copied.master == "grpc://host:1"


def test_session_config_of_the_caller_does_not_change() -> None:
    session_config = tf.compat.v1.ConfigProto()
    config = tpu.RunConfig(cluster=Resolver(), session_config=session_config)
    assert config.session_config.HasField("cluster_def")
    assert not session_config.HasField("cluster_def")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tpu_config": 3}, TypeError, "a kestimator.tpu.TPUConfig"),
        ({"cluster": "grpc://host"}, TypeError, "ClusterResolver"),
        ({"master": 3}, TypeError, "an address"),
        ({"evaluation_master": 3}, TypeError, "an address"),
        ({"cluster": Resolver(), "master": ""}, ValueError, "Pass only one of them"),
        ({"save_checkpoints_steps": -1}, ValueError, "save_checkpoints_steps"),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as info:
        tpu.RunConfig(**arguments)
    assert isinstance(info.value, errors.KestimatorError)


def test_bad_tpu_config_in_replace() -> None:
    with pytest.raises(TypeError, match="a kestimator.tpu.TPUConfig"):
        tpu.RunConfig().replace(tpu_config=None)


def test_log_line_shows_both_parts() -> None:
    text = repr(tpu.RunConfig(tpu.TPUConfig(5), model_dir="somewhere"))
    assert "model_dir='somewhere'" in text
    assert "tpu_config=TPUConfig(iterations_per_loop=5" in text
