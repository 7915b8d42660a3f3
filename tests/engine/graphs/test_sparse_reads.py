"""Gathers of Keras code: which ones read only their rows, and that they give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine.graphs import ordering, sparse_reads
from kestimator.engine.graphs.sparse_reads import read_rows_alone
from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store

v1: Any = tf.compat.v1
ROWS = 7
TABLE = np.arange(2.0 * ROWS, dtype=np.float32).reshape(ROWS, 2)
IDS = np.array([[5, 0, 5], [1, 6, 5]])


def table() -> keras.Variable:
    """A new Keras variable, in a trace."""
    return keras.Variable(TABLE, name="table")


def whole(variable: keras.Variable) -> tf.Tensor:
    """A read of a whole variable by Keras code."""
    return tf.convert_to_tensor(variable)  # which calls a method of Keras


def traced(build: Callable[[Any], Any], ids: Any = IDS) -> program.Program:
    return program.trace(
        build,
        element_spec=tf.type_spec_from_value(tf.constant(ids)),
        name="page",
        seed=None,
        store=variable_store.VariableStore(),
    )


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> Callable[..., program.Program]:
    """Traces a program whose reads stay as they are."""

    def made(build: Callable[[Any], Any], ids: Any = IDS) -> program.Program:
        with monkeypatch.context() as patch:
            patch.setattr(sparse_reads, "read_rows_alone", lambda *arguments: {})
            # The edges of this would be another reason for a read to stay.
            patch.setattr(ordering, "order_keras_state", lambda *arguments: ([], []))
            return traced(build, ids)

    return made


def types(fetch: Any) -> set[str]:
    """The types of the ops that compute a tensor."""
    return {op.type for op in ordering.reachable_operations([fetch])}


def value(made: program.Program, fetch: Any, ids: Any = IDS, operations: Any = ()) -> Any:
    function = made.function([fetch], operations)
    return function(*[tf.constant(ids)] * len(function.inputs))[0].numpy()


def first_gather_of_two(ids: Any) -> Any:
    rows = whole(table())
    tf.gather(rows, ids + 1)
    return tf.gather(rows, ids)


GATHERS: dict[str, Callable[[Any], Any]] = {
    "take": lambda ids: keras.ops.take(table(), ids, axis=0),
    "embedding": lambda ids: keras.layers.Embedding(ROWS, 2, embeddings_initializer=_ranged)(ids),
    "gather": lambda ids: tf.gather(whole(table()), ids),
    "through identities": lambda ids: tf.gather(tf.identity(tf.identity(whole(table()))), ids),
    "the first of two": first_gather_of_two,
}


def _ranged(shape: Any, dtype: Any = None) -> Any:
    return tf.reshape(tf.range(shape[0] * shape[1], dtype=dtype), shape)


class TestReplaced:
    @pytest.mark.parametrize(
        "ids", [IDS, IDS.astype(np.int32), np.array(3), np.zeros([0, 2], np.int64)]
    )
    @pytest.mark.parametrize("build", GATHERS.values(), ids=GATHERS)
    def test_gathers_read_their_rows_alone(
        self, build: Callable[[Any], Any], ids: Any, dense: Any
    ) -> None:
        made = dense(build, ids)
        assert "ReadVariableOp" in types(made.result)
        expected = value(made, made.result, ids)
        np.testing.assert_array_equal(expected, TABLE[ids])
        operations = made.graph.get_operations()
        replaced = read_rows_alone(made.graph, made.result)
        assert list(replaced) == [op for op in operations if op.type == "ReadVariableOp"]
        gathers = [op.type for others in replaced.values() for op in others]
        assert gathers == ["ResourceGather" for op in operations if op.type == "GatherV2"]
        assert types(made.result) & {"ReadVariableOp", "ResourceGather"} == {"ResourceGather"}
        # Another function of the graph, since the first one was made before.
        again = program.PrunedFunction(made.graph, made.inputs, [made.result])
        np.testing.assert_array_equal(again(tf.constant(ids))[0], expected)

    def test_negative_ids_count_from_the_end(self) -> None:
        """Keras asks for the shape of the table then: a constant takes the place of the answer."""
        ids = np.array([-1, 2, -ROWS])
        made = traced(lambda ids: keras.ops.take(table(), ids, axis=0), ids)
        assert "ReadVariableOp" not in types(made.result)
        np.testing.assert_array_equal(value(made, made.result, ids), TABLE[ids])

    def test_no_tensor_of_a_step_has_all_rows(self) -> None:
        made = traced(GATHERS["embedding"])
        for op in ordering.reachable_operations([made.result]):
            shapes = [output.shape.as_list() for output in op.outputs if output.shape.rank]
            assert not any(ROWS in shape for shape in shapes)

    def test_the_gradient_has_the_rows_gathered(self, dense: Any) -> None:
        def build(ids: Any) -> Any:
            variable = table()
            rows = keras.ops.take(variable, ids, axis=0)
            (gradient,) = tf.gradients(tf.reduce_sum(rows**2), [variable.value])
            return gradient.values, gradient.indices

        first, second = dense(build), traced(build)
        assert "ReadVariableOp" not in types(second.result[0])
        for place, expected in enumerate((2.0 * TABLE[IDS.ravel()], IDS.ravel())):
            np.testing.assert_array_equal(value(first, first.result[place]), expected)
            np.testing.assert_array_equal(value(second, second.result[place]), expected)

    def test_rows_are_those_before_a_later_write(self) -> None:
        def build(ids: Any) -> Any:
            variable = table()
            rows = keras.ops.take(variable, ids, axis=0)
            variable.assign(10.0 * rows[0, 0, 0] + tf.zeros_like(TABLE))
            return rows

        made = traced(build)
        assert "ResourceGather" in types(made.result)
        updates = made.state_updates
        np.testing.assert_array_equal(value(made, made.result, operations=updates), TABLE[IDS])
        second = np.full([2, 3, 2], 10.0 * TABLE[5, 0])
        np.testing.assert_array_equal(value(made, made.result, operations=updates), second)

    def test_rows_are_those_after_an_earlier_write(self) -> None:
        def build(ids: Any) -> Any:
            variable = table()
            variable.assign_add(tf.cast(tf.reduce_max(ids), tf.float32) + tf.zeros_like(TABLE))
            return keras.ops.take(variable, ids, axis=0)

        made = traced(build)
        assert "ResourceGather" in types(made.result)
        np.testing.assert_array_equal(
            value(made, made.result, operations=made.state_updates), TABLE[IDS] + 6.0
        )

    def test_what_the_old_ops_waited_for_is_kept(self) -> None:
        def build(ids: Any) -> Any:
            variable = table()
            count = v1.get_variable("count", [], initializer=v1.zeros_initializer())
            with tf.control_dependencies([count.assign_add(1.0, read_value=False)]):
                rows = whole(variable)
            with tf.control_dependencies([count.assign_add(10.0, read_value=False)]):
                return tf.gather(rows, ids), count.initializer, count

        made = traced(build)
        rows, initializer, count = made.result
        assert "ReadVariableOp" not in types(rows)
        made.function([], [initializer])()
        value(made, rows)
        assert count.memory.numpy() == 11.0


def returned(ids: Any) -> Any:
    rows = whole(table())
    return tf.gather(rows, ids), {"whole": [rows], 3: None}


def waited_for(ids: Any) -> Any:
    rows = whole(table())
    with tf.control_dependencies([rows]):
        tf.no_op()
    return (tf.gather(rows, ids),)


def with_another_consumer(ids: Any) -> Any:
    rows = whole(table())
    tf.reduce_sum(rows)
    return (tf.gather(rows, ids),)


def with_another_consumer_of_an_identity(ids: Any) -> Any:
    rows = whole(table())
    tf.reduce_sum(tf.identity(rows))
    return (tf.gather(rows, ids),)


def on_another_axis(ids: Any) -> Any:
    return (tf.gather(whole(table()), tf.minimum(ids, 1), axis=1),)


def by_short_ids(ids: Any) -> Any:
    return (tf.gather(whole(table()), tf.cast(ids, tf.int16)),)


def by_ids_of_the_table(ids: Any) -> Any:
    rows = whole(keras.Variable([2, 0, 1], name="table"))
    return (tf.gather(rows, rows) + tf.reduce_sum(0 * tf.cast(ids, tf.int32)),)


def before_a_write(ids: Any) -> Any:
    variable = table()
    rows = whole(variable)
    variable.assign(tf.cast(tf.reduce_max(ids), tf.float32) + tf.zeros_like(TABLE))
    return (tf.gather(rows, ids),)


def by_tf1_code(ids: Any) -> Any:
    variable = v1.get_variable("table", initializer=tf.constant(TABLE))
    return (tf.gather(variable.read_value(), ids),)


def with_a_write_that_waits_for_one_gather(ids: Any) -> Any:
    variable = table()
    rows = whole(variable)
    first, second = tf.gather(rows, ids), tf.gather(rows, ids + 0)
    with tf.control_dependencies([first]):
        variable.value.assign(tf.zeros_like(TABLE))
    return (second,)


def edges(graph: tf.Graph) -> list[tuple[str, list[str]]]:
    return [(op.name, [tensor.name for tensor in op.inputs]) for op in graph.get_operations()]


@pytest.mark.parametrize(
    "build",
    [
        returned,
        waited_for,
        with_another_consumer,
        with_another_consumer_of_an_identity,
        on_another_axis,
        by_short_ids,
        by_ids_of_the_table,
        before_a_write,
        by_tf1_code,
        with_a_write_that_waits_for_one_gather,
    ],
)
def test_reads_that_stay(build: Callable[[Any], Any], dense: Any) -> None:
    made = dense(build)
    before = edges(made.graph)
    assert "ReadVariableOp" in types(made.result[0])
    assert read_rows_alone(made.graph, made.result) == {}
    assert edges(made.graph) == before


def test_a_read_that_stays_comes_before_the_write() -> None:
    made = traced(before_a_write)
    rows = made.result[0]
    np.testing.assert_array_equal(value(made, rows, operations=made.state_updates), TABLE[IDS])
    assert value(made, rows).tolist() == np.full([2, 3, 2], 6.0).tolist()
