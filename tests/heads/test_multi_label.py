"""Labels of several classes, in each of their forms."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

LOGITS = np.array([[1.0, -2.0, 0.5], [0.5, 0.1, -0.5]], np.float32)
DENSE = np.array([[1, 0, 1], [0, 0, 0]])
WORDS = ["red", "green", "blue"]
EXPECTED = float(kestimator.MultiLabelHead(3).loss(DENSE, LOGITS))


def ragged(rows, dtype):
    return tf.ragged.constant(rows, dtype=dtype)


@pytest.mark.parametrize(
    ("labels", "vocabulary"),
    [
        (DENSE.astype(np.float32), None),
        (DENSE.astype(bool), WORDS),
        (ragged([[0, 2], []], tf.int32), None),
        (ragged([[2, 0, 2], []], tf.int64), None),
        (ragged([["blue", "red"], []], tf.string), WORDS),
        (ragged([[0, 2], []], tf.int64).to_sparse(), WORDS),
        (ragged([["blue", "red"], []], tf.string).to_sparse(), WORDS),
    ],
)
def test_all_forms_are_the_same(labels, vocabulary):
    head = kestimator.MultiLabelHead(3, label_vocabulary=vocabulary)
    assert float(head.loss(labels, LOGITS)) == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (ragged([[3], []], tf.int64), errors.ArgumentError, "from 0 to 2"),
        (ragged([[-1], []], tf.int64), errors.ArgumentError, "from 0 to 2"),
        (ragged([["pink"], []], tf.string), errors.ArgumentError, "vocabulary red, green.*pink"),
        (ragged([[0.5], []], tf.float32), errors.ArgumentError, "class ids"),
        (ragged([[0], [], [1]], tf.int64), errors.ArgumentError, "shape"),
        (np.array([["red"] * 3] * 2), errors.ArgumentTypeError, "SparseTensor"),
        (DENSE + 1, errors.ArgumentError, "from 0 to 1"),
        (DENSE[:, :2], errors.ArgumentError, "n_classes"),
        (np.array([0, 1]), errors.ArgumentError, "SparseTensor"),
        (None, errors.ArgumentError, "labels"),
    ],
)
def test_refuses(labels, error, message):
    head = kestimator.MultiLabelHead(3, label_vocabulary=WORDS)
    with pytest.raises(error, match=message):
        head.loss(labels, LOGITS)


def test_names_need_a_vocabulary():
    with pytest.raises(errors.ArgumentTypeError, match="label_vocabulary"):
        kestimator.MultiLabelHead(3).loss(ragged([["red"], []], tf.string), LOGITS)


@pytest.mark.parametrize(
    ("classes", "error"),
    [
        ("red", errors.ArgumentTypeError),
        (0, errors.ArgumentTypeError),
        ([0.5], errors.ArgumentTypeError),
        ([True], errors.ArgumentTypeError),
        ([3], errors.ArgumentError),
        (["pink"], errors.ArgumentError),
    ],
)
def test_refuses_classes_for_class_based_metrics(classes, error):
    with pytest.raises(error, match="classes_for_class_based_metrics"):
        kestimator.MultiLabelHead(
            3, label_vocabulary=WORDS, classes_for_class_based_metrics=classes
        )


def test_a_class_given_by_id_and_name_is_measured_once():
    head = kestimator.MultiLabelHead(
        3, label_vocabulary=WORDS, classes_for_class_based_metrics=["blue", 2, 0]
    )
    names = [name for name in head.metrics() if name.startswith("auc/")]
    assert names == ["auc/blue", "auc/red"]
