"""`tf.contrib.lookup`: tables under their old names.

Synopsis::

    table = index_table_from_tensor(["a", "b"], num_oov_buckets=1)
    ids = table.lookup(tf.constant(["b", "c"]))
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor
from kestimator.engine.tf_internals import tf_moved_names

_ops = tf_moved_names.contrib_lookup
_FAST = _ops.FastHashSpec


class HashTable(tf.compat.v1.lookup.StaticHashTable):
    """A table that does not change once it has been initialized.

    Args:
        initializer: An initializer, such as `tf.lookup.KeyValueTensorInitializer`.
        default_value: The value of keys that it does not have.
        shared_name: Changes nothing: tables of the same content are equal.
        name: A name for the op.
    """

    def __init__(
        self,
        initializer: Any,
        default_value: Any,
        shared_name: str | None = None,
        name: str | None = None,
    ) -> None:
        del shared_name
        super().__init__(initializer, default_value, name=name)

    @property
    def init(self) -> Any:
        """The op that initializes the table."""
        return self.initializer


def index_table_from_tensor(
    mapping: Any,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    hasher_spec: Any = _FAST,
    dtype: Any = tf.string,
    name: str | None = None,
) -> Any:
    """Returns a table that maps each element of `mapping` to its index.

    Args:
        mapping: The elements, a vector.
        num_oov_buckets: The number of further indices, for all other elements.
        default_value: The index of all other elements without such buckets.
        hasher_spec: How other elements are spread over the buckets.
        dtype: The type of the elements.
        name: A name for the op.

    Raises:
        errors.ArgumentError: `mapping` is None.
    """
    _check_mapping(mapping)
    return _ops.index_table_from_tensor(
        mapping, num_oov_buckets, default_value, hasher_spec, dtype, name
    )


def index_to_string_table_from_tensor(
    mapping: Any, default_value: str = "UNK", name: str | None = None
) -> Any:
    """Returns a table that maps indices to the elements of `mapping`.

    Raises:
        errors.ArgumentError: `mapping` is None.
    """
    _check_mapping(mapping)
    return _ops.index_to_string_table_from_tensor(mapping, default_value, name)


def string_to_index_table_from_tensor(
    mapping: Any,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    hasher_spec: Any = _FAST,
    name: str | None = None,
) -> Any:
    """Returns a table that maps strings to their indices; see `index_table_from_tensor`."""
    return index_table_from_tensor(
        mapping, num_oov_buckets, default_value, hasher_spec, tf.string, name
    )


def string_to_index_table_from_file(
    vocabulary_file: Any = None,
    num_oov_buckets: int = 0,
    vocab_size: int | None = None,
    default_value: int = -1,
    hasher_spec: Any = _FAST,
    name: str | None = None,
) -> Any:
    """Returns a table that maps the lines of a file to their numbers."""
    return _ops.index_table_from_file(
        vocabulary_file, num_oov_buckets, vocab_size, default_value, hasher_spec, name=name
    )


def string_to_index(
    tensor: Any, mapping: Any, default_value: int = -1, name: str | None = None
) -> Tensor:
    """Returns the index in `mapping` of each element of a tensor."""
    table = index_table_from_tensor(mapping, default_value=default_value, name=name)
    return table.lookup(tensor)


def index_to_string(
    tensor: Any, mapping: Any, default_value: str = "UNK", name: str | None = None
) -> Tensor:
    """Returns the element of `mapping` for each index in a tensor."""
    return index_to_string_table_from_tensor(mapping, default_value, name).lookup(tensor)


def _check_mapping(mapping: Any) -> None:
    if mapping is None:
        raise errors.ArgumentError(errors.invalid_argument("mapping", mapping, "a vector"))
