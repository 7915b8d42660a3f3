"""Clustering of points by k-means.

Synopsis::

    estimator = kestimator.experimental.KMeans(num_clusters=3, use_mini_batch=False)
    estimator.train(input_fn, steps=10)
    estimator.cluster_centers()                        # (3, n)
    indices = estimator.predict_cluster_index(input_fn)

An input_fn gives points without labels, `(batch, n)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors, specs
from kestimator._types import InputFn, Tensor
from kestimator.adapters.feature_columns import column_features, column_kinds, input_layers
from kestimator.canned.parts import clustering, model_fns
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.exporting.export_outputs import PredictOutput
from kestimator.hooks import SessionRunArgs, SessionRunHook
from kestimator.keys import ModeKeys, SignatureKeys
from kestimator.validation import checks, kinds

_v1 = tf.compat.v1


class KMeans(Estimator):
    """Clusters points by k-means: in full batches, or in small ones.

    With `use_mini_batch=False` each step needs all points as one batch, and moves every center to
    the mean of its points. The first batch of a training also gives the first centers.

    Example:
        >>> import kestimator
        >>> estimator = kestimator.experimental.KMeans(3, use_mini_batch=False, seed=1)

    Args:
        num_clusters: The number of clusters. An array `initial_clusters` determines it instead.
        model_dir: The directory for checkpoints and events.
        initial_clusters: The first centers, an array; `RANDOM_INIT`, different points of the first
            batches; `KMEANS_PLUS_PLUS_INIT`, points of the first batch that lie apart; or a
            function of `[points]` and of the number of missing centers. It returns at most that
            many centers, and is called with each batch in turn.
        distance_metric: `SQUARED_EUCLIDEAN_DISTANCE` or `COSINE_DISTANCE`.
        seed: The seed for the choice of the first centers.
        use_mini_batch: Whether a batch is only a part of the points.
        mini_batch_steps_per_iteration: The number of steps after which moved centers are used.
        kmeans_plus_plus_num_retries: The number of additional points that kmeans++ draws for each
            center before it takes the best. If negative, it grows with the number of centers.
        relative_tolerance: Training ends when the relative change of the loss is below it, or None.
        config: A `RunConfig`.
        feature_columns: Dense columns that make points of features. None: all features, in the
            order of their names.

    Raises:
        errors.ArgumentError: An argument has an invalid value.
        errors.ArgumentTypeError: An argument has an invalid type.
    """

    SQUARED_EUCLIDEAN_DISTANCE = clustering.SQUARED_EUCLIDEAN
    COSINE_DISTANCE = clustering.COSINE
    RANDOM_INIT = clustering.RANDOM
    KMEANS_PLUS_PLUS_INIT = clustering.KMEANS_PLUS_PLUS
    SCORE = "score"
    CLUSTER_INDEX = "cluster_index"
    ALL_DISTANCES = "all_distances"
    CLUSTER_CENTERS_VAR_NAME = clustering.CLUSTERS

    def __init__(
        self,
        num_clusters: int,
        model_dir: str | None = None,
        initial_clusters: Any = RANDOM_INIT,
        distance_metric: str = SQUARED_EUCLIDEAN_DISTANCE,
        seed: int | None = None,
        use_mini_batch: bool = True,
        mini_batch_steps_per_iteration: int = 1,
        kmeans_plus_plus_num_retries: int = 2,
        relative_tolerance: float | None = None,
        config: RunConfig | None = None,
        feature_columns: Any = None,
    ) -> None:
        metrics = (clustering.SQUARED_EUCLIDEAN, clustering.COSINE)
        kinds.checked_choice("distance_metric", distance_metric, metrics)
        initial = _checked_initial(initial_clusters)
        count = initial.shape[0] if isinstance(initial, np.ndarray) else num_clusters
        options = clustering.Options(
            _checked_count("num_clusters", count),
            initial,
            distance_metric,
            None if seed is None else checks.checked_int("seed", seed),
            kinds.checked_flag("use_mini_batch", use_mini_batch),
            _checked_count("mini_batch_steps_per_iteration", mini_batch_steps_per_iteration),
            checks.checked_int("kmeans_plus_plus_num_retries", kmeans_plus_plus_num_retries),
        )
        tolerance = checks.checked_not_negative(
            "relative_tolerance", relative_tolerance, optional=True
        )
        columns = None
        if not kinds.is_empty(feature_columns):
            columns = column_kinds.checked_columns(
                "feature_columns", feature_columns, column_kinds.Place.DENSE
            )
        self._metric = distance_metric
        super().__init__(_model_fn(options, columns, tolerance), model_dir, config)

    def predict_cluster_index(self, input_fn: InputFn) -> Iterator[np.int64]:
        """Finds the nearest center of each point.

        Args:
            input_fn: Gives points, as for `predict`.

        Yields:
            Its index.
        """
        return self._rows(input_fn, self.CLUSTER_INDEX)

    def score(self, input_fn: InputFn) -> np.float32:
        """Sums the distances of points to their nearest centers, squared or cosine.

        Args:
            input_fn: Gives points, as for `evaluate`; one batch is read.
        """
        score: np.float32 = self.evaluate(input_fn, steps=1)[self.SCORE]
        return score

    def transform(self, input_fn: InputFn) -> Iterator[np.ndarray]:
        """Finds the distances of each point to all centers, not squared.

        Args:
            input_fn: Gives points, as for `predict`.

        Yields:
            (num_clusters,), float32.
        """
        is_squared = self._metric == self.SQUARED_EUCLIDEAN_DISTANCE
        rows = self._rows(input_fn, self.ALL_DISTANCES)
        # Rounding may make a squared distance slightly negative.
        return (np.sqrt(np.maximum(row, 0)) if is_squared else row for row in rows)

    def cluster_centers(self) -> np.ndarray:
        """Reads the centers from the newest checkpoint: (num_clusters, n).

        Raises:
            errors.CheckpointError: There is no checkpoint.
        """
        centers: np.ndarray = self.get_variable_value(self.CLUSTER_CENTERS_VAR_NAME)
        return centers

    def _rows(self, input_fn: InputFn, key: str) -> Iterator[Any]:
        return (row[key] for row in self.predict(input_fn, predict_keys=[key]))


def _model_fn(
    options: clustering.Options, columns: Any, tolerance: float | None
) -> Callable[..., specs.EstimatorSpec]:
    def model_fn(features: Any, mode: str) -> specs.EstimatorSpec:
        if mode == ModeKeys.TRAIN:
            model_fns.refuse_replicas("KMeans", "each would move the centers by its own points.")
        points = _points(features, columns)
        clusters = clustering.Clusters.made(options, _dimension(points, options))
        ready = clusters.put_to_use() if mode == ModeKeys.TRAIN else _assert_trained(clusters)
        compared = clusters.compared(points)
        # The centers are read after `put_to_use` has written them, or after the check.
        with tf.control_dependencies([ready]):
            assigned = clusters.assigned(compared)
        loss = tf.reduce_sum(assigned.losses)
        _v1.summary.scalar("loss/raw", loss)
        index, distances = PredictOutput(assigned.nearest), PredictOutput(assigned.distances)
        return specs.EstimatorSpec(
            mode,
            predictions={
                KMeans.ALL_DISTANCES: assigned.distances,
                KMeans.CLUSTER_INDEX: assigned.nearest,
            },
            loss=loss,
            train_op=_train_op(clusters, compared, assigned),
            eval_metric_ops={KMeans.SCORE: _v1.metrics.mean(loss)},
            export_outputs={
                KMeans.ALL_DISTANCES: distances,
                KMeans.CLUSTER_INDEX: index,
                SignatureKeys.SERVING_DEFAULT: index,
            },
            training_hooks=_hooks(clusters, points, loss, mode, tolerance),
        )

    return model_fn


def _train_op(
    clusters: clustering.Clusters, points: Tensor, assigned: clustering.Assigned
) -> tf.Operation:
    step = clusters.step(points, assigned.nearest)
    with tf.control_dependencies([step, assigned.losses]):
        return _v1.train.get_or_create_global_step().assign_add(1, read_value=False)


def _hooks(
    clusters: clustering.Clusters,
    points: Tensor,
    loss: Tensor,
    mode: str,
    tolerance: float | None,
) -> list[SessionRunHook]:
    if mode != ModeKeys.TRAIN:
        return []
    hooks: list[SessionRunHook] = [_ChooseCenters(clusters, clusters.chosen(points))]
    return hooks if tolerance is None else [*hooks, _StopWhenSteady(loss, tolerance)]


class _ChooseCenters(SessionRunHook):
    """Chooses the first centers before training, if there are none yet."""

    def __init__(self, clusters: clustering.Clusters, choose: tf.Operation) -> None:
        # The ops are made while the program is traced: a hook that adds ops in `begin` would change
        # the graph, and the program could not be used again.
        self._initialized = clusters.initialized.read_value()
        self._choose = choose

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Reads batches until all first centers are chosen."""
        del coord
        while not session.run(self._initialized):
            session.run(self._choose)


class _StopWhenSteady(SessionRunHook):
    """Stops when the loss hardly changes from one step to the next."""

    def __init__(self, loss: Tensor, tolerance: float) -> None:
        self._loss = loss
        self._tolerance = tolerance
        self._last: float | None = None

    def begin(self) -> None:
        """Forgets the previous training."""
        self._last = None

    def before_run(self, run_context: Any) -> Any:
        """Asks for the loss."""
        del run_context
        return SessionRunArgs(self._loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Compares it with the one before."""
        loss, last = float(run_values.results), self._last
        # Relative to 1 + |last|, so a loss of zero divides by no zero.
        if last is not None and abs(loss - last) / (1.0 + abs(last)) < self._tolerance:
            run_context.request_stop()
        self._last = loss


def _assert_trained(clusters: clustering.Clusters) -> tf.Operation:
    message = "There are no cluster centers yet. Call `train` first, or check `model_dir`."
    return tf.raw_ops.Assert(condition=clusters.initialized.read_value(), data=[message])


def _points(features: Any, columns: Any) -> Tensor:
    """The points, (batch, n), float32."""
    if columns is not None:
        with _v1.variable_scope("input_layer"):
            return input_layers.input_layer(
                column_features.Features(features), columns, training=False
            )
    if not isinstance(features, Mapping):
        return _checked_points("features", features)
    parts = [_checked_points(f"features[{key!r}]", features[key]) for key in sorted(features)]
    return tf.concat(parts, 1)


def _checked_points(name: str, feature: Any) -> Tensor:
    is_dense = not isinstance(feature, tf.SparseTensor | tf.RaggedTensor)
    tensor = tf.convert_to_tensor(feature) if is_dense else feature
    if isinstance(tensor, tf.Tensor) and name != "features" and tensor.shape.rank == 1:
        tensor = tf.expand_dims(tensor, 1)
    is_number = tensor.dtype.is_floating or tensor.dtype.is_integer
    if not is_dense or not is_number or tensor.shape.rank not in (2, None):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                feature,
                "a dense numeric tensor of shape (batch, n)",
                "Use `feature_columns` to convert other features to points.",
            )
        )
    return tf.cast(tensor, tf.float32)


def _dimension(points: Tensor, options: clustering.Options) -> int:
    """The number of coordinates of a point."""
    size = points.shape[1] if points.shape.rank else None
    initial = options.initial
    if isinstance(initial, np.ndarray):
        if size not in (None, initial.shape[1]):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "initial_clusters.shape",
                    initial.shape,
                    f"(num_clusters, {size}), because points have {size} coordinates",
                )
            )
        return int(initial.shape[1])
    if size is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "features", points, "points of a known size", "Set it with tf.ensure_shape."
            )
        )
    return int(size)


def _checked_initial(initial: Any) -> Any:
    name = "initial_clusters"
    if callable(initial):
        expected = "a function of a list of points and of the number of missing centers"
        return kinds.checked_function(name, initial, expected, 2)
    if isinstance(initial, str):
        choices = (clustering.RANDOM, clustering.KMEANS_PLUS_PLUS)
        expected = f"{choices[0]!r}, {choices[1]!r}, an array, or a function"
        return kinds.checked_choice(name, initial, choices, expected)
    message = errors.invalid_argument(name, initial, "centers of shape (num_clusters, n)")
    try:
        array = np.asarray(initial, np.float32)
    except (TypeError, ValueError) as error:
        raise errors.ArgumentError(message) from error
    if array.ndim != 2 or not array.size:
        raise errors.ArgumentError(message)
    return array


def _checked_count(argument: str, value: Any) -> int:
    return checks.checked_int(
        argument,
        value,
        1,
        maximum=checks.LARGEST_SIZE,
        expected="a positive integer below 2**31",
        type_error=errors.ArgumentError,
    )
