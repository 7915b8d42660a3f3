"""TensorFlow's debuggers: the one for sessions is refused, the one for functions sees each step."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.debug.wrappers import hooks as debug_hooks

import kestimator
from kestimator import errors

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    weight = v1.get_variable("w", [], initializer=v1.ones_initializer())
    y = tf.multiply(weight, features["x"], name="the_prediction")
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.reduce_mean((y - labels) ** 2, name="the_loss")
    train_op = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn(batches: int = 3) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(({"x": [1.0, 2.0]}, [2.0, 4.0])).repeat(batches)


@pytest.mark.parametrize(
    "make",
    [
        lambda: debug_hooks.DumpingDebugHook("folder"),
        lambda: debug_hooks.LocalCLIDebugHook(),
        lambda: type("Own", (debug_hooks.DumpingDebugHook,), {})("folder"),
    ],
)
def test_hooks_of_the_session_debugger_say_what_to_do(make: Any, tmp_path: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
    looks = [v1.train.SessionRunHook(), make()]
    expected = r"`hooks\[1\]`.*enable_dump_debug_info"
    for call in (estimator.train, estimator.evaluate, estimator.predict):
        with pytest.raises(errors.ArgumentTypeError, match=expected):
            call(input_fn, hooks=looks)
    assert not (tmp_path / "model").exists()
    with pytest.raises(errors.ArgumentTypeError, match=r"`prediction_hooks\[0\]`"):
        kestimator.EstimatorSpec("infer", predictions=tf.ones([1]), prediction_hooks=[make()])


@pytest.mark.slow
def test_the_debugger_of_functions_sees_every_step(tmp_path: Any) -> None:
    """In a process of its own: it watches everything that is built from then on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.programs.test_debugging", str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def main(folder: str) -> None:
    from tensorflow.python.debug.lib import debug_events_reader

    dumps = f"{folder}/dumps"
    writer = tf.debugging.experimental.enable_dump_debug_info(
        dumps, tensor_debug_mode="FULL_TENSOR", circular_buffer_size=-1
    )
    estimator = kestimator.Estimator(model_fn, f"{folder}/model")
    estimator.train(input_fn)
    estimator.evaluate(lambda: input_fn(2))
    assert len(list(estimator.predict(lambda: input_fn(1)))) == 2
    writer.FlushNonExecutionFiles()
    writer.FlushExecutionFiles()
    with debug_events_reader.DebugDataReader(dumps) as reader:
        reader.update()
        traces = reader.graph_execution_traces()
        seen = [trace.op_name for trace in traces]
        losses = [
            float(reader.graph_execution_trace_to_tensor_value(trace))
            for trace in traces
            if trace.op_name == "the_loss"
        ]
    assert seen.count("the_loss") == 3 + 2, seen
    assert seen.count("the_prediction") == 3 + 2 + 1, seen
    assert seen.count("gradients/the_prediction_grad/Mul") == 3, seen
    assert losses[0] == 2.5, losses
    assert losses[0] > losses[1] > losses[2], losses


if __name__ == "__main__":
    main(sys.argv[1])
