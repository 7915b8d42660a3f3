"""Feature columns: the input layer of a network, and the logits of a linear model.

Synopsis::

    columns = column_kinds.checked_columns("columns", columns, column_kinds.Place.DENSE)
    features = column_features.Features(features)
    inputs = input_layer(features, columns, training=True)               # (batch, n)
    linear = linear_logits(features, columns, units=1, training=True)    # .logits: (batch, units)

Variables have the names and shapes that tf.estimator 2.15 gives them below the variable scope
that is open. Columns use the fast path of `column_features` where they have one, and TensorFlow's
own code otherwise. The results are the same.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors, logs
from kestimator.adapters.feature_columns import (
    _internals,
    column_checks,
    column_features,
    column_kinds,
    column_lookups,
    column_state,
)
from kestimator.engine.graphs import op_names
from kestimator.engine.keras_internals import keras_objects
from kestimator.engine.programs import program
from kestimator.validation import signatures

_v1 = tf.compat.v1
_WEIGHTS = "weights"
_SHARED = (_internals.SharedEmbeddingColumn, column_kinds.EmbeddingWithSharedTable)
_EMBEDDINGS = (_internals.EmbeddingColumn, column_kinds.EmbeddingWithSharedTable)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear model over columns.

    Attributes:
        logits: (batch, units).
        bias: The variable, (units,).
        weights: The variables of the columns, each (n, units).
    """

    logits: tf.Tensor
    bias: tf.Variable
    weights: list[tf.Variable]


def input_layer(
    features: column_features.Features, columns: Sequence[column_kinds.Column], *, training: bool
) -> tf.Tensor:
    """Concatenates the tensors of dense columns.

    Args:
        features: The features.
        columns: Dense columns, ordered.
        training: Whether gradients will be taken. Keras layers get this argument as well.

    Returns:
        (batch, n), float32.
    """
    column_checks.check_features(features.raw, columns)
    state = column_state.ColumnState(features.tables)
    parts = [_part(features, column, state, training) for column in columns]
    lookups = [part for part in parts if isinstance(part, column_lookups.Lookup)]
    rows = column_lookups.rows_of(lookups, training=training)
    # The rows are in the order of `lookups`. Each replaces its lookup among the parts.
    queue = iter(rows.values)
    values = [next(queue) if isinstance(p, column_lookups.Lookup) else p for p in parts]
    net = rows.masked(_side_by_side(values, "rows"), _owners(parts))
    op_names.also_named(net, "concat")
    return net


def linear_logits(
    features: column_features.Features,
    columns: Sequence[column_kinds.Column],
    *,
    units: int,
    sparse_combiner: str = "sum",
    training: bool,
    columns_scope: str | None = None,
) -> Linear:
    """Multiplies columns by weights, sums them, and adds a bias. Weights start from zero.

    Args:
        features: The features.
        columns: Dense and categorical columns, ordered.
        units: The number of outputs.
        sparse_combiner: How several ids of an example are reduced: "sum", "mean" or "sqrtn".
        training: Whether gradients will be taken.
        columns_scope: The name scope for the weighted sums of columns, which can be fetched.

    Returns:
        The logits, and the variables.
    """
    column_checks.check_features(features.raw, columns)
    state = column_state.ColumnState(features.tables)
    terms: list[tf.Tensor] = []
    sums: dict[str, Any] = {}  # by the names of columns, what their weighted sums are made of
    lookups, dense = [], []
    weights: list[tf.Variable] = []
    scopes: collections.Counter[str] = collections.Counter()
    for column in columns:
        is_shared = isinstance(column, _SHARED)
        # A shared table is not in the scope of a column's weights.
        part = _linear_part(features, column, state, training) if is_shared else None
        with _weights_scope(column, scopes) as name:
            part = part if is_shared else _linear_part(features, column, state, training)
            size = _input_size(column, part)
            weight = state.create_variable(
                column, _WEIGHTS, [size, units], initializer=_v1.zeros_initializer()
            )
        weights.append(weight)
        term: Any
        if isinstance(part, column_features.Ids):
            term = column_lookups.Lookup(part, weight, sparse_combiner)
            lookups.append(term)
        elif part is not None:
            # One read of a weight serves all, so that every product sees the same values.
            term = (part, tf.convert_to_tensor(weight))
            dense.append(term)
        else:
            term = _internals.weighted_sum(column, features.cache, state, sparse_combiner, weight)
            terms.append(term)
        sums[f"{name}/weighted_sum"] = term
    bias = _v1.get_variable("bias_weights", [units], initializer=_v1.zeros_initializer())
    if dense:
        # One matrix product serves all dense columns.
        values = _side_by_side([part for part, _ in dense])
        terms.append(tf.matmul(values, tf.concat([weight for _, weight in dense], 0)))
    rows = column_lookups.rows_of(lookups, training=training)
    terms += rows.terms()
    total = terms[0] if len(terms) == 1 else tf.add_n(terms)
    with op_names.scope(columns_scope):
        _name_sums(sums, rows)
        op_names.also_named(total, "weighted_sum_no_bias")
        return Linear(tf.nn.bias_add(total, bias, name="weighted_sum"), bias, weights)


def _name_sums(sums: dict[str, Any], rows: column_lookups.Rows) -> None:
    """Names the weighted sum of each column. The model itself sums all columns at once."""
    if tf.executing_eagerly():
        return
    for name, term in sums.items():
        if isinstance(term, column_lookups.Lookup):
            op_names.also_named(rows.of(term), name)
        elif isinstance(term, tuple):
            part, weight = term
            tf.matmul(_side_by_side([part]), weight, name=name)
        else:
            op_names.also_named(term, name)


def linear_inputs(
    features: column_features.Features, columns: Sequence[column_kinds.Column]
) -> tuple[list[tuple[column_kinds.Column, Any]], list[tuple[column_kinds.Column, tf.Tensor]]]:
    """The inputs of a linear model, for columns without variables.

    Args:
        features: The features.
        columns: Columns of TensorFlow.

    Returns:
        Categorical columns with their ids and weights, sparse tensors; other columns with
        (batch, n).
    """
    state = column_state.ColumnState(features.tables)
    sparse = [
        (column, column.get_sparse_tensors(features.cache, state))
        for column in columns
        if column_kinds.is_categorical(column)
    ]
    dense = [
        (column, _tensorflow_part(features, column, state, training=False))
        for column in columns
        if not column_kinds.is_categorical(column)
    ]
    return sparse, dense


@contextlib.contextmanager
def trainable_variables_made(columns: Sequence[column_kinds.Column]) -> Iterator[list[tf.Variable]]:
    """Collects the trainable variables that code asks for, and those of Keras layers.

    The graph's collection does not serve here: only the first of several replicas fills it.

    Args:
        columns: The columns that are used; Keras layers may be among them.

    Yields:
        A list, which is complete when the context ends.

    Raises:
        errors.ArgumentError: There are Keras layers, and no Estimator is calling its model_fn.
    """
    variables: list[tf.Variable] = []
    graph = _v1.get_default_graph()
    layers = [column for column in columns if isinstance(column, keras.Layer)]
    if layers:
        _check_in_program(graph, layers)

    def custom(getter: Callable[..., tf.Variable], *args: Any, **kwargs: Any) -> tf.Variable:
        variable = getter(*args, **kwargs)
        is_new = all(other is not variable for other in variables)  # tables may be shared
        if is_new and getattr(variable, "trainable", False):
            variables.append(variable)
        return variable

    scope = _v1.get_variable_scope()
    # Entering a scope a second time would open a new name scope, and rename the ops in it.
    with _v1.variable_scope(scope, custom_getter=custom, auxiliary_name_scope=False):
        yield variables
    # Keras makes its variables without asking a getter, so they are added here.
    variables += [graph.creator.view_of(v) for layer in layers for v in layer.trainable_variables]


def _check_in_program(graph: Any, layers: Sequence[keras.Layer]) -> None:
    if not isinstance(graph, program.ProgramGraph) or graph.creator is None:
        raise errors.ArgumentError(
            "The model_fn was called outside of an Estimator. Its model has the Keras 3 layer "
            f"{layers[0].name!r}, whose variables a TF1 graph cannot restore. Call `train`, "
            "`evaluate` or `predict`, or call the model_fn in the model_fn of another Estimator."
        )


@contextlib.contextmanager
def _weights_scope(column: column_kinds.Column, scopes: collections.Counter[str]) -> Iterator[str]:
    """Opens the scope of a column's weights in a linear model, and yields its name.

    Args:
        column: The column.
        scopes: How often the columns before had each name of a scope.
    """
    name = column_kinds.scope_name(column)
    number = scopes[name]
    scopes[name] += 1
    # Columns that share a table also have the name of their scope in common.
    name = f"{name}_{number}" if number else name
    with _v1.variable_scope(name):
        yield name


@contextlib.contextmanager
def _column_scope(column: column_kinds.Column) -> Iterator[None]:
    shares = isinstance(column, column_kinds.EmbeddingWithSharedTable)
    reuse = _v1.AUTO_REUSE if shares else None
    with _v1.variable_scope(column_kinds.scope_name(column), reuse=reuse):
        yield


def _part(
    features: column_features.Features,
    column: column_kinds.Column,
    state: column_state.ColumnState,
    training: bool,
) -> Any:
    """The values of a dense column, (batch, n) or (batch,), or its lookup."""
    if column_kinds.is_keras(column):
        return _keras_part(features, column, training)
    if isinstance(column, _internals.SharedEmbeddingColumn):
        return _shared_part(features, column, state, training)
    with _column_scope(column):
        state.create(column)
        part = _fast_part(features, column, state)
        return _tensorflow_part(features, column, state, training) if part is None else part


def _shared_part(
    features: column_features.Features,
    column: column_kinds.Column,
    state: column_state.ColumnState,
    training: bool,
) -> tf.Tensor:
    with shared_table(column, training=training):
        return _tensorflow_part(features, column, state, training)


@contextlib.contextmanager
def shared_table(column: column_kinds.Column, *, training: bool) -> Iterator[None]:
    """Opens the scope in which the table of a shared embedding is made, like the original's.

    The scope is the root, and the optimizer does not get the table. The original's checkpoints
    have no slots for it, so an optimizer here could not read any.

    Args:
        column: The column.
        training: Whether to log that the table is not trained.
    """
    if training:
        logs.warning(
            "The table of the shared embedding %s keeps its initial values: canned estimators do "
            "not train it, like those of tf.estimator 2.15. To train an embedding, use a separate "
            "tf.feature_column.embedding_column for each feature.",
            column.name,
        )
    root = _v1.VariableScope(reuse=_v1.get_variable_scope().reuse, name="", use_resource=True)
    with _v1.variable_scope(root, auxiliary_name_scope=False):
        yield


def _fast_part(
    features: column_features.Features, column: column_kinds.Column, state: column_state.ColumnState
) -> Any:
    if type(column) is _internals.NumericColumn:
        return features.numbers(column)
    if type(column) is _internals.BucketizedColumn:
        buckets = column_features.buckets_of(features, column)
        return None if buckets is None else tf.one_hot(buckets, len(column.boundaries) + 1)
    if type(column) is _internals.IndicatorColumn:
        ids = features.ids(column.categorical_column)
        return None if ids is None else _one_hot(ids, column_kinds.width(column))
    if type(column) in _EMBEDDINGS and _is_plain(column):
        ids = features.ids(column.categorical_column)
        table = state.get_variable(column, "embedding_weights")
        if ids is not None and isinstance(table, tf.Variable):
            return column_lookups.Lookup(ids, table, column.combiner)
    return None


def _is_plain(column: Any) -> bool:
    return (
        column.max_norm is None
        and column.ckpt_to_load_from is None
        and column.use_safe_embedding_lookup
    )


def _one_hot(ids: column_features.Ids, depth: int) -> tf.Tensor:
    # A negative id gives zeros: that is the indicator of a missing value.
    rows = tf.one_hot(ids.lookup, depth)
    return rows if ids.weights is None else rows * tf.expand_dims(ids.weights, 1)


def _tensorflow_part(
    features: column_features.Features,
    column: column_kinds.Column,
    state: column_state.ColumnState,
    training: bool,
) -> tf.Tensor:
    takes_training = "training" in signatures.accepted_arguments(column.get_dense_tensor)
    options = {"training": training} if takes_training else {}
    tensor = column.get_dense_tensor(features.cache, state, **options)
    return tf.reshape(tensor, [tf.shape(tensor)[0], column_kinds.width(column)])


def _keras_part(
    features: column_features.Features, column: column_kinds.Column, training: bool
) -> tf.Tensor:
    """The result of a Keras layer for the features that it names, or for all features."""
    inputs = _inputs_of(features, column)
    if isinstance(column, keras.Layer):
        column_features.build_once(column, inputs)
        options = {"training": training} if keras_objects.takes_training(column) else {}
        result = column(inputs, **options)
    else:
        result = column(inputs)
    result = tf.convert_to_tensor(result)
    if result.shape.rank not in (1, 2) or (result.shape.rank == 2 and result.shape[1] is None):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"feature column {column.name!r}",
                result,
                "a Keras layer that returns a tensor of shape (batch, n) with a known n",
                "Flatten the result, or pool over the other dimensions.",
            )
        )
    return tf.cast(result, tf.float32)


def _inputs_of(features: column_features.Features, column: column_kinds.Column) -> Any:
    """A layer gets the feature of its name, a model those of its inputs, other layers all."""
    if isinstance(column, keras.utils.FeatureSpace):
        return {name: _needed(features, column, name) for name in column.features}
    structure = _input_structure(column)
    # For a model with one input, a feature with the model's name comes before the input's name.
    is_one = isinstance(structure, keras.KerasTensor)
    if structure is not None and not (is_one and column.name in features.raw):
        return keras.tree.map_structure(
            lambda tensor: _needed(features, column, tensor.name), structure
        )
    return features.raw.get(column.name, features.raw)


def _input_structure(column: column_kinds.Column) -> Any:
    """The inputs of a functional or sequential model in their structure, or None."""
    try:
        if isinstance(column, keras.Sequential):
            return column.inputs[0]
        return column.input if isinstance(column, keras.Model) else None
    except (AttributeError, ValueError):  # a model that does not know its inputs beforehand
        return None


def _needed(features: column_features.Features, column: column_kinds.Column, name: str) -> Any:
    if name not in features.raw:
        raise errors.ArgumentError(
            f"Feature {name!r} is not in features dictionary, but the Keras column "
            f"{column.name!r} needs it. The features are {sorted(features.raw)}."
        )
    return features.raw[name]


def _linear_part(
    features: column_features.Features,
    column: column_kinds.Column,
    state: column_state.ColumnState,
    training: bool,
) -> Any:
    """A column's part of a linear model: `Ids`, a tensor, or None to use TensorFlow's code."""
    if column_kinds.is_keras(column):
        return _keras_part(features, column, training)
    if isinstance(column, _SHARED):
        part = _part(features, column, state, training)
    else:
        if hasattr(column, "create_state"):
            state.create(column)
        if column_kinds.is_categorical(column):
            return features.ids(column)
        part = _fast_part(features, column, state)
    if isinstance(part, column_lookups.Lookup):
        rows = column_lookups.rows_of([part], training=training)
        return rows.masked(rows.values[0], [part] * column_kinds.width(column))
    return part


def _input_size(column: column_kinds.Column, part: Any) -> int:
    if column_kinds.is_keras(column):
        return 1 if part.shape.rank == 1 else int(part.shape[1])
    return (
        int(column.num_buckets)
        if column_kinds.is_categorical(column)
        else column_kinds.width(column)
    )


def _owners(parts: Sequence[Any]) -> list[column_lookups.Lookup | None]:
    """For each output column of the parts, the lookup that it comes from, or None."""
    owners: list[column_lookups.Lookup | None] = []
    for part in parts:
        if isinstance(part, column_lookups.Lookup):
            owners += [part] * int(part.table.shape[1])
        else:
            owners += [None] * (1 if part.shape.rank == 1 else int(part.shape[1]))
    return owners


def _side_by_side(parts: Sequence[tf.Tensor], name: str = "concat") -> tf.Tensor:
    """Concatenates (batch, n) and (batch,); adjacent vectors are stacked in one op."""
    joined: list[tf.Tensor] = []
    vectors: list[tf.Tensor] = []
    # None stands for the end, so that vectors at the end are stacked as well.
    for part in [*parts, None]:
        if part is not None and part.shape.rank == 1:
            vectors.append(part)
            continue
        if vectors:
            joined.append(tf.stack(vectors, axis=1))
            vectors = []
        if part is not None:
            joined.append(part)
    return joined[0] if len(joined) == 1 else tf.concat(joined, axis=1, name=name)
