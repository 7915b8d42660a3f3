"""The canned estimators of `tf.compat.v1.estimator`: those of kestimator with other defaults.

Synopsis::

    estimator = DNNClassifier(hidden_units=[128, 64], feature_columns=columns, optimizer="Adagrad")

A partitioner split variables among parameter servers. Here all variables are whole, so a
partitioner is checked and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.canned import baseline, dnn, dnn_linear_combined, linear
from kestimator.canned.parts import generations
from kestimator.config import RunConfig
from kestimator.heads import Head
from kestimator.validation import kinds

_SUM = tf.compat.v1.losses.Reduction.SUM


class BaselineClassifier(baseline.BaselineClassifier):
    """A baseline classifier; see `kestimator.BaselineClassifier`."""

    _generation = generations.V1

    def __init__(
        self,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = _SUM,
    ) -> None:
        super().__init__(
            model_dir=model_dir,
            n_classes=n_classes,
            weight_column=weight_column,
            label_vocabulary=label_vocabulary,
            optimizer=optimizer,
            config=config,
            loss_reduction=loss_reduction,
        )


class BaselineEstimator(baseline.BaselineEstimator):
    """A baseline model with any head; see `kestimator.BaselineEstimator`."""

    _generation = generations.V1

    def __init__(
        self,
        head: Head,
        model_dir: str | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
    ) -> None:
        super().__init__(
            head=head,
            model_dir=model_dir,
            optimizer=optimizer,
            config=config,
        )


class BaselineRegressor(baseline.BaselineRegressor):
    """A baseline regressor; see `kestimator.BaselineRegressor`."""

    _generation = generations.V1

    def __init__(
        self,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = _SUM,
    ) -> None:
        super().__init__(
            model_dir=model_dir,
            label_dimension=label_dimension,
            weight_column=weight_column,
            optimizer=optimizer,
            config=config,
            loss_reduction=loss_reduction,
        )


class DNNClassifier(dnn.DNNClassifier):
    """A deep classifier; see `kestimator.DNNClassifier`."""

    _generation = generations.V1

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
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        batch_norm: bool = False,
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            hidden_units=hidden_units,
            feature_columns=feature_columns,
            model_dir=model_dir,
            n_classes=n_classes,
            weight_column=weight_column,
            label_vocabulary=label_vocabulary,
            optimizer=optimizer,
            activation_fn=activation_fn,
            dropout=dropout,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            batch_norm=batch_norm,
        )


class DNNEstimator(dnn.DNNEstimator):
    """A deep model with any head; see `kestimator.DNNEstimator`."""

    _generation = generations.V1

    def __init__(
        self,
        head: Head,
        hidden_units: Sequence[int],
        feature_columns: Any,
        model_dir: str | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = tf.nn.relu,
        dropout: float | None = None,
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        batch_norm: bool = False,
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            head=head,
            hidden_units=hidden_units,
            feature_columns=feature_columns,
            model_dir=model_dir,
            optimizer=optimizer,
            activation_fn=activation_fn,
            dropout=dropout,
            config=config,
            warm_start_from=warm_start_from,
            batch_norm=batch_norm,
        )


class DNNLinearCombinedClassifier(dnn_linear_combined.DNNLinearCombinedClassifier):
    """A wide and deep classifier; see `kestimator.DNNLinearCombinedClassifier`."""

    _generation = generations.V1

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
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            model_dir=model_dir,
            linear_feature_columns=linear_feature_columns,
            linear_optimizer=linear_optimizer,
            dnn_feature_columns=dnn_feature_columns,
            dnn_optimizer=dnn_optimizer,
            dnn_hidden_units=dnn_hidden_units,
            dnn_activation_fn=dnn_activation_fn,
            dnn_dropout=dnn_dropout,
            n_classes=n_classes,
            weight_column=weight_column,
            label_vocabulary=label_vocabulary,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            batch_norm=batch_norm,
            linear_sparse_combiner=linear_sparse_combiner,
        )


class DNNLinearCombinedEstimator(dnn_linear_combined.DNNLinearCombinedEstimator):
    """A wide and deep model with any head; see `kestimator.DNNLinearCombinedEstimator`."""

    _generation = generations.V1

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
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            head=head,
            model_dir=model_dir,
            linear_feature_columns=linear_feature_columns,
            linear_optimizer=linear_optimizer,
            dnn_feature_columns=dnn_feature_columns,
            dnn_optimizer=dnn_optimizer,
            dnn_hidden_units=dnn_hidden_units,
            dnn_activation_fn=dnn_activation_fn,
            dnn_dropout=dnn_dropout,
            config=config,
            batch_norm=batch_norm,
            linear_sparse_combiner=linear_sparse_combiner,
        )


class DNNLinearCombinedRegressor(dnn_linear_combined.DNNLinearCombinedRegressor):
    """A wide and deep regressor; see `kestimator.DNNLinearCombinedRegressor`."""

    _generation = generations.V1

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
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            model_dir=model_dir,
            linear_feature_columns=linear_feature_columns,
            linear_optimizer=linear_optimizer,
            dnn_feature_columns=dnn_feature_columns,
            dnn_optimizer=dnn_optimizer,
            dnn_hidden_units=dnn_hidden_units,
            dnn_activation_fn=dnn_activation_fn,
            dnn_dropout=dnn_dropout,
            label_dimension=label_dimension,
            weight_column=weight_column,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            batch_norm=batch_norm,
            linear_sparse_combiner=linear_sparse_combiner,
        )


class DNNRegressor(dnn.DNNRegressor):
    """A deep regressor; see `kestimator.DNNRegressor`."""

    _generation = generations.V1

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
        input_layer_partitioner: Any = None,
        config: RunConfig | None = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        batch_norm: bool = False,
    ) -> None:
        _check_partitioner("input_layer_partitioner", input_layer_partitioner)
        super().__init__(
            hidden_units=hidden_units,
            feature_columns=feature_columns,
            model_dir=model_dir,
            label_dimension=label_dimension,
            weight_column=weight_column,
            optimizer=optimizer,
            activation_fn=activation_fn,
            dropout=dropout,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            batch_norm=batch_norm,
        )


class LinearClassifier(linear.LinearClassifier):
    """A linear classifier; see `kestimator.LinearClassifier`."""

    _generation = generations.V1

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        partitioner: Any = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        sparse_combiner: str = "sum",
    ) -> None:
        _check_partitioner("partitioner", partitioner)
        super().__init__(
            feature_columns=feature_columns,
            model_dir=model_dir,
            n_classes=n_classes,
            weight_column=weight_column,
            label_vocabulary=label_vocabulary,
            optimizer=optimizer,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            sparse_combiner=sparse_combiner,
        )


class LinearEstimator(linear.LinearEstimator):
    """A linear model with any head; see `kestimator.LinearEstimator`."""

    _generation = generations.V1

    def __init__(
        self,
        head: Head,
        feature_columns: Any,
        model_dir: str | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        partitioner: Any = None,
        sparse_combiner: str = "sum",
        warm_start_from: Any = None,
    ) -> None:
        _check_partitioner("partitioner", partitioner)
        super().__init__(
            head=head,
            feature_columns=feature_columns,
            model_dir=model_dir,
            optimizer=optimizer,
            config=config,
            sparse_combiner=sparse_combiner,
            warm_start_from=warm_start_from,
        )


class LinearRegressor(linear.LinearRegressor):
    """A linear regressor; see `kestimator.LinearRegressor`."""

    _generation = generations.V1

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        partitioner: Any = None,
        warm_start_from: Any = None,
        loss_reduction: str = _SUM,
        sparse_combiner: str = "sum",
    ) -> None:
        _check_partitioner("partitioner", partitioner)
        super().__init__(
            feature_columns=feature_columns,
            model_dir=model_dir,
            label_dimension=label_dimension,
            weight_column=weight_column,
            optimizer=optimizer,
            config=config,
            warm_start_from=warm_start_from,
            loss_reduction=loss_reduction,
            sparse_combiner=sparse_combiner,
        )


def _check_partitioner(argument: str, partitioner: Any) -> None:
    if partitioner is not None:
        kinds.checked_function(
            argument,
            partitioner,
            "a function of `shape` and `dtype` that returns the number of parts, or None",
            names=["shape", "dtype"],
        )
