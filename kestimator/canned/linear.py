"""Linear models over feature columns.

Synopsis::

    age = tf.feature_column.numeric_column("age")
    city = tf.feature_column.categorical_column_with_hash_bucket("city", 1000)
    estimator = kestimator.LinearClassifier([age, city])
    estimator.train(input_fn, steps=1000)

Weights start from zero, and are called `linear/linear_model/<column>/weights`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kestimator import specs
from kestimator.adapters.feature_columns import column_features
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned import sdca
from kestimator.canned.parts import canned_estimator, generations, model_fns
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.config import RunConfig
from kestimator.heads import Head
from kestimator.interop import to_keras

LEARNING_RATE = 0.2


class LinearEstimator(canned_estimator.CannedEstimator):
    """A linear model with any head.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearEstimator(kestimator.RegressionHead(), columns)

    Args:
        head: The head. It defines the loss, the predictions and the metrics.
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
            Or a `LinearSDCA`.
            None: "Ftrl" with a rate of 1 / sqrt(number of columns), 0.2 at most.
        config: A `RunConfig`.
        sparse_combiner: How several values of an example are reduced: "sum", "mean", "sqrtn".
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        head: Head,
        feature_columns: Any,
        model_dir: str | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        sparse_combiner: str = "sum",
        warm_start_from: Any = None,
    ) -> None:
        model = model_of(head, feature_columns, optimizer, sparse_combiner, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


class LinearClassifier(canned_estimator.CannedEstimator):
    """A linear classifier.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearClassifier(columns, n_classes=3)

    Args:
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers from 0 to n_classes - 1.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
            None, or a `LinearSDCA`: as for `LinearEstimator`.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        sparse_combiner: How several values of an example are reduced: "sum", "mean", "sqrtn".

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head = model_fns.classification_head(
            n_classes, weight_column, label_vocabulary, loss_reduction, self._generation
        )
        model = model_of(head, feature_columns, optimizer, sparse_combiner, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


class LinearRegressor(canned_estimator.CannedEstimator):
    """A linear regressor.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearRegressor(columns)

    Args:
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
            None, or a `LinearSDCA`: as for `LinearEstimator`.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        sparse_combiner: How several values of an example are reduced: "sum", "mean", "sqrtn".

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head = model_fns.regression_head(
            label_dimension, weight_column, loss_reduction, self._generation
        )
        model = model_of(head, feature_columns, optimizer, sparse_combiner, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


def model_of(
    head: Head,
    feature_columns: Any,
    optimizer: Any,
    sparse_combiner: str,
    generation: generations.Generation,
) -> canned_estimator.CannedModel:
    """Checks the arguments of an estimator, and makes its model."""
    model_fns.check_head(head)
    part = LinearPart.checked("feature_columns", feature_columns, sparse_combiner)
    generation.check_columns("feature_columns", part.columns)
    blueprint = to_keras.Blueprint(head, linear=part)
    if isinstance(optimizer, sdca.LinearSDCA):
        return canned_estimator.CannedModel(
            sdca.model_fn(head, part, optimizer, generation), blueprint
        )
    # Only optimizers given by name use this rate.
    rate = LEARNING_RATE
    if optimizer is None:
        optimizer, rate = "Ftrl", min(LEARNING_RATE, 1.0 / math.sqrt(len(part.columns)))
    canned_optimizers.check("optimizer", optimizer)

    def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
        cached = column_features.Features(features)
        with generation.scope("linear") as scope:
            built = part.build(cached, units=head.logits_dimension, mode=mode, ops=scope.ops)
        return model_fns.spec(
            head,
            features,
            labels,
            mode,
            built.logits,
            [model_fns.Training(built.variables, optimizer, rate)],
            generation=generation,
            scope=scope,
        )

    return canned_estimator.CannedModel(model_fn, blueprint)
