"""A compiled Keras model as the source of an estimator's programs.

Synopsis::

    source = Source(model)
    model = source.lent(features, mode)   # in a model_fn: the estimator's copy, its variables lent
    model = source.with_values(has, value_of)     # a copy for the user, with a checkpoint's values

The source keeps a copy that is never trained, with the values that training starts from. Each
estimator gets a copy of it, whose variables all its programs share.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.keras_models import keras_copies
from kestimator.engine.keras_internals import (
    keras_names,
    keras_objects,
    keras_state,
    outside_programs,
)
from kestimator.engine.programs import program
from kestimator.engine.variables import lending, variable_store
from kestimator.keys import ModeKeys


class Source:
    """A Keras model in its state at construction.

    Args:
        model: The compiled model; it stays as it is.
        custom_objects: Classes and functions that configurations name, by name.
        seed: The seed of the weights, if the model has none yet.

    Raises:
        errors.ArgumentError: The model cannot be copied.
    """

    def __init__(
        self,
        model: keras.Model,
        custom_objects: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> None:
        self._custom_objects = custom_objects
        self._seed = seed
        self._lock = threading.RLock()  # estimators in several threads may share a source
        self._copies: weakref.WeakKeyDictionary[variable_store.VariableStore, keras.Model] = (
            weakref.WeakKeyDictionary()
        )
        self._states_of_metrics: weakref.WeakKeyDictionary[keras.Model, list[tuple[Any, Any]]] = (
            weakref.WeakKeyDictionary()
        )
        with outside_programs.outside_of_the_trace():
            self._recipe = keras_copies.recipe_of(model, custom_objects)
            self._first = self._copied(model)
            self._compile(self._first, like=model)
            self._optimizer_state = self._state_of(model)

    def __deepcopy__(self, memo: dict[int, Any]) -> Source:
        """Copies of an estimator share it, like the model_fn that uses it."""
        return self

    @property
    def model(self) -> keras.Model:
        """The copy that is never trained."""
        return self._first

    def lent(self, x: Any, mode: str) -> keras.Model:
        """The copy of the estimator whose model_fn is being called, compiled for its program.

        Args:
            x: The argument of the model's next call.
            mode: The mode.

        Raises:
            errors.ArgumentError: No estimator is calling its model_fn.
        """
        graph = tf.compat.v1.get_default_graph()
        if not isinstance(graph, program.ProgramGraph) or graph.creator is None:
            raise errors.ArgumentError(
                "The model_fn of a Keras model was called outside of an Estimator. Call `train`, "
                "`evaluate` or `predict`, or call it in the model_fn of another Estimator."
            )
        with self._lock:
            model = self._copy_for(graph.creator.store, x)
        # Training starts from the values of the copy that is never trained.
        for variable, first in zip(model.variables, self._first.variables, strict=True):
            lending.lend(graph, variable, initial_value=first.numpy)
        for variable, value in self._states_of_metrics[model]:
            lending.lend(graph, variable, initial_value=value, is_metric=True)
        if mode == ModeKeys.TRAIN:
            self._offer_optimizer_state(graph.creator.store)
        if mode != ModeKeys.PREDICT:
            self._recipe.compile(model, with_optimizer=mode == ModeKeys.TRAIN)
        return model

    def with_values(
        self, has: Callable[[str], bool], value_of: Callable[[str], Any]
    ) -> keras.Model:
        """A compiled copy with the values of a checkpoint, its optimizer's among them.

        Args:
            has: Tells whether the checkpoint has a variable.
            value_of: Gives the value of a variable by its name.
        """
        with self._lock, outside_programs.outside_of_the_trace():
            model = self._copied(self._first)
            self._compile(model)
            variables = list(model.variables)
            if model.optimizer is not None:
                model.optimizer.build(model.trainable_variables)
                variables += model.optimizer.variables
            for variable in variables:
                if has(variable.path):
                    variable.assign(value_of(variable.path))
        return model

    def _copied(self, model: keras.Model) -> keras.Model:
        with keras_state.names_from_zero(self._seed):  # a copy without weights draws seeds
            return keras_copies.copied(model, self._custom_objects)

    def _compile(self, model: keras.Model, like: keras.Model | None = None) -> None:
        with keras_state.names_from_zero(self._seed):  # an optimizer is called as in a trace
            self._recipe.compile(model, like=like)

    def _copy_for(self, store: variable_store.VariableStore, x: Any) -> keras.Model:
        if store not in self._copies:
            with outside_programs.outside_of_the_trace():
                if not self._first.built:
                    self._build(x)
                copy = self._copied(self._first)
                self._states_of_metrics[copy] = [
                    (variable, variable.numpy())
                    for metric in keras_objects.tracked_metrics(copy)  # before `compile` adds some
                    for variable in metric.variables
                ]
            self._copies[store] = copy
        return self._copies[store]

    def _build(self, x: Any) -> None:
        """Lets Keras make the variables of a model that has none yet, for inputs such as `x`."""
        specs = keras.tree.map_structure(
            lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype.name), x
        )
        with keras_state.names_from_zero(self._seed):
            self._first(specs)
        keras_names.use_stable_paths(self._first)

    def _state_of(self, model: keras.Model) -> dict[str, Any]:
        """The values of the optimizer of a model that has been trained, by stable paths."""
        optimizer, target = model.optimizer, self._first.optimizer
        if optimizer is None or target is None or not optimizer.built or not self._first.built:
            return {}
        target.build(self._first.trainable_variables)
        if len(optimizer.variables) != len(target.variables):
            return {}  # built without variables: Keras does not find its own state in `.h5` files
        return keras_copies.state_of(optimizer, target)

    def _offer_optimizer_state(self, store: variable_store.VariableStore) -> None:
        """Puts the optimizer's values where the one that is about to be made looks for them."""
        for path, value in self._optimizer_state.items():
            if path not in store:
                with outside_programs.outside_of_the_trace():
                    memory = tf.Variable(value, trainable=False, name=path)
                store.add(variable_store.Slot(path, memory, None, value))
