"""Seeds of random ops: the global one, and the count of ops by which a graph gives them."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import random_seed

_PUBLIC = ("tensorflow.compat.v1", "tensorflow._api.v2.compat.v1")


def owners_of_get_seed() -> list[Any]:
    """The modules by which TensorFlow's own code and users call `get_seed`.

    TensorFlow's own code has no public place to be told another answer. `tf.compat.v1` is another
    object before and after `import tensorflow.compat.v1`, so both are asked for by their names.
    """
    v1 = [tf.compat.v1, *(sys.modules[name] for name in _PUBLIC if name in sys.modules)]
    owners = [random_seed, *v1, *(module.random for module in v1)]
    return list({id(owner): owner for owner in owners}.values())


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
