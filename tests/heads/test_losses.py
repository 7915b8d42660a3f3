"""Reductions, loss_fns, gradients."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.heads.parts import elementwise
from kestimator.heads.parts import losses as _losses

v1 = tf.compat.v1

LOSSES = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 0.5]], np.float32)
WEIGHTS = {
    "none": None,
    "each example": np.array([[1.0], [0.0], [2.5]], np.float32),
    "each loss": np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.25]], np.float32),
}
TF1 = v1.losses.Reduction


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("reduction", [kind for kind in TF1.all() if kind != TF1.NONE])
def test_reductions_are_those_of_tf1(reduction, weights):
    given = WEIGHTS[weights]
    with tf.Graph().as_default(), v1.Session() as session:
        arguments = {} if given is None else {"weights": given}
        expected = session.run(
            v1.losses.compute_weighted_loss(LOSSES, reduction=reduction, **arguments)
        )
    weights = None if given is None else tf.constant(given)
    found = _losses.REDUCTIONS[reduction](tf.constant(LOSSES), weights)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("reduction", _losses.REDUCTIONS)
def test_a_loss_of_nothing_is_zero(reduction):
    empty = tf.zeros([0, 1])
    assert float(_losses.REDUCTIONS[reduction](empty, None)) == 0.0
    assert float(_losses.REDUCTIONS[reduction](empty, empty)) == 0.0


class TestGradients:
    LABELS = np.array([[0.0], [1.0], [0.25], [1.0], [0.0], [0.5]], np.float32)
    LOGITS = np.array([[0.0], [-3.0], [2.0], [90.0], [90.0], [-200.0]], np.float32)

    @pytest.mark.parametrize(
        ("ours", "expected"),
        [
            (
                elementwise.sigmoid_cross_entropy,
                lambda y, x: tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x),
            ),
            (elementwise.squared_error, lambda y, x: (y - x) ** 2),
        ],
    )
    def test_are_those_that_tensorflow_derives(self, ours, expected):
        def computed(function):
            labels, logits = tf.constant(self.LABELS), tf.constant(self.LOGITS)
            with tf.GradientTape(persistent=True) as outer:
                outer.watch([labels, logits])
                with tf.GradientTape() as inner:
                    inner.watch(logits)
                    losses = function(labels, logits)
                slopes = inner.gradient(losses, logits)
            return losses, slopes, outer.gradient(losses, labels), outer.gradient(slopes, logits)

        for found, wanted in zip(computed(ours), computed(expected), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


class TestLossFn:
    def test_gets_the_features_if_it_wants_them(self):
        seen = {}

        def loss_fn(labels, logits, features):
            seen.update(features)
            return tf.abs(labels - logits)

        head = kestimator.RegressionHead(loss_fn=loss_fn)
        assert float(head.loss([1.0], [[3.0]], {"x": 5})) == 2.0
        assert seen == {"x": 5}

    def test_gets_the_reduction_if_it_requires_it(self):
        seen = []

        def loss_fn(labels, logits, loss_reduction):
            seen.append(loss_reduction)
            return tf.abs(labels - logits)

        head = kestimator.RegressionHead(loss_fn=loss_fn, loss_reduction="sum")
        head.loss([1.0], [[3.0]])
        assert seen == ["sum"]

    def test_is_differentiated(self):
        head = kestimator.RegressionHead(loss_fn=lambda labels, logits: logits**3 - labels)
        with tf.GradientTape() as tape:
            logits = tf.constant([[2.0], [1.0]])
            tape.watch(logits)
            loss = head.loss([0.0, 0.0], logits)
        assert tape.gradient(loss, logits).numpy().tolist() == [[6.0], [1.5]]

    @pytest.mark.parametrize(
        "result", [lambda logits: logits[:, 0], tf.reduce_sum, lambda logits: logits[:1]]
    )
    def test_must_return_a_loss_for_each_example(self, result):
        head = kestimator.RegressionHead(loss_fn=lambda labels, logits: result(logits))
        with pytest.raises(errors.ArgumentError, match=r"loss_fn's result.shape.*\(3, 1\)"):
            head.loss([1.0, 2.0, 3.0], [[1.0], [2.0], [3.0]])
