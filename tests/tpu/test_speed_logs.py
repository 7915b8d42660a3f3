"""The speed in the log and in summaries."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import tensorflow as tf

from kestimator import tpu
from kestimator.tpu.speed_logs import LogCadence, SpeedWriter


def summary() -> Any:
    value = tf.compat.v1.Summary.Value(tag="global_step/sec", simple_value=3.0)
    return tf.compat.v1.Summary(value=[value])


@pytest.mark.parametrize(
    ("iterations", "log_steps", "expected"),
    [
        (100, 100, (1, None)),
        (2, 5, (3, None)),
        (200, 100, (1, None)),
        (2, None, (None, None)),
        ("2m", 100, (None, 120)),
        ("2m", None, (None, 120)),
    ],
)
def test_cadence(iterations: Any, log_steps: Any, expected: Any) -> None:
    config = tpu.RunConfig(tpu.TPUConfig(iterations), log_step_count_steps=log_steps)
    cadence = LogCadence.of(config)
    assert (cadence.steps, cadence.seconds) == expected
    assert len(cadence.hooks(None, 4)) == (expected != (None, None))


def test_without_a_folder_there_are_only_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tensorflow"):
        SpeedWriter(None, 4).add_summary(summary(), 1)
    assert caplog.messages == ["examples/sec: 12"]


def test_without_a_batch_size_there_are_no_examples(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tensorflow"):
        SpeedWriter(None, None).add_summary(summary(), 1)
    assert caplog.messages == []
