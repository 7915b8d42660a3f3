"""The steps of a Keras model inside a model_fn, like `fit`, `evaluate` and `predict` run them.

Synopsis::

    x, weights = split_weights(features)
    batch = Batch(x, labels, weights)
    outputs, loss, train_op = train(model, batch)
    outputs, loss, metrics = evaluate(model, batch)
    outputs = predict(model, x)

If the model's class has its own `train_step` or `test_step`, it is called as it is. Otherwise the
loss is the model's `compute_loss`, and the engine makes the training step as for any model_fn.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.engine.keras_internals import keras_objects
from kestimator.keys import WeightedKeys
from kestimator.validation import signatures

_v1 = tf.compat.v1
_LOSS = "loss"


class Batch(NamedTuple):
    """The input of a step, with the names of `fit`."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def split_weights(features: Any) -> tuple[Any, Any]:
    """Features and sample weights, of `{"features": ..., "sample_weights": ...}` or of features."""
    if isinstance(features, dict) and set(features) == {
        WeightedKeys.FEATURES,
        WeightedKeys.WEIGHTS,
    }:
        return features[WeightedKeys.FEATURES], features[WeightedKeys.WEIGHTS]
    return features, None


def predict(model: keras.Model, x: Any) -> Any:
    """The outputs of the model's `predict_step`."""
    return model.predict_step((x,))


def train(model: keras.Model, batch: Batch) -> tuple[tf.Tensor, Any, Any]:
    """The outputs, the loss of the batch, and what trains on it.

    Raises:
        errors.ArgumentError: The model's own `train_step` returns no loss, or there are
            several replicas, which it does not support.
    """
    if type(model).train_step is not keras.Model.train_step:
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise errors.ArgumentError(
                f"The model's class {type(model).__name__} overrides `train_step`, which cannot "
                "train on several replicas. Omit `train_distribute`, or override `compute_loss` "
                "instead."
            )
        # The writes of `train_step` run with every step of the program, so the train op only
        # counts.
        _, loss = _own_step(model, "train_step", batch)
        return {}, loss, _v1.train.get_global_step().assign_add(1, read_value=False)
    outputs, loss = _outputs_and_loss(model, batch, training=True)
    if model.optimizer is None:
        raise errors.ArgumentError(
            "`keras_model` was compiled without an optimizer. Pass `optimizer` to `compile`."
        )
    return outputs, loss, model.optimizer


def evaluate(model: keras.Model, batch: Batch) -> tuple[Any, tf.Tensor, dict[str, Any]]:
    """The outputs, the loss of the batch, and the metrics by the names that Keras gives them."""
    if type(model).test_step is not keras.Model.test_step:
        logs, loss = _own_step(model, "test_step", batch)
        return {}, loss, _metrics_of_logs(model, logs)
    outputs, loss = _outputs_and_loss(model, batch, training=False)
    model.compute_metrics(batch.x, batch.y, outputs, batch.sample_weight)
    return outputs, loss, results(model)


class Result(keras.metrics.Metric):
    """One of the results of a model's metrics, which are counted together.

    Args:
        results: All results; they are computed when the first is read.
        name: Which one.
    """

    def __init__(self, results: Results, name: str) -> None:
        super().__init__(name=name)
        self._results = results

    def result(self) -> tf.Tensor:
        """The value, once all batches are counted in."""
        return self._results.value(self.name)


class Results:
    """The results of a model's metrics.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._values: dict[str, Any] | None = None

    def value(self, name: str) -> tf.Tensor:
        """The value of a metric."""
        if self._values is None:
            self._values = _values(self._model)
        return self._values[name]


def results(model: keras.Model) -> dict[str, Any]:
    """The metrics of a model but its loss, by the names that Keras gives them."""
    shared = Results(model)
    return {name: Result(shared, name) for name in _names_of_results(model)}


def metric_names(model: keras.Model, batch: Batch, outputs: Any) -> tuple[list[str], list[str]]:
    """The names of the compiled metrics, and those of the losses of several outputs.

    Keras makes the metrics when it sees the first batch; here they only get to see its shapes.
    """
    compiled = keras_objects.compiled_metrics(model)
    if compiled is not None and not compiled.built:
        compiled.build(batch.y, outputs)
    losses = [metric.name for metric in keras_objects.metrics_of_losses(model)]
    return [name for name in _names_of_results(model) if name not in losses], losses


def _names_of_results(model: keras.Model) -> list[str]:
    return [name for name in _values(model) if name != _LOSS]


def _values(model: keras.Model) -> dict[str, Any]:
    """The results of all metrics, except those that no step counts, which are not built."""
    values: dict[str, Any] = {}
    for metric in model.metrics:
        if metric is keras_objects.compiled_metrics(model) and not metric.built:
            continue
        value = metric.result()
        values |= value if isinstance(value, dict) else {metric.name: value}
    return values


def _outputs_and_loss(model: keras.Model, batch: Batch, *, training: bool) -> tuple[Any, Any]:
    takes_training = "training" in inspect.signature(model.call).parameters
    outputs = model(batch.x, **({"training": training} if takes_training else {}))
    arguments = {"x": batch.x, "y": batch.y, "y_pred": outputs}
    arguments |= {"sample_weight": batch.sample_weight, "training": training}
    parameters = inspect.signature(model.compute_loss).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        loss = model.compute_loss(**arguments)
    else:
        loss = signatures.call_with_accepted(model.compute_loss, **arguments)
    return outputs, _of_one_replica(loss)


def _of_one_replica(loss: tf.Tensor) -> tf.Tensor:
    """The loss as one replica has it: Keras divides it by the replicas, to sum gradients."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss if replicas == 1 else loss * replicas


def _own_step(model: keras.Model, name: str, batch: Batch) -> tuple[dict[str, Any], tf.Tensor]:
    """Calls a step of the model's own; gives what it returns, and the loss of the batch."""
    data = keras.utils.pack_x_y_sample_weight(batch.x, batch.y, batch.sample_weight)
    with _losses_that_are_counted(model) as counted:
        logs = getattr(model, name)(data if isinstance(data, tuple) else (data,))
    if not isinstance(logs, dict) or _LOSS not in logs:
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"{type(model).__name__}.{name}'s result",
                logs,
                "a dict with the key 'loss'",
                "An Estimator monitors and reports the loss. Return it with the other values.",
            )
        )
    return logs, tf.reduce_mean(counted[-1] if counted else logs[_LOSS])


@contextlib.contextmanager
def _losses_that_are_counted(model: keras.Model) -> Iterator[list[tf.Tensor]]:
    """Collects what a step gives the metric that is called 'loss': the losses of its batch.

    The step only returns the metric's result, which is a mean over all batches so far.
    """
    losses: list[tf.Tensor] = []
    with contextlib.ExitStack() as stack:
        for metric in model.metrics:
            if metric.name == _LOSS:
                stack.enter_context(_collecting(metric, losses))
        yield losses


@contextlib.contextmanager
def _collecting(metric: keras.metrics.Metric, losses: list[tf.Tensor]) -> Iterator[None]:
    update_state = metric.update_state

    def collect(values: Any, *args: Any, **kwargs: Any) -> Any:
        losses.append(tf.convert_to_tensor(values))
        return update_state(values, *args, **kwargs)

    # Bypasses Keras, which tracks attributes.
    vars(metric)["update_state"] = collect
    try:
        yield
    finally:
        del vars(metric)["update_state"]


def _metrics_of_logs(model: keras.Model, logs: dict[str, Any]) -> dict[str, Any]:
    """The values that a step returns, over all batches: results of metrics, means of others."""
    metrics = results(model)
    return {
        name: metrics[name] if name in metrics else _v1.metrics.mean(value)
        for name, value in logs.items()
        if name != _LOSS
    }
