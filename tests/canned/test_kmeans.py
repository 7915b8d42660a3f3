"""Clustering: first centers, mini-batches, resuming; what is refused, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, experimental
from kestimator.estimator import state_of
from tests.programs import kmeans

POINTS = kmeans.points()
MEANS = np.array([POINTS[i::3].mean(0) for i in range(3)])


def made(model_dir: Any, **options: Any) -> Any:
    given = {"num_clusters": 3, "seed": 3, "use_mini_batch": False, **options}
    return experimental.KMeans(model_dir=str(model_dir), **given)


def sorted_rows(rows: Any) -> np.ndarray:
    return np.array(sorted(map(tuple, rows)))


class TestFirstCenters:
    @pytest.mark.parametrize("metric", ["squared_euclidean", "cosine"])
    @pytest.mark.parametrize("batch", [24, 2])
    def test_are_different_points(self, metric: str, batch: int, tmp_path: Any) -> None:
        options = {"num_clusters": 5, "distance_metric": metric, "use_mini_batch": True}
        options["mini_batch_steps_per_iteration"] = 50  # so that a step leaves them alone
        estimator = made(tmp_path, **options).train(kmeans.input_fn(batch=batch), steps=1)
        centers = estimator.cluster_centers()
        points = POINTS
        if metric == "cosine":
            points = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
        nearest = np.abs(centers[:, None] - points[None]).sum(-1).min(1)
        np.testing.assert_allclose(nearest, 0, atol=1e-6)
        assert len({tuple(row) for row in centers.round(5)}) == 5

    def test_kmeans_plus_plus_finds_the_clusters(self, tmp_path: Any) -> None:
        estimator = made(tmp_path, initial_clusters="kmeans_plus_plus")
        estimator.train(kmeans.input_fn(), steps=5)
        np.testing.assert_allclose(
            sorted_rows(estimator.cluster_centers()), sorted_rows(MEANS), atol=0.3
        )

    def test_a_function_gives_some_at_a_time(self, tmp_path: Any) -> None:
        def one(points: Any, missing: Any) -> Any:
            del missing
            return points[0][:1]

        estimator = made(tmp_path, initial_clusters=one, num_clusters=2)
        estimator.train(kmeans.input_fn(batch=3), max_steps=1)
        assert estimator.cluster_centers().shape == (2, 2)

    def test_a_seed_decides(self, tmp_path: Any) -> None:
        def centers(name: str, seed: int) -> np.ndarray:
            return (
                made(tmp_path / name, seed=seed).train(kmeans.input_fn(), steps=1).cluster_centers()
            )

        first = centers("a", 1)
        np.testing.assert_array_equal(first, centers("b", 1))
        assert not np.array_equal(first, centers("c", 2))


class TestTraining:
    def test_small_batches_move_to_the_mean_of_all_their_points(self, tmp_path: Any) -> None:
        options = {"use_mini_batch": True, "initial_clusters": MEANS}
        estimator = made(tmp_path, **options).train(kmeans.input_fn(batch=6), steps=4)
        counts = estimator.get_variable_value("Variable")
        assert counts.sum() == 3 + 24
        np.testing.assert_allclose(estimator.cluster_centers(), MEANS, atol=0.3)

    def test_an_iteration_of_all_points_is_a_full_step(self, tmp_path: Any) -> None:
        full = made(tmp_path / "full", initial_clusters=kmeans.first())
        full.train(kmeans.input_fn(), steps=1)
        options = {"use_mini_batch": True, "mini_batch_steps_per_iteration": 4}
        parts = made(tmp_path / "parts", initial_clusters=kmeans.first(), **options)
        parts.train(kmeans.input_fn(batch=6), steps=5)  # the fifth puts the first four to use
        np.testing.assert_allclose(parts.cluster_centers(), full.cluster_centers(), rtol=1e-4)

    def test_goes_on_without_new_centers(self, tmp_path: Any) -> None:
        made(tmp_path, initial_clusters=kmeans.first()).train(kmeans.input_fn(), steps=3)
        again = made(tmp_path, initial_clusters=kmeans.first() + 100)
        again.train(kmeans.input_fn(), steps=2)
        straight = made(tmp_path / "straight", initial_clusters=kmeans.first())
        straight.train(kmeans.input_fn(), steps=5)
        np.testing.assert_allclose(again.cluster_centers(), straight.cluster_centers(), rtol=1e-5)

    def test_a_tolerance_serves_every_training(self, tmp_path: Any) -> None:
        estimator = made(tmp_path, relative_tolerance=1e-6).train(kmeans.input_fn(), steps=100)
        step = estimator.get_variable_value("global_step")
        assert step < 100
        assert (
            estimator.train(kmeans.input_fn(), steps=100).get_variable_value("global_step") > step
        )
        assert len(state_of(estimator).programs) == 1

    def test_numbers_of_any_type(self, tmp_path: Any) -> None:
        points = {"a": POINTS[:, 0].astype(np.float64), "b": np.arange(24)}
        data = tf.data.Dataset.from_tensors(points).repeat()
        assert made(tmp_path).train(lambda: data, steps=2).score(lambda: data) > 0


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_clusters": 0}, "num_clusters"),
            ({"initial_clusters": "kmc2"}, "initial_clusters.*'random'"),
            ({"initial_clusters": [1.0, 2.0]}, "initial_clusters"),
            ({"distance_metric": "l1"}, "distance_metric.*'cosine'"),
            ({"mini_batch_steps_per_iteration": 0}, "mini_batch_steps_per_iteration"),
            ({"feature_columns": ["a"]}, r"feature_columns\[0\]"),
            ({"kmeans_plus_plus_num_retries": None}, "`kmeans_plus_plus_num_retries`"),
            ({"kmeans_plus_plus_num_retries": 1.5}, "`kmeans_plus_plus_num_retries`"),
            ({"relative_tolerance": ""}, "`relative_tolerance`"),
            ({"relative_tolerance": -0.1}, "`relative_tolerance`"),
            ({"seed": 1.5}, "`seed`"),
        ],
    )
    def test_arguments(self, options: Any, message: str, tmp_path: Any) -> None:
        with pytest.raises((errors.ArgumentError, errors.ArgumentTypeError), match=message):
            made(tmp_path, **options)

    @pytest.mark.parametrize(
        "points",
        [
            POINTS[:, 0],
            POINTS[None],
            np.array([["a"]]),
            tf.sparse.from_dense(POINTS),
            {"a": tf.ragged.constant([[1.0], [2.0, 3.0]])},
        ],
    )
    def test_points(self, points: Any, tmp_path: Any) -> None:
        with pytest.raises(errors.ArgumentError, match="features"):
            made(tmp_path).train(lambda: tf.data.Dataset.from_tensors(points), steps=1)

    def test_centers_of_another_size(self, tmp_path: Any) -> None:
        estimator = made(tmp_path, initial_clusters=np.zeros((3, 5)))
        with pytest.raises(errors.ArgumentError, match=r"initial_clusters.shape.*\(3, 5\)"):
            estimator.train(kmeans.input_fn(), steps=1)

    def test_nothing_was_trained(self, tmp_path: Any) -> None:
        with pytest.raises(tf.errors.InvalidArgumentError, match="Call `train` first"):
            made(tmp_path).score(kmeans.input_fn())

    def test_labels(self, tmp_path: Any) -> None:
        data = tf.data.Dataset.from_tensors((POINTS, POINTS))
        with pytest.raises(ValueError, match="labels"):
            made(tmp_path).train(lambda: data, steps=1)


def test_constants_and_export() -> None:
    assert experimental.KMeans.CLUSTER_CENTERS_VAR_NAME == "clusters"
    assert issubclass(experimental.KMeans, kestimator.Estimator)
