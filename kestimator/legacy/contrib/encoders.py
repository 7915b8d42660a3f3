"""`tf.contrib.layers`: ids as vectors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Tensor

_v1 = tf.compat.v1


def embed_sequence(
    ids: Any,
    vocab_size: int | None = None,
    embed_dim: int | None = None,
    unique: bool = False,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: bool | None = None,
) -> Tensor:
    """Returns a vector for each id, `[batch, length, embed_dim]`.

    Args:
        ids: The ids, `[batch, length]`.
        vocab_size: The number of ids; needed to make the variable "embeddings".
        embed_dim: The width of a vector; needed as well.
        unique: Changes nothing: how often an id is looked up.
        initializer: The initializer of the vectors.
        regularizer: Their regularizer.
        trainable: Whether they are trained.
        scope: The variable scope; "EmbedSequence" if None.
        reuse: Whether the variable exists.

    Raises:
        errors.ArgumentError: A size is missing.
    """
    del unique
    if not reuse:
        _check_sizes(vocab_size, embed_dim)
    with _v1.variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        shape = None if vocab_size is None or embed_dim is None else [vocab_size, embed_dim]
        return tf.nn.embedding_lookup(_vectors(shape, initializer, regularizer, trainable), ids)


def bow_encoder(
    ids: Any,
    vocab_size: int,
    embed_dim: int,
    sparse_lookup: bool = True,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: bool | None = None,
) -> Tensor:
    """Returns the mean of the vectors of each example's ids, `[batch, embed_dim]`.

    Args:
        ids: The ids, `[batch, length]`, dense or sparse.
        vocab_size: The number of ids.
        embed_dim: The width of a vector.
        sparse_lookup: Whether a 0 in dense ids stands for no id.
        initializer: The initializer of the vectors.
        regularizer: Their regularizer.
        trainable: Whether they are trained.
        scope: The variable scope; "bow_encoder" if None.
        reuse: Whether the variable exists.

    Raises:
        errors.ArgumentError: A size is missing, or `ids` are sparse without `sparse_lookup`.
    """
    _check_sizes(vocab_size, embed_dim)
    is_sparse = isinstance(ids, tf.SparseTensor)
    if is_sparse and not sparse_lookup:
        expected = "a dense tensor, as `sparse_lookup` is False"
        raise errors.ArgumentError(errors.invalid_argument("ids", ids, expected))
    with _v1.variable_scope(scope, "bow_encoder", [ids], reuse=reuse):
        vectors = _vectors([vocab_size, embed_dim], initializer, regularizer, trainable)
        if not sparse_lookup:
            return tf.reduce_mean(tf.nn.embedding_lookup(vectors, ids), axis=1)
        sparse_ids = ids if is_sparse else tf.sparse.from_dense(ids)
        return _v1.nn.safe_embedding_lookup_sparse(
            [vectors], sparse_ids, combiner="mean", default_id=0
        )


def _check_sizes(vocab_size: Any, embed_dim: Any) -> None:
    for name, value in (("vocab_size", vocab_size), ("embed_dim", embed_dim)):
        if not value:
            raise errors.ArgumentError(
                errors.invalid_argument(name, value, "a positive number, if not `reuse`")
            )


def _vectors(shape: list[int] | None, initializer: Any, regularizer: Any, trainable: bool) -> Any:
    return _v1.get_variable(
        "embeddings",
        shape,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=[_v1.GraphKeys.GLOBAL_VARIABLES, _v1.GraphKeys.MODEL_VARIABLES],
    )
