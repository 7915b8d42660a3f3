"""Early stopping and evaluation in memory: what the original has not, and bad input."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import experimental
from kestimator.adapters.hooks import event_files
from kestimator.train_eval import early_stopping, stopping_rules

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    """A variable that counts steps; `score` goes up to 12 and down again, the loss the reverse."""
    w = v1.get_variable("w", [], initializer=v1.zeros_initializer())
    loss = tf.abs(w - 12.0) + 0.0 * tf.reduce_sum(features)
    if mode == kestimator.ModeKeys.EVAL:
        score = v1.metrics.mean(12.0 - tf.abs(w - 12.0))
        return kestimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"score": score})
    train_op = tf.group(v1.assign_add(w, 1.0), v1.assign_add(v1.train.get_global_step(), 1))
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(np.ones([2], "float32")).repeat()


def make(model_dir: Any, model_fn: Any = model_fn, **config: Any) -> kestimator.Estimator:
    config = {"save_checkpoints_steps": 2, **config}
    return kestimator.Estimator(model_fn, config=kestimator.RunConfig(model_dir, **config))


def stopped_at(estimator: Any, *hooks: Any, max_steps: int = 50, **given: Any) -> int:
    spec = kestimator.EvalSpec(input_fn, steps=1, throttle_secs=0, **given)
    train_spec = kestimator.TrainSpec(input_fn, max_steps=max_steps, hooks=hooks)
    kestimator.train_and_evaluate(estimator, train_spec, spec)
    return int(estimator.get_variable_value("global_step"))


def looks_of(monkeypatch: Any) -> list[int]:
    looks: list[int] = []
    ask = kestimator.engine.runs.device_loop.HookedSession.ask
    monkeypatch.setattr(
        kestimator.engine.runs.device_loop.HookedSession,
        "ask",
        lambda self, fetches: looks.append(1) or ask(self, fetches),
    )
    return looks


class TestWhen:
    def test_right_after_an_evaluation_although_the_clock_is_slow(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_higher_hook(estimator, "score", 6.0)
        assert stopped_at(estimator, hook) == 8

    def test_the_loop_stays_on_the_device(self, tmp_path: Any, monkeypatch: Any) -> None:
        looks = looks_of(monkeypatch)
        estimator = make(tmp_path, save_checkpoints_steps=200)
        hook = experimental.stop_if_lower_hook(estimator, "score", -900.0)
        assert stopped_at(estimator, hook, max_steps=2000) == 1000
        assert len(looks) < 40

    def test_by_steps_on_the_device(self, tmp_path: Any, monkeypatch: Any) -> None:
        looks = looks_of(monkeypatch)
        estimator = make(tmp_path, save_checkpoints_steps=1000)
        calls: list[int] = []
        hook = experimental.make_early_stopping_hook(
            estimator, lambda: calls.append(1), run_every_secs=None, run_every_steps=500
        )
        estimator.train(input_fn, hooks=[hook], steps=2000)
        assert len(calls) == 4
        assert len(looks) < 60

    @pytest.mark.parametrize(
        ("given", "step"),
        [
            ({"patience": 1}, 14),
            ({"patience": 3}, 18),
            ({"patience": 3, "min_delta": 2.0}, 16),  # the best is that of step 10
            ({"patience": 3, "min_delta": 1.9}, 18),
            ({"patience": 3, "min_steps": 20}, 26),
        ],
    )
    def test_patience(self, tmp_path: Any, given: Any, step: int) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_no_increase_hook(estimator, "score", None, **given)
        assert stopped_at(estimator, hook) == step

    def test_patience_or_steps(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_no_decrease_hook(estimator, "loss", 4, patience=3)
        assert stopped_at(estimator, hook) == 16

    def test_by_the_evaluator_in_memory(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        evaluator = experimental.InMemoryEvaluatorHook(estimator, input_fn, 1, every_n_iter=3)
        hook = experimental.stop_if_higher_hook(estimator, "score", 7.0)
        estimator.train(input_fn, hooks=[evaluator, hook], steps=50)
        assert estimator.get_variable_value("global_step") == 9

    def test_by_event_files_of_another_process(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)

        class Evaluator(kestimator.CheckpointSaverListener):
            def after_save(self, session: Any, global_step_value: int) -> None:
                values = {"score": float(global_step_value), "global_step": global_step_value}
                event_files.write_evaluation(estimator.eval_dir(), values, None)

        hook = experimental.stop_if_higher_hook(
            estimator, "score", 5.0, run_every_secs=None, run_every_steps=1
        )
        estimator.train(input_fn, hooks=[hook], saving_listeners=[Evaluator()], steps=50)
        assert estimator.get_variable_value("global_step") == 6

    def test_results_of_an_earlier_run_count(self, tmp_path: Any) -> None:
        first = make(tmp_path)
        hook = experimental.stop_if_no_increase_hook(first, "score", None, patience=3)
        assert stopped_at(first, hook, max_steps=14) == 14
        second = make(tmp_path)
        hook = experimental.stop_if_no_increase_hook(second, "score", None, patience=3)
        assert stopped_at(second, hook) == 18

    def test_with_a_hook_that_served_before(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_higher_hook(estimator, "score", 6.0)
        assert stopped_at(estimator, hook, max_steps=4) == 4
        assert stopped_at(estimator, hook) == 8


class TestADirectoryThatWasTrainedWithout:
    def test_goes_on_with_it_and_without_again(self, tmp_path: Any) -> None:
        make(tmp_path).train(input_fn, steps=2)
        estimator = make(tmp_path)
        hook = experimental.make_early_stopping_hook(
            estimator, lambda: True, run_every_secs=None, run_every_steps=1
        )
        estimator.train(input_fn, hooks=[hook], steps=5)
        assert estimator.get_variable_value("global_step") == 3
        assert estimator.get_variable_value("signal_early_stopping/STOP")
        assert estimator.train(input_fn, steps=2).get_variable_value("global_step") == 5


class TestWarning:
    def test_without_any_evaluation(self, tmp_path: Any, caplog: Any) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_higher_hook(estimator, "score", 6.0)
        estimator.train(input_fn, hooks=[hook], steps=4)
        assert "'score' never had a result" in caplog.text
        assert estimator.eval_dir() in caplog.text

    def test_with_evaluations_there_is_none(self, tmp_path: Any, caplog: Any) -> None:
        estimator = make(tmp_path)
        hook = experimental.stop_if_higher_hook(estimator, "score", 6.0)
        stopped_at(estimator, hook, max_steps=4)
        assert "never had a result" not in caplog.text


def no_improvement(**given: Any) -> stopping_rules.NoImprovement:
    fields = {"patience": None, "min_delta": 0.0, "min_steps": 0, "higher": True, **given}
    return stopping_rules.NoImprovement("m", fields.pop("max_steps", None), **fields)


@pytest.mark.parametrize(
    ("rule", "values", "stops"),
    [
        (no_improvement(patience=2), [1, 2, 2, 2], True),
        (no_improvement(patience=2), [1, 2, 2, 3, 3], False),
        (no_improvement(patience=2), [np.nan, 1, 2], False),
        (no_improvement(patience=2), [1, np.nan, np.nan], True),
        (no_improvement(max_steps=2), [3, 2, 1], True),
        (no_improvement(max_steps=3), [3, 2, 1], False),
        (no_improvement(max_steps=0), [3], True),
        (no_improvement(max_steps=2), [], False),
        (stopping_rules.Threshold("m", 2.0, 0, higher=True), [1, 2], False),
        (stopping_rules.Threshold("m", 2.0, 0, higher=True), [3, 1], True),
        (stopping_rules.Threshold("m", 2.0, 1, higher=True), [3, 1], False),
        (stopping_rules.Threshold("m", 2.0, 0, higher=False), [2, 1], True),
    ],
)
def test_rules(rule: stopping_rules.Rule, values: Any, stops: bool) -> None:
    results = {step: {"m": value, "other": 0.0} for step, value in enumerate(values)}
    assert (rule.reason_to_stop(results) is not None) == stops


def test_evaluations_without_the_metric_do_not_count() -> None:
    rule = stopping_rules.Threshold("m", 2.0, 0, higher=True)
    assert rule.reason_to_stop({1: {"other": 3.0}, 2: {"m": 3.0}})
    with pytest.raises(KeyError, match=r"(?s)metric_name.*\['other'\].*'m'"):
        rule.reason_to_stop({1: {"other": 3.0}})


class TestStopAtCheckpointStep:
    def test_a_worker_waits_for_the_checkpoint(self, tmp_path: Any) -> None:
        estimator, waits = make(tmp_path, save_checkpoints_steps=4), []
        hook = early_stopping.StopAtCheckpointStepHook(str(tmp_path), 6, 30, waits.append)
        estimator.train(input_fn, hooks=[hook])
        assert estimator.get_variable_value("global_step") == 8
        assert waits == [30, 30]

    def test_which_hook(self, tmp_path: Any, monkeypatch: Any) -> None:
        cluster = {"chief": ["a:1"], "worker": ["b:1"]}
        for task, kind in (
            ("chief", kestimator.StopAtStepHook),
            ("worker", early_stopping.StopAtCheckpointStepHook),
        ):
            content = {"cluster": cluster, "task": {"type": task, "index": 0}}
            monkeypatch.setenv("TF_CONFIG", json.dumps(content))
            estimator = make(tmp_path)
            assert type(experimental.make_stop_at_checkpoint_step_hook(estimator, 5)) is kind


class TestInMemory:
    def test_a_variable_of_evaluation_alone(self, tmp_path: Any) -> None:
        def own_model_fn(features: Any, labels: Any, mode: str) -> Any:
            spec = model_fn(features, labels, mode)
            if mode == kestimator.ModeKeys.TRAIN:
                return spec
            own = v1.get_variable("own", [], initializer=v1.constant_initializer(5.0))
            return spec._replace(eval_metric_ops={"own": v1.metrics.mean(own)})

        estimator = make(tmp_path, own_model_fn)
        hook = experimental.InMemoryEvaluatorHook(estimator, input_fn, 1, every_n_iter=2)
        estimator.train(input_fn, hooks=[hook], steps=4)
        results = event_files.read_scalars(estimator.eval_dir())
        assert [values["own"] for values in results.values()] == [5.0, 5.0, 5.0]
        assert estimator.get_variable_names() == ["global_step", "w"]

    def test_leaves_the_loop_on_the_device(self, tmp_path: Any, monkeypatch: Any) -> None:
        looks = looks_of(monkeypatch)
        estimator = make(tmp_path, save_checkpoints_steps=1000)
        hook = experimental.InMemoryEvaluatorHook(estimator, input_fn, 1, every_n_iter=500)
        estimator.train(input_fn, hooks=[hook], steps=1000)
        assert list(event_files.read_scalars(estimator.eval_dir())) == [0, 500, 1000]
        assert len(looks) < 40

    def test_of_another_estimator(self, tmp_path: Any) -> None:
        other = make(tmp_path / "other")
        hook = experimental.InMemoryEvaluatorHook(make(tmp_path / "one"), input_fn)
        with pytest.raises(ValueError, match="(?s)`estimator`.*for each estimator"):
            other.train(input_fn, hooks=[hook], steps=1)
        assert other.latest_checkpoint() is None

    @pytest.mark.parametrize("own", ["saver", "init_fn"])
    def test_scaffold_of_its_own(self, tmp_path: Any, own: str) -> None:
        def own_model_fn(features: Any, labels: Any, mode: str) -> Any:
            spec = model_fn(features, labels, mode)
            if mode == kestimator.ModeKeys.TRAIN:
                return spec
            parts = {"saver": v1.train.Saver(), "init_fn": lambda scaffold, session: None}
            return spec._replace(scaffold=v1.train.Scaffold(**{own: parts[own]}))

        estimator = make(tmp_path, own_model_fn)
        hook = experimental.InMemoryEvaluatorHook(estimator, input_fn)
        with pytest.raises(ValueError, match="(?s)`scaffold`.*train_and_evaluate"):
            estimator.train(input_fn, hooks=[hook], steps=1)
        assert not [name for name in os.listdir(tmp_path) if "ckpt" in name]

    def test_of_a_cluster(self, tmp_path: Any, monkeypatch: Any) -> None:
        content = {
            "cluster": {"chief": ["a:1"], "worker": ["b:1"]},
            "task": {"type": "chief", "index": 0},
        }
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        with pytest.raises(ValueError, match="(?s)'workers': 2.*TF_CONFIG"):
            experimental.InMemoryEvaluatorHook(make(tmp_path), input_fn)


def test_a_hook_can_make_variables(tmp_path: Any) -> None:
    class Counter(kestimator.SessionRunHook):
        def begin(self) -> None:
            count = v1.get_variable("count", [], initializer=v1.zeros_initializer())
            self.more = v1.assign_add(count, 1.0)

        def before_run(self, run_context: Any) -> Any:
            return kestimator.SessionRunArgs(self.more)

    estimator = make(tmp_path)
    for total in (3, 6):
        estimator.train(input_fn, hooks=[Counter()], steps=3)
        assert estimator.get_variable_value("count") == total


WRONG = {
    "higher": ({"metric_name": "m", "threshold": 1.0}, experimental.stop_if_higher_hook),
    "lower": ({"metric_name": "m", "threshold": 1.0}, experimental.stop_if_lower_hook),
    "increase": (
        {"metric_name": "m", "max_steps_without_increase": 1},
        experimental.stop_if_no_increase_hook,
    ),
    "decrease": (
        {"metric_name": "m", "max_steps_without_decrease": 1},
        experimental.stop_if_no_decrease_hook,
    ),
    "function": ({"should_stop_fn": bool}, experimental.make_early_stopping_hook),
    "checkpoint": ({"last_step": 3}, experimental.make_stop_at_checkpoint_step_hook),
    "memory": ({"input_fn": input_fn}, experimental.InMemoryEvaluatorHook),
}


@pytest.mark.parametrize(
    ("which", "arguments", "kind", "parts"),
    [
        *((which, {"estimator": 3}, TypeError, ["estimator", "Estimator", "3"]) for which in WRONG),
        *(
            (which, {"run_every_steps": 5}, ValueError, ["run_every_secs=60", "=5", "=None"])
            for which in ("higher", "lower", "increase", "decrease", "function")
        ),
        ("higher", {"run_every_secs": None}, ValueError, ["Exactly one"]),
        ("higher", {"run_every_secs": -1}, ValueError, ["run_every_secs", "-1"]),
        ("higher", {"run_every_secs": None, "run_every_steps": 0}, ValueError, ["above 0"]),
        ("higher", {"metric_name": 3}, TypeError, ["metric_name", "3"]),
        ("higher", {"threshold": "high"}, TypeError, ["threshold", "'high'"]),
        ("lower", {"min_steps": -1}, ValueError, ["min_steps", "-1"]),
        ("lower", {"eval_dir": 3}, TypeError, ["eval_dir", "a path"]),
        (
            "increase",
            {"max_steps_without_increase": None},
            ValueError,
            ["max_steps_without_increase", "`patience`"],
        ),
        (
            "decrease",
            {"max_steps_without_decrease": -3},
            ValueError,
            ["max_steps_without_decrease", "-3"],
        ),
        ("decrease", {"patience": 0}, ValueError, ["patience", "above 0"]),
        ("decrease", {"min_delta": -0.1}, ValueError, ["min_delta", "-0.1"]),
        ("function", {"should_stop_fn": 3}, TypeError, ["should_stop_fn", "3"]),
        ("checkpoint", {"last_step": None}, ValueError, ["last_step", "None"]),
        ("checkpoint", {"last_step": 0}, ValueError, ["last_step", "above 0"]),
        ("checkpoint", {"wait_after_file_check_secs": -1}, ValueError, ["wait_after", "-1"]),
        ("memory", {"every_n_iter": None}, ValueError, ["every_n_iter", "None"]),
        ("memory", {"every_n_iter": 0}, ValueError, ["every_n_iter", "above 0"]),
        ("memory", {"steps": 0}, ValueError, ["steps", "above 0"]),
        ("memory", {"hooks": [3]}, TypeError, [r"hooks\[0\]", "SessionRunHook"]),
        ("memory", {"name": "../up"}, ValueError, ["name", r"\.\."]),
        ("memory", {"input_fn": 3}, TypeError, ["input_fn", "callable"]),
    ],
)
def test_wrong_arguments(tmp_path: Any, which: str, arguments: Any, kind: Any, parts: Any) -> None:
    given, make_hook = WRONG[which]
    pattern = "(?s)^" + "".join(f"(?=.*{part})" for part in parts)
    estimator = make(tmp_path / "model")
    with pytest.raises(kind, match=pattern) as caught:
        make_hook(**{"estimator": estimator, **given, **arguments})
    assert isinstance(caught.value, kestimator.errors.KestimatorError)
    assert not (tmp_path / "model").exists()


def test_log_says_why(tmp_path: Any, caplog: Any) -> None:
    estimator = make(tmp_path)
    hook = experimental.stop_if_higher_hook(estimator, "score", 6.0)
    with caplog.at_level(logging.INFO, "tensorflow"):
        stopped_at(estimator, hook)
    assert "at step 8, it was 8.0, above the threshold 6.0" in caplog.text
