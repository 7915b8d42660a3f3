"""Traces of steps: the timelines of `ProfilerHook`, and `step_stats` of a hook's run."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf

import kestimator

v1 = tf.compat.v1
# The ops of a step in a timeline of tf.estimator 2.15, less constants, handles and the input.
OPS = {"mul", "sub", "Mean", "gradients/mul_grad/Mul", "Adam/mul", "Adam/mul_1", "Adam"}


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [])
    loss = tf.reduce_mean((w * features - labels) ** 2)
    train_op = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(([1.0, 2.0], [2.0, 4.0])).repeat(5)


@pytest.fixture
def estimator(tmp_path: pathlib.Path) -> kestimator.Estimator:
    return kestimator.Estimator(model_fn, tmp_path)


def test_profiler_hook(estimator: kestimator.Estimator, tmp_path: pathlib.Path) -> None:
    with tf.Graph().as_default():  # its writer refuses eager execution
        hook = kestimator.ProfilerHook(save_steps=2, output_dir=str(tmp_path))
    estimator.train(input_fn, hooks=[hook])
    timelines = [tmp_path / "timeline-2.json", tmp_path / "timeline-4.json"]
    for path in timelines:
        events = json.loads(path.read_text())["traceEvents"]
        ops = [event for event in events if event["ph"] == "X"]
        assert {op["args"]["name"] for op in ops} >= OPS
        (mul,) = [op for op in ops if op["args"]["name"] == "mul"]
        assert (mul["name"], mul["dur"] >= 0) == ("Mul", True)
        assert mul["args"]["input0"] == "ReadVariableOp"


class Traces(v1.train.SessionRunHook):
    def before_run(self, run_context: Any) -> Any:
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
        return v1.train.SessionRunArgs(None, options=options)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.metadata = run_values.run_metadata


def test_run_options_of_a_hook(estimator: kestimator.Estimator) -> None:
    hook = Traces()
    estimator.train(input_fn, steps=1, hooks=[hook])
    (device,) = hook.metadata.step_stats.dev_stats
    assert device.device.endswith("/device:CPU:0")
    assert {node.node_name for node in device.node_stats} >= OPS
    starts = [node.all_start_micros for node in device.node_stats]
    assert max(starts) - min(starts) < 60e6
    assert hook.metadata.partition_graphs


def test_while_the_profiler_is_running(
    estimator: kestimator.Estimator, tmp_path: pathlib.Path, caplog: Any
) -> None:
    hook = Traces()
    tf.profiler.experimental.start(str(tmp_path / "profile"))
    try:
        estimator.train(input_fn, steps=1, hooks=[hook])
    finally:
        tf.profiler.experimental.stop()
    assert not hook.metadata.step_stats.dev_stats
    assert "Stop that profiler" in caplog.text
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
