"""Labels, logits and weights of every shape: what is taken, what would broadcast and is refused."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

LOGITS = np.array([[0.5], [-1.0], [2.0]], np.float32)
LABELS = np.array([1, 0, 1])
EXPECTED = float(kestimator.BinaryClassHead().loss(LABELS, LOGITS))


def in_graph(shapes, call):
    """`call` as a tf.function whose arguments have these static shapes."""
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in shapes]
    return tf.function(call, input_signature=specs)


class TestLabels:
    @pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.tolist()])
    @pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64, bool])
    def test_of_both_shapes_and_any_dtype(self, labels, dtype):
        given = np.asarray(labels, dtype)
        assert float(kestimator.BinaryClassHead().loss(given, LOGITS)) == EXPECTED

    @pytest.mark.parametrize("shape", [[None], [None, 1], [None, None], [3], [3, 1], None])
    def test_of_shapes_that_are_not_known(self, shape):
        labels = LABELS if shape is not None and len(shape) == 1 else LABELS[:, None]
        head = kestimator.BinaryClassHead()
        loss = in_graph([(shape, tf.int64), ([None, 1], tf.float32)], head.loss)
        assert float(loss(labels, LOGITS)) == pytest.approx(EXPECTED)

    @pytest.mark.parametrize(
        "labels", [[[1, 0, 1]], [[1]], [1], [1, 0], np.eye(3), np.ones([3, 1, 1]), 1]
    )
    @pytest.mark.parametrize("head", [kestimator.BinaryClassHead, kestimator.RegressionHead])
    def test_that_do_not_fit(self, head, labels):
        with pytest.raises(errors.ArgumentError) as raised:
            head().loss(labels, LOGITS)
        received = np.shape(labels)
        assert str(raised.value).startswith(
            "Invalid argument `labels.shape`. Expected: (3,) or (3, 1), because the logits have "
            f"shape (3, 1). Received: {received} (of type tuple)."
        )

    @pytest.mark.parametrize("shape", [[None], [None, 1], None])
    def test_that_do_not_fit_when_the_step_runs(self, shape):
        labels = np.array([1.0]) if shape == [None] else np.array([[1.0]])
        loss = in_graph(
            [(shape, tf.float64), ([None, 1], tf.float32)], kestimator.RegressionHead().loss
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels|reshape"):
            loss(labels, LOGITS)

    def test_of_several_numbers(self):
        head = kestimator.RegressionHead(2)
        with pytest.raises(errors.ArgumentError, match=r"\(1, 2\).*label_dimension"):
            head.loss([1.0, 2.0], [[1.0, 2.0]])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (None, "features, labels"),
            ({"a": LABELS, "b": LABELS}, "MultiHead"),
            (tf.sparse.from_dense(LABELS[:, None]), "to_dense"),
            (tf.ragged.constant([[1], [0], [1]]), "to_tensor"),
            (np.array(["a", "b", "c"]), "label_vocabulary"),
        ],
    )
    def test_of_other_kinds(self, labels, message):
        for head in (kestimator.BinaryClassHead(), kestimator.RegressionHead()):
            with pytest.raises(errors.ArgumentError, match=message):
                head.loss(labels, LOGITS)


class TestLogits:
    @pytest.mark.parametrize("logits", [[0.5, 1.0], [[0.5, 1.0]], 0.5, None])
    def test_that_do_not_fit(self, logits):
        with pytest.raises(errors.ArgumentError, match="logits"):
            kestimator.BinaryClassHead().predictions(logits)

    def test_of_another_dtype_become_float32(self):
        predictions = kestimator.RegressionHead().predictions(LOGITS.astype(np.float64))
        assert predictions["predictions"].dtype == tf.float32

    def test_of_an_unknown_width_are_checked_when_the_step_runs(self):
        head = kestimator.MultiClassHead(3)
        classes = in_graph(
            [([None, None], tf.float32)],
            lambda logits: head.predictions(logits, ["class_ids"])["class_ids"],
        )
        assert classes(np.eye(3, dtype=np.float32)).numpy().tolist() == [[0], [1], [2]]
        with pytest.raises(tf.errors.InvalidArgumentError):
            classes(np.eye(2, dtype=np.float32))


class TestWeights:
    HEAD = kestimator.BinaryClassHead(weight_column="w")
    WEIGHTS = np.array([1.0, 0.5, 2.0])

    def loss(self, weights):
        return float(self.HEAD.loss(LABELS, LOGITS, {"w": weights}))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
    def test_of_both_shapes_and_any_dtype(self, dtype):
        given = self.WEIGHTS.astype(dtype)
        assert self.loss(given) == self.loss(given[:, None])
        assert self.loss(np.ones(3, dtype)) == pytest.approx(EXPECTED)

    @pytest.mark.parametrize("weights", [[1.0], [[1.0]], [[1.0, 2.0, 3.0]], 1.0, np.ones([3, 2])])
    def test_that_do_not_fit(self, weights):
        with pytest.raises(errors.ArgumentError, match=r"features\['w'\].shape.*\(3, 1\)"):
            self.loss(weights)

    def test_that_do_not_fit_when_the_step_runs(self):
        loss = in_graph(
            [([None, 1], tf.float32), ([None, 1], tf.float32)],
            lambda logits, weights: self.HEAD.loss(tf.ones_like(logits), logits, {"w": weights}),
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match="as many rows"):
            loss(LOGITS, np.ones([1, 1], np.float32))

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (None, "weight_column"),
            ({"x": LABELS}, r"\['x'\]"),
            ({"w": np.array(["a", "b", "c"])}, "numbers"),
            ({"w": tf.sparse.from_dense([[1.0], [1.0], [1.0]])}, "dense"),
        ],
    )
    def test_of_other_kinds(self, features, message):
        with pytest.raises(errors.ArgumentError, match=message):
            self.HEAD.loss(LABELS, LOGITS, features)

    def test_of_a_column_are_normalized_as_rows(self):
        seen = []

        def normalizer_fn(weights):
            seen.append(weights.shape.as_list())
            return weights * 2.0

        column = tf.feature_column.numeric_column("w", normalizer_fn=normalizer_fn)
        head = kestimator.BinaryClassHead(weight_column=column, loss_reduction="sum")
        single = kestimator.BinaryClassHead(weight_column="w", loss_reduction="sum")
        features = {"w": self.WEIGHTS}
        doubled = float(head.loss(LABELS, LOGITS, features))
        assert doubled == pytest.approx(2 * float(single.loss(LABELS, LOGITS, features)))
        assert seen == [[3, 1]]

    def test_of_each_number(self):
        head = kestimator.RegressionHead(2, weight_column="w")
        weights = np.array([[1.0, 0.0], [0.0, 3.0]], np.float32)
        loss = head.loss(np.zeros([2, 2]), np.ones([2, 2]), {"w": weights})
        assert float(loss) == pytest.approx(1.0)
        with pytest.raises(errors.ArgumentError, match="shape"):
            head.loss(np.zeros([2, 2]), np.ones([2, 2]), {"w": np.ones([2, 3])})
