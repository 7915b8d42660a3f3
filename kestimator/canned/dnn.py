"""Deep networks over feature columns.

Synopsis::

    age = tf.feature_column.numeric_column("age")
    city = tf.feature_column.categorical_column_with_hash_bucket("city", 1000)
    columns = [age, tf.feature_column.embedding_column(city, 8)]
    estimator = kestimator.DNNClassifier([128, 64], columns)
    estimator.train(input_fn, steps=1000)

Layers are called `dnn/hiddenlayer_<i>` and `dnn/logits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import specs
from kestimator.adapters.feature_columns import column_features
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned.parts import canned_estimator, generations, model_fns
from kestimator.canned.parts.networks import NetworkPart
from kestimator.config import RunConfig
from kestimator.heads import Head
from kestimator.interop import to_keras

_V1_LEARNING_RATE = 0.05


class DNNEstimator(canned_estimator.CannedEstimator):
    """A deep network with any head.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNEstimator(kestimator.RegressionHead(), [8, 4], columns)

    Args:
        head: The head. It defines the loss, the predictions and the metrics.
        hidden_units: The sizes of the hidden layers.
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        activation_fn: The hidden layers' activation: a function, a name that Keras knows, or None.
        dropout: The fraction of units to drop in training, or None.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        batch_norm: Whether to normalize hidden layers over the batch.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        head: Head,
        hidden_units: Sequence[int],
        feature_columns: Any,
        model_dir: str | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = tf.nn.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        batch_norm: bool = False,
    ) -> None:
        part = NetworkPart.checked(
            feature_columns, hidden_units, activation_fn, dropout, batch_norm
        )
        model = model_of(head, part, optimizer, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


class DNNClassifier(canned_estimator.CannedEstimator):
    """A deep classifier.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNClassifier([8, 4], columns, n_classes=3)

    Args:
        hidden_units: The sizes of the hidden layers.
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers from 0 to n_classes - 1.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        activation_fn: The hidden layers' activation: a function, a name that Keras knows, or None.
        dropout: The fraction of units to drop in training, or None.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        batch_norm: Whether to normalize hidden layers over the batch.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        feature_columns: Any,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = tf.nn.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        head = model_fns.classification_head(
            n_classes, weight_column, label_vocabulary, loss_reduction, self._generation
        )
        part = NetworkPart.checked(
            feature_columns, hidden_units, activation_fn, dropout, batch_norm
        )
        model = model_of(head, part, optimizer, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


class DNNRegressor(canned_estimator.CannedEstimator):
    """A deep regressor.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.DNNRegressor([8, 4], columns)

    Args:
        hidden_units: The sizes of the hidden layers.
        feature_columns: `tf.feature_column` columns, or Keras layers that turn features into a
            dense tensor.
        model_dir: The directory for checkpoints and events.
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        activation_fn: The hidden layers' activation: a function, a name that Keras knows, or None.
        dropout: The fraction of units to drop in training, or None.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        batch_norm: Whether to normalize hidden layers over the batch.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        feature_columns: Any,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = tf.nn.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        head = model_fns.regression_head(
            label_dimension, weight_column, loss_reduction, self._generation
        )
        part = NetworkPart.checked(
            feature_columns, hidden_units, activation_fn, dropout, batch_norm
        )
        model = model_of(head, part, optimizer, self._generation)
        super().__init__(model, model_dir, config, warm_start_from=warm_start_from)


def model_of(
    head: Head, part: NetworkPart, optimizer: Any, generation: generations.Generation
) -> canned_estimator.CannedModel:
    """Checks the arguments of an estimator, and makes its model."""
    model_fns.check_head(head)
    generation.check_columns("feature_columns", part.columns)
    canned_optimizers.check("optimizer", optimizer)

    def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
        cached = column_features.Features(features)
        with generation.scope("dnn") as scope:
            built = part.build(cached, units=head.logits_dimension, mode=mode, ops=scope.ops)
        rate = _V1_LEARNING_RATE if generation.is_v1 else None
        return model_fns.spec(
            head,
            features,
            labels,
            mode,
            built.logits,
            [model_fns.Training(built.variables, optimizer, rate)],
            built.update_ops,
            generation=generation,
            scope=scope,
        )

    return canned_estimator.CannedModel(model_fn, to_keras.Blueprint(head, network=part))
