"""Private attributes of Keras variables, layers, models, metrics and optimizers.

Synopsis::

    keras_objects.use_path(variable, "dense/kernel")
    rate = keras_objects.given_rate(optimizer)         # 0.1, a schedule, a function, a variable
    slot = keras_objects.slot(optimizer, "momentums", variable)

Each function says what it returns, and why the public API cannot. No module outside of this folder
reads these attributes. `tests/engine/keras_internals` calls each function. A Keras version that
renames an attribute fails there, with its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.models import functional as _functional

GRADIENT_REDUCER = (keras.optimizers.Optimizer, "_all_reduce_sum_gradients")
"""Where Keras sums the gradients of replicas, as a class and the name of its method.

It has no switch for the mean, which the loss of a `model_fn` needs.
"""


def use_path(variable: keras.Variable, path: str) -> None:
    """Changes the path of a variable: the property `path` has no setter."""
    variable._path = path


def memory_of(variable: keras.Variable) -> tf.Variable:
    """The `tf.Variable` of a Keras variable: `value` may return a cast or a scoped value."""
    return variable._value


def use_memory(variable: keras.Variable, memory: tf.Variable) -> None:
    """Makes a Keras variable use another `tf.Variable`: `assign` only copies values."""
    variable._value = memory


class ForeignVariable(keras.Variable):
    """A Keras variable for a `tf.Variable` that Keras did not make.

    The constructor of Keras cannot take a variable. It always makes one.

    Args:
        variable: The variable. Its memory is shared.
    """

    def __init__(self, variable: tf.Variable) -> None:
        # The initializer is never called. Keras refuses slashes in a name, so the path comes later.
        self._foreign = variable
        super().__init__(
            initializer=lambda shape, dtype: None,
            shape=variable.shape,
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            name=variable.name.split(":")[0].replace("/", "_"),
        )
        use_path(self, variable.name.split(":")[0])

    def _initialize_with_initializer(self, initializer: Any) -> None:
        """Uses the given variable. Keras would make one here."""
        self._initialize(self._foreign)


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model, including nested ones: `layers` only lists the outermost."""
    return list(model._flatten_layers(include_self=False))


def takes_training(layer: keras.Layer) -> bool:
    """Whether a layer's `call` takes `training`: Keras keeps what it found in the signature."""
    return bool(layer._call_has_training_arg)


def is_marked_trainable(layer: keras.Layer) -> bool:
    """A layer's own flag `trainable`."""
    return bool(layer._trainable)


def use_trainable(layer: keras.Layer, trainable: bool) -> None:
    """Sets a layer's own flag `trainable`: the setter also changes the layers inside."""
    layer._trainable = trainable


def takes_inputs_and_outputs(kind: type[keras.Model]) -> bool:
    """Whether Keras can make a functional model of this class from its inputs and outputs.

    Its cloning silently makes a model of another class if not, and no public function tells.
    """
    return bool(_functional.functional_like_constructor(kind))


def tracked_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """The metrics that a model and its layers hold: `metrics` may be the user's own property."""
    return [metric for layer in [model, *all_layers(model)] for metric in layer._metrics]


@contextlib.contextmanager
def compiling_again(model: keras.Model) -> Iterator[None]:
    """Lets the `compile` of a model's class replace the metrics that it keeps in attributes.

    Keras takes no new metrics once a model is built, and keeps those that an attribute had before.
    """
    tracker, before = model._tracker, list(model._metrics)
    was_locked = tracker.locked
    tracker.unlock()
    try:
        yield
        values = [value for value in vars(model).values() if value is not model._metrics]
        present = {id(metric) for metric in _metrics_in(values)}
        for metric in before:
            if id(metric) not in present:
                tracker.untrack(metric)
    finally:
        if was_locked:
            tracker.lock()


def _metrics_in(value: Any) -> Iterator[keras.metrics.Metric]:
    if isinstance(value, keras.metrics.Metric):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _metrics_in(part)


def lambda_output_shape(layer: keras.layers.Lambda) -> Any:
    """The `output_shape` argument of a Lambda layer: its config only contains it serialized."""
    return layer._output_shape


def compile_arguments(model: keras.Model) -> Mapping[str, Any]:
    """The original arguments of `compile`: `get_compile_config` serializes them."""
    arguments: Mapping[str, Any] = model._compile_config.config
    return arguments


def compiled_metrics(model: keras.Model) -> Any:
    """The metrics that a model was compiled with, or None: `metrics` also lists others."""
    return model._compile_metrics


def metrics_of_losses(model: keras.Model) -> Sequence[keras.metrics.Metric]:
    """The metrics of the losses of several outputs: `metrics` does not tell them apart."""
    metrics: Sequence[keras.metrics.Metric] = getattr(model._compile_loss, "metrics", [])
    return metrics


def wrapped_function(
    metric: keras.metrics.MeanMetricWrapper,
) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """A metric's function and its arguments: the metric's config only contains them serialized."""
    return metric._fn, metric._fn_kwargs


def given_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """An optimizer's rate or schedule: `learning_rate` returns the schedule's current value."""
    return optimizer._learning_rate


@contextlib.contextmanager
def rate_not_described(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets Keras make the config of an optimizer whose rate is a function.

    Otherwise Keras would warn or refuse. Inside, the optimizer has no rate. The public setter of
    `learning_rate` cannot be used, because it writes into the variable of the rate.
    """
    attributes = vars(optimizer)  # Keras' `__setattr__` would look for variables in the value
    rate, attributes["_learning_rate"] = attributes["_learning_rate"], None
    try:
        yield
    finally:
        attributes["_learning_rate"] = rate


def step_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The variable that counts an optimizer's calls: `iterations` may be a fraction of it."""
    return optimizer._iterations


def slot(
    optimizer: keras.optimizers.Optimizer, name: str, variable: tf.Variable | keras.Variable
) -> keras.Variable:
    """The optimizer's slot variable for `variable`: `variables` does not tell what belongs to what.

    Args:
        optimizer: A built optimizer.
        name: The name of the list of such variables in Keras: "momentums", "velocities"...
        variable: The variable that the optimizer updates.
    """
    return getattr(optimizer, f"_{name}")[optimizer._get_variable_index(variable)]


def averaged_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that `use_ema` averages, in the order of the averages; none without it.

    The method that takes the averages over needs them, but the optimizer does not tell them.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(inner._trainable_variables) if getattr(inner, "use_ema", False) else []


def profiles_batches(callback: keras.callbacks.TensorBoard) -> bool:
    """Whether a callback profiles some batches: it does not keep its argument."""
    return bool(callback._should_trace)
