"""First values of Keras variables that random ops of TF1 draw: of a TF1 initializer in a layer.

Synopsis::

    value = InitialValue(compute, graph)
    value()        # eagerly: what the initializer draws in a session with the graph's seed
    value()        # the same again

Keras computes first values eagerly. An eager random op of TF1 knows nothing of the graph's seed,
and its place in its stream depends on what else the process has drawn. So the ops run in a graph
of their own, with the seed of the program's graph and its count of random ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kestimator.engine.random import seeds
from kestimator.engine.tf_internals import tf_seeds
from kestimator.engine.tracing import execution_modes


class InitialValue:
    """A function that computes a first value, with the random streams of a program.

    Args:
        compute: Computes the value.
        graph: The graph of the program.
    """

    def __init__(self, compute: Callable[[], Any], graph: tf.Graph) -> None:
        self._compute = compute
        self._graph = graph
        self._count: int | None = None  # of the graph's random ops before this one, if it is random
        self._seed = graph.seed

    def __call__(self) -> Any:
        """Computes the value."""
        if not tf.executing_eagerly():
            return self._compute()
        if self._count is None:
            with seeds.watched() as draws:
                value = self._compute()
            if not draws.drew:
                return value
            self._count = tf_seeds.counted(self._graph)
            value, used = self._drawn(self._count)
            tf_seeds.count_from(self._graph, self._count + used)
            return value
        return self._drawn(self._count)[0]

    def _drawn(self, count: int) -> tuple[tf.Tensor, int]:
        """The value, and the number of ops that took a seed by their order."""
        used = 0

        def draw() -> tf.Tensor:
            nonlocal used
            graph = tf.compat.v1.get_default_graph()
            graph.seed = self._seed
            tf_seeds.count_from(graph, count)
            value = self._compute()
            used = tf_seeds.counted(graph) - count
            return value

        with execution_modes.outside():
            # Each function has kernels of its own, whose streams begin.
            value = tf.function(draw, autograph=False)()
        return value, used
