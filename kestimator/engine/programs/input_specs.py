"""Specs of inputs: nests of `tf.TypeSpec` and None, as `(features, labels)`.

Synopsis::

    key(spec)                            # equal for inputs that the same program can serve
    common(spec_of_8, spec_of_32)        # the spec of batches of any size
    serves(general, spec_of_8)           # True
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def key(spec: Any) -> str:
    """A key that is equal for all inputs that the same program can serve."""
    return repr(spec)


def with_any_batch(spec: Any) -> Any:
    """The spec with unknown first dimensions."""
    return tf.nest.map_structure(lambda leaf: leaf and _relaxed(leaf), spec)


def common(first: Any, second: Any) -> Any:
    """The most special spec that both fit, if only their first dimensions differ; else None."""
    if key(with_any_batch(first)) != key(with_any_batch(second)):
        return None
    return tf.nest.map_structure(
        lambda one, other: one if one == other else _relaxed(one), first, second
    )


def serves(general: Any, spec: Any) -> bool:
    """Whether the first spec is more general than the second, in its first dimensions alone."""
    return key(common(general, spec)) == key(general)


def _relaxed(spec: tf.TypeSpec) -> tf.TypeSpec:
    """The spec with an unknown first dimension, if its type has a batch dimension."""
    if type(spec) not in (tf.TensorSpec, tf.SparseTensorSpec, tf.RaggedTensorSpec):
        return spec
    if not spec.shape.rank:
        return spec
    shape = tf.TensorShape([None, *spec.shape[1:]])
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensorSpec(shape, spec.dtype, spec.ragged_rank, spec.row_splits_dtype)
    return type(spec)(shape, spec.dtype)
