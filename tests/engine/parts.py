"""Small programs for tests of the engine's parts: a line through the origin, trained by TF1."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import specs
from kestimator.engine.programs import model_program
from kestimator.engine.runs import batches, locks, session
from kestimator.engine.variables import variable_store
from kestimator.keys import ModeKeys

v1: Any = tf.compat.v1


class Line:
    """A source whose program learns `y = w x`, from `w = 0`, by steps of 0.1."""

    is_served = False
    summary_writer = None

    def __init__(self, mode: str = ModeKeys.TRAIN, scale: float = 1.0) -> None:
        self.mode = mode
        self.scale = scale
        self.calls = 0

    def call(self, features: Any, labels: Any) -> specs.EstimatorSpec:
        """The model_fn."""
        self.calls += 1
        weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        prediction = weight * features["x"]
        if self.mode == ModeKeys.PREDICT:
            return specs.EstimatorSpec(self.mode, predictions=prediction)
        loss = self.scale * tf.reduce_mean(tf.square(prediction - labels))
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        train_op = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        return specs.EstimatorSpec(self.mode, loss=loss, train_op=train_op)

    def complete(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Leaves the spec as it is."""
        return spec

    def finish(self, spec: specs.EstimatorSpec) -> specs.EstimatorSpec:
        """Leaves the spec as it is."""
        return spec


def dataset(repeat: int | None = None) -> tf.data.Dataset:
    """Batches of two examples of `y = 2 x`."""
    x = np.array([1.0, 2.0], np.float32)
    return tf.data.Dataset.from_tensors(({"x": x}, 2 * x)).repeat(repeat)


class Run:
    """A program over a store, with its input and a session; variables have initial values.

    Args:
        source: The source of the program.
        repeat: How many batches there are; None for no end.
    """

    def __init__(self, source: Line | None = None, repeat: int | None = None) -> None:
        self.store = variable_store.VariableStore()
        self.batches = batches.open_input(lambda: dataset(repeat), seed=None, store=self.store)
        self.model = self.program(source or Line())
        self.lock = locks.FairLock()
        self.session = session.Session(self.model.program, self.batches, lambda: self.lock)
        with self.model.graph.unlocked():
            self.model.settle_global_step()
        self.initialize()

    def program(self, source: Line) -> model_program.ModelProgram:
        """Another program over the same variables."""
        spec = self.batches.element_spec
        if source.mode == ModeKeys.PREDICT:
            spec = (spec[0], None)
        return model_program.ModelProgram.trace(
            source, mode=source.mode, element_spec=spec, seed=None, store=self.store
        )

    def initialize(self) -> None:
        """Gives all variables their initial values, and opens the input."""
        with self.model.graph.as_default():
            views = v1.global_variables()
            self.session.run([view.initializer for view in views])
        self.batches.initialize()

    def value(self, name: str) -> Any:
        """The value of a variable."""
        return self.store[name].variable.numpy()
