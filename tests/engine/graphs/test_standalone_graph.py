"""A program's graph as a TF1 graph: it runs in a session of TensorFlow's, without the program."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store

v1 = tf.compat.v1


def imported(build) -> v1.Session:
    """A session over the graph of a program, in a graph of its own."""
    made = program.trace(
        build,
        element_spec=tf.TensorSpec([None], tf.float32),
        name="page",
        seed=3,
        store=variable_store.VariableStore(),
    )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(made.graph.as_graph_def(), name="")
    return v1.Session(graph=graph)


def test_a_variable_has_its_name_and_initializer() -> None:
    def build(x):
        w = v1.get_variable("w", [], initializer=v1.constant_initializer(3.0))
        return w * x

    with imported(build) as session:
        session.run("w/Assign")
        assert session.run("w/Read/ReadVariableOp:0") == 3.0
        handle = session.graph.get_operation_by_name("w")
        assert handle.type == "VarHandleOp"
        assert handle.get_attr("shared_name") == b"w"


def test_a_table_is_made_and_filled() -> None:
    def build(x):
        keys, values = tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
        table = tf.lookup.StaticHashTable(initializer, -1)
        tf.identity(table.lookup(tf.constant(["b", "c"])), name="found")
        return x

    with imported(build) as session:
        kinds = {op.type for op in session.graph.get_operations()}
        assert "HashTableV2" in kinds
        inits = [op for op in session.graph.get_operations() if "TableImport" in op.type]
        session.run(inits)
        assert session.run("found:0").tolist() == [2, -1]


def test_captured_numbers_become_constants() -> None:
    captured = tf.range(1000.0)

    def build(x):
        tf.reduce_sum(captured, name="sum")
        return x

    with imported(build) as session:
        assert session.run("sum:0") == pytest.approx(np.arange(1000.0).sum())


def test_random_ops_are_those_of_tf1() -> None:
    def build(x):
        tf.random.uniform([2], name="drawn")
        return x

    with imported(build) as session:
        kinds = {op.type for op in session.graph.get_operations()}
        assert "RandomUniform" in kinds
        assert not kinds & {"RngReadAndSkip", "StatelessRandomUniformV2"}
        first, second = (
            session.run(["drawn/RandomUniform:0"]),
            session.run(["drawn/RandomUniform:0"]),
        )
        assert not np.array_equal(first, second)
