"""Estimators made from others: with more metrics, or with features passed through.

Synopsis::

    estimator = kestimator.add_metrics(estimator, lambda labels, predictions: {...})
    estimator = kestimator.forward_features(estimator, "key")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors, specs
from kestimator._types import Tensor
from kestimator.estimator import Estimator, state_of
from kestimator.exporting.export_outputs import PredictOutput
from kestimator.keys import ModeKeys
from kestimator.validation import kinds, signatures

_OFFERED = ("features", "labels", "predictions", "config")
_ModelFn = Callable[..., specs.EstimatorSpec]


def add_metrics(estimator: Estimator, metric_fn: Callable[..., Mapping[str, Any]]) -> Estimator:
    """Makes an estimator that also reports the user's own metrics.

    Example:
        >>> import kestimator
        >>> def metric_fn(labels, predictions):
        ...     metric = keras.metrics.AUC(name="my_auc")
        ...     metric.update_state(labels, predictions["logistic"])
        ...     return {"my_auc": metric}
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearClassifier(columns)
        >>> estimator = kestimator.add_metrics(estimator, metric_fn)

    Args:
        estimator: An estimator; the new one has its `model_dir` and `config`.
        metric_fn: Takes any of `features`, `labels`, `predictions` and `config`, and returns a
            dict of metrics like `EstimatorSpec.eval_metric_ops`. A metric replaces the estimator's
            own metric of the same name.

    Returns:
        The new estimator.

    Raises:
        errors.ArgumentError: `metric_fn` takes something else.
        errors.ArgumentTypeError: It is not a function, or `estimator` is not an Estimator.
    """
    _check_estimator(estimator)
    unknown = sorted(signatures.accepted_arguments(metric_fn, "metric_fn") - {*_OFFERED, "self"})
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "metric_fn",
                metric_fn,
                f"a function that only takes arguments among {', '.join(_OFFERED)}",
                f"It also takes {', '.join(unknown)}. Bind them with functools.partial.",
            )
        )

    def extended(spec: specs.EstimatorSpec, **offered: Any) -> specs.EstimatorSpec:
        if spec.mode != ModeKeys.EVAL:
            return spec
        metrics = signatures.call_with_accepted(metric_fn, predictions=spec.predictions, **offered)
        return spec._replace(eval_metric_ops={**spec.eval_metric_ops, **metrics})

    return _derived(estimator, extended)


def forward_features(
    estimator: Estimator,
    keys: str | Iterable[str] | None = None,
    sparse_default_values: Mapping[str, Any] | None = None,
) -> Estimator:
    """Makes an estimator that passes features on to its predictions and its exports.

    A server can thus return a key that identifies the example of a prediction.

    Example:
        >>> import kestimator
        >>> columns = [tf.feature_column.numeric_column("age")]
        >>> estimator = kestimator.LinearClassifier(columns)
        >>> estimator = kestimator.forward_features(estimator, "customer")

    Args:
        estimator: An estimator whose predictions are a dict; the new one has its `model_dir` and
            `config`.
        keys: The feature, or features, to pass on. None: all.
        sparse_default_values: Values for the missing entries of sparse features, by key; the
            default is 0 or "".

    Returns:
        The new estimator.

    Raises:
        errors.ArgumentTypeError: `keys` are not strings, or `estimator` is not an Estimator.
    """
    _check_estimator(estimator)
    names = _checked_keys(keys)
    expected = "a dict from keys to values, or None"
    defaults = kinds.checked_mapping("sparse_default_values", sparse_default_values, expected)

    def extended(spec: specs.EstimatorSpec, **offered: Any) -> specs.EstimatorSpec:
        if spec.mode != ModeKeys.PREDICT:
            return spec
        passed = _passed_on(offered["features"], names, defaults)
        predictions = _joined("predictions", spec.predictions, passed)
        outputs = {
            name: PredictOutput({**output.outputs, **passed})
            if isinstance(output, PredictOutput)
            else output
            for name, output in (spec.export_outputs or {}).items()
        }
        return spec._replace(predictions=predictions, export_outputs=outputs)

    return _derived(estimator, extended)


def _derived(estimator: Estimator, extend: _ModelFn) -> Estimator:
    """An estimator whose specs are those of another one, extended."""
    call = estimator.model_fn

    def model_fn(features: Any, labels: Any, mode: str, config: Any) -> specs.EstimatorSpec:
        spec = call(features, labels, mode, config)
        return extend(spec, features=features, labels=labels, config=config)

    return Estimator(
        model_fn,
        model_dir=estimator.model_dir,
        config=estimator.config,
        warm_start_from=state_of(estimator).warm_start_settings,
    )


def _check_estimator(estimator: Any) -> None:
    if not isinstance(estimator, Estimator):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("estimator", estimator, "an Estimator")
        )


def _checked_keys(keys: Any) -> list[str] | None:
    if keys is None:
        return None
    listed = [keys] if isinstance(keys, str) else list(keys) if isinstance(keys, Iterable) else []
    if not listed or not all(isinstance(key, str) for key in listed):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("keys", keys, "the name of a feature, a list of names, or None")
        )
    return listed


def _passed_on(
    features: Any, keys: list[str] | None, defaults: Mapping[str, Any]
) -> dict[str, Tensor]:
    if not isinstance(features, Mapping):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "features", features, "a dict that maps feature names to tensors"
            )
        )
    names = list(features) if keys is None else keys
    missing = [key for key in names if key not in features]
    if missing:
        raise errors.ArgumentError(
            errors.invalid_argument("keys", keys, f"names of features among {sorted(features)}")
        )
    return {key: _dense(features[key], defaults.get(key)) for key in names}


def _dense(feature: Any, default: Any) -> Tensor:
    if isinstance(feature, tf.RaggedTensor):
        return feature.to_tensor(default)
    if isinstance(feature, tf.SparseTensor):
        return tf.sparse.to_dense(feature, default)
    return tf.identity(feature)


def _joined(name: str, predictions: Any, passed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not isinstance(predictions, Mapping):
        raise errors.ArgumentError(
            errors.invalid_argument(name, predictions, "a dict, so that features can be added")
        )
    conflicts = sorted(set(predictions) & set(passed))
    if conflicts:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "keys",
                conflicts,
                f"names other than those of the predictions, {sorted(predictions)}",
                "Rename the feature in the input_fn.",
            )
        )
    return {**predictions, **passed}
