"""TPUEstimatorSpec beside what the original's programs show."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, tpu


def spec(**fields: Any) -> tpu.TPUEstimatorSpec:
    return tpu.TPUEstimatorSpec(kestimator.ModeKeys.EVAL, loss=tf.constant(1.0), **fields)


def named(one: Any, other: Any = None) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("tensors", [[], [1, 2, 3], {}, {"one": 1, "another": 2}])
def test_a_function_that_cannot_take_the_tensors(tensors: Any) -> None:
    with pytest.raises(errors.ArgumentError, match=r"eval_metrics\[0\]"):
        spec(eval_metrics=(named, tensors))
    with pytest.raises(errors.ArgumentError, match=r"host_call\[0\]"):
        spec(host_call=(named, tensors))


@pytest.mark.parametrize("tensors", [[1], (1, 2), {"one": 1}, {"other": 2, "one": 1}])
def test_a_function_that_can(tensors: Any) -> None:
    assert spec(eval_metrics=(named, tensors)).as_estimator_spec().eval_metric_ops == {}


def test_scaffold_fn_is_a_function() -> None:
    with pytest.raises(errors.ArgumentTypeError, match="scaffold_fn"):
        spec(scaffold_fn=tf.compat.v1.train.Scaffold())


def test_every_spec_calls_its_own_functions() -> None:
    """The original keeps the functions of the spec that was made last."""
    with tf.Graph().as_default():
        calls: list[str] = []
        first = spec(host_call=(lambda: calls.append("first"), []))
        spec(host_call=(lambda: calls.append("second"), []))
        first.as_estimator_spec()
    assert calls == ["first"]


def test_hooks_of_a_host_call_come_last() -> None:
    with tf.Graph().as_default():
        hook = kestimator.FinalOpsHook(tf.constant(1))
        converted = spec(host_call=(list, []), training_hooks=[hook]).as_estimator_spec()
    assert converted.training_hooks[0] is hook
    assert converted.training_hooks[1:] == converted.evaluation_hooks == converted.prediction_hooks
