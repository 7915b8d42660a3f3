"""train_and_evaluate, killed at any moment and run again: the best export is still the best."""

from __future__ import annotations

import math
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import tensorflow as tf
from sklearn import datasets

from kestimator.adapters.hooks import event_files
from kestimator.engine.saved_models import export_files
from kestimator.train_eval import best_result, stopping_rules

PROGRAM = """
import sys
import tensorflow as tf
from sklearn import datasets
import kestimator

x, y = datasets.load_digits(return_X_y=True)
x = x.astype("float32") / 16
column = tf.feature_column.numeric_column("x", [64])


class Tell(kestimator.Exporter):
    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        return self._name

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        print(self.name, eval_result["global_step"], float(eval_result["accuracy"]), flush=True)


def data(first, last, repeat, seed=None):
    def input_fn():
        made = tf.data.Dataset.from_tensor_slices(({"x": x[first:last]}, y[first:last]))
        return made.shuffle(2000, seed).repeat(repeat).batch(32)
    return input_fn


config = kestimator.RunConfig(sys.argv[1], tf_random_seed=1, save_checkpoints_steps=40)
estimator = kestimator.DNNClassifier([24], [column], n_classes=10, config=config)
receiver_fn = kestimator.export.build_raw_serving_input_receiver_fn({"x": tf.zeros([1, 64])})
best = kestimator.BestExporter(
    "best", receiver_fn, metric="accuracy", mode="max", exports_to_keep=None)
latest = kestimator.LatestExporter("latest", receiver_fn, exports_to_keep=2)
hook = kestimator.experimental.stop_if_no_increase_hook(
    estimator, "accuracy", None, patience=3, min_delta=0.002)
kestimator.train_and_evaluate(
    estimator,
    kestimator.TrainSpec(data(0, 1200, None, 1), max_steps=4000, hooks=[hook]),
    kestimator.EvalSpec(
        data(1200, 1797, 1), steps=None, throttle_secs=0,
        exporters=[Tell("judging"), best, latest, Tell("judged")]))
print("done", flush=True)
"""


def start(directory: pathlib.Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(lines: list[str]) -> list[tuple[str, int, float]]:
    fields = [line.split() for line in lines if line.count(" ") == 2 and line.endswith("\n")]
    return [(what, int(step), float(accuracy)) for what, step, accuracy in fields]


def killed(directory: pathlib.Path, moment: str, delay: float) -> list[tuple[str, int, float]]:
    """Kills the program the third time that it says `moment`, and gives what it said."""
    lines, times = [], 0
    with start(directory) as process:
        assert process.stdout is not None
        while times < 3:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr and process.stderr.read()
            times += lines[-1].startswith(moment)
        time.sleep(delay)  # to hit another moment; nothing waits for it
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    return told(lines)


def accuracy_of(export: pathlib.Path) -> float:
    x, y = datasets.load_digits(return_X_y=True)
    loaded = tf.saved_model.load(str(export))
    served = loaded.signatures["predict"](x=tf.constant(x[1200:] / 16, tf.float32))
    return float((served["class_ids"].numpy()[:, 0] == y[1200:]).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "delay"), [("judging", 0.0), ("judging", 0.15), ("judging", 0.6), ("judged", 0.0)]
)
def test_the_best_export_stays_the_best(tmp_path: Any, moment: str, delay: float) -> None:
    model, kills = tmp_path / "model", 2
    said = [line for _ in range(kills) for line in killed(model, moment, delay)]
    process = start(model)
    output, problems = process.communicate(timeout=300)
    assert output.endswith("done\n"), problems
    said += told(output.splitlines(keepends=True))

    best = model / "export" / "best"
    names = export_files.exports_in(str(best))
    assert sorted(os.listdir(best)) == sorted(names)
    exported = [accuracy_of(best / name) for name in names]
    assert exported == sorted(set(exported))  # each is better than the one before
    kept = best_result.read(str(best))
    assert kept.started is None
    assert kept.best is not None
    assert math.isclose(kept.best["accuracy"], exported[-1], abs_tol=1e-6)
    assert kept.best["accuracy"] == max(value for what, _, value in said if what == "judged")

    judged = [value for what, _, value in said if what == "judged"]
    better = [value for i, value in enumerate(judged) if value > max(judged[:i], default=0)]
    assert all(any(math.isclose(v, e, abs_tol=1e-6) for e in exported) for v in better)
    assert len(better) <= len(exported) <= len(better) + kills  # a kill hides what was exported

    latest = model / "export" / "latest"
    assert len(export_files.exports_in(str(latest))) == 2
    assert all(len(name) == 10 for name in os.listdir(latest))

    results = event_files.read_scalars(str(model / "eval"))
    steps = sorted(results)
    rule = stopping_rules.NoImprovement(
        "accuracy", None, patience=3, min_delta=0.002, min_steps=0, higher=True
    )
    in_order = {step: results[step] for step in steps}
    assert rule.reason_to_stop(in_order) is not None
    assert rule.reason_to_stop({step: results[step] for step in steps[:-1]}) is None
