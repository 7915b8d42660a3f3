"""Private attributes of Keras' variables, layers, models, metrics and optimizers.

Synopsis::

    keras_objects.use_path(variable, "dense/kernel")
    rate = keras_objects.given_rate(optimizer)         # 0.1, a schedule, a function, a variable
    slot = keras_objects.slot(optimizer, "momentums", variable)

Each function says what it gives, and why the public API does not give it. No module outside of
this folder reads these attributes. `tests/engine/keras_internals` calls each function, so that a
version of Keras that renames an attribute fails there, with its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def use_path(variable: keras.Variable, path: str) -> None:
    """Gives a variable another path: the property `path` has no setter."""
    variable._path = path


def memory_of(variable: keras.Variable) -> tf.Variable:
    """The variable of TensorFlow behind a Keras variable: `value` may be a cast or scoped value."""
    return variable._value


def use_memory(variable: keras.Variable, memory: tf.Variable) -> None:
    """Lets a Keras variable stand in front of another variable: `assign` only copies values."""
    variable._value = memory


class ForeignVariable(keras.Variable):
    """A Keras variable in front of a variable that Keras did not make.

    Keras has no constructor that takes a variable: it always makes one.

    Args:
        variable: The variable; its memory is shared.
    """

    def __init__(self, variable: tf.Variable) -> None:
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
        """Takes the variable instead of making one: Keras asks for its value here."""
        self._initialize(self._foreign)


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model and those inside of them: `layers` lists only the outermost."""
    return list(model._flatten_layers(include_self=False))


def takes_training(layer: keras.Layer) -> bool:
    """Whether a layer's `call` takes `training`: Keras keeps what it finds in the signature."""
    return bool(layer._call_has_training_arg)


def lambda_output_shape(layer: keras.layers.Lambda) -> Any:
    """The `output_shape` that a Lambda layer was made with: its description holds it serialized."""
    return layer._output_shape


def compile_arguments(model: keras.Model) -> Mapping[str, Any]:
    """The arguments of `compile` as they were given: `get_compile_config` serializes them."""
    arguments: Mapping[str, Any] = model._compile_config.config
    return arguments


def compiled_metrics(model: keras.Model) -> Any:
    """The metrics that a model was compiled with, or None: `metrics` lists them beside others."""
    return model._compile_metrics


def metrics_of_losses(model: keras.Model) -> Sequence[keras.metrics.Metric]:
    """The metrics that count the losses of several outputs: `metrics` does not tell them apart."""
    metrics: Sequence[keras.metrics.Metric] = getattr(model._compile_loss, "metrics", [])
    return metrics


def wrapped_function(
    metric: keras.metrics.MeanMetricWrapper,
) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """A metric's function and its arguments: the metric's description holds them serialized."""
    return metric._fn, metric._fn_kwargs


def given_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """An optimizer's rate or schedule: `learning_rate` computes the schedule's present value."""
    return optimizer._learning_rate


@contextlib.contextmanager
def rate_not_described(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets Keras describe an optimizer whose rate is a function, which it would warn of or refuse.

    What it has no description for gets a number instead. The setter of `learning_rate` is no way:
    it writes into the variable of the rate.
    """
    attributes = vars(optimizer)  # past Keras, which looks for variables in what is set
    rate, attributes["_learning_rate"] = attributes["_learning_rate"], None
    try:
        yield
    finally:
        attributes["_learning_rate"] = rate


def step_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The variable that counts an optimizer's calls: `iterations` may be a quotient of it."""
    return optimizer._iterations


def slot(
    optimizer: keras.optimizers.Optimizer, name: str, variable: tf.Variable | keras.Variable
) -> keras.Variable:
    """An optimizer's variable that belongs to `variable`: `variables` does not say whose they are.

    Args:
        optimizer: A built optimizer.
        name: What Keras calls the list of such variables: "momentums", "velocities"...
        variable: The variable that it updates.
    """
    return getattr(optimizer, f"_{name}")[optimizer._get_variable_index(variable)]
