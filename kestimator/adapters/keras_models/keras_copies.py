"""Copies of a compiled Keras model: an estimator never trains the user's own object.

Synopsis::

    recipe = recipe_of(model)         # the arguments of `compile`
    copy = copied(model)              # the same layers and values, not compiled
    recipe.compile(copy)              # its own optimizer and metrics

Layers are made again from their configurations. Functions in a configuration are passed on as they
are. So nothing has to be registered with Keras, and no code is read from a file.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kestimator import errors
from kestimator.adapters.keras_models import own_compile
from kestimator.engine.keras_internals import keras_names, keras_objects
from kestimator.validation import threads

_no_lambda_warnings = threads.ignoring(message="The object being serialized includes a `lambda`")


def copied(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Makes a model with the same layers and the same values, under stable paths; not compiled.

    Args:
        model: The model. If it is not built, the copy is not built either.
        custom_objects: Classes and functions that configurations name, by name.

    Raises:
        errors.ArgumentError: It cannot be copied.
    """
    with _problems_of(model), _known(model, custom_objects):
        clone = _of_the_same_layers(model)
        if model.built and not clone.built:
            clone.build_from_config(model.get_build_config())
            clone.built = True  # as Keras sets it when it loads a model
        _copy_values(model, clone)
    keras_names.use_stable_paths(clone)
    return clone


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model was compiled.

    Attributes:
        arguments: The arguments of `compile`, with functions that make the optimizers.
        config: The argument of `compile_from_config`, if the model's class has its own; it then
            replaces the arguments.
        is_own: Whether the model's class has its own `compile`.
        custom_objects: Classes and functions that configurations name, by name.
    """

    arguments: Mapping[str, Any]
    config: Any
    is_own: bool
    custom_objects: Mapping[str, Any]

    def compile(
        self,
        model: keras.Model,
        *,
        with_optimizer: bool = True,
        like: keras.Model | None = None,
    ) -> None:
        """Compiles a copy with its own metrics and, by default, its own optimizer.

        Args:
            model: The copy.
            with_optimizer: Whether it needs the optimizer. A `compile` of the class gets it anyway.
            like: The model itself, to check that a `compile` of the class does the same again.
        """
        with _problems_of(model), _known(model, self.custom_objects):
            if self.config is not None:
                with keras_objects.compiling_again(model):
                    model.compile_from_config(self.config)
                return
            arguments = dict(self.arguments)
            if not (self.is_own or with_optimizer):
                arguments["optimizer"] = None  # making one would make its variables
            arguments = {name: _copied_argument(value) for name, value in arguments.items()}
            before = dict(vars(model))
            with keras_objects.compiling_again(model):
                model.compile(**arguments)
        if self.is_own and like is not None:
            with _problems_of_compile(like):
                own_compile.check(like, model, before)


def recipe_of(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a compiled model.

    Raises:
        errors.ArgumentError: The class overrides `compile` without `compile_from_config`, and does
            not keep its arguments; the model has trained optimizers that Keras does not know.
    """
    custom = dict(custom_objects or {})
    is_own = type(model).compile is not keras.Model.compile
    for name, optimizer in own_compile.optimizers_besides(model).items():
        if optimizer.iterations > 0:
            raise errors.ArgumentError(
                f"`keras_model` has trained with the optimizer in its attribute {name!r}. The "
                "state of optimizers besides `model.optimizer` cannot be copied. To train with new "
                "optimizers, call `compile` again."
            )
    if is_own and type(model).compile_from_config is not keras.Model.compile_from_config:
        return Recipe({}, model.get_compile_config(), is_own, custom)
    if is_own:
        with _problems_of_compile(model):
            arguments: Mapping[str, Any] = own_compile.arguments_of(model)
    else:
        arguments = keras_objects.compile_arguments(model)
    makers = {
        name: keras.tree.map_structure(_maker_of_argument, value)
        for name, value in arguments.items()
    }
    return Recipe(makers, None, is_own, custom)


@dataclasses.dataclass(frozen=True)
class _OptimizerMaker:
    """Makes an optimizer anew for each copy."""

    make: Callable[[], Any]


def _maker_of_argument(value: Any) -> Any:
    is_optimizer = isinstance(value, keras.optimizers.Optimizer)
    return _OptimizerMaker(_maker(value)) if is_optimizer else value


def _copied_argument(argument: Any) -> Any:
    def copied_leaf(value: Any) -> Any:
        return value.make() if isinstance(value, _OptimizerMaker) else _copied_metric(value)

    return keras.tree.map_structure(copied_leaf, argument)


@contextlib.contextmanager
def _problems_of_compile(model: keras.Model) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise errors.ArgumentError(
            f"`keras_model` is a {type(model).__name__}, whose own `compile` cannot be repeated "
            f"for a copy: {error}. Expected: a class whose `compile` keeps each argument in the "
            "attribute of the same name, or one that overrides `get_compile_config` and "
            "`compile_from_config`. keras.Model.save needs the latter, too."
        ) from error


def _maker(optimizer: Any) -> Callable[[], Any]:
    """Makes optimizers of the present configuration, without state, and under a stable name.

    Schedules have no state and may be functions; they are passed on as they are.
    """
    kind, config = type(optimizer), optimizer.get_config()
    config["name"] = keras_names.stable_name(optimizer.name, kind)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        config["inner_optimizer"]["config"]["name"] = keras_names.stable_name(
            optimizer.inner_optimizer.name, type(optimizer.inner_optimizer)
        )
    elif not isinstance(rate := keras_objects.given_rate(optimizer), keras.Variable):
        config["learning_rate"] = rate
    # Each call gets its own configuration, because `from_config` may change it.
    return lambda: kind.from_config(copy.deepcopy(config))


def state_of(optimizer: Any, built: Any) -> dict[str, Any]:
    """The values of a built optimizer, by the paths of a built copy's variables."""
    return {
        target.path: variable.numpy()
        for target, variable in zip(built.variables, optimizer.variables, strict=True)
    }


def _copied_metric(metric: Any) -> Any:
    if not isinstance(metric, keras.metrics.Metric):
        return metric  # a name, a function, or None
    if type(metric) is keras.metrics.MeanMetricWrapper:
        # Passes on the function itself, which need not be registered.
        function, arguments = keras_objects.wrapped_function(metric)
        return keras.metrics.MeanMetricWrapper(
            function, name=metric.name, dtype=metric.dtype, **arguments
        )
    return type(metric).from_config(metric.get_config())


def _of_the_same_layers(model: keras.Model) -> keras.Model:
    """The copy of a model. Layers and models that appear in it several times are copied once."""
    copies: dict[int, Any] = {}

    def copied_once(layer: Any) -> Any:
        if id(layer) not in copies:
            is_functional = bool(getattr(layer, "inputs", None)) and hasattr(layer, "output_names")
            is_graph = is_functional or type(layer) is keras.Sequential
            copies[id(layer)] = _of_the_same_graph(layer) if is_graph else _copied_layer(layer)
        return copies[id(layer)]

    def _of_the_same_graph(model: keras.Model) -> keras.Model:
        if _has_own_constructor(model):
            return _copied_layer(model)
        return keras.models.clone_model(_not_compiled(model), clone_function=copied_once)

    return copied_once(model)


def _has_own_constructor(model: keras.Model) -> bool:
    """Whether a functional model can only be copied by its configuration.

    Keras' cloning calls the constructor with inputs and outputs. If the class has another
    constructor, the clone has the layers but not the class. This is enough for a class that only
    has a constructor.

    Raises:
        ValueError: The class changes what a model does, and has no configuration.
    """
    # Those before Keras' own classes.
    kinds = list(itertools.takewhile(_is_foreign, type(model).__mro__))
    if not kinds or keras_objects.takes_inputs_and_outputs(type(model)):
        return False
    if any("get_config" in vars(kind) for kind in kinds):
        return True
    overridden = {
        name
        for kind in kinds
        for name in vars(kind)
        if hasattr(keras.Model, name) and not name.startswith("__")
    }
    if overridden:
        raise ValueError(
            f"the class {type(model).__name__} overrides {sorted(overridden)}, but has a "
            "constructor of its own and no `get_config`"
        )
    return False


def _is_foreign(kind: type) -> bool:
    return kind.__module__.split(".")[0] != "keras"


def _not_compiled(model: keras.Model) -> keras.Model:
    """A twin with the same layers, which looks uncompiled. Only Keras' cloning sees it.

    Keras would serialize the losses and metrics of a compiled model, and compile the clone. The
    model itself does not change, since other threads may train or copy it.
    """
    twin = object.__new__(type(model))
    vars(twin).update(vars(model), compiled=False)  # bypasses Keras, which looks for layers in it
    return twin


def _copied_layer(layer: Any) -> Any:
    config = layer.get_config()
    # A configuration describes a function by name or code; the layer still has the function itself.
    functions = {key: getattr(layer, key, None) for key in config}
    config |= {key: value for key, value in functions.items() if inspect.isfunction(value)}
    if isinstance(layer, keras.layers.Lambda):
        return _copied_lambda(layer, config)
    try:
        return type(layer).from_config(config)
    except TypeError:
        if not isinstance(layer, keras.Model):
            raise
        # The configuration of a model of the user's class may have keys that its constructor lacks.
        parameters = inspect.signature(type(layer).__init__).parameters
        return type(layer).from_config({k: v for k, v in config.items() if k in parameters})


def _copied_lambda(layer: keras.layers.Lambda, config: dict[str, Any]) -> keras.layers.Lambda:
    """Passes on the function: Keras would make one from its code, without the module around it."""
    config |= {"function": layer.function, "arguments": layer.arguments, "mask": layer.mask}
    return type(layer)(**{**config, "output_shape": keras_objects.lambda_output_shape(layer)})


def _copy_values(model: keras.Model, clone: keras.Model) -> None:
    # Values are assigned by position, which would mix up variables without this check.
    described = [[(v.name, tuple(v.shape)) for v in one.variables] for one in (model, clone)]
    if described[0] != described[1]:
        raise ValueError(
            f"a model made from its configuration has the variables {described[1]} instead of "
            f"{described[0]}"
        )
    for source, target in zip(model.variables, clone.variables, strict=True):
        target.assign(source.numpy())
        target.trainable = source.trainable
    layers = (_layers_but_inputs(one) for one in (model, clone))
    for source, target in zip(*layers, strict=True):
        keras_objects.use_trainable(target, keras_objects.is_marked_trainable(source))
        _copy_more(source, target)


def _layers_but_inputs(model: keras.Model) -> list[Any]:
    """All layers that may have a state, in the order that copies share.

    Models that use the same input share its layer, but each of their copies has a new one.
    """
    layers = [model, *keras_objects.all_layers(model)]
    return [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


def _copy_more(source: Any, target: Any) -> None:
    """Copies the state of a layer that is not in its variables, such as a vocabulary."""
    if type(target).load_own_variables is not keras.Layer.load_own_variables:
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        target.load_own_variables({key: np.asarray(value) for key, value in store.items()})
    if hasattr(source, "save_assets") and hasattr(target, "load_assets"):
        with tempfile.TemporaryDirectory() as directory:
            source.save_assets(directory)
            target.load_assets(directory)


@contextlib.contextmanager
def _known(model: keras.Model, custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Lets configurations name the classes of the model's own layers.

    Keras warns of lambdas in them, which a file could not hold. No file is written here.
    """
    layers = [model, *keras_objects.all_layers(model)]
    kinds = {type(layer).__name__: type(layer) for layer in layers}
    with keras.saving.custom_object_scope({**kinds, **(custom_objects or {})}), _no_lambda_warnings:
        yield


@contextlib.contextmanager
def _problems_of(model: keras.Model) -> Iterator[None]:
    try:
        yield
    except errors.KestimatorError:
        raise
    except Exception as error:  # whatever the configurations of the user's classes raise
        raise errors.ArgumentError(
            f"The Keras model {model.name!r}, a {type(model).__name__}, cannot be copied: {error}. "
            "Expected: classes whose `get_config` and `from_config` create an equivalent object. "
            "Pass classes and functions that the configurations refer to in `custom_objects`."
        ) from error
