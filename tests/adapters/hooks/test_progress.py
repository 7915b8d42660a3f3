"""The line on the terminal: progress, loss, speed and the latest evaluation."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [], initializer=v1.zeros_initializer())
    loss = w + tf.reduce_sum(0.0 * features)
    metrics = {name: v1.metrics.mean(w + i) for i, name in enumerate(("d", "b", "c"))}
    step = v1.train.get_global_step()
    train_op = tf.group(v1.assign_add(w, 1.0), v1.assign_add(step, 1))
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(np.ones([2], "float32")).repeat()


def last_line(output: str) -> str:
    text = re.sub(r"\x1b\[[\d;]*m", "", output.replace("\b", ""))
    return re.split(r"[\r\n]", text.strip())[-1]


def run(model_dir: Any, max_steps: int | None = 10, verbose: Any = 1, **config: Any) -> None:
    estimator = kestimator.Estimator(model_fn, config=kestimator.RunConfig(model_dir, **config))
    train_spec = kestimator.TrainSpec(input_fn, max_steps=max_steps)
    specs = [
        kestimator.EvalSpec(input_fn, steps=1, every_steps=4),
        kestimator.EvalSpec(input_fn, steps=1, every_steps=3, name="other"),
    ]
    kestimator.train_and_evaluate(estimator, train_spec, specs, verbose=verbose)


@pytest.mark.parametrize("log_every", [1, 100])
def test_line(tmp_path: Any, capsys: Any, log_every: int) -> None:
    run(tmp_path, log_step_count_steps=log_every, save_summary_steps=log_every)
    line = last_line(capsys.readouterr().out)
    assert re.match(r"10/10 ━+ \S+ \S+/step - ", line)
    assert re.search(r" loss: (9|10)\.0000 ", f"{line} ")  # read while it moves
    assert "eval_loss: 10.0000 - eval_b: 11.0000 - eval_c: 12.0000" in line
    assert "eval_other_loss: 10.0000" in line
    assert "eval_d" not in line


@pytest.mark.parametrize("verbose", [0, "auto"])
def test_silent(tmp_path: Any, capsys: Any, verbose: Any) -> None:
    run(tmp_path, verbose=verbose)
    assert capsys.readouterr().out == ""


def test_earlier_evaluations_are_not_shown(tmp_path: Any, capsys: Any) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.evaluate(input_fn, steps=1)
    estimator.train(input_fn, steps=5, verbose=1)
    line = last_line(capsys.readouterr().out)
    assert "5/5" in line
    assert "eval" not in line


def lines(output: str) -> list[str]:
    """What is left on a terminal that knows carriage returns and the code that empties a line."""
    text = re.sub(r"\x1b\[[\d;]*m|\x08", "", output)
    return [re.split(r"\r|\x1b\[K", line)[-1].rstrip() for line in text.split("\n") if line]


def test_log_lines_have_lines_of_their_own(tmp_path: Any, capsys: Any) -> None:
    logger, handler = tf.get_logger(), logging.StreamHandler(sys.stdout)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        run(tmp_path, log_step_count_steps=2, save_checkpoints_steps=5)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    shown = lines(capsys.readouterr().out)
    assert [line for line in shown if "━" in line] == [shown[-2]]
    assert shown[-1].startswith("Loss for final step: ")
    assert any(re.fullmatch(r"loss = \S+, step = 2.*", line) for line in shown)


def test_first_step_says_nothing_about_the_time_that_remains(tmp_path: Any, capsys: Any) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(input_fn, steps=1000, verbose=1)
    first = re.split(r"[\r\n]+", capsys.readouterr().out.strip())[0]
    assert not re.search(r"\b1/1000", first)  # it took as long as building its functions


class Stop(v1.train.SessionRunHook):
    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.request_stop()


@pytest.mark.parametrize("verbose", [0, 1])
def test_early_stop_is_told(tmp_path: Any, capsys: Any, verbose: int) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(input_fn, steps=5, hooks=[Stop()], verbose=verbose)
    told = "Training stopped at step 1, after 1 of 5 steps, because a hook or a callback requested"
    assert (told in capsys.readouterr().out) == bool(verbose)


def test_early_stopping_tells_why(tmp_path: Any, capsys: Any) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    hook = kestimator.experimental.stop_if_higher_hook(estimator, "b", 3.0)
    train_spec = kestimator.TrainSpec(input_fn, max_steps=9, hooks=[hook])
    eval_spec = kestimator.EvalSpec(input_fn, steps=1, every_steps=4)
    kestimator.train_and_evaluate(estimator, train_spec, eval_spec, verbose=1)
    shown = lines(capsys.readouterr().out)
    assert any(line.startswith("Stopping early because of the metric 'b'") for line in shown)
    assert shown[-1].startswith("Training stopped at step ")


def test_data_that_ends_early_is_warned_of(tmp_path: Any, caplog: Any) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(lambda: input_fn().take(3), steps=3)
    assert caplog.text == ""
    estimator.train(lambda: input_fn().take(2), max_steps=2_000_003)
    assert "Training ended at step 5, after 2 of 2000000 steps, because the data" in caplog.text


def test_error_leaves_the_line(tmp_path: Any, capsys: Any) -> None:
    class Fail(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> None:
            if run_context.session.run(v1.train.get_global_step()) == 3:
                raise ValueError

    estimator = kestimator.Estimator(model_fn, tmp_path)
    with contextlib.suppress(ValueError):
        estimator.train(input_fn, steps=5, hooks=[Fail()], verbose=1)
    assert capsys.readouterr().out.endswith("\n")
