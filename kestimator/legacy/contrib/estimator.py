"""`tf.contrib.estimator`: heads by their old names, and functions that are methods today.

Synopsis::

    head = multi_class_head(n_classes=3)
    spec = head.create_estimator_spec(features, mode, logits, labels, train_op_fn=train_op_fn)

The heads are those of `kestimator.heads`. As heads of TF 1, they train all trainable variables and
run the update ops of the graph in each training step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kestimator import experimental
from kestimator._types import Tensor
from kestimator.estimator import Estimator
from kestimator.heads.parts import base
from kestimator.keys import ModeKeys
from kestimator.legacy import update_op_heads

_MEAN: Final = "sum_over_batch_size"
_TRAPEZOIDAL: Final = "trapezoidal"


def binary_classification_head(
    weight_column: Any = None,
    thresholds: Sequence[float] | None = None,
    label_vocabulary: Sequence[str] | None = None,
    loss_reduction: str = _MEAN,
    loss_fn: Callable[..., Tensor] | None = None,
    name: str | None = None,
) -> base.Head:
    """Returns a head for two classes; see `kestimator.BinaryClassHead`."""
    return update_op_heads.BinaryClassHead(
        weight_column,
        thresholds,
        label_vocabulary,
        loss_reduction,
        loss_fn,
        name,
        areas=_TRAPEZOIDAL,
    )


def multi_class_head(
    n_classes: int,
    weight_column: Any = None,
    label_vocabulary: Sequence[str] | None = None,
    loss_reduction: str = _MEAN,
    loss_fn: Callable[..., Tensor] | None = None,
    name: str | None = None,
) -> base.Head:
    """Returns a head for three classes or more; see `kestimator.MultiClassHead`."""
    return update_op_heads.MultiClassHead(
        n_classes, weight_column, label_vocabulary, loss_reduction, loss_fn, name
    )


def multi_label_head(
    n_classes: int,
    weight_column: Any = None,
    thresholds: Sequence[float] | None = None,
    label_vocabulary: Sequence[str] | None = None,
    loss_reduction: str = _MEAN,
    loss_fn: Callable[..., Tensor] | None = None,
    classes_for_class_based_metrics: Sequence[int | str] | None = None,
    name: str | None = None,
) -> base.Head:
    """Returns a head for any number of classes per example; see `kestimator.MultiLabelHead`."""
    return update_op_heads.MultiLabelHead(
        n_classes,
        weight_column,
        thresholds,
        label_vocabulary,
        loss_reduction,
        loss_fn,
        classes_for_class_based_metrics,
        name,
        areas=_TRAPEZOIDAL,
    )


def regression_head(
    weight_column: Any = None,
    label_dimension: int = 1,
    loss_reduction: str = _MEAN,
    loss_fn: Callable[..., Tensor] | None = None,
    inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
    name: str | None = None,
) -> base.Head:
    """Returns a head for numbers; see `kestimator.RegressionHead`."""
    return update_op_heads.RegressionHead(
        label_dimension, weight_column, loss_reduction, loss_fn, inverse_link_fn, name
    )


def poisson_regression_head(
    weight_column: Any = None,
    label_dimension: int = 1,
    loss_reduction: str = _MEAN,
    compute_full_loss: bool = True,
    name: str | None = None,
) -> base.Head:
    """Returns a head for counts; see `kestimator.PoissonRegressionHead`."""
    return update_op_heads.PoissonRegressionHead(
        label_dimension, weight_column, loss_reduction, compute_full_loss, name
    )


def logistic_regression_head(
    weight_column: Any = None, loss_reduction: str = _MEAN, name: str | None = None
) -> base.Head:
    """Returns a head for probabilities; see `kestimator.LogisticRegressionHead`."""
    return update_op_heads.LogisticRegressionHead(weight_column, loss_reduction, name)


def multi_head(
    heads: Sequence[base.Head], head_weights: Sequence[float] | None = None
) -> base.Head:
    """Returns a head of several heads; see `kestimator.MultiHead`."""
    return update_op_heads.MultiHead(heads, head_weights)


def rnn_classifier(
    sequence_feature_columns: Any,
    context_feature_columns: Any = None,
    num_units: int | Sequence[int] | None = None,
    cell_type: Any = None,
    **settings: Any,
) -> Estimator:
    """Returns a `kestimator.experimental.RNNClassifier`, whose `units` were `num_units`."""
    settings = {"units": num_units, "cell_type": cell_type, **settings}
    return experimental.RNNClassifier(sequence_feature_columns, context_feature_columns, **settings)


def rnn_estimator(
    head: Any,
    sequence_feature_columns: Any,
    context_feature_columns: Any = None,
    num_units: int | Sequence[int] | None = None,
    cell_type: Any = None,
    **settings: Any,
) -> Estimator:
    """Returns a `kestimator.experimental.RNNEstimator`, whose `units` were `num_units`."""
    settings = {"units": num_units, "cell_type": cell_type, **settings}
    return experimental.RNNEstimator(
        head, sequence_feature_columns, context_feature_columns, **settings
    )


def export_saved_model_for_mode(
    estimator: Estimator,
    export_dir_base: str,
    input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: str | None = None,
    mode: str = ModeKeys.PREDICT,
) -> bytes:
    """Exports the graph of a mode; see `Estimator.export_saved_model`."""
    return estimator.export_saved_model(
        export_dir_base, input_receiver_fn, assets_extra, as_text, checkpoint_path, mode
    )


def export_all_saved_models(
    estimator: Estimator,
    export_dir_base: str,
    input_receiver_fn_map: Mapping[str, Callable[[], Any]],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: str | None = None,
) -> bytes:
    """Exports several modes; see `Estimator.experimental_export_all_saved_models`."""
    return estimator.experimental_export_all_saved_models(
        export_dir_base, input_receiver_fn_map, assets_extra, as_text, checkpoint_path
    )
