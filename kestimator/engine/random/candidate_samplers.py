"""Stateless candidate samplers, whose draws only depend on a seed: TensorFlow has none.

`tf.nn.nce_loss` and `tf.nn.sampled_softmax_loss` take their negative classes from such samplers.
Each function makes one op with the outputs of the op that it replaces: the sampled classes
(num_sampled,), the expected count of each true class (batch, num_true), and the expected count of
each sampled class (num_sampled,). The distributions are those of TensorFlow's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_Inputs = Sequence[tf.Tensor]
_Attrs = Mapping[str, Any]


def uniform(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    """Draws classes from 0 up to `range_max`, all with the same probability."""
    classes = attrs["range_max"].i

    def draw(seed: tf.Tensor, count: int) -> tf.Tensor:
        return tf.random.stateless_uniform([count], seed, 0, classes, tf.int64)

    def probability(ids: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(ids), tf.constant(1 / classes, tf.float32))

    return _sampled(inputs[0], attrs, classes, seed, name, draw, probability)


def log_uniform(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    """Draws classes by Zipf's law: P(k) = log((k + 2) / (k + 1)) / log(range_max + 1)."""
    classes = attrs["range_max"].i
    span = float(np.log1p(classes))

    def draw(seed: tf.Tensor, count: int) -> tf.Tensor:
        # P(class <= k) is log(k + 2) / span: a uniform point is mapped by the inverse of it.
        point = tf.random.stateless_uniform([count], seed, dtype=tf.float64)
        # Rounding may give one more than the last class.
        return tf.minimum(tf.cast(tf.exp(point * span), tf.int64), classes) - 1

    def probability(ids: tf.Tensor) -> tf.Tensor:
        k = tf.cast(ids, tf.float64)
        return tf.cast(tf.math.log((k + 2) / (k + 1)) / span, tf.float32)

    return _sampled(inputs[0], attrs, classes, seed, name, draw, probability)


def fixed_unigram(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    """Draws classes by given counts, each to the power of `distortion`."""
    weights = _weights(attrs)
    shares = weights / weights.sum()
    ends, probabilities = np.cumsum(shares), tf.constant(shares.astype(np.float32))

    def draw(seed: tf.Tensor, count: int) -> tf.Tensor:
        point = tf.random.stateless_uniform([count], seed, dtype=tf.float64)
        classes = tf.searchsorted(tf.constant(ends), point, side="right", out_type=tf.int64)
        # The last sum may be rounded to less than 1, and a point may lie beyond it.
        return tf.minimum(classes, np.int64(np.flatnonzero(weights)[-1]))

    def probability(ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(probabilities, ids)

    possible = int(np.count_nonzero(weights))
    return _sampled(inputs[0], attrs, possible, seed, name, draw, probability)


def _weights(attrs: _Attrs) -> np.ndarray:
    """The weight of each class: zero for reserved classes and for classes of other shards."""
    path = attrs["vocab_file"].s.decode()
    if path:
        with tf.io.gfile.GFile(path) as lines:
            counts = [float(line.rsplit(",", 1)[-1]) for line in lines.read().splitlines() if line]
    else:
        counts = list(attrs["unigrams"].list.f)
    reserved = [0.0] * attrs["num_reserved_ids"].i
    weights = np.array([*reserved, *np.power(counts, attrs["distortion"].f)], np.float64)
    of_other_shards = np.arange(weights.size) % attrs["num_shards"].i != attrs["shard"].i
    weights[of_other_shards] = 0.0
    return weights


def _sampled(
    true_classes: tf.Tensor,
    attrs: _Attrs,
    possible: int,
    seed: tf.Tensor,
    name: str,
    draw: Callable[[tf.Tensor, int], tf.Tensor],
    probability: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Operation:
    """The three outputs of a sampler.

    Args:
        true_classes: (batch, num_true).
        attrs: The attributes of the op.
        possible: The number of classes that can be drawn.
        seed: (2,).
        name: The name of the op, as a scope.
        draw: Draws a number of classes from a seed.
        probability: Returns the probabilities of classes.

    Raises:
        ValueError: More different classes are asked for than exist.
    """
    count, unique = attrs["num_sampled"].i, attrs["unique"].b
    if unique and count > possible:
        raise ValueError(
            f"`num_sampled` is {count}, but only {possible} classes can be drawn. Expected at "
            f"most {possible}, or unique=False."
        )
    with tf.name_scope(f"{name}kestimator/"):
        if unique:
            sampled, tries = _different(draw, seed, count)
        else:
            sampled, tries = draw(seed, count), tf.constant(count)

        def expected(ids: tf.Tensor) -> tf.Tensor:
            # A class is among n independent draws with probability 1 - (1 - p)^n.
            share, draws = probability(ids), tf.cast(tries, tf.float32)
            among = -tf.math.expm1(draws * tf.math.log1p(-share))
            # TensorFlow's ops, too, expect p * n if no draw was repeated.
            return tf.where(tf.equal(tries, count), share * draws, among)

        outputs = [sampled, expected(true_classes), expected(sampled)]
    return tf.raw_ops.IdentityN(input=outputs, name=name)[0].op


def _different(
    draw: Callable[[tf.Tensor, int], tf.Tensor], seed: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first `count` different classes of a stream, and the number of draws that it took."""

    def goes_on(turn: tf.Tensor, drawn: tf.Tensor, distinct: tf.Tensor) -> tf.Tensor:
        return distinct < count

    def go_on(turn: tf.Tensor, drawn: tf.Tensor, distinct: tf.Tensor) -> list[tf.Tensor]:
        # A sum of seed and turn could be the seed of the step after.
        more = draw(tf.random.fold_in(seed, turn), count)
        drawn = tf.concat([drawn, more], 0)
        return [turn + 1, drawn, tf.size(tf.unique(drawn).y)]

    start = [tf.constant(0, tf.int64), tf.zeros([0], tf.int64), tf.constant(0)]
    shapes = [tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([])]
    _, drawn, _ = tf.while_loop(goes_on, go_on, start, shape_invariants=shapes)
    classes, positions = tf.unique(drawn)
    sampled = tf.ensure_shape(classes[:count], [count])
    tries = 1 + tf.cast(tf.where(tf.equal(positions, count - 1))[0, 0], tf.int32)
    return sampled, tries
