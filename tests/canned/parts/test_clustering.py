"""The graph of k-means: each part by itself, against numbers computed by hand or with numpy."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kestimator.canned.parts import clustering
from tests.canned.parts.traced import Traced

MINI = {"mini_batch": True}
COPY = {"mini_batch": True, "steps_per_iteration": 2}
COSINE = {"metric": clustering.COSINE}
POINTS = np.array([[0.0, 1.0], [3.0, 3.0], [1.0, 0.0], [4.0, 4.0]], np.float32)


def settings(**given: Any) -> clustering.Options:
    """Options: two clusters, in full batches, by squared distances."""
    defaults = {
        "count": 2,
        "initial": clustering.RANDOM,
        "metric": clustering.SQUARED_EUCLIDEAN,
        "seed": 1,
        "mini_batch": False,
        "steps_per_iteration": 1,
        "retries": 2,
    }
    return clustering.Options(**{**defaults, **given})


class Clustered(Traced):
    """Clusters over a batch of points, with all that can be computed or run."""

    def __init__(self, points: Any = POINTS, centers: Any = None, **given: Any) -> None:
        super().__init__(
            lambda placeholder: self._build(settings(**given), placeholder),
            np.asarray(points, np.float32),
        )
        if centers is not None:
            self.assign({"clusters": centers})
            if "clusters_updated" in self.store:
                self.assign({"clusters_updated": centers})

    def _build(self, options: clustering.Options, points: Any) -> Any:
        clusters = clustering.Clusters.made(options, points.shape[1])
        compared = clusters.compared(points)
        found = clusters.assigned(compared)
        return types.SimpleNamespace(
            found=found,
            step=clusters.step(compared, found.nearest),
            put_to_use=clusters.put_to_use(),
            chosen=clusters.chosen(points),
        )

    def assigned(self) -> list[np.ndarray]:
        found = self.result.found
        return self.run([found.distances, found.nearest, found.losses])


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_order(rows: np.ndarray) -> list[list[float]]:
    return sorted(rows.tolist())


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["clusters", "initialized"]),
        (MINI, ["clusters", "initialized", "Variable"]),
        (COPY, ["clusters", "initialized", "clusters_updated", "update_in_steps", "Variable"]),
    ],
)
def test_variables(given: Any, names: list[str]) -> None:
    made = Clustered(**given)
    assert made.names() == [slot.name for slot in made.store] == names
    assert made.names("TRAINABLE_VARIABLES") == []
    assert made.names("LOCAL_VARIABLES") == ["clusters_chosen"]
    assert made.value("clusters").tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert not made.value("initialized")
    if given == MINI:
        assert made.value("Variable").tolist() == [1, 1]
    if given == COPY:
        assert made.value("Variable").tolist() == [0, 0]
        assert made.value("update_in_steps") == 2


@pytest.mark.parametrize(
    ("given", "keeps_a_copy", "keeps_unit_length"),
    [
        ({}, False, False),
        (MINI, False, False),
        (COPY, True, False),
        ({**COSINE}, False, True),
        ({**COSINE, **MINI}, False, False),
        ({**COSINE, **COPY}, True, True),
        ({**COSINE, "steps_per_iteration": 2}, False, True),
    ],
)
def test_what_is_kept(given: Any, keeps_a_copy: bool, keeps_unit_length: bool) -> None:
    options = settings(**given)
    assert (options.keeps_a_copy, options.keeps_unit_length) == (keeps_a_copy, keeps_unit_length)


class TestAssigned:
    def test_squared_distances(self) -> None:
        distances, nearest, losses = Clustered(centers=[[0.0, 0.0], [3.0, 4.0]]).assigned()
        np.testing.assert_allclose(
            distances, [[1.0, 18.0], [18.0, 1.0], [1.0, 20.0], [32.0, 1.0]], rtol=1e-5
        )
        assert nearest.tolist() == [0, 1, 0, 1]
        assert nearest.dtype == np.int64
        np.testing.assert_allclose(losses, [1.0, 1.0, 1.0, 1.0], rtol=1e-5)

    @pytest.mark.parametrize("given", [COSINE, {**COSINE, **MINI}])
    def test_cosine_distances(self, given: Any) -> None:
        """Only mini-batches without a copy keep centers of any length."""
        centers = np.array([[1.0, 0.0], [0.6, 0.8]])
        stored = centers * [[2.0], [5.0]] if "mini_batch" in given else centers
        points = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
        distances, nearest, losses = Clustered(points, stored, **given).assigned()
        expected = 1.0 - unit(points) @ centers.T
        np.testing.assert_allclose(distances, expected, atol=1e-6)
        assert nearest.tolist() == [0, 1, 1]
        np.testing.assert_allclose(losses, expected.min(1), atol=1e-6)


class TestFullStep:
    def test_moves_centers_to_the_means_of_their_points(self) -> None:
        made = Clustered(centers=[[0.0, 0.0], [3.0, 4.0]])
        made.run([], made.result.step)
        np.testing.assert_allclose(made.value("clusters"), [[0.5, 0.5], [3.5, 3.5]], rtol=1e-5)

    def test_moves_the_center_of_an_empty_cluster_to_zero(self) -> None:
        made = Clustered(centers=[[2.0, 2.0], [90.0, 90.0]])
        made.run([], made.result.step)
        np.testing.assert_allclose(made.value("clusters"), [[2.0, 2.0], [0.0, 0.0]], rtol=1e-5)

    def test_keeps_centers_of_length_one_for_cosines(self) -> None:
        points = [[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]
        made = Clustered(points, [[1.0, 0.0], [0.6, 0.8]], **COSINE)
        made.run([], made.result.step)
        mean = unit(points)[1:].mean(0, keepdims=True)
        np.testing.assert_allclose(
            made.value("clusters"), [[1.0, 0.0], unit(mean)[0]], rtol=1e-5, atol=1e-6
        )


class TestSmallStep:
    def test_moves_each_center_to_the_mean_of_all_its_points(self) -> None:
        first = np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]], np.float32)
        made = Clustered(centers=first, count=3, **MINI)
        sums, counts = first[:2].copy(), np.ones(2)
        for _ in range(3):
            made.run([], made.result.step)
            # Points 0 and 2 belong to the first center, 1 and 3 to the second, in each step.
            sums += [POINTS[[0, 2]].sum(0), POINTS[[1, 3]].sum(0)]
            counts += 2
            np.testing.assert_allclose(
                made.value("clusters"), [*(sums / counts[:, None]), first[2]], rtol=1e-5
            )
        assert made.value("Variable").tolist() == [7, 7, 1]

    def test_moves_only_the_copy_during_an_iteration(self) -> None:
        made = Clustered(centers=[[0.0, 0.0], [3.0, 4.0]], **COPY)
        made.run([], made.result.step)
        # The counts of a copy start from zero, so the first centers do not count as points.
        assert made.value("clusters").tolist() == [[0.0, 0.0], [3.0, 4.0]]
        np.testing.assert_allclose(made.value("clusters_updated"), [[0.5, 0.5], [3.5, 3.5]])
        assert made.value("Variable").tolist() == [2, 2]


class TestPutToUse:
    def test_replaces_the_centers_after_an_iteration(self) -> None:
        made = Clustered(centers=[[0.0, 0.0], [3.0, 4.0]], **COPY)
        moved = np.array([[1.0, 2.0], [5.0, 6.0]], np.float32)
        made.assign({"clusters_updated": moved, "Variable": [7, 8]})
        seen = []
        for _ in range(4):
            made.run([], made.result.put_to_use)
            is_used = np.array_equal(made.value("clusters"), moved)
            seen.append((int(made.value("update_in_steps")), is_used))
            counts = made.value("Variable").tolist()
            assert counts == ([0, 0] if is_used else [7, 8])
        assert seen == [(1, False), (0, False), (1, True), (0, True)]

    def test_gives_centers_length_one_for_cosines(self) -> None:
        made = Clustered(**COSINE, **COPY)
        made.assign({"clusters_updated": [[3.0, 4.0], [0.0, 2.0]], "update_in_steps": 0})
        made.run([], made.result.put_to_use)
        np.testing.assert_allclose(made.value("clusters"), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)
        assert made.value("clusters_updated").tolist() == [[3.0, 4.0], [0.0, 2.0]]

    @pytest.mark.parametrize("given", [{}, MINI])
    def test_does_nothing_without_a_copy(self, given: Any) -> None:
        put_to_use = Clustered(**given).result.put_to_use
        assert put_to_use.type == "NoOp"
        assert not put_to_use.control_inputs


class TestFirstCenters:
    @pytest.mark.parametrize("given", [{}, COPY])
    def test_are_different_points_of_several_batches(self, given: Any) -> None:
        made = Clustered(POINTS[:2], count=5, **given)
        seen = []
        for _ in range(3):
            made.run([], made.result.chosen)
            seen.append((int(made.value("clusters_chosen")), bool(made.value("initialized"))))
        assert seen == [(2, False), (4, False), (5, True)]
        centers = made.value("clusters")
        expected = in_order(POINTS[:2])
        assert in_order(centers[:2]) == in_order(centers[2:4]) == expected
        assert centers[4].tolist() in expected
        if given:
            np.testing.assert_array_equal(made.value("clusters_updated"), centers)

    @pytest.mark.parametrize("retries", [-1, 0, 3])
    def test_of_kmeans_plus_plus_lie_apart(self, retries: int) -> None:
        """Equal points have no distance, so the same one is never drawn again."""
        groups = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], np.float32)
        made = Clustered(
            np.repeat(groups, 3, 0), count=3, initial=clustering.KMEANS_PLUS_PLUS, retries=retries
        )
        made.run([], made.result.chosen)
        assert in_order(made.value("clusters")) == in_order(groups)
        assert made.value("initialized")

    def test_of_kmeans_plus_plus_for_cosines_have_different_directions(self) -> None:
        points = [[1.0, 0.0], [50.0, 0.0], [0.0, 2.0], [0.0, 0.1]]
        made = Clustered(points, initial=clustering.KMEANS_PLUS_PLUS, **COSINE)
        made.run([], made.result.chosen)
        assert in_order(made.value("clusters")) == [[0.0, 1.0], [1.0, 0.0]]

    def test_of_kmeans_plus_plus_need_enough_points(self) -> None:
        made = Clustered(POINTS[:1], initial=clustering.KMEANS_PLUS_PLUS)
        with pytest.raises(tf.errors.InvalidArgumentError, match="kmeans_plus_plus"):
            made.run([], made.result.chosen)
        assert made.value("clusters_chosen") == 0

    @pytest.mark.parametrize("given", [{}, COPY])
    def test_as_an_array(self, given: Any) -> None:
        first = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
        made = Clustered(initial=first, **given)
        made.run([], made.result.chosen)
        np.testing.assert_array_equal(made.value("clusters"), first)
        assert made.value("initialized")
        if given:
            np.testing.assert_array_equal(made.value("clusters_updated"), first)

    def test_have_length_one_for_cosines(self) -> None:
        made = Clustered(initial=np.array([[3.0, 4.0], [0.0, 9.0]], np.float32), **COSINE)
        made.run([], made.result.chosen)
        np.testing.assert_allclose(made.value("clusters"), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)

    def test_of_a_function_of_the_points_and_the_missing(self) -> None:
        def one(points: Any, missing: Any) -> Any:
            # The first call puts 2 into the center, the second one 1.
            (batch,) = points
            return tf.cast(batch[:1], tf.float64) + tf.cast(missing, tf.float64)

        made = Clustered(initial=one)
        made.run([], made.result.chosen)
        assert not made.value("initialized")
        made.run([], made.result.chosen)
        np.testing.assert_array_equal(made.value("clusters"), [POINTS[0] + 2.0, POINTS[0] + 1.0])
        assert made.value("initialized")

    def test_of_a_function_are_not_too_many(self) -> None:
        made = Clustered(initial=lambda points, missing: points[0])
        with pytest.raises(tf.errors.InvalidArgumentError, match="initial_clusters"):
            made.run([], made.result.chosen)
        assert made.value("clusters").tolist() == [[0.0, 0.0], [0.0, 0.0]]

    def test_depend_on_the_seed(self) -> None:
        def centers(seed: int) -> list[Any]:
            made = Clustered(np.arange(200.0).reshape(100, 2), seed=seed)
            made.run([], made.result.chosen)
            return made.value("clusters").tolist()

        first = centers(1)
        assert centers(1) == first
        assert centers(2) != first
