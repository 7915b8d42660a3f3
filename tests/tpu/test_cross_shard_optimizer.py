"""CrossShardOptimizer without a TPU does what the wrapped optimizer does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, tpu
from tests.programs import tools

v1 = tf.compat.v1


def trained(model_dir: Any, wrap: Any) -> dict[str, Any]:
    estimator = kestimator.Estimator(
        tools.linear_model_fn(kestimator, lambda: wrap(v1.train.AdamOptimizer(0.1))), model_dir
    )
    estimator.train(tools.batches(*tools.regression()), steps=3)
    return tools.checkpoint(str(model_dir))


def test_trains_as_the_wrapped_optimizer(tmp_path: Any) -> None:
    plain = trained(tmp_path / "plain", lambda optimizer: optimizer)
    wrapped = trained(tmp_path / "wrapped", tpu.CrossShardOptimizer)
    assert list(wrapped) == list(plain)
    for name, variable in plain.items():
        np.testing.assert_array_equal(wrapped[name]["values"], variable["values"])


def test_is_that_of_tensorflow_with_the_slots_of_the_wrapped_one() -> None:
    optimizer = tpu.CrossShardOptimizer(v1.train.MomentumOptimizer(0.1, 0.9))
    assert isinstance(optimizer, v1.tpu.CrossShardOptimizer)
    with tf.Graph().as_default():
        variable = v1.get_variable("v", [])
        gradients = optimizer.compute_gradients(variable**2, [variable])
        optimizer.apply_gradients(gradients)
        assert optimizer.get_slot_names() == ["momentum"]
        assert [slot.op.name for slot in optimizer.variables()] == ["v/Momentum"]


def test_bad_arguments() -> None:
    with pytest.raises(errors.ArgumentTypeError, match="train_op"):
        tpu.CrossShardOptimizer(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="reduction"):
        tpu.CrossShardOptimizer(v1.train.GradientDescentOptimizer(0.1), reduction="none")
