"""Baselines: models that know the labels and ignore the features.

Synopsis::

    estimator = kestimator.BaselineClassifier(n_classes=3)
    estimator.train(input_fn, steps=1000)

A classifier learns how often each class occurs, a regressor the mean of the labels. A real model
has to do better than these. The only variable is called `baseline/bias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors, specs
from kestimator._types import Tensor
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned.parts import canned_estimator, generations, model_fns
from kestimator.config import RunConfig
from kestimator.heads import Head
from kestimator.interop import to_keras

_v1 = tf.compat.v1
_LEARNING_RATE = 0.3


class BaselineEstimator(canned_estimator.CannedEstimator):
    """A baseline with any head.

    Example:
        >>> import kestimator
        >>> estimator = kestimator.BaselineEstimator(kestimator.RegressionHead())

    Args:
        head: The head. It defines the loss, the predictions and the metrics.
        model_dir: The directory for checkpoints and events.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        config: A `RunConfig`.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
    ) -> None:
        super().__init__(_model(head, optimizer, self._generation), model_dir, config)


class BaselineClassifier(canned_estimator.CannedEstimator):
    """A baseline for classifiers: how often each class comes.

    Example:
        >>> import kestimator
        >>> estimator = kestimator.BaselineClassifier(n_classes=3)

    Args:
        model_dir: The directory for checkpoints and events.
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers from 0 to n_classes - 1.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        config: A `RunConfig`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = model_fns.classification_head(
            n_classes, weight_column, label_vocabulary, loss_reduction, self._generation
        )
        super().__init__(_model(head, optimizer, self._generation), model_dir, config)


class BaselineRegressor(canned_estimator.CannedEstimator):
    """A baseline for regressors: the mean of the labels.

    Example:
        >>> import kestimator
        >>> estimator = kestimator.BaselineRegressor()

    Args:
        model_dir: The directory for checkpoints and events.
        label_dimension: The number of values in the label of an example.
        weight_column: The feature with the weights of examples: its name or a numeric column.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", a Keras or TF1 optimizer, or a
            function that returns one, called when the graph exists.
        config: A `RunConfig`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = model_fns.regression_head(
            label_dimension, weight_column, loss_reduction, self._generation
        )
        super().__init__(_model(head, optimizer, self._generation), model_dir, config)


def _model(
    head: Head, optimizer: Any, generation: generations.Generation
) -> canned_estimator.CannedModel:
    """Checks the arguments of an estimator, and makes its model."""
    model_fns.check_head(head)
    canned_optimizers.check("optimizer", optimizer)

    def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
        units, examples = head.logits_dimension, _batch_size(features)
        with _v1.variable_scope("baseline"):
            bias = _v1.get_variable("bias", [units], initializer=_v1.zeros_initializer())
            logits = tf.zeros([examples, units]) + bias
        training = model_fns.Training([bias], optimizer, _LEARNING_RATE)
        return model_fns.spec(
            head, features, labels, mode, logits, [training], generation=generation
        )

    return canned_estimator.CannedModel(model_fn, to_keras.Blueprint(head))


def _batch_size(features: Any) -> Tensor:
    """The number of examples, which any feature tells."""
    for feature in features.values() if isinstance(features, Mapping) else [features]:
        if isinstance(feature, tf.SparseTensor):
            return feature.dense_shape[0]
        if isinstance(feature, tf.RaggedTensor):
            return feature.nrows()
        if feature is not None:
            return tf.shape(feature)[0]
    raise errors.ArgumentError(
        errors.invalid_argument(
            "features",
            features,
            "at least one feature, which determines the batch size",
            "If there are no other features, return the weights or the labels as a feature.",
        )
    )
