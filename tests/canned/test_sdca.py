"""LinearSDCA: resuming, mini-batches, what is kept in memory; what is refused, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, experimental
from kestimator.estimator import state_of
from tests.programs import canned, sdca, tools

fc = tf.feature_column


def losses(model_dir: Any) -> list[float]:
    return tools.scalars(str(model_dir), ["loss"])["loss"]["values"]


class TestTraining:
    def test_goes_on_where_another_one_stopped(self, tmp_path: Any) -> None:
        sdca.estimator(kestimator, "classes", str(tmp_path)).train(sdca.input_fn("two"), steps=100)
        again = sdca.estimator(kestimator, "classes", str(tmp_path))
        first = again.evaluate(sdca.input_fn("two", 1))["loss"]
        again.train(sdca.input_fn("two"), steps=5)
        # What it knew of the examples was lost if the first steps led away from the optimum.
        np.testing.assert_allclose(losses(tmp_path)[-5:], [first] * 5, rtol=1e-3)

    @pytest.mark.slow
    def test_small_batches_and_other_calls_between(self, tmp_path: Any) -> None:
        estimator = sdca.estimator(kestimator, "classes", str(tmp_path / "small"))
        for _ in range(6):
            estimator.train(sdca.input_fn("two", batch=6), steps=50)
            last = estimator.evaluate(sdca.input_fn("two", 1))["loss"]
            assert len(list(estimator.predict(sdca.input_fn(None, 1)))) == canned.ROWS
        assert len(state_of(estimator).programs) == 3
        whole = sdca.estimator(kestimator, "classes", str(tmp_path / "whole"))
        whole.train(sdca.input_fn("two"), steps=100)
        assert last == pytest.approx(whole.evaluate(sdca.input_fn("two", 1))["loss"], rel=1e-2)

    def test_words_for_labels(self, tmp_path: Any) -> None:
        labels = np.array([b"no", b"yes"])[canned.labels("two")]
        estimator = kestimator.LinearClassifier(
            sdca.columns(),
            str(tmp_path),
            label_vocabulary=["no", "yes"],
            optimizer=experimental.LinearSDCA("key"),
        )
        data = tf.data.Dataset.from_tensors((sdca.features(), labels)).repeat()
        estimator.train(lambda: data, steps=50)
        assert estimator.evaluate(lambda: data.take(1))["accuracy"] > 0.8

    def test_serves_what_it_predicts(self, tmp_path: Any) -> None:
        estimator = kestimator.LinearRegressor(
            [fc.numeric_column("age")], str(tmp_path), optimizer=experimental.LinearSDCA("key")
        )
        estimator.train(sdca.input_fn("number"), steps=20)
        receiver = kestimator.export.build_raw_serving_input_receiver_fn(
            {"age": tf.constant([1.0])}
        )
        path = estimator.export_saved_model(str(tmp_path / "export"), receiver).decode()
        served = tf.saved_model.load(path).signatures["predict"](
            age=tf.constant(sdca.features()["age"])
        )
        rows = [row["predictions"] for row in estimator.predict(sdca.input_fn(None, 1))]
        np.testing.assert_allclose(served["predictions"].numpy(), rows, rtol=1e-5)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"example_id_column": 3}, "example_id_column"),
            ({"symmetric_l2_regularization": 0.0}, "symmetric_l2_regularization.*0"),
            ({"symmetric_l1_regularization": -0.5}, "symmetric_l1_regularization"),
            ({"num_loss_partitions": 0}, "num_loss_partitions"),
            ({"num_table_shards": 0}, "num_table_shards"),
        ],
    )
    def test_arguments(self, options: Any, message: str) -> None:
        with pytest.raises(errors.ArgumentError, match=message):
            experimental.LinearSDCA(**{"example_id_column": "key", **options})

    def test_shards_are_ignored(self) -> None:
        assert experimental.LinearSDCA("key", num_table_shards=2).num_table_shards == 2

    @pytest.mark.parametrize("key", ["nothing", "age"])
    def test_examples_without_names(self, key: str, tmp_path: Any) -> None:
        estimator = kestimator.LinearClassifier(
            sdca.columns(), str(tmp_path), optimizer=experimental.LinearSDCA(key)
        )
        with pytest.raises(errors.ArgumentError, match="example_id_column"):
            estimator.train(sdca.input_fn("two"), steps=1)

    @pytest.mark.parametrize(
        "column",
        [
            fc.embedding_column(canned.identity(), 2),
            fc.numeric_column("pair", shape=(2, 1)),
        ],
    )
    def test_columns(self, column: Any) -> None:
        with pytest.raises(errors.ArgumentError, match="feature_columns.*LinearSDCA"):
            kestimator.LinearClassifier([column], optimizer=experimental.LinearSDCA("key"))

    def test_other_estimators(self) -> None:
        with pytest.raises(errors.ArgumentError, match="optimizer"):
            kestimator.DNNClassifier([2], [canned.age()], optimizer=experimental.LinearSDCA("key"))

    def test_heads_of_other_losses(self) -> None:
        """The original takes them, and minimizes another loss than it reports."""
        with pytest.raises(errors.ArgumentError, match="optimizer"):
            kestimator.LinearEstimator(
                kestimator.PoissonRegressionHead(),
                [canned.age()],
                optimizer=experimental.LinearSDCA("key"),
            )
