"""Seeds of random ops: the global one, and the count of ops by which a graph gives them."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import random_seed

OWNERS_OF_GET_SEED = (random_seed, tf.compat.v1, tf.compat.v1.random)
"""The modules by which TensorFlow's own code and users call `get_seed`: its own code has no
public place to be told another answer."""


def global_seed() -> int | None:
    """TensorFlow's global seed, which the public names only set."""
    seed: int | None = context.global_seed()
    return seed


def count_from(graph: tf.Graph, count: int) -> None:
    """Lets a graph count its random ops from a number; the count has no public name."""
    random_seed._graph_to_seed_dict[graph] = count


def counted(graph: tf.Graph) -> int:
    """How many random ops of a graph took a seed by their order; the count has no public name."""
    return int(random_seed._graph_to_seed_dict.get(graph, 0))
