"""Rows of tables for the ids of categorical columns. One op finds missing ids of all columns.

Synopsis::

    rows = rows_of([Lookup(ids, table, "mean"), ...], training=True)
    rows.values                  # (batch, n) each; an arbitrary row where there is no id
    rows.masked(net, owners)     # zeros there
    rows.terms()                 # the rows to sum up, with zeros there
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from kestimator.adapters.feature_columns import column_features

_GRADIENT = "KestimatorRowsOfTable"


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """Rows to look up in a table.

    Attributes:
        ids: The ids, and their weights.
        table: The table, (rows, n).
        combiner: How several ids of an example would be reduced: "sum", "mean" or "sqrtn".
    """

    ids: column_features.Ids
    table: tf.Variable
    combiner: str

    @property
    def needs_weight(self) -> bool:
        """Whether an id counts as missing if its weight is not positive, like in averages."""
        return self.ids.weights is not None and self.combiner != "sum"

    @property
    def is_certain(self) -> bool:
        """Whether every example has an id."""
        return self.ids.is_certain and not self.needs_weight

    def valid_ids(self) -> tf.Tensor:
        """The ids, (batch,), int64; negative where there are none."""
        ids, weights = tf.cast(self.ids.lookup, tf.int64), self.ids.weights
        if weights is None or self.combiner == "sum":
            return ids
        return tf.where(weights > 0, ids, tf.constant(-1, tf.int64))

    def rows(self, ids: tf.Tensor, *, training: bool) -> tf.Tensor:
        """The rows of valid ids times their weights; the mean of a single row is the row itself."""
        rows = _looked_up(self.table, ids, training=training)
        if self.ids.weights is None or self.combiner != "sum":
            return rows
        return rows * tf.expand_dims(self.ids.weights, 1)


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows that were looked up.

    Attributes:
        lookups: The lookups.
        values: (batch, n) for each lookup; examples without an id have an arbitrary row.
        doubtful: The lookups for which examples may have no id.
        missing: Which examples have no id, (batch, k), for `doubtful`; None if that is empty.
    """

    lookups: Sequence[Lookup]
    values: list[tf.Tensor]
    doubtful: list[Lookup]
    missing: tf.Tensor | None

    def masked(self, net: tf.Tensor, owners: Sequence[Lookup | None]) -> tf.Tensor:
        """Puts zeros where there was no id.

        Args:
            net: (batch, n).
            owners: For each of the n, the lookup that it comes from.
        """
        if self.missing is None:
            return net
        places = {id(lookup): place for place, lookup in enumerate(self.doubtful)}
        owned = np.zeros([len(places), len(owners)], np.float32)
        for column, owner in enumerate(owners):
            if id(owner) in places:
                owned[places[id(owner)], column] = 1
        # A gather of the flags took longer than this product when the step was profiled.
        spread = tf.matmul(tf.cast(self.missing, tf.float32), owned)
        # Gives zero even if the row that stands in for a missing id holds NaN.
        return tf.math.multiply_no_nan(net, 1.0 - spread)

    def of(self, lookup: Lookup) -> tf.Tensor:
        """The rows of one lookup, (batch, n), with zeros where there was no id."""
        value = self.values[self.lookups.index(lookup)]
        if self.missing is None or lookup.is_certain:
            return value
        place = self.doubtful.index(lookup)
        return tf.where(self.missing[:, place : place + 1], 0.0, value)

    def terms(self) -> list[tf.Tensor]:
        """Terms whose sum is that of the rows, (batch, n) each."""
        if self.missing is None:
            return self.values
        paired = list(zip(self.lookups, self.values, strict=True))
        certain = [value for lookup, value in paired if lookup.is_certain]
        doubtful = [value for lookup, value in paired if not lookup.is_certain]
        stacked = tf.stack(doubtful, axis=1)
        mask = tf.tile(tf.expand_dims(self.missing, 2), [1, 1, stacked.shape[2]])
        return [*certain, tf.reduce_sum(_zeroed(mask, stacked), axis=1)]


def _zeroed(mask: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Zeros where the mask is True. This form of `where` does not broadcast: a short gradient."""
    return tf.compat.v1.where(mask, tf.zeros_like(values), values)


def rows_of(lookups: Sequence[Lookup], *, training: bool) -> Rows:
    """Looks rows up.

    An example without an id gets the first row, with a gradient of zero. TensorFlow's own lookup
    does the same, so optimizers see the same rows.

    Args:
        lookups: The lookups.
        training: Whether the gradients of the rows use the short form.
    """
    ids = [lookup.valid_ids() for lookup in lookups]
    doubtful = [place for place, lookup in enumerate(lookups) if not lookup.is_certain]
    missing = None
    if doubtful:
        # One comparison and one maximum serve all columns.
        stacked = tf.stack([ids[place] for place in doubtful], axis=1)
        missing = stacked < 0
        safe = tf.unstack(tf.maximum(stacked, 0), num=len(doubtful), axis=1)
        for place, rows in zip(doubtful, safe, strict=True):
            ids[place] = rows
    values = [
        lookup.rows(rows, training=training) for lookup, rows in zip(lookups, ids, strict=True)
    ]
    return Rows(lookups, values, [lookups[place] for place in doubtful], missing)


def _looked_up(table: tf.Variable, ids: tf.Tensor, *, training: bool) -> tf.Tensor:
    with _short_gradient() if training else contextlib.nullcontext():
        return tf.raw_ops.ResourceGather(
            resource=table.handle, indices=ids, dtype=table.dtype.base_dtype
        )


@contextlib.contextmanager
def _short_gradient() -> Iterator[None]:
    """Saves the ops with which TensorFlow's gradient of a gather reshapes ids of any shape."""
    graph = tf.compat.v1.get_default_graph()
    with graph.gradient_override_map({"ResourceGather": _GRADIENT}):
        yield


def _gradient_of_rows(op: tf.Operation, gradient: tf.Tensor) -> tuple[tf.IndexedSlices, None]:
    table, rows = op.inputs
    shape = tf.raw_ops.VariableShape(input=table)  # runs only where the gradient is made dense
    return tf.IndexedSlices(gradient, rows, shape), None


tf.RegisterGradient(_GRADIENT)(_gradient_of_rows)
