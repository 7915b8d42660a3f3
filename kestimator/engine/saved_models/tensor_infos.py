"""`TensorInfo`s: how a signature describes a dense, sparse or ragged tensor.

Synopsis::

    info = signature_def.inputs["x"]
    described(info)            # "a Tensor of float32, of shape (None, 2)"
    fits(info, tensor)
    feeds(info, tensor)        # {"x:0": tensor}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def fits(info: Any, value: Any) -> bool:
    """Returns whether a tensor has the kind, dtype and shape that `info` describes."""
    if not isinstance(value, _kind(info)):
        return False
    if info.WhichOneof("encoding") == "composite_tensor":
        parts = tf.nest.flatten(value, expand_composites=True)
        components = list(_components(info))
        return len(parts) == len(components) and all(map(fits, components, parts))
    shape = tf.TensorShape(info.tensor_shape)
    return bool(value.dtype == tf.as_dtype(info.dtype) and value.shape.is_compatible_with(shape))


def described(info: Any) -> str:
    """Describes a tensor for a message: its kind, dtype and shape."""
    if info.WhichOneof("encoding") == "composite_tensor":
        values = next(_components(info))
        return f"a {_kind(info).__name__} of {tf.as_dtype(values.dtype).name}"
    shape = tf.TensorShape(info.tensor_shape)
    return f"a {_kind(info).__name__} of {tf.as_dtype(info.dtype).name}, of shape {shape}"


def feeds(info: Any, value: Any) -> dict[str, tf.Tensor]:
    """Returns the parts of a tensor that fits, by the names of tensors they replace."""
    names = [getattr(part, field) for part, field in fields(info)]
    if isinstance(value, tf.SparseTensor):
        # In the order of `fields`, which is not that of `tf.nest`.
        parts = [value.values, value.indices, value.dense_shape]
    else:
        parts = tf.nest.flatten(value, expand_composites=True)
    return dict(zip(names, parts, strict=True))


def fields(info: Any) -> Iterator[tuple[Any, str]]:
    """Yields where a `TensorInfo` names its parts: a message and the name of its field."""
    kind = info.WhichOneof("encoding")
    if kind == "name":
        yield info, "name"
    elif kind == "coo_sparse":
        for field in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
            yield info.coo_sparse, field
    else:
        for component in _components(info):
            yield component, "name"


def _kind(info: Any) -> Any:
    kinds = {"name": tf.Tensor, "coo_sparse": tf.SparseTensor}
    return kinds.get(info.WhichOneof("encoding"), tf.RaggedTensor)


def _components(info: Any) -> Iterator[Any]:
    """Yields the dense parts of a composite tensor."""
    for component in info.composite_tensor.components:
        if component.WhichOneof("encoding") == "composite_tensor":
            yield from _components(component)
        else:
            yield component
