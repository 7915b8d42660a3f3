"""SIGTERM while training saves a checkpoint, and then ends the process."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import preemption
from kestimator.engine.checkpoints import training_record

_train = tf.compat.v1.train


def model_fn(features, labels, mode):
    w = tf.compat.v1.get_variable("w", [], initializer=tf.compat.v1.ones_initializer())
    loss = tf.reduce_mean((w * features - labels) ** 2)
    step = _train.get_global_step()
    train_op = _train.GradientDescentOptimizer(0.1).minimize(loss, step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    return tf.data.Dataset.from_tensors((np.ones([1], "f"), np.ones([1], "f"))).repeat()


def eval_input_fn():
    return input_fn().take(1)


class TerminateAt(_train.SessionRunHook):
    """Sends SIGTERM to this process after some steps."""

    def __init__(self, steps):
        self._steps = steps

    def after_run(self, run_context, run_values):
        self._steps -= 1
        if self._steps == 0:
            os.kill(os.getpid(), signal.SIGTERM)


class TerminateWhenEvaluated(_train.SessionRunHook):
    """Sends SIGTERM while an evaluation runs."""

    def after_run(self, run_context, run_values):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def ended(monkeypatch):
    """Counts how often the process would have ended."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are handled in the main thread")
    ends = []
    monkeypatch.setattr(preemption, "_end_process", lambda: ends.append(preemption.is_pending()))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    yield ends
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_training_saves_and_the_process_ends(tmp_path, ended):
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(input_fn, hooks=[TerminateAt(3)], steps=100)
    assert ended == [False]  # at the end of the context, not before
    assert estimator.latest_checkpoint() == str(tmp_path / "model.ckpt-3")
    record = training_record.read(str(tmp_path))
    assert (record.state, record.step) == ("preempted", 3)
    estimator.train(input_fn, max_steps=5)
    assert estimator.get_variable_value("global_step") == 5
    assert training_record.read(str(tmp_path)).state == "ended"


def test_without_an_observed_step(tmp_path, ended):
    """The loop on the device is left after half a second."""
    estimator = kestimator.Estimator(
        model_fn, tmp_path, kestimator.RunConfig(log_step_count_steps=None, save_summary_steps=None)
    )
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    estimator.train(input_fn, steps=10**8)
    timer.join()
    assert ended == [False]
    assert 0 < estimator.get_variable_value("global_step") < 10**8


def test_evaluations_that_are_due_do_not_begin(tmp_path, ended):
    estimator = kestimator.Estimator(model_fn, tmp_path)
    spec = kestimator.EvalSpec(eval_input_fn, throttle_secs=0)
    train_spec = kestimator.TrainSpec(input_fn, max_steps=100, hooks=[TerminateAt(3)])
    kestimator.train_and_evaluate(estimator, train_spec, spec)
    assert ended == [False]
    assert estimator.latest_checkpoint() == str(tmp_path / "model.ckpt-3")
    assert not (tmp_path / "eval").exists()


def test_an_evaluation_does_not_delay_the_end(tmp_path, ended):
    estimator = kestimator.Estimator(model_fn, tmp_path)
    spec = kestimator.EvalSpec(eval_input_fn, throttle_secs=0, hooks=[TerminateWhenEvaluated()])
    kestimator.train_and_evaluate(estimator, kestimator.TrainSpec(input_fn, max_steps=3), spec)
    assert ended[0] is False  # at once, while nothing was pending


def test_a_handler_of_the_program_is_left_alone(tmp_path):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        estimator = kestimator.Estimator(model_fn, tmp_path)
        estimator.train(input_fn, hooks=[TerminateAt(2)], steps=4)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM] * 2
    assert estimator.get_variable_value("global_step") == 4


PROGRAM = """
import sys
from tests.test_preemption import *
estimator = kestimator.Estimator(model_fn, sys.argv[1])
estimator.train(input_fn, steps=10**8)
print("never printed")
"""


@pytest.mark.slow
def test_the_exit_code_is_that_of_sigterm(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    end = time.time() + 60
    while not (tmp_path / "model.ckpt-0.index").exists() and time.time() < end:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (-signal.SIGTERM, "")
    step = int(tf.train.latest_checkpoint(str(tmp_path)).rpartition("-")[2])
    assert 0 < step < 10**8
