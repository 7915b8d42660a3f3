"""A run that is killed at any moment leaves a directory that training goes on from."""

from __future__ import annotations

import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import tensorflow as tf

from kestimator.engine.checkpoints import checkpoint_files

PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
import kestimator

v1 = tf.compat.v1


def model_fn(features, labels, mode):
    w = v1.get_variable("w", [200, 200], initializer=v1.zeros_initializer())
    loss = tf.reduce_mean((tf.matmul(features, w) - labels) ** 2)
    step = v1.train.get_global_step()
    train_op = v1.train.MomentumOptimizer(1e-4, 0.9).minimize(loss, global_step=step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    x = np.ones((8, 200), "float32")
    return tf.data.Dataset.from_tensors((x, x)).repeat()


class Tell(kestimator.CheckpointSaverListener):
    def after_save(self, session, global_step_value):
        print("saved", global_step_value, flush=True)


config = kestimator.RunConfig(save_checkpoints_steps=5, keep_checkpoint_max=3)
estimator = kestimator.Estimator(model_fn, sys.argv[1], config)
estimator.train(input_fn, max_steps=int(sys.argv[2]), saving_listeners=[Tell()])
print("done", flush=True)
"""


def start(directory: pathlib.Path, max_steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(directory), str(max_steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def saved_step(line: str) -> int:
    found = re.fullmatch(r"saved (\d+)\n", line)
    assert found, f"unexpected output: {line!r}"
    return int(found[1])


@pytest.mark.parametrize(
    "delay",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.013, pytest.param(0.2, marks=pytest.mark.slow)],
)
def test_training_resumes_after_kill(tmp_path: pathlib.Path, delay: float) -> None:
    directory, reached = tmp_path / "model", 0
    for _ in range(2):
        with start(directory, 10**6) as process:
            assert process.stdout is not None
            assert saved_step(process.stdout.readline()) == reached  # goes on where it was
            for _ in range(3):
                saved_step(process.stdout.readline())
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            told = [saved_step(line) for line in process.stdout if line.endswith("\n")]
        latest = checkpoint_files.latest_checkpoint(str(directory))
        assert latest is not None
        reached = checkpoint_files.global_step_of(latest)
        assert reached >= max(told, default=15)
        reader = tf.train.load_checkpoint(latest)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)  # every value is there
    end = start(directory, reached + 3)
    output, _ = end.communicate(timeout=120)
    assert output.splitlines() == [f"saved {reached}", f"saved {reached + 3}", "done"]


def test_a_partial_checkpoint_is_never_chosen(tmp_path: pathlib.Path, caplog: Any) -> None:
    process = start(tmp_path, 10)
    process.communicate(timeout=120)
    newest = tmp_path / "model.ckpt-10"
    assert checkpoint_files.latest_checkpoint(str(tmp_path)) == str(newest)
    newest.with_suffix(".ckpt-10.data-00000-of-00001").unlink()
    assert checkpoint_files.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-5")
    assert "model.ckpt-10" in caplog.text
