"""Checkpoints of earlier versions, whose names of variables also stand for others today."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

v1 = tf.compat.v1
ONE = np.ones([1, 1], np.float32)


def data() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors((ONE, ONE))


def dense(name: str) -> keras.layers.Dense:
    return keras.layers.Dense(1, use_bias=False, name=name)


def tower(layer: str, **options: Any) -> keras.Sequential:
    return keras.Sequential([keras.Input([1]), dense(layer)], **options)


def tower_first(features: tf.Tensor, mode: str) -> tf.Tensor:
    return tower("a", name="tower")(features) * 100.0 + dense("a")(features)


def tower_last(features: tf.Tensor, mode: str) -> tf.Tensor:
    plain = dense("a")(features)
    return tower("a", name="tower")(features) * 100.0 + plain


def two_towers(features: tf.Tensor, mode: str) -> tf.Tensor:
    return tower("fc")(features) * 100.0 + tower("fc")(features)


def tower_alone(features: tf.Tensor, mode: str) -> tf.Tensor:
    outputs = tower("a", name="tower")(features) * 100.0
    return outputs if mode == kestimator.ModeKeys.PREDICT else outputs + dense("a")(features)


Outputs = Callable[[tf.Tensor, str], tf.Tensor]


def estimator_of(
    outputs: Outputs, model_dir: pathlib.Path, optimizer: str = "", **scaffold: Any
) -> kestimator.Estimator:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        predictions = outputs(features, mode)
        loss = tf.reduce_mean(predictions)
        train_op: Any = None
        if mode == kestimator.ModeKeys.TRAIN:
            step = v1.train.get_global_step()
            train_op = {
                "": lambda: v1.assign_add(step, 1),
                "keras": lambda: keras.optimizers.SGD(0.5, momentum=0.5),
                "tf1": lambda: v1.train.MomentumOptimizer(0.5, 0.5).minimize(loss, step),
            }[optimizer]()
        options = {key: make() for key, make in scaffold.items()}
        return kestimator.EstimatorSpec(
            mode, {"y": predictions}, loss, train_op, scaffold=v1.train.Scaffold(**options)
        )

    return kestimator.Estimator(model_fn, str(model_dir))


def write(model_dir: pathlib.Path, **values: Any) -> None:
    """Writes a checkpoint with tensors by name; "__" stands for a slash."""
    tensors = {name.replace("__", "/"): np.float32(value) for name, value in values.items()}
    for name, value in tensors.items():
        if "kernel" in name:
            tensors[name] = value * ONE
    counts = {"global_step": np.int64, "sgd/iteration": np.int64}
    tensors |= {name: counts[name](tensors[name]) for name in tensors if name in counts}
    with tf.device("cpu"):
        tf.raw_ops.SaveV2(
            prefix=str(model_dir / "model.ckpt-3"),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(value) for value in tensors.values()],
        )
    (model_dir / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"')


def prediction(estimator: kestimator.Estimator) -> float:
    return float(next(estimator.predict(data))["y"][0])


@pytest.mark.parametrize("outputs", [tower_first, tower_last])
def test_a_former_name_may_be_the_current_name_of_another(
    outputs: Outputs, tmp_path: pathlib.Path
) -> None:
    write(tmp_path, tower__a__kernel=2.0, a__kernel=3.0, global_step=3)
    estimator = estimator_of(outputs, tmp_path)
    assert prediction(estimator) == 203.0
    assert prediction(estimator.train(data, steps=1)) == 203.0
    assert "tower/a/kernel" not in estimator.get_variable_names()
    assert prediction(estimator_of(outputs, tmp_path)) == 203.0  # by the current names


def test_one_tensor_is_not_read_into_two_variables(tmp_path: pathlib.Path) -> None:
    write(tmp_path, a__kernel=3.0, global_step=3)
    with pytest.raises(errors.MissingVariableError, match=r"'a.*/kernel"):
        prediction(estimator_of(tower_first, tmp_path))


@pytest.mark.parametrize("optimizer", ["keras", "tf1"])
@pytest.mark.parametrize("outputs", [two_towers, tower_first])
def test_slots_are_read_with_their_variables(
    outputs: Outputs, optimizer: str, tmp_path: pathlib.Path
) -> None:
    first, second = {
        two_towers: ("sequential__fc", "sequential_1__fc"),
        tower_first: ("tower__a", "a"),
    }[outputs]
    state: dict[str, Any] = {f"{first}__kernel": 2.0, f"{second}__kernel": 3.0, "global_step": 3}
    if optimizer == "keras":
        state |= {
            f"sgd__{first.replace('__', '_')}_kernel_momentum": 8.0,
            f"sgd__{second.replace('__', '_')}_kernel_momentum": 4.0,
            "sgd__learning_rate": 0.5,
            "sgd__iteration": 3,
        }
    else:
        state |= {f"{first}__kernel__Momentum": 8.0, f"{second}__kernel__Momentum": 4.0}
    write(tmp_path, **state)
    estimator = estimator_of(outputs, tmp_path, optimizer)
    assert prediction(estimator) == 203.0
    estimator.train(data, steps=1)
    # The gradients are 100 and 1.
    if optimizer == "keras":  # velocity = 0.5 * velocity - 0.5 * gradient, added
        expected = (2.0 + 4.0 - 50.0) * 100.0 + (3.0 + 2.0 - 0.5)
    else:  # momentum = 0.5 * momentum + gradient, times 0.5, subtracted
        expected = (2.0 - 0.5 * 104.0) * 100.0 + (3.0 - 0.5 * 3.0)
    assert prediction(estimator) == expected


def test_a_checkpoint_that_can_be_read_in_two_ways_is_refused(tmp_path: pathlib.Path) -> None:
    write(tmp_path, tower__a__kernel=2.0, a__kernel=3.0, global_step=3)
    with pytest.raises(errors.CheckpointMismatchError, match="has two values for.*'a/kernel'"):
        prediction(estimator_of(tower_alone, tmp_path))
    by_current_names = estimator_of(tower_alone, tmp_path, saver=v1.train.Saver)
    assert prediction(by_current_names) == 300.0


def test_the_state_of_optimizers_was_in_the_first_scope(tmp_path: pathlib.Path) -> None:
    """Under a MultiHead, the scopes of its heads come first now, as in the original."""

    def estimator() -> kestimator.Estimator:
        head = kestimator.MultiHead([kestimator.RegressionHead(name="h")])
        columns = [tf.feature_column.numeric_column("x")]
        return kestimator.LinearEstimator(head, columns, str(tmp_path), optimizer="Adagrad")

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(({"x": ONE}, {"h": ONE}))

    estimator().train(input_fn, steps=1)
    path = tf.train.latest_checkpoint(str(tmp_path))
    reader = tf.train.load_checkpoint(path)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    slot = "training_1/Adagrad/linear/linear_model/x/weights/accumulator"
    values[slot] = np.full_like(values[slot], 7.0)
    former = {name.replace("training_1/", "training/"): value for name, value in values.items()}
    with tf.device("cpu"):
        tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=list(former),
            shape_and_slices=[""] * len(former),
            tensors=[tf.constant(value) for value in former.values()],
        )
    trained = estimator().train(input_fn, steps=1)
    assert trained.get_variable_value("global_step") == 2
    assert trained.get_variable_value(slot) >= 7.0
