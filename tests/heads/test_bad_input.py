"""What constructors and steps refuse: the argument, what was received, what was expected."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

BINARY, CLASSES = kestimator.BinaryClassHead, kestimator.MultiClassHead
LABELS, NUMBERS = kestimator.MultiLabelHead, kestimator.RegressionHead
VALUE, TYPE = errors.ArgumentError, errors.ArgumentTypeError


@pytest.mark.parametrize(
    ("head", "arguments", "error", "message"),
    [
        (BINARY, {"thresholds": [0.5, 1.0]}, VALUE, r"`thresholds`.*between 0 and 1.*\[0.5, 1.0\]"),
        (BINARY, {"thresholds": 0.5}, TYPE, "`thresholds`.*list.*0.5"),
        (BINARY, {"thresholds": ["0.5"]}, TYPE, "`thresholds`"),
        (BINARY, {"label_vocabulary": "ab"}, VALUE, "`label_vocabulary`.*2 unique.*'ab'"),
        (BINARY, {"label_vocabulary": ["a"]}, VALUE, "`label_vocabulary`"),
        (BINARY, {"label_vocabulary": ["a", "a"]}, VALUE, "`label_vocabulary`.*unique"),
        (BINARY, {"label_vocabulary": [0, 1]}, VALUE, "`label_vocabulary`.*strings"),
        (BINARY, {"loss_reduction": "none"}, VALUE, "`loss_reduction`.*'sum'.*'none'"),
        (BINARY, {"loss_reduction": ["sum"]}, VALUE, "`loss_reduction`"),
        (BINARY, {"weight_column": 1}, TYPE, "`weight_column`.*numeric_column"),
        (BINARY, {"name": 1}, TYPE, "`name`"),
        (BINARY, {"loss_fn": 1}, TYPE, "`loss_fn`"),
        (BINARY, {"loss_fn": lambda labels: labels}, VALUE, r"`loss_fn`.*logits.*\['labels'\]"),
        (CLASSES, {"n_classes": 2}, VALUE, "`n_classes`.*at least 3.*2"),
        (CLASSES, {"n_classes": None}, VALUE, "`n_classes`"),
        (CLASSES, {"n_classes": 3.0}, TYPE, "`n_classes`"),
        (CLASSES, {"n_classes": True}, TYPE, "`n_classes`"),
        (CLASSES, {"n_classes": 3, "label_vocabulary": ["a", "b"]}, VALUE, "3 unique"),
        (LABELS, {"n_classes": 1}, VALUE, "`n_classes`.*at least 2"),
        (NUMBERS, {"label_dimension": 0}, VALUE, "`label_dimension`.*at least 1"),
        (NUMBERS, {"inverse_link_fn": 1}, TYPE, "`inverse_link_fn`"),
        (kestimator.PoissonRegressionHead, {"label_dimension": -1}, VALUE, "label_dimension"),
        (kestimator.LogisticRegressionHead, {"loss_reduction": None}, VALUE, "loss_reduction"),
    ],
)
def test_constructors(head, arguments, error, message):
    with pytest.raises(error, match=message):
        head(**arguments)


def test_an_integer_of_numpy_is_one():
    assert CLASSES(np.int64(3)).logits_dimension == 3
    assert CLASSES(3, label_vocabulary=[b"a", "b", "c"]).logits_dimension == 3


LOGITS = {BINARY: [[0.5], [1.0]], CLASSES: np.eye(2, 3, dtype=np.float32)}


@pytest.mark.parametrize(
    ("head", "labels", "message"),
    [
        (BINARY(), [0, 2], r"`labels`.*from 0 to 1"),
        (BINARY(), [0.0, np.nan], "from 0 to 1"),
        (BINARY(), [0.0, -0.5], "from 0 to 1"),
        (BINARY(label_vocabulary=["a", "b"]), ["a", "c"], "vocabulary a, b"),
        (CLASSES(3), [0, 3], "from 0 to 2.*n_classes"),
        (CLASSES(3), [0, -1], "from 0 to 2"),
        (CLASSES(3, label_vocabulary=["a", "b", "c"]), ["a", ""], "vocabulary a, b, c"),
        (kestimator.LogisticRegressionHead(), [0.5, 1.5], "from 0 to 1"),
        (kestimator.PoissonRegressionHead(), [0.0, -1.0], "from 0 to inf"),
    ],
)
@pytest.mark.parametrize("eager", [True, False])
def test_labels_out_of_range(head, labels, message, eager):
    logits = LOGITS.get(type(head), LOGITS[BINARY])
    labels = tf.constant(labels)
    if eager:
        with pytest.raises(errors.ArgumentError, match=message):
            head.loss(labels, logits)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            tf.function(head.loss)(labels, tf.constant(logits))


def test_large_numbers_of_classes_are_shown_in_full():
    with pytest.raises(errors.ArgumentError, match="from 0 to 2000001. Check"):
        CLASSES(2_000_002).loss([0, 2_000_002], tf.zeros([2, 2_000_002]))


def test_negative_counts_may_do_without_the_full_loss():
    loss = kestimator.PoissonRegressionHead(compute_full_loss=False).loss([-1.0], [[0.0]])
    assert float(loss) == 1.0


@pytest.mark.parametrize(
    ("head", "labels", "error"),
    [
        (CLASSES(3), np.array([0.0, 1.0]), VALUE),
        (CLASSES(3), np.array(["0", "1"]), VALUE),
        (CLASSES(3, label_vocabulary=["a", "b", "c"]), np.array([0, 1]), VALUE),
        (BINARY(label_vocabulary=["a", "b"]), np.array([0, 1]), TYPE),
    ],
)
def test_labels_of_the_wrong_kind(head, labels, error):
    with pytest.raises(error, match="`labels`"):
        head.loss(labels, LOGITS[type(head)])


def test_an_estimator_passes_the_message_on(tmp_path):
    def model_fn(features, labels, mode):
        logits = features[:, None] * tf.compat.v1.get_variable("w", [])
        return BINARY().create_estimator_spec(features, mode, logits, labels)

    def input_fn():
        return tf.data.Dataset.from_tensors(([1.0, 2.0], [0, 7]))

    estimator = kestimator.Estimator(model_fn, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`labels`.*from 0 to 1.*two classes"):
        estimator.evaluate(input_fn)
