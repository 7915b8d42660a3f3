"""A part of a canned model in a program, as an Estimator traces it, but without an Estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator.engine.programs import program
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_store

v1: Any = tf.compat.v1


class Traced:
    """A program over one batch of features. Its variables have their initial values.

    Args:
        build: Called with placeholders in the structure of `features`. Its result is `result`.
        features: The batch, a nest of tensors.
        store: The store of the variables; by default a new one.
    """

    def __init__(
        self, build: Callable[[Any], Any], features: Any, store: Any = None, seed: int = 3
    ) -> None:
        self.store = store or variable_store.VariableStore()
        features = tf.nest.map_structure(as_tensor, features)
        self.program = program.trace(
            build,
            element_spec=tf.nest.map_structure(tf.type_spec_from_value, features),
            name="part",
            seed=seed,
            store=self.store,
        )
        self.result = self.program.result
        values = program.flatten(features)
        self._values = {
            id(inside): value for inside, value in zip(self.program.inputs, values, strict=True)
        }
        views = [*self.collected("GLOBAL_VARIABLES"), *self.collected("LOCAL_VARIABLES")]
        self.run([], *[view.initializer for view in views])

    def run(self, tensors: Any, *operations: tf.Operation) -> Any:
        """Computes tensors, a nest of them, and runs operations."""
        function = self.program.function(tf.nest.flatten(tensors), operations)
        with execution_modes.as_written():  # rewriting them first would take longer
            found = function(*[self._values[id(inside)] for inside in function.inputs])
        return tf.nest.pack_sequence_as(tensors, [tensor.numpy() for tensor in found])

    def collected(self, key: str) -> list[Any]:
        """A collection of the graph."""
        return list(self.program.graph.get_collection(getattr(v1.GraphKeys, key)))

    def names(self, key: str = "GLOBAL_VARIABLES") -> list[str]:
        """The names of the variables in a collection."""
        return names(self.collected(key))

    def value(self, name: str) -> np.ndarray:
        """The value of a variable of the store or of the program alone."""
        return (self.store.get(name) or self.program.local[name]).variable.numpy()

    def assign(self, values: Mapping[str, Any]) -> None:
        """Assigns values to variables of the store, by name."""
        for name, value in values.items():
            self.store[name].variable.assign(value)

    def randomized(self) -> dict[str, np.ndarray]:
        """Assigns a random value to each floating-point variable, and returns them by name."""
        random, values = np.random.RandomState(7), {}
        for slot in self.store:
            if slot.variable.dtype.is_floating:
                values[slot.name] = random.uniform(-1.0, 1.0, slot.variable.shape)
                slot.variable.assign(values[slot.name])
        return values

    def summaries(self) -> dict[str, Any]:
        """The values of all summaries, by tag: numbers, or histograms."""
        found = {}
        for serialized in self.run(self.collected("SUMMARIES")):
            for value in v1.Summary.FromString(serialized).value:
                is_number = value.HasField("simple_value")
                found[value.tag] = value.simple_value if is_number else value.histo
        return found


def as_tensor(value: Any) -> Any:
    """A value as a tensor; composite tensors stay as they are."""
    return value if tf.is_tensor(value) else tf.constant(value)


def names(variables: list[Any]) -> list[str]:
    """The names of variables."""
    return [variable.name.removesuffix(":0") for variable in variables]
