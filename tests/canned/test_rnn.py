"""Recurrent estimators: what they promise beside the original's numbers; what they refuse, how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, experimental
from kestimator.estimator import state_of
from tests.programs import canned_rnn
from tests.selection import members

fc = tf.feature_column
KINDS = list(canned_rnn.KINDS)


def predictions(estimator: kestimator.Estimator) -> np.ndarray:
    rows = list(estimator.predict(canned_rnn.input_fn(None, 1)))
    key = "logits" if "logits" in rows[0] else "predictions"
    return np.array([row[key] for row in rows])


@pytest.mark.parametrize("kind", members(["lstm", "stacked_cells", "sequences"], fast=["lstm"]))
class TestEveryKind:
    def test_goes_on_and_learns_without_another_trace(self, kind: str, tmp_path: Any) -> None:
        label = canned_rnn.KINDS[kind][1]
        data = canned_rnn.input_fn(label)
        estimator = canned_rnn.estimator(kestimator, kind, str(tmp_path)).train(data, steps=2)
        first = estimator.evaluate(canned_rnn.input_fn(label, 1))["loss"]
        for _ in range(2):
            estimator.train(data, steps=40)
            last = estimator.evaluate(canned_rnn.input_fn(label, 1))["loss"]
            predictions(estimator)
        assert last < first
        assert len(state_of(estimator).programs) == 3
        again = canned_rnn.estimator(kestimator, kind, str(tmp_path))
        np.testing.assert_allclose(predictions(again), predictions(estimator), rtol=1e-6)

    def test_serves_what_it_predicts(self, kind: str, tmp_path: Any) -> None:
        label = canned_rnn.KINDS[kind][1]
        estimator = canned_rnn.estimator(kestimator, kind, str(tmp_path / "model"))
        estimator.train(canned_rnn.input_fn(label), steps=2)
        spec = fc.make_parse_example_spec(canned_rnn.sequence_columns())
        receiver = kestimator.export.build_parsing_serving_input_receiver_fn(spec)
        path = estimator.export_saved_model(str(tmp_path / "export"), receiver)
        served = tf.saved_model.load(path.decode()).signatures["predict"](
            examples=tf.constant(_examples())
        )
        key = "logits" if "logits" in served else "predictions"
        np.testing.assert_allclose(
            served[key].numpy(), predictions(estimator), rtol=1e-4, atol=1e-6
        )


def _examples() -> list[bytes]:
    data = canned_rnn.features()
    kinds = {
        "ids": lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
        "numbers": lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
        "words": lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
    }
    rows = []
    for row in range(canned_rnn.ROWS):
        feature = {}
        for key, make in kinds.items():
            places = data[key].indices.numpy()[:, 0] == row
            feature[key] = make(list(data[key].values.numpy()[places]))
        rows.append(
            tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        )
    return rows


def _ragged() -> tf.data.Dataset:
    rows = [[1.0, 2.0, 3.0], [4.0], []]
    return tf.data.Dataset.from_tensors(({"x": tf.ragged.constant(rows)}, [[1], [0], [1]]))


def _classifier(model_dir: Any, **options: Any) -> Any:
    columns = [fc.sequence_numeric_column("x")]
    given = {"units": 3, "cell_type": "gru", **options}
    return experimental.RNNClassifier(columns, model_dir=str(model_dir), **given)


class TestSequences:
    def test_ragged_features(self, tmp_path: Any) -> None:
        estimator = _classifier(tmp_path).train(lambda: _ragged().repeat(), steps=3)
        assert estimator.evaluate(_ragged)["global_step"] == 3

    def test_padding_does_not_count(self, tmp_path: Any) -> None:
        """The tail of a longer neighbour changes nothing."""
        estimator = _classifier(tmp_path).train(lambda: _ragged().repeat(), steps=3)

        def alone() -> tf.data.Dataset:
            return tf.data.Dataset.from_tensors({"x": tf.ragged.constant([[4.0]])})

        together = [row["logits"] for row in estimator.predict(_ragged)]
        (row,) = estimator.predict(alone)
        np.testing.assert_allclose(row["logits"], together[1], rtol=1e-6)

    def test_features_of_different_lengths_are_refused(self, tmp_path: Any) -> None:
        columns = [fc.sequence_numeric_column("x"), fc.sequence_numeric_column("y")]
        estimator = experimental.RNNClassifier(columns, units=[2], model_dir=str(tmp_path))

        def uneven() -> tf.data.Dataset:
            features = {
                "x": tf.ragged.constant([[1.0, 2.0]]),
                "y": tf.ragged.constant([[1.0]]).to_tensor(shape=[1, 2]),
            }
            features["y"] = tf.SparseTensor([[0, 0]], [1.0], [1, 2])
            return tf.data.Dataset.from_tensors((features, [[1]]))

        with pytest.raises(tf.errors.InvalidArgumentError, match="different lengths"):
            estimator.train(uneven, steps=1)

    def test_a_mask_among_the_features_wins(self, tmp_path: Any) -> None:
        estimator = _classifier(tmp_path, return_sequences=True, sequence_mask="seen")

        def masked() -> tf.data.Dataset:
            features = {
                "x": tf.ragged.constant([[1.0, 2.0], [3.0]]),
                "seen": tf.constant([[True, False], [False, False]]),
            }
            return tf.data.Dataset.from_tensors((features, [[1, 0], [1, 7]]))

        estimator.train(lambda: masked().repeat(), steps=60)
        assert estimator.evaluate(masked)["accuracy"] == 1.0
        rows = list(estimator.predict(masked))
        assert [row["seen"].tolist() for row in rows] == [[True, False], [False, False]]


class TestCells:
    def test_classes_and_lists(self, tmp_path: Any) -> None:
        _classifier(tmp_path / "a", units=[2, 2], cell_type=keras.layers.LSTMCell).train(
            lambda: _ragged().repeat(), steps=1
        )
        cells = [keras.layers.GRUCell, keras.layers.SimpleRNNCell]
        estimator = _classifier(
            tmp_path / "b",
            units=None,
            cell_type=None,
            rnn_cell_fn=lambda: [cell(2) for cell in cells],
        )
        estimator.train(lambda: _ragged().repeat(), steps=1)
        assert "rnn_model/rnn/stacked_rnn_cells/gru_cell/bias" in estimator.get_variable_names()

    def test_dropout(self, tmp_path: Any) -> None:
        estimator = _classifier(
            tmp_path,
            units=None,
            cell_type=None,
            rnn_cell_fn=lambda: keras.layers.LSTMCell(8, dropout=0.5, recurrent_dropout=0.5),
        )
        estimator.train(lambda: _ragged().repeat(), steps=3)
        first, second = ([row["logits"] for row in estimator.predict(_ragged)] for _ in range(2))
        np.testing.assert_array_equal(first, second)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no units": (lambda: _classifier("", units=None), "units.*Received: None"),
    "units below 1": (lambda: _classifier("", units=[4, 0]), "units"),
    "unknown cell": (lambda: _classifier("", cell_type="mlp"), "cell_type.*'gru'.*'mlp'"),
    "list of cells": (lambda: _classifier("", cell_type=["gru"]), "cell_type.*cell class"),
    "both": (lambda: _classifier("", rnn_cell_fn=lambda: 3), "rnn_cell_fn"),
    "context of sequences": (
        lambda: _classifier("", context_feature_columns=[fc.sequence_numeric_column("x")]),
        r"context_feature_columns\[0\].*sequence_feature_columns",
    ),
    "sequence of one": (
        lambda: experimental.RNNClassifier([fc.numeric_column("x")], units=3),
        r"sequence_feature_columns\[0\].*context_feature_columns",
    ),
    "categories": (
        lambda: experimental.RNNClassifier(
            [fc.sequence_categorical_column_with_identity("x", 3)], units=3
        ),
        "embedding_column",
    ),
    "sequential head of one": (
        lambda: experimental.RNNEstimator(
            experimental.SequentialHeadWrapper(kestimator.BinaryClassHead()),
            [fc.sequence_numeric_column("x")],
            units=3,
        ),
        "head.*return_sequences=False",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(errors.ArgumentError, match=message):
        make()


class TestSequentialHead:
    FEATURES = {"mask": np.array([[True, True], [True, False]]), "w": np.array([[1.0, 2], [3, 9]])}
    LOGITS = np.array([[[0.5], [-1.0]], [[2.0], [7.0]]], np.float32)
    LABELS = np.array([[1, 0], [0, 1]])

    def head(self) -> Any:
        head = kestimator.BinaryClassHead(weight_column="w", name="steps")
        return experimental.SequentialHeadWrapper(head, "mask", "w")

    def test_counts_the_steps_of_the_mask(self) -> None:
        head, inner = self.head(), self.head().static_head
        flat = {"w": np.array([[1.0], [2.0], [3.0]], np.float32)}
        labels, logits = np.array([[1], [0], [0]]), np.array([[0.5], [-1.0], [2.0]], np.float32)
        expected = inner.loss(labels, logits, flat)
        np.testing.assert_allclose(head.loss(self.LABELS, self.LOGITS, self.FEATURES), expected)
        metrics = head.update_metrics(head.metrics(), self.FEATURES, self.LOGITS, self.LABELS)
        assert float(metrics["accuracy/steps"].result()) == 0.5
        assert (head.name, head.logits_dimension) == ("steps_sequential", 1)

    def test_sparse_labels(self) -> None:
        head = self.head()
        labels = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 0, 0], [2, 2])
        loss = head.loss(labels, self.LOGITS, self.FEATURES)
        np.testing.assert_allclose(loss, head.loss(self.LABELS, self.LOGITS, self.FEATURES))

    @pytest.mark.parametrize(
        ("labels", "features", "message"),
        [
            (LABELS, {"w": FEATURES["w"]}, "'mask'"),
            (LABELS, {"mask": FEATURES["mask"]}, "'w'"),
            (LABELS, {**FEATURES, "mask": np.array([True, False])}, "mask"),
            (LABELS[:, :1], FEATURES, "labels"),
            (None, FEATURES, "labels"),
            (tf.SparseTensor([[0, 0]], [1], [2, 2]), FEATURES, "labels"),
        ],
    )
    def test_bad_input(self, labels: Any, features: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.head().loss(labels, self.LOGITS, features)
