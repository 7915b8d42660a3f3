"""train_and_evaluate: when it evaluates, several evaluations, clusters, bad input."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.adapters.hooks import event_files
from kestimator.train_eval import evaluations

v1 = tf.compat.v1
X = np.ones([4, 1], "float32")


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [1, 1], initializer=v1.ones_initializer())
    loss = tf.reduce_mean((features["x"] @ w - labels) ** 2)
    step = v1.train.get_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.01).minimize(loss, global_step=step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(({"x": X}, 2 * X)).repeat()


def make(model_dir: Any, **config: Any) -> kestimator.Estimator:
    return kestimator.Estimator(model_fn, config=kestimator.RunConfig(model_dir, **config))


def eval_spec(**given: Any) -> kestimator.EvalSpec:
    return kestimator.EvalSpec(input_fn, **{"steps": 1, "throttle_secs": 0, **given})


def evaluated(estimator: kestimator.Estimator, name: str | None = None) -> list[int]:
    return sorted(event_files.read_scalars(estimator.eval_dir(name)))


def checkpoints(estimator: kestimator.Estimator) -> list[int]:
    state = tf.train.get_checkpoint_state(estimator.model_dir)
    return [int(path.rpartition("-")[2]) for path in state.all_model_checkpoint_paths]


class Recorder(kestimator.Exporter):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def export(
        self,
        estimator: Any,
        export_path: str,
        checkpoint_path: str,
        eval_result: Any,
        is_the_final_export: bool,
    ) -> str:
        return f"{self._name} of {os.path.basename(checkpoint_path)}"


class TestBySteps:
    @pytest.mark.parametrize(
        ("config", "saved"),
        [
            ({}, [0, 4, 8, 10]),  # checkpoints by the clock
            ({"save_checkpoints_steps": None, "save_checkpoints_secs": None}, [0, 4, 8, 10]),
            ({"save_checkpoints_steps": 3}, [0, 3, 4, 6, 8, 9, 10]),
            ({"save_checkpoints_steps": 4}, [0, 4, 8, 10]),
        ],
    )
    def test_saves_and_evaluates(self, tmp_path: Any, config: Any, saved: list[int]) -> None:
        estimator = make(tmp_path, keep_checkpoint_max=20, **config)
        train_spec = kestimator.TrainSpec(input_fn, max_steps=10)
        spec = eval_spec(every_steps=4, throttle_secs=10**6)
        metrics, exports = kestimator.train_and_evaluate(estimator, train_spec, spec)
        assert checkpoints(estimator) == saved
        assert evaluated(estimator) == [4, 8, 10]
        assert (metrics["global_step"], exports) == (10, [])

    def test_counts_from_where_training_starts(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        estimator.train(input_fn, steps=3)
        train_spec = kestimator.TrainSpec(input_fn, max_steps=10)
        kestimator.train_and_evaluate(estimator, train_spec, eval_spec(every_steps=5))
        assert evaluated(estimator) == [8, 10]

    def test_leaves_the_loop_on_the_device(self, tmp_path: Any, monkeypatch: Any) -> None:
        looks = []
        ask = kestimator.engine.runs.device_loop.HookedSession.ask
        monkeypatch.setattr(
            kestimator.engine.runs.device_loop.HookedSession,
            "ask",
            lambda self, fetches: looks.append(1) or ask(self, fetches),
        )
        train_spec = kestimator.TrainSpec(input_fn, max_steps=1000)
        kestimator.train_and_evaluate(make(tmp_path), train_spec, eval_spec(every_steps=500))
        assert len(looks) < 40

    def test_where_the_model_fn_saves(self, tmp_path: Any) -> None:
        def saving_model_fn(features: Any, labels: Any, mode: str) -> Any:
            hook = kestimator.CheckpointSaverHook(str(tmp_path), save_steps=3)
            return model_fn(features, labels, mode)._replace(training_chief_hooks=[hook])

        estimator = kestimator.Estimator(saving_model_fn, tmp_path)
        train_spec = kestimator.TrainSpec(input_fn, max_steps=10)
        kestimator.train_and_evaluate(estimator, train_spec, eval_spec(every_steps=4))
        assert evaluated(estimator) == [6, 10]


class TestThrottle:
    def run(self, listener: evaluations.EvaluationListener, steps: Any, now: list[float]) -> None:
        listener.begin()
        for step, seconds in steps:
            now[0] = seconds
            listener.after_save(None, step)
        listener.end(None, steps[-1][0])

    def test_by_the_clock(self, tmp_path: Any, caplog: Any) -> None:
        estimator = make(tmp_path, save_checkpoints_steps=1)
        estimator.train(input_fn, steps=1)
        now = [0.0]
        spec = eval_spec(throttle_secs=60, name="slow", start_delay_secs=10**6)
        listener = evaluations.EvaluationListener(estimator, [spec], None, lambda: now[0])
        (evaluation,) = listener.evaluations
        steps: list[int | None] = []
        run = evaluation.run
        evaluation.run = lambda step: (steps.append(step), run(step))  # type: ignore[method-assign]
        with caplog.at_level(logging.INFO, "tensorflow"):
            self.run(listener, [(0, 5), (10, 100), (20, 159.5), (30, 160), (40, 170)], now)
        assert steps == [10, 30, 40]
        skipped = [r.message for r in caplog.records if "Skipping the evaluation" in r.message]
        assert skipped == [
            f"Skipping the evaluation 'slow' at step {step}: throttle_secs is 60, and {left} "
            "seconds of it remain. EvalSpec(throttle_secs=0) evaluates every checkpoint."
            for step, left in ((20, 0), (40, 50))
        ]

    def test_by_steps_says_why(self, tmp_path: Any, caplog: Any) -> None:
        estimator = make(tmp_path, save_checkpoints_steps=3)
        train_spec = kestimator.TrainSpec(input_fn, max_steps=4)
        with caplog.at_level(logging.INFO, "tensorflow"):
            kestimator.train_and_evaluate(estimator, train_spec, eval_spec(every_steps=4))
        reason = "every_steps is 4, so the next evaluation is at step 4."
        assert f"Skipping the evaluation at step 3: {reason}" in caplog.text


class TestSeveral:
    def test_each_with_its_own_pace(self, tmp_path: Any) -> None:
        estimator = make(tmp_path, save_checkpoints_steps=2)
        specs = [
            eval_spec(exporters=Recorder("one")),
            eval_spec(name="slow", throttle_secs=10**6, exporters=[Recorder("two")]),
            eval_spec(name="steps", every_steps=3),
        ]
        train_spec = kestimator.TrainSpec(input_fn, max_steps=7)
        metrics, exports = kestimator.train_and_evaluate(estimator, train_spec, specs)
        assert evaluated(estimator) == [2, 3, 4, 6, 7]
        assert evaluated(estimator, "slow") == [2, 7]
        assert evaluated(estimator, "steps") == [3, 6, 7]
        assert [result["global_step"] for result in metrics] == [7, 7, 7]
        assert exports == [["one of model.ckpt-7"], ["two of model.ckpt-7"], []]

    def test_nothing_left_to_train(self, tmp_path: Any) -> None:
        estimator = make(tmp_path)
        estimator.train(input_fn, steps=1)
        train_spec = kestimator.TrainSpec(input_fn, max_steps=1)
        specs = [eval_spec(), eval_spec(name="other")]
        returned = kestimator.train_and_evaluate(estimator, train_spec, specs)
        assert returned == ([None, None], [None, None])


CHIEF = {"cluster": {"chief": ["host:1"]}, "task": {"type": "chief", "index": 0}}
TWO = {"chief": ["host:1"], "worker": ["host:2"]}


class TestCluster:
    def test_a_chief_leaves_evaluations_to_the_evaluator(
        self, tmp_path: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("TF_CONFIG", json.dumps(CHIEF))
        estimator, train_spec = make(tmp_path), kestimator.TrainSpec(input_fn, max_steps=2)
        # tf.estimator returned None.
        assert kestimator.train_and_evaluate(estimator, train_spec, eval_spec()) == (None, None)
        specs = [eval_spec(), eval_spec(name="other")]
        returned = kestimator.train_and_evaluate(estimator, train_spec, specs)
        assert returned == ([None, None], [None, None])
        assert estimator.get_variable_value("global_step") == 2
        evaluator = {**CHIEF, "task": {"type": "evaluator", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(evaluator))
        for _ in range(2):  # an evaluator that is started again ends, too
            metrics, _ = kestimator.train_and_evaluate(make(tmp_path), train_spec, eval_spec())
            assert metrics["global_step"] == 2

    def test_a_master_evaluates(self, tmp_path: Any, monkeypatch: Any) -> None:
        master = {"cluster": {"master": ["host:1"]}, "task": {"type": "master", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(master))
        train_spec = kestimator.TrainSpec(input_fn, max_steps=2)
        metrics, _ = kestimator.train_and_evaluate(make(tmp_path), train_spec, eval_spec())
        assert metrics["global_step"] == 2

    @pytest.mark.parametrize("task", ["chief", "worker"])
    def test_workers_need_a_strategy(self, tmp_path: Any, monkeypatch: Any, task: str) -> None:
        content = {"cluster": TWO, "task": {"type": task, "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        estimator = make(tmp_path / "model")
        train_spec = kestimator.TrainSpec(input_fn, max_steps=2)
        match = "(?s)train_distribute.*MultiWorkerMirroredStrategy.*TF_CONFIG has 2 workers"
        with pytest.raises(ValueError, match=match):
            kestimator.train_and_evaluate(estimator, train_spec, eval_spec())
        assert not (tmp_path / "model").exists()

    def test_there_is_one_evaluator(self, tmp_path: Any, monkeypatch: Any) -> None:
        content = {"cluster": TWO, "task": {"type": "evaluator", "index": 1}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        train_spec = kestimator.TrainSpec(input_fn, max_steps=2)
        with pytest.raises(ValueError, match="only one evaluator"):
            kestimator.train_and_evaluate(make(tmp_path / "model"), train_spec, eval_spec())


TRAIN = kestimator.TrainSpec(input_fn, max_steps=2)


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"estimator": 3}, TypeError, ["estimator", "kestimator.Estimator", "3"]),
        ({"train_spec": None}, TypeError, ["train_spec", "TrainSpec", "None"]),
        ({"eval_spec": None}, TypeError, ["eval_spec", "EvalSpec", "None"]),
        ({"eval_spec": TRAIN}, TypeError, ["eval_spec", "EvalSpec", "TrainSpec"]),
        ({"eval_spec": "eval"}, TypeError, ["eval_spec", "'eval'"]),
        ({"eval_spec": []}, ValueError, ["eval_spec", "at least one"]),
        ({"eval_spec": [eval_spec(), 3]}, TypeError, [r"eval_spec\[1\]", "3"]),
        ({"eval_spec": [eval_spec(), eval_spec()]}, ValueError, ["`name of eval_spec`", "folder"]),
        (
            {
                "eval_spec": [
                    eval_spec(exporters=Recorder("a")),
                    eval_spec(name="b", exporters=Recorder("a")),
                ]
            },
            ValueError,
            ["`exporters of eval_spec`", r"\['a', 'a'\]"],
        ),
        ({"callbacks": 3}, TypeError, ["callbacks"]),
        ({"verbose": "loud"}, ValueError, ["verbose", "'loud'"]),
    ],
)
def test_wrong_arguments(tmp_path: Any, arguments: Any, kind: Any, parts: Any) -> None:
    given = {
        "estimator": make(tmp_path / "model"),
        "train_spec": TRAIN,
        "eval_spec": eval_spec(),
        **arguments,
    }
    pattern = "(?s)^" + "".join(f"(?=.*{part})" for part in parts)
    with pytest.raises(kind, match=pattern) as caught:
        kestimator.train_and_evaluate(**given)
    assert isinstance(caught.value, kestimator.errors.KestimatorError)
    assert not (tmp_path / "model").exists()


def test_nothing_saves_checkpoints(tmp_path: Any) -> None:
    estimator = make(tmp_path / "model", save_checkpoints_steps=None, save_checkpoints_secs=None)
    with pytest.raises(ValueError, match="(?s)train_and_evaluate.*save_checkpoints_steps"):
        kestimator.train_and_evaluate(estimator, TRAIN, eval_spec())
    assert not (tmp_path / "model").exists()


def test_checkpoints_elsewhere(tmp_path: Any) -> None:
    def saving_model_fn(features: Any, labels: Any, mode: str) -> Any:
        hook = kestimator.CheckpointSaverHook(str(tmp_path / "other"), save_steps=1)
        return model_fn(features, labels, mode)._replace(training_chief_hooks=[hook])

    estimator = kestimator.Estimator(saving_model_fn, tmp_path / "model")
    with pytest.raises(ValueError, match="(?s)step 1.*none in.*model"):
        kestimator.train_and_evaluate(estimator, TRAIN, eval_spec())
