"""Tensors of heads have the original's names, listed from graphs of 2.15."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator

v1 = tf.compat.v1
ONE = np.array([[2.0], [-1.0]], np.float32)
THREE = np.array([[2.0, 0.0, -1.0], [0.5, 1.0, -3.0]], np.float32)


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def cross_entropy(labels: Any, logits: Any) -> Any:
    return np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))


LABELS = np.array([[1.0], [0.0]], np.float32)
SEVERAL = np.array([[1, 0, 1], [0, 1, 0]])
BOTH = np.concatenate([ONE, 2 * ONE], 1)
CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "multi_label": (
        lambda: kestimator.MultiLabelHead(3),
        THREE,
        SEVERAL,
        {
            "head/predictions/probabilities": sigmoid(THREE),
            "head/predictions/Tile": [[b"0", b"1", b"2"]] * 2,
            "head/losses/labels": SEVERAL,
            "head/losses/Mean": cross_entropy(SEVERAL, THREE).mean(1, keepdims=True),
            "head/losses/weighted_loss/Sum": cross_entropy(SEVERAL, THREE).mean(1).sum(),
        },
    ),
    "logistic_regression": (
        kestimator.LogisticRegressionHead,
        ONE,
        LABELS,
        {
            "head/predictions/Sigmoid": sigmoid(ONE),
            "head/losses/call_loss_fn/logistic_loss": cross_entropy(LABELS, ONE),
            "head/losses/weighted_loss/value": cross_entropy(LABELS, ONE).mean(),
        },
    ),
    "poisson_regression": (
        kestimator.PoissonRegressionHead,
        ONE,
        LABELS,
        {"head/losses/labels": LABELS},
    ),
    "named": (
        lambda: kestimator.BinaryClassHead(name="mine"),
        ONE,
        LABELS,
        {
            "mine/predictions/class_ids": [1, 0],
            "mine/losses/logistic_loss": cross_entropy(LABELS, ONE),
        },
    ),
    "several": (
        lambda: kestimator.MultiHead(
            [kestimator.BinaryClassHead(name="a"), kestimator.RegressionHead(name="b")]
        ),
        BOTH,
        {"a": LABELS, "b": LABELS},
        {
            "a_b/a/predictions/logistic": sigmoid(ONE),
            "a_b/a/losses/logistic_loss": cross_entropy(LABELS, ONE),
            "a_b/b/losses/mean_squared_error/SquaredDifference": (LABELS - 2 * ONE) ** 2,
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_tensors_have_names(case: str) -> None:
    make, logits, labels, expected = CASES[case]
    with tf.Graph().as_default() as graph, v1.Session() as session:
        make().create_estimator_spec(
            {},
            kestimator.ModeKeys.TRAIN,
            tf.constant(logits),
            tf.nest.map_structure(tf.constant, labels),
            train_op_fn=lambda loss: tf.no_op(),
        )
        values = session.run({name: graph.get_tensor_by_name(f"{name}:0") for name in expected})
    for name, value in expected.items():
        if np.asarray(value).dtype.kind == "S":
            assert values[name].tolist() == value
        else:
            np.testing.assert_allclose(values[name], value, rtol=1e-5, err_msg=name)
