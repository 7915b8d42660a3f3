"""A train op that leaves the global step alone: a hook has to move it."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
    loss = tf.reduce_mean((weight * features["x"] - labels) ** 2)
    train_op = v1.train.GradientDescentOptimizer(0.01).minimize(loss)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn(batches: int | None = None) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(({"x": [1.0, 2.0]}, [2.0, 4.0])).repeat(batches)


class Sees(kestimator.SessionRunHook):
    """A hook that may do anything, and only looks."""

    def __init__(self) -> None:
        self.steps = 0

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.steps += 1


class Moves(Sees):
    """One that moves the step, from a batch on."""

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.first = first

    def begin(self) -> None:
        self.move = v1.train.get_global_step().assign_add(1)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.steps += 1
        if self.steps > self.first:
            run_context.session.run(self.move)


def test_is_an_error_at_once_where_nobody_could_move_it(tmp_path: Any) -> None:
    hooks = [v1.train.LoggingTensorHook({"step": "global_step:0"}, every_n_iter=1)]
    estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
    for _ in range(2):
        with pytest.raises(errors.GlobalStepError, match="never advances the global step"):
            estimator.train(input_fn, hooks=hooks, steps=3)
    assert not (tmp_path / "model").exists()


def test_is_an_error_where_no_hook_does(tmp_path: Any) -> None:
    hook = Sees()
    with pytest.raises(errors.GlobalStepError, match="Nor did a hook advance it in 100 steps"):
        kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn, hooks=[hook], steps=3)
    assert hook.steps == 100


@pytest.mark.parametrize("hooks", [[], [Sees()]])
def test_is_a_warning_at_the_end_of_data(hooks: list[Any], tmp_path: Any, caplog: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path))
    estimator.train(lambda: input_fn(4), hooks=hooks, steps=3)
    assert estimator.get_variable_value("global_step") == 0
    (warning,) = (text for text in caplog.messages if "never advances" in text)
    assert "in 4 steps" in warning


def test_is_a_warning_where_a_hook_stops(tmp_path: Any, caplog: Any) -> None:
    class Stops(Sees):
        def after_run(self, run_context: Any, run_values: Any) -> None:
            super().after_run(run_context, run_values)
            if self.steps == 6:
                run_context.request_stop()

    hook = Stops()
    kestimator.Estimator(model_fn, str(tmp_path)).train(input_fn, hooks=[hook])
    assert hook.steps == 6
    assert "in 6 steps" in caplog.text


def test_is_one_warning_where_data_is_long(tmp_path: Any, caplog: Any) -> None:
    kestimator.Estimator(model_fn, str(tmp_path)).train(lambda: input_fn(120), steps=3)
    assert sum("never advances" in text for text in caplog.messages) == 1


def test_a_hook_may_move_it_late(tmp_path: Any) -> None:
    hook = Moves(first=20)
    estimator = kestimator.Estimator(model_fn, str(tmp_path))
    estimator.train(input_fn, hooks=[hook], max_steps=5)
    assert hook.steps == 25
    assert estimator.get_variable_value("global_step") == 5


def test_no_data_is_no_error(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(model_fn, str(tmp_path))
    estimator.train(lambda: input_fn(0), hooks=[Sees()])
    assert estimator.get_variable_value("global_step") == 0


def test_once_it_has_moved_nobody_looks(tmp_path: Any) -> None:
    """The guard costs nothing more after the first step."""
    estimator = kestimator.Estimator(model_fn, str(tmp_path))
    estimator.train(input_fn, hooks=[Moves()], steps=200)
    assert estimator.get_variable_value("global_step") == 200
