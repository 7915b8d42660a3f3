"""One line of configuration shows what tf.estimator showed, each line once."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator import logs

v1 = tf.compat.v1
# What tf.estimator 2.15 logs in `run`, without its lines on configurations and deprecations.
TRAINS = """Calling model_fn.
Done calling model_fn.
Create CheckpointSaverHook.
Graph was finalized.
Running local_init_op.
Done running local_init_op.
Calling checkpoint listeners before saving checkpoint 0...
Saving checkpoints for 0 into DIR/model.ckpt.
Calling checkpoint listeners after saving checkpoint 0...
loss = 0.0, step = 0
Calling checkpoint listeners before saving checkpoint 2...
Saving checkpoints for 2 into DIR/model.ckpt.
Calling checkpoint listeners after saving checkpoint 2...
Loss for final step: 1.0."""
EVALUATES = """Calling model_fn.
Done calling model_fn.
Starting evaluation at TIME
Graph was finalized.
Restoring parameters from DIR/model.ckpt-2
Running local_init_op.
Done running local_init_op.
Evaluation [1/2]
Evaluation [2/2]
Inference Time : TIME
Finished evaluation at TIME
Saving dict for global step 2: global_step = 2, loss = 2.0, w = 2.0
Saving 'checkpoint_path' summary for global step 2: DIR/model.ckpt-2"""


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [], initializer=v1.zeros_initializer())
    loss = w + tf.reduce_sum(0.0 * features)
    step = v1.train.get_global_step()
    with tf.control_dependencies([loss]):
        train_op = tf.group(v1.assign_add(w, 1.0), v1.assign_add(step, 1))
    metrics = {"w": v1.metrics.mean(w)}
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors([1.0, 2.0]).repeat(5)


@contextlib.contextmanager
def handler(logger: logging.Logger, stream: Any, prefix: str = "") -> Iterator[None]:
    added = logging.StreamHandler(stream)
    added.setFormatter(logging.Formatter(f"{prefix}%(levelname)s:%(name)s:%(message)s"))
    logger.addHandler(added)
    try:
        yield
    finally:
        logger.removeHandler(added)


@pytest.fixture
def info() -> Iterator[None]:
    before = v1.logging.get_verbosity()
    v1.logging.set_verbosity(v1.logging.INFO)
    yield
    v1.logging.set_verbosity(before)


def plain(line: str, model_dir: Any) -> str:
    line = line.removeprefix("INFO:tensorflow:").replace(str(model_dir), "DIR")
    line = line.removesuffix(" (in memory already)")
    return re.sub(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d|[\d.]+s$", "TIME", line)


def test_one_line_shows_what_the_original_showed(tmp_path: Any, capsys: Any, info: None) -> None:
    with handler(tf.get_logger(), sys.stderr):  # as TensorFlow's own
        estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=2)
        estimator.evaluate(input_fn, steps=2)
    lines = [plain(line, tmp_path) for line in capsys.readouterr().err.splitlines()]
    start = lines.index("Calling model_fn.")
    assert lines[start:] == f"{TRAINS}\n{EVALUATES}".splitlines()


def test_root_logger_on_the_same_screen(tmp_path: Any, capsys: Any, info: None) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    with handler(tf.get_logger(), sys.stderr), handler(logging.getLogger(), sys.stdout, "root "):
        estimator.train(input_fn, steps=2)
        shown = capsys.readouterr()
        v1.logging.info("a line of the program")
        outside = capsys.readouterr()
    assert shown.err == ""
    assert [plain(s.removeprefix("root "), tmp_path) for s in shown.out.splitlines()] == (
        TRAINS.splitlines()
    )
    # Nothing remains of it.
    assert "a line of" in outside.err
    assert "a line of" in outside.out


def test_root_logger_that_writes_a_file(tmp_path: Any, capsys: Any, info: None) -> None:
    with (
        open(tmp_path / "log.txt", "w") as file,
        handler(tf.get_logger(), sys.stderr),
        handler(logging.getLogger(), file),
    ):
        logs.info("to both")
    assert capsys.readouterr().err == "INFO:tensorflow:to both\n"
    assert (tmp_path / "log.txt").read_text() == "INFO:tensorflow:to both\n"


def test_warnings_show_without_any_line(capsys: Any) -> None:
    with handler(tf.get_logger(), sys.stderr):
        logs.info("silent")
        logs.warning("shown")
    assert capsys.readouterr().err == "WARNING:tensorflow:shown\n"


def test_handlers_without_a_stream_are_no_screen(monkeypatch: Any) -> None:
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, None)  # as in a service
    both = tf.get_logger(), logging.getLogger()
    added = Keeps()
    for logger in both:
        logger.addHandler(added)
    try:
        logs.warning("a line")
    finally:
        for logger in both:
            logger.removeHandler(added)
    assert [record.getMessage() for record in records] == ["a line"] * 2
