"""One process trains in a directory, and others can read about it."""

import contextlib
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.engine.checkpoints import training_record

HOLD = """
import sys, time
from kestimator.engine.checkpoints import training_record
with training_record.recorded(sys.argv[1], is_exclusive=True) as training:
    training.begin()
    print("holds", flush=True)
    time.sleep(60)
"""


def recorded(directory, *, is_exclusive=True):
    return training_record.recorded(str(directory), is_exclusive=is_exclusive)


def test_says_who_trains_and_how_it_ended(tmp_path):
    assert training_record.read(str(tmp_path)) is None
    with recorded(tmp_path) as training:
        training.begin()
        running = training_record.read(str(tmp_path))
        training.step = 7
    assert (running.state, running.host, running.pid) == (
        "running",
        socket.gethostname(),
        os.getpid(),
    )
    ended = training_record.read(str(tmp_path))
    assert (ended.state, ended.step) == ("ended", 7)
    assert ended.time >= running.time
    with contextlib.suppress(ZeroDivisionError), recorded(tmp_path) as training:
        training.begin()
        _ = 1 / 0
    assert training_record.read(str(tmp_path)).state == "failed"


def test_a_start_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), recorded(tmp_path):
        _ = 1 / 0
    assert not [*tmp_path.iterdir()]


def test_half_a_record_is_none(tmp_path):
    (tmp_path / training_record.FILE_NAME).write_text('{"state": "run')
    assert training_record.read(str(tmp_path)) is None


def test_a_second_owner_is_refused_until_the_first_is_dead(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "holds\n"
        match = f"(?s)Process {holder.pid} on .*{tmp_path}.*allow_shared_model_dir=True"
        with pytest.raises(errors.BusyError, match=match), recorded(tmp_path):
            pass
        assert training_record.read(str(tmp_path)).pid == holder.pid
        with recorded(tmp_path, is_exclusive=False):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with recorded(tmp_path):
        pass


def model_fn(features, labels, mode):
    w = tf.compat.v1.get_variable("w", [], initializer=tf.compat.v1.ones_initializer())
    loss = tf.reduce_mean((w * features - labels) ** 2)
    step = tf.compat.v1.train.get_global_step()
    train_op = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    return tf.data.Dataset.from_tensors((np.ones([1], "f"), np.ones([1], "f"))).repeat()


class Then(tf.compat.v1.train.SessionRunHook):
    """Does something when the session is there."""

    def __init__(self, action):
        self._action = action

    def after_create_session(self, session, coord):
        self._action()


@pytest.mark.parametrize("allows", [False, True])
def test_two_estimators_of_one_directory(tmp_path, allows):
    config = kestimator.RunConfig(allow_shared_model_dir=allows)
    one, other = (kestimator.Estimator(model_fn, tmp_path, config) for _ in range(2))
    hook = Then(lambda: other.train(input_fn, steps=1))
    if allows:
        one.train(input_fn, hooks=[hook], steps=1)
    else:
        with pytest.raises(errors.BusyError, match=f"{os.getpid()}"):
            one.train(input_fn, hooks=[hook], steps=1)
        assert other.get_variable_value("global_step") == 0
        one.train(input_fn, steps=1)
    assert one.get_variable_value("global_step") == 1
