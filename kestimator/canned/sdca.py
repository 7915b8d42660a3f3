"""An optimizer of linear models that needs no learning rate: LinearSDCA.

Synopsis::

    optimizer = kestimator.experimental.LinearSDCA("key", symmetric_l2_regularization=1.0)
    estimator = kestimator.LinearClassifier(columns, optimizer=optimizer)

It finds the optimum of a loss with L2 and L1 regularization by stochastic dual coordinate ascent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator import errors, specs
from kestimator.adapters.feature_columns import column_features, column_kinds, input_layers
from kestimator.adapters.optimizers import sdca_ops
from kestimator.canned.parts import generations, model_fns
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.engine.graphs import op_names
from kestimator.heads import BinaryClassHead, Head, RegressionHead
from kestimator.keys import ModeKeys
from kestimator.validation import checks, kinds

_v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class LinearSDCA:
    """Stochastic dual coordinate ascent, for `LinearClassifier` and `LinearRegressor`.

    Works for two classes, or for labels of one number, on columns of numbers and of categories
    whose weights are summed. All weights are regularized, the bias too.

    Example:
        >>> import kestimator
        >>> optimizer = kestimator.experimental.LinearSDCA("key")
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearClassifier(columns, optimizer=optimizer)

    Args:
        example_id_column: The feature with a unique string for each example. The optimizer
            remembers every example by it.
        num_loss_partitions: The number of workers that train in parallel.
        num_table_shards: Ignored: one process keeps the whole table of examples.
        symmetric_l1_regularization: A number >= 0, the cost of absolute values of weights relative
            to the sum of all examples' losses.
        symmetric_l2_regularization: A number > 0, the cost of half their squares.
        adaptive: Whether to prefer examples that matter.

    Raises:
        errors.ArgumentError: An argument is invalid.
        errors.ArgumentTypeError: An argument has another type.
    """

    example_id_column: str
    num_loss_partitions: int = 1
    num_table_shards: int | None = None
    symmetric_l1_regularization: float = 0.0
    symmetric_l2_regularization: float = 1.0
    adaptive: bool = False

    def __post_init__(self) -> None:
        kinds.checked_text(
            "example_id_column",
            self.example_id_column,
            "the name of a feature",
            type_error=errors.ArgumentError,
        )
        if self.num_table_shards is not None:
            self._settle("num_table_shards", checks.checked_int, 1, maximum=checks.LARGEST_SIZE)
        self._settle("num_loss_partitions", checks.checked_int, 1, maximum=checks.LARGEST_SIZE)
        number = checks.checked_number
        self._settle(
            "symmetric_l1_regularization",
            number,
            "a finite number >= 0",
            lambda value: 0 <= value < math.inf,
        )
        self._settle(
            "symmetric_l2_regularization",
            number,
            "a positive finite number",
            lambda value: 0 < value < math.inf,
        )
        self._settle("adaptive", kinds.checked_flag)

    def _settle(self, name: str, checked: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Checks an argument, and keeps it as a plain one."""
        value = checked(name, getattr(self, name), *args, **options)
        # The dataclass is frozen, and the user's number may be numpy's.
        object.__setattr__(self, name, value)


def model_fn(
    head: Head, part: LinearPart, optimizer: LinearSDCA, generation: generations.Generation
) -> Callable[..., Any]:
    """Checks the arguments of a linear estimator, and makes its model_fn."""
    settings = sdca_ops.Settings(
        _loss_type(head),
        float(optimizer.symmetric_l1_regularization),
        float(optimizer.symmetric_l2_regularization),
        optimizer.num_loss_partitions,
        optimizer.adaptive,
    )
    _check_part(part)
    shared: list[sdca_ops.ExampleStates] = []  # one for all programs of the estimator

    def sdca_model_fn(features: Any, labels: Any, mode: str, config: Any) -> specs.EstimatorSpec:
        cached = column_features.Features(features)
        with generation.scope("linear") as scope:
            model, _ = part.build_model(cached, units=1, mode=mode, ops=scope.ops)
        if mode != ModeKeys.TRAIN:
            with op_names.scope(scope.head):
                return head.create_estimator_spec(features, mode, model.logits, labels)
        model_fns.refuse_replicas("LinearSDCA", "they would have to share all example states.")
        states = shared[0] if shared else sdca_ops.ExampleStates()
        shared[:] = [states]
        examples = _examples(head, part, optimizer, cached, model, features, labels)
        step = sdca_ops.minimize(examples, states, settings, model.logits)
        gap = sdca_ops.duality_gap([*model.weights, model.bias], states, settings)
        _v1.summary.scalar("approximate_duality_gap", gap)
        _v1.summary.scalar("examples_seen", states.size())
        with op_names.scope(scope.head):
            spec = head.create_estimator_spec(
                features, mode, model.logits, labels, train_op_fn=lambda loss: step
            )
        scaffold = _v1.train.Scaffold(saver=states.saver(config))
        return spec._replace(scaffold=scaffold)

    return sdca_model_fn


def _examples(
    head: Any,
    part: LinearPart,
    optimizer: LinearSDCA,
    cached: column_features.Features,
    model: input_layers.Linear,
    features: Any,
    labels: Any,
) -> sdca_ops.Examples:
    """A batch as the optimizer takes it."""
    key = optimizer.example_id_column
    names = features.get(key)
    if names is None or tf.as_dtype(names.dtype) != tf.string:
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"features[{key!r}]",
                names,
                "unique strings, because `example_id_column` is the name of this feature",
            )
        )
    batch = head.batch(features, model.logits, labels)
    count = tf.shape(model.logits)[0]
    sparse, dense = input_layers.linear_inputs(cached, part.columns)
    weights = dict(zip(part.columns, model.weights, strict=True))
    ones = tf.ones([count, 1])
    example_weights = ones[:, 0] if batch.weights is None else tf.reshape(batch.weights, [-1])
    return sdca_ops.Examples(
        tf.reshape(names, [-1]),
        tf.reshape(tf.cast(batch.labels, tf.float32), [-1]),
        example_weights,
        [sdca_ops.sparse_feature(pair, weights[column]) for column, pair in sparse],
        [
            *(sdca_ops.DenseFeature(values, weights[column]) for column, values in dense),
            sdca_ops.DenseFeature(ones, model.bias),
        ],
    )


def _loss_type(head: Any) -> str:
    if isinstance(head, BinaryClassHead):
        return "logistic_loss"
    if isinstance(head, RegressionHead) and head.logits_dimension == 1:
        return "squared_loss"
    raise errors.ArgumentError(
        errors.invalid_argument(
            "optimizer",
            "LinearSDCA",
            "another optimizer: LinearSDCA only supports two classes or labels of one number",
        )
    )


def _check_part(part: LinearPart) -> None:
    if part.sparse_combiner != "sum":
        raise errors.ArgumentError(
            errors.invalid_argument("sparse_combiner", part.sparse_combiner, "'sum' for LinearSDCA")
        )
    for column in part.columns:
        shape = getattr(column, "variable_shape", None)
        too_large = (
            shape is not None and not column_kinds.is_categorical(column) and shape.rank != 1
        )
        if column_kinds.is_keras(column) or hasattr(column, "combiner") or too_large:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "feature_columns",
                    column,
                    "categorical, indicator or one-dimensional numeric columns for LinearSDCA",
                )
            )
