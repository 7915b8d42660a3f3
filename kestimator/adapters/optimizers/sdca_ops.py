"""Stochastic dual coordinate ascent over TensorFlow's own op.

Synopsis::

    states = ExampleStates()                        # once for an estimator
    step = minimize(examples, states, settings, logits)
    saver = states.saver(config)                    # saves them beside the variables
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.adapters.optimizers import _internals, rule_state
from kestimator.engine.graphs import standalone_graph
from kestimator.engine.keras_internals import outside_programs

_v1 = tf.compat.v1
# The original's name for the table in checkpoints.
_TABLE = "ShardedMutableHashTable-1-of-1"
_STATES = standalone_graph.DenseTable(
    tf.int64,
    tf.float32,
    value_shape=[4],
    empty_key=[0, 0],  # no fingerprint is one of these two
    deleted_key=[1, 1],
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of the optimizer.

    Attributes:
        loss_type: "logistic_loss" or "squared_loss".
        l1: The cost of absolute values of weights, for all examples together.
        l2: The cost of their squares.
        partitions: The number of optimizers that work on the loss in parallel.
        adaptive: Whether to prefer examples that matter.
    """

    loss_type: str
    l1: float
    l2: float
    partitions: int
    adaptive: bool


@dataclasses.dataclass(frozen=True)
class SparseFeature:
    """Ids of examples, each at most once, with a variable of a weight for each id.

    Attributes:
        examples: (n,), int64: the rows of the batch, in order.
        ids: (n,), int64.
        values: (n,), float32.
        weights: (ids, 1).
    """

    examples: tf.Tensor
    ids: tf.Tensor
    values: tf.Tensor
    weights: tf.Variable


@dataclasses.dataclass(frozen=True)
class DenseFeature:
    """Numbers of examples, with a variable of a weight for each.

    Attributes:
        values: (batch, n), float32.
        weights: (n, 1), or (n,).
    """

    values: tf.Tensor
    weights: tf.Variable


@dataclasses.dataclass(frozen=True)
class Examples:
    """A batch.

    Attributes:
        names: (batch,), strings that tell examples apart over all batches.
        labels: (batch,), float32.
        weights: (batch,), float32.
        sparse: Features with ids.
        dense: Features with numbers; one of ones for the bias is among them.
    """

    names: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor
    sparse: Sequence[SparseFeature]
    dense: Sequence[DenseFeature]


class ExampleStates:
    """The optimizer's state of each example that it has seen: a table in memory."""

    def __init__(self) -> None:
        with outside_programs.outside_of_the_trace():
            # Made outside of the trace, because all programs of an estimator share the table.
            self._table = tf.lookup.experimental.DenseHashTable(
                _STATES.key_dtype,
                _STATES.value_dtype,
                default_value=[0.0] * 4,
                empty_key=_STATES.empty_key,
                deleted_key=_STATES.deleted_key,
                experimental_is_anonymous=True,
            )
        standalone_graph.remember_dense_table(self._table.resource_handle, _STATES)

    def lookup(self, prints: tf.Tensor) -> tf.Tensor:
        """The states of examples, (batch, 4), by their fingerprints, (batch, 2)."""
        return self._table.lookup(prints)

    def insert(self, prints: tf.Tensor, states: tf.Tensor) -> tf.Operation:
        """Keeps the states of examples."""
        return self._table.insert(prints, states)

    def size(self) -> tf.Tensor:
        """The number of examples."""
        return self._table.size()

    def sums(self) -> tf.Tensor:
        """The sums of all states, (4,), float64."""
        return tf.reduce_sum(tf.cast(self._table.export()[1], tf.float64), 0)

    def saver(self, config: Any) -> Any:
        """A saver of all variables of the graph and of the states, as tf.estimator 2.15 has it.

        Args:
            config: The estimator's `RunConfig`.
        """
        saveable = _internals.saveable(self._table, _TABLE)
        return _v1.train.Saver(
            [*_v1.global_variables(), saveable],
            sharded=True,
            max_to_keep=config.keep_checkpoint_max,
            keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
            save_relative_paths=True,
        )


def minimize(
    examples: Examples, states: ExampleStates, settings: Settings, logits: tf.Tensor
) -> tf.Operation:
    """Adds a step of the optimizer to the graph.

    Args:
        examples: The batch.
        states: The states of examples.
        settings: The settings of the optimizer.
        logits: The logits, which are computed before the weights change.

    Returns:
        The operation that makes the step and counts it.
    """
    features: list[SparseFeature | DenseFeature] = [*examples.sparse, *examples.dense]
    slots = [_slot(feature.weights) for feature in features]
    sparse_slots, dense_slots = slots[: len(examples.sparse)], slots[len(examples.sparse) :]
    prints = tf.raw_ops.SdcaFprint(input=examples.names)
    ids = [tf.unique(feature.ids)[0] for feature in examples.sparse]
    previous = states.lookup(prints)
    updated, sparse_changes, dense_changes = tf.raw_ops.SdcaOptimizerV2(
        sparse_example_indices=[feature.examples for feature in examples.sparse],
        sparse_feature_indices=[feature.ids for feature in examples.sparse],
        sparse_feature_values=[feature.values for feature in examples.sparse],
        dense_features=[feature.values for feature in examples.dense],
        example_weights=examples.weights,
        example_labels=examples.labels,
        sparse_indices=ids,
        sparse_weights=[tf.gather(slot, i) for slot, i in zip(sparse_slots, ids, strict=True)],
        dense_weights=[slot.read_value() for slot in dense_slots],
        example_state_data=previous,
        loss_type=settings.loss_type,
        l1=settings.l1,
        l2=settings.l2,
        num_loss_partitions=settings.partitions,
        num_inner_iterations=1,
        adaptive=settings.adaptive,
    )
    # The optimizer has to read the weights before they change.
    with tf.control_dependencies([updated]):
        updates = [states.insert(prints, updated)]
        updates += [
            tf.raw_ops.ResourceScatterAdd(resource=slot.handle, indices=i, updates=change)
            for slot, i, change in zip(sparse_slots, ids, sparse_changes, strict=True)
        ]
        updates += [
            slot.assign_add(tf.reshape(change, slot.shape), read_value=False)
            for slot, change in zip(dense_slots, dense_changes, strict=True)
        ]
    # The logits read the weights too, and have to see those from before the step.
    with tf.control_dependencies([*updates, logits]):
        shrunk = [_shrunk(slot.read_value(), settings) for slot in slots]
        assigned = [
            feature.weights.assign(value, read_value=False)
            for feature, value in zip(features, shrunk, strict=True)
        ]
    with tf.control_dependencies(assigned):
        return _v1.train.get_or_create_global_step().assign_add(1, read_value=False)


def duality_gap(
    weights: Sequence[tf.Variable], states: ExampleStates, settings: Settings
) -> tf.Tensor:
    """The duality gap per example seen so far: 0 at the optimum."""
    values = [tf.cast(weight.read_value(), tf.float64) for weight in weights]
    l1 = settings.l1 * tf.add_n([tf.reduce_sum(tf.abs(value)) for value in values])
    l2 = settings.l2 * tf.add_n([tf.reduce_sum(tf.square(value)) for value in values])
    _, primal, dual, weight = tf.unstack(states.sums(), num=4)
    return (primal + dual + l1 + l2) / weight


def _slot(weights: tf.Variable) -> tf.Variable:
    """The weights before small ones are made zero."""
    name = weights.name.split(":")[0]
    return rule_state.exact_variable(f"{name}_unshrunk", weights.shape, 0.0, tf.float32)


def _shrunk(value: tf.Tensor, settings: Settings) -> tf.Tensor:
    if not settings.l1:
        return value
    # Soft thresholding: the proximal step of the L1 term.
    return tf.sign(value) * tf.maximum(0.0, tf.abs(value) - settings.l1 / settings.l2)


def sparse_feature(pair: Any, variable: tf.Variable) -> SparseFeature:
    """The ids of a categorical column, without missing ones, each once for an example.

    Args:
        pair: The column's ids and their weights: sparse tensors, (batch, n), or None for weights.
        variable: The weights to learn.
    """
    ids, weights = pair.id_tensor, pair.weight_tensor
    values = tf.ones_like(ids.values, tf.float32) if weights is None else weights.values
    is_valid = ids.values >= 0
    rows = tf.boolean_mask(ids.indices[:, 0], is_valid)
    valid_ids = tf.cast(tf.boolean_mask(ids.values, is_valid), tf.int64)
    width = tf.constant(int(variable.shape[0]), tf.int64)
    # One key for each pair of example and id finds repeated ids of an example.
    keys, places = tf.unique(rows * width + valid_ids)
    summed = tf.math.unsorted_segment_sum(tf.boolean_mask(values, is_valid), places, tf.size(keys))
    return SparseFeature(keys // width, keys % width, summed, variable)
