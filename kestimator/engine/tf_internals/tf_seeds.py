"""Seeds of random ops: the global seed, and the count of ops that a graph derives seeds from."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import random_seed

_PUBLIC = ("tensorflow.compat.v1", "tensorflow._api.v2.compat.v1")


def owners_of_get_seed() -> list[Any]:
    """The modules through which TensorFlow's own code and users call `get_seed`.

    There is no public way to make TensorFlow's own code use other seeds. `tf.compat.v1` is another
    object before and after `import tensorflow.compat.v1`, so both are looked up by name.
    """
    v1 = [tf.compat.v1, *(sys.modules[name] for name in _PUBLIC if name in sys.modules)]
    owners = [random_seed, *v1, *(module.random for module in v1)]
    return list({id(owner): owner for owner in owners}.values())


def global_seed() -> int | None:
    """TensorFlow's global seed. Public code can only set it."""
    seed: int | None = context.global_seed()
    return seed


def count_from(graph: tf.Graph, count: int) -> None:
    """Makes a graph count its random ops from a number. The count has no public name."""
    random_seed._graph_to_seed_dict[graph] = count


def counted(graph: tf.Graph) -> int:
    """The number of a graph's random ops that took a seed by their order. It has no public name."""
    return int(random_seed._graph_to_seed_dict.get(graph, 0))
