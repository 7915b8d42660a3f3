"""The graph of k-means: distances, the choice of first centers, and a step of Lloyd's algorithm.

Synopsis::

    clusters = Clusters.made(options, dimension)
    assigned = clusters.assigned(points)   # .distances, .nearest, .losses
    clusters.step(points, assigned.nearest)    # moves the centers, an operation
    clusters.chosen(points)                # adds first centers, an operation
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator._types import Tensor

_v1 = tf.compat.v1
SQUARED_EUCLIDEAN, COSINE = "squared_euclidean", "cosine"
RANDOM, KMEANS_PLUS_PLUS = "random", "kmeans_plus_plus"
CLUSTERS = "clusters"
_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of a clustering.

    Attributes:
        count: The number of clusters.
        initial: The first centers, (count, n); "random" or "kmeans_plus_plus"; or a function of
            `[points]` and of how many are missing.
        metric: "squared_euclidean" or "cosine".
        seed: The seed of the choice of first centers, or None.
        mini_batch: Whether a step moves centers a little, by the points of a batch.
        steps_per_iteration: The number of steps after which the moved centers are used.
        retries: The number of additional points that kmeans++ draws before it takes the best.
    """

    count: int
    initial: np.ndarray | str | Callable[..., Any]
    metric: str
    seed: int | None
    mini_batch: bool
    steps_per_iteration: int
    retries: int

    @property
    def keeps_a_copy(self) -> bool:
        """Whether steps move a copy of the centers."""
        return self.mini_batch and self.steps_per_iteration > 1

    @property
    def keeps_unit_length(self) -> bool:
        """Whether the centers that are kept have length one."""
        return self.metric == COSINE and (not self.mini_batch or self.keeps_a_copy)


@dataclasses.dataclass(frozen=True)
class Assigned:
    """Points and their centers.

    Attributes:
        distances: (batch, count): from each point to each center.
        nearest: (batch,), int64: which center is the nearest.
        losses: (batch,): the distance to that one.
    """

    distances: Tensor
    nearest: Tensor
    losses: Tensor


@dataclasses.dataclass(frozen=True)
class Clusters:
    """The variables of a clustering.

    Attributes:
        options: The settings.
        centers: (count, n): the centers that points are compared with.
        initialized: Whether all first centers are chosen.
        moved: The variable that steps change: `centers`, or a copy of them.
        counts: (count,), int64: the number of points that moved each; None for full batches.
        steps_left: The number of steps until `moved` is used; None if it is `centers`.
        chosen_count: The number of first centers chosen so far.
    """

    options: Options
    centers: tf.Variable
    initialized: tf.Variable
    moved: tf.Variable
    counts: tf.Variable | None
    steps_left: tf.Variable | None
    chosen_count: tf.Variable

    @classmethod
    def made(cls, options: Options, dimension: int) -> Clusters:
        """Makes the variables, under the names of tf.estimator 2.15.

        Args:
            options: The settings.
            dimension: The number of coordinates of a point.
        """
        zeros = tf.zeros([options.count, dimension])
        centers = _variable(zeros, CLUSTERS)
        initialized = _variable(tf.constant(False), "initialized")
        moved, steps_left, counts = centers, None, None
        if options.keeps_a_copy:
            moved = _variable(zeros, "clusters_updated")
            steps = tf.constant(options.steps_per_iteration, tf.int64)
            steps_left = _variable(steps, "update_in_steps")
        if options.mini_batch:
            # A first center counts as one point. With a copy, the counts restart from zero anyway.
            first = 0 if options.keeps_a_copy else 1
            counts = _variable(tf.fill([options.count], tf.constant(first, tf.int64)), "Variable")
        chosen = _v1.get_local_variable(
            "clusters_chosen", [], tf.int32, _v1.zeros_initializer(), use_resource=True
        )
        return cls(options, centers, initialized, moved, counts, steps_left, chosen)

    def compared(self, points: Tensor) -> Tensor:
        """Points as they are compared with centers: for cosines, of length one."""
        return tf.math.l2_normalize(points, 1) if self.options.metric == COSINE else points

    def assigned(self, points: Tensor) -> Assigned:
        """Finds the nearest centers.

        Args:
            points: (batch, n), as `compared` gives them.
        """
        centers = self.centers.read_value()
        is_cosine = self.options.metric == COSINE
        if is_cosine and not self.options.keeps_unit_length:
            centers = tf.math.l2_normalize(centers, 1)
        nearest, losses = tf.raw_ops.NearestNeighbors(points=points, centers=centers, k=1)
        if is_cosine:
            # Between vectors of length one, the squared distance is twice the cosine distance.
            distances, losses = 1.0 - tf.matmul(points, centers, transpose_b=True), 0.5 * losses
        else:
            distances = _squared_distances(points, centers)
        return Assigned(distances, tf.squeeze(nearest, 1), tf.squeeze(losses, 1))

    def step(self, points: Tensor, nearest: Tensor) -> tf.Operation:
        """Moves the centers.

        Args:
            points: (batch, n), as `compared` gives them.
            nearest: (batch,): which center each belongs to.
        """
        if self.counts is None:
            return self._full_step(points, nearest)
        return self._small_step(points, nearest, self.counts)

    def put_to_use(self) -> tf.Operation:
        """Begins a step of mini-batches: moved centers become the centers after an iteration."""
        if self.steps_left is None or self.counts is None:
            return tf.no_op()
        steps, moved = self.steps_left.read_value(), self.moved.read_value()
        is_over = steps <= 0
        ready = tf.math.l2_normalize(moved, 1) if self.options.metric == COSINE else moved
        counts, centers = self.counts.read_value(), self.centers.read_value()
        current = tf.where(is_over, tf.constant(self.options.steps_per_iteration, tf.int64), steps)
        return tf.group(
            self.steps_left.assign(current - 1, read_value=False),
            self.centers.assign(tf.where(is_over, ready, centers), read_value=False),
            self.counts.assign(tf.where(is_over, tf.zeros_like(counts), counts), read_value=False),
        )

    def _full_step(self, points: Tensor, nearest: Tensor) -> tf.Operation:
        count = self.options.count
        sums = tf.math.unsorted_segment_sum(points, nearest, count)
        sizes = tf.math.unsorted_segment_sum(tf.ones_like(points[:, :1]), nearest, count)
        # Epsilon keeps the center of an empty cluster from being NaN: it becomes zero.
        centers = sums / (sizes + _EPSILON)
        if self.options.keeps_unit_length:
            centers = tf.math.l2_normalize(centers, 1)
        return self.centers.assign(centers, read_value=False)

    def _small_step(self, points: Tensor, nearest: Tensor, counts: tf.Variable) -> tf.Operation:
        """Moves each center to the mean of all points that it ever had."""
        ids, places = tf.unique(nearest)
        before, centers = tf.gather(counts, ids), tf.gather(self.moved, ids)
        size = tf.size(ids)
        added = tf.math.unsorted_segment_sum(tf.ones_like(nearest), places, size)
        sums = tf.math.unsorted_segment_sum(points, places, size)
        weights = tf.expand_dims(tf.cast(added, tf.float32), 1)
        totals = tf.expand_dims(tf.cast(before + added, tf.float32), 1)
        # The incremental mean: c + (sum of the new points - their number * c) / number of all
        # points.
        change = (sums - weights * centers) * tf.math.reciprocal(totals)
        # All reads come before the writes. The original reads its counts while it writes them, so
        # its results vary.
        with tf.control_dependencies([before, change]):
            return tf.group(_add_rows(counts, ids, added), _add_rows(self.moved, ids, change))

    def chosen(self, points: Tensor) -> tf.Operation:
        """Adds first centers from a batch of points, as many as are missing or available.

        Args:
            points: (batch, n), not normalized.
        """
        options, have = self.options, self.chosen_count.read_value()
        missing = options.count - have
        new = tf.ensure_shape(self._first_centers(points, missing), [None, self.centers.shape[1]])
        if options.metric == COSINE:
            new = tf.math.l2_normalize(new, 1)
        count = tf.shape(new)[0]
        check = tf.raw_ops.Assert(
            condition=count <= missing,
            data=["`initial_clusters` returned more centers than were missing:", count, missing],
        )
        rows = have + tf.range(count)
        with tf.control_dependencies([check, have, new]):
            variables = [self.centers, self.moved] if options.keeps_a_copy else [self.centers]
            updates = [
                tf.raw_ops.ResourceScatterUpdate(resource=v.handle, indices=rows, updates=new)
                for v in variables
            ]
            updates.append(self.chosen_count.assign(have + count, read_value=False))
        with tf.control_dependencies(updates):
            return self.initialized.assign(tf.equal(count, missing), read_value=False)

    def _first_centers(self, points: Tensor, missing: Tensor) -> Tensor:
        options = self.options
        if isinstance(options.initial, str):
            if options.initial == KMEANS_PLUS_PLUS:
                return self._far_apart(points, missing)
            return tf.random.shuffle(points, seed=options.seed)[:missing]
        if callable(options.initial):
            return tf.cast(options.initial([points], missing), tf.float32)
        return tf.constant(options.initial)

    def _far_apart(self, points: Tensor, missing: Tensor) -> Tensor:
        """First centers by kmeans++, all from one batch."""
        size = tf.shape(points)[0]
        enough = tf.raw_ops.Assert(
            condition=size >= missing,
            data=[
                "kmeans_plus_plus chooses all centers from one batch. Expected: at least as many "
                "points as missing centers. Use larger batches. Received these two numbers:",
                size,
                missing,
            ],
        )
        seed = tf.random.uniform([], maxval=2**31 - 1, dtype=tf.int64, seed=self.options.seed)
        with tf.control_dependencies([enough]):
            return tf.raw_ops.KmeansPlusPlusInitialization(
                points=self.compared(points),
                num_to_sample=tf.cast(missing, tf.int64),
                seed=seed,
                num_retries_per_sample=tf.constant(self.options.retries, tf.int64),
            )


def _squared_distances(points: Tensor, centers: Tensor) -> Tensor:
    # |p - c|^2 = |p|^2 - 2 p c + |c|^2, which needs no tensor of all differences.
    squares = tf.reduce_sum(tf.square(points), 1, keepdims=True)
    products = tf.matmul(points, centers, transpose_b=True)
    return squares - 2.0 * products + tf.reduce_sum(tf.square(centers), 1)


def _variable(value: Tensor, name: str) -> tf.Variable:
    """A variable called exactly `name`."""
    return _v1.Variable(value, trainable=False, use_resource=True, name=name)


def _add_rows(variable: tf.Variable, rows: Tensor, updates: Tensor) -> tf.Operation:
    return tf.raw_ops.ResourceScatterAdd(resource=variable.handle, indices=rows, updates=updates)
