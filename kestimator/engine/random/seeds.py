"""The seeds for random ops of an input_fn that have no op-level seed.

Synopsis::

    with for_input(seed) as seeds:
        dataset = input_fn()            # eagerly; shuffles count as they would in a graph
    seeds.used                          # how many ops took a seed by their order

tf.estimator called the input_fn and the model_fn in one graph with one seed. In such a graph, a
random op without its own seed uses the number of such ops before it: first those of the input, then
those of the model. This module gives the same seeds to an input_fn that is called eagerly. So
shuffles have the original's order, and the model's count continues where the input's ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from kestimator.engine.tf_internals import tf_seeds

_local = threading.local()


class InputSeeds:
    """The seeds of one call of an input_fn.

    Args:
        seed: The graph-level seed.

    Attributes:
        used: The number of ops that took a seed by their order.
        drew: Whether an op drew numbers eagerly. In a graph, it would draw at each step.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._before = tf_seeds.global_seed()
        self.used = 0
        self.drew = False

    def get_seed(self, original: Any, op_seed: int | None, *, is_for_data: bool) -> Any:
        """The two seeds of an op, as TensorFlow's `get_seed` gives them in a graph.

        Args:
            original: That function.
            op_seed: The seed of the op itself, or None.
            is_for_data: Whether the op is a Dataset.
        """
        if not tf.executing_eagerly():  # in a function of the Dataset, which has its own count
            graph = tf.compat.v1.get_default_graph()
            # A seed that the input_fn set in this graph itself is kept.
            if graph.seed is None or graph.seed == self._before:
                graph.seed = self._graph_seed
            return original(op_seed)
        self.drew = self.drew or not is_for_data
        # In a graph that is thrown away, `get_seed` computes what it would compute in TF1.
        with tf.Graph().as_default() as graph:
            graph.seed = self._graph_seed
            if op_seed is None:
                tf_seeds.count_from(graph, self.used)
                self.used += graph.seed is not None
            return original(op_seed)

    @property
    def _graph_seed(self) -> int | None:
        """The seed of the graph, unless the input_fn itself has set another one."""
        now = tf_seeds.global_seed()
        return self._seed if now == self._before else now


class Draws:
    """Notes whether a random op asks for its seeds, and leaves these as they are.

    Attributes:
        drew: Whether one did.
    """

    def __init__(self) -> None:
        self.drew = False

    def get_seed(self, original: Any, op_seed: int | None, *, is_for_data: bool) -> Any:
        """The two seeds of an op, as for `InputSeeds`."""
        del is_for_data
        self.drew = True
        return original(op_seed)


def current() -> InputSeeds | Draws | None:
    """What gives seeds to the ops that the calling thread makes, or None for TensorFlow itself."""
    return getattr(_local, "seeds", None)


@contextlib.contextmanager
def for_input(seed: int | None) -> Iterator[InputSeeds]:
    """Gives random ops in the calling thread the seeds of an input_fn."""
    seeds = InputSeeds(seed)
    with _in_use(seeds):
        yield seeds


@contextlib.contextmanager
def watched() -> Iterator[Draws]:
    """Notes whether the calling thread makes random ops of TF1."""
    draws = Draws()
    with _in_use(draws):
        yield draws


@contextlib.contextmanager
def _in_use(seeds: InputSeeds | Draws) -> Iterator[None]:
    outer = current()
    _local.seeds = seeds
    try:
        yield
    finally:
        _local.seeds = outer
