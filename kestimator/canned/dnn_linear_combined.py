"""Wide and deep: a linear model and a network, trained together on the sum of their logits.

Synopsis::

    city = tf.feature_column.categorical_column_with_hash_bucket("city", 1000)
    estimator = kestimator.DNNLinearCombinedClassifier(
        linear_feature_columns=[city],
        dnn_feature_columns=[tf.feature_column.embedding_column(city, 8)],
        dnn_hidden_units=[128, 64],
    )

Each part has its own optimizer. A step of both counts as one step.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, specs
from kestimator.adapters.feature_columns import column_features
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned.parts import canned_estimator, generations, model_fns
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.canned.parts.networks import NetworkPart
from kestimator.config import RunConfig
from kestimator.heads import Head
from kestimator.interop import to_keras
from kestimator.validation import kinds

_DNN_LEARNING_RATE = 0.001
_LINEAR_LEARNING_RATE = 0.005


class DNNLinearCombinedEstimator(canned_estimator.CannedEstimator):
    """A network and a linear model with any head.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNLinearCombinedEstimator(
        ...     kestimator.RegressionHead(), linear_feature_columns=columns,
        ...     dnn_feature_columns=columns, dnn_hidden_units=[8, 4])

    Args:
        head: The head. It defines the loss, the predictions and the metrics.
        model_dir: The directory for checkpoints and events.
        linear_feature_columns: Columns of the linear part; see `LinearClassifier`.
        linear_optimizer: The optimizer of the linear part; see `LinearClassifier`.
        dnn_feature_columns: Columns of the network; see `DNNClassifier`.
        dnn_optimizer: The optimizer of the network; see `DNNClassifier`.
        dnn_hidden_units: The sizes of the network's hidden layers.
        dnn_activation_fn: Their activation: a function, a name that Keras knows, or None.
        dnn_dropout: The fraction of their units to drop in training, or None.
        config: A `RunConfig`.
        batch_norm: Whether to normalize hidden layers over the batch.
        linear_sparse_combiner: How the linear part reduces several values of an example.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | None = None,
        linear_feature_columns: Any = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Any = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Any = tf.nn.relu,
        dnn_dropout: float | None = None,
        config: RunConfig | None = None,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        combined = _CombinedModel(
            _checked_linear(linear_feature_columns, linear_sparse_combiner),
            linear_optimizer,
            _checked_network(
                dnn_feature_columns, dnn_hidden_units, dnn_activation_fn, dnn_dropout, batch_norm
            ),
            dnn_optimizer,
        )
        model = combined.model(head, self._generation)
        super().__init__(model, model_dir, config)


class DNNLinearCombinedClassifier(canned_estimator.CannedEstimator):
    """A wide and deep classifier.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNLinearCombinedClassifier(
        ...     linear_feature_columns=columns, dnn_feature_columns=columns,
        ...     dnn_hidden_units=[8, 4], n_classes=3)

    Args:
        model_dir: The directory for checkpoints and events.
        linear_feature_columns: Columns of the linear part; see `LinearClassifier`.
        linear_optimizer: The optimizer of the linear part; see `LinearClassifier`.
        dnn_feature_columns: Columns of the network; see `DNNClassifier`.
        dnn_optimizer: The optimizer of the network; see `DNNClassifier`.
        dnn_hidden_units: The sizes of the network's hidden layers.
        dnn_activation_fn: Their activation: a function, a name that Keras knows, or None.
        dnn_dropout: The fraction of their units to drop in training, or None.
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers from 0 to n_classes - 1.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        batch_norm: Whether to normalize hidden layers over the batch.
        linear_sparse_combiner: How the linear part reduces several values of an example.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        linear_feature_columns: Any = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Any = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Any = tf.nn.relu,
        dnn_dropout: float | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        head = model_fns.classification_head(
            n_classes, weight_column, label_vocabulary, loss_reduction, self._generation
        )
        combined = _CombinedModel(
            _checked_linear(linear_feature_columns, linear_sparse_combiner),
            linear_optimizer,
            _checked_network(
                dnn_feature_columns, dnn_hidden_units, dnn_activation_fn, dnn_dropout, batch_norm
            ),
            dnn_optimizer,
        )
        model = combined.model(head, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


class DNNLinearCombinedRegressor(canned_estimator.CannedEstimator):
    """A wide and deep regressor.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNLinearCombinedRegressor(
        ...     linear_feature_columns=columns, dnn_feature_columns=columns,
        ...     dnn_hidden_units=[8, 4])

    Args:
        model_dir: The directory for checkpoints and events.
        linear_feature_columns: Columns of the linear part; see `LinearClassifier`.
        linear_optimizer: The optimizer of the linear part; see `LinearClassifier`.
        dnn_feature_columns: Columns of the network; see `DNNClassifier`.
        dnn_optimizer: The optimizer of the network; see `DNNClassifier`.
        dnn_hidden_units: The sizes of the network's hidden layers.
        dnn_activation_fn: Their activation: a function, a name that Keras knows, or None.
        dnn_dropout: The fraction of their units to drop in training, or None.
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        batch_norm: Whether to normalize hidden layers over the batch.
        linear_sparse_combiner: How the linear part reduces several values of an example.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        linear_feature_columns: Any = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Any = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Any = tf.nn.relu,
        dnn_dropout: float | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        head = model_fns.regression_head(
            label_dimension, weight_column, loss_reduction, self._generation
        )
        combined = _CombinedModel(
            _checked_linear(linear_feature_columns, linear_sparse_combiner),
            linear_optimizer,
            _checked_network(
                dnn_feature_columns, dnn_hidden_units, dnn_activation_fn, dnn_dropout, batch_norm
            ),
            dnn_optimizer,
        )
        model = combined.model(head, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


@dataclasses.dataclass(frozen=True)
class _CombinedModel:
    """Both parts and their optimizers; one of the parts may be None."""

    linear: LinearPart | None
    linear_optimizer: Any
    network: NetworkPart | None
    dnn_optimizer: Any

    def model(self, head: Head, generation: generations.Generation) -> canned_estimator.CannedModel:
        """Checks the other arguments of an estimator, and makes its model."""
        model_fns.check_head(head)
        if self.linear is None and self.network is None:
            raise errors.ArgumentError(
                "Either linear_feature_columns or dnn_feature_columns must be defined. Received: "
                "neither. Pass columns for the linear part, for the network, or for both."
            )
        if self.network is not None:
            generation.check_columns("dnn_feature_columns", self.network.columns)
            canned_optimizers.check("dnn_optimizer", self.dnn_optimizer)
        if self.linear is not None:
            generation.check_columns("linear_feature_columns", self.linear.columns)
            canned_optimizers.check("linear_optimizer", self.linear_optimizer)

        def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
            cached, units = column_features.Features(features), head.logits_dimension
            # The first part counts the global step; of two optimizers of one kind, the second is
            # named `_1`.
            parts = [
                *self._network(cached, units, mode, generation),
                *self._linear(cached, units, mode, generation),
            ]
            logits = tf.add_n([built.logits for built, _ in parts], name="add")
            updates = [update for built, _ in parts for update in built.update_ops]
            training = [training for _, training in parts]
            return model_fns.spec(
                head, features, labels, mode, logits, training, updates, generation=generation
            )

        return canned_estimator.CannedModel(
            model_fn, to_keras.Blueprint(head, linear=self.linear, network=self.network)
        )

    def _network(
        self,
        features: column_features.Features,
        units: int,
        mode: str,
        generation: generations.Generation,
    ) -> list[tuple[model_fns.Built, model_fns.Training]]:
        if self.network is None:
            return []
        with generation.scope("dnn") as scope:
            built = self.network.build(features, units=units, mode=mode, ops=scope.ops)
        training = model_fns.Training(
            built.variables, self.dnn_optimizer, _DNN_LEARNING_RATE, "dnn_optimizer"
        )
        return [(built, training)]

    def _linear(
        self,
        features: column_features.Features,
        units: int,
        mode: str,
        generation: generations.Generation,
    ) -> list[tuple[model_fns.Built, model_fns.Training]]:
        if self.linear is None:
            return []
        with generation.scope("linear") as scope:
            built = self.linear.build(features, units=units, mode=mode, ops=scope.ops)
            model_fns.summarize_layer("linear", built.logits)
        # The original's default: the more columns, the smaller the rate.
        rate = min(_LINEAR_LEARNING_RATE, 1.0 / math.sqrt(len(self.linear.columns)))
        training = model_fns.Training(
            built.variables, self.linear_optimizer, rate, "linear_optimizer"
        )
        return [(built, training)]


def _checked_linear(columns: Any, sparse_combiner: str) -> LinearPart | None:
    if kinds.is_empty(columns):
        return None
    return LinearPart.checked("linear_feature_columns", columns, sparse_combiner, prefix="linear_")


def _checked_network(
    columns: Any, hidden_units: Any, activation_fn: Any, dropout: float | None, batch_norm: bool
) -> NetworkPart | None:
    if kinds.is_empty(columns):
        return None
    if kinds.is_empty(hidden_units):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "dnn_hidden_units",
                hidden_units,
                "a list of positive integers, because dnn_feature_columns is specified",
                "Pass the sizes of the hidden layers, such as [128, 64].",
            )
        )
    return NetworkPart.checked(
        columns, hidden_units, activation_fn, dropout, batch_norm, prefix="dnn_"
    )
