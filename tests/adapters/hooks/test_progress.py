"""The line on the terminal: progress, loss, speed and the latest evaluation."""

from __future__ import annotations

import re
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
