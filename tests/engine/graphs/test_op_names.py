"""Names of tensors that programs ask for."""

from __future__ import annotations

import pytest
import tensorflow as tf

import kestimator
from kestimator.engine.graphs import op_names

fc = tf.feature_column


def test_a_second_name_is_for_graphs_alone() -> None:
    op_names.also_named(tf.constant(1.0), "name")  # nothing to name
    with tf.Graph().as_default() as graph:
        with op_names.scope("head"), op_names.scope(None):
            op_names.also_named(tf.constant([2.0]), "losses/logistic_loss")
        assert graph.get_tensor_by_name("head/losses/logistic_loss:0").shape == [1]


@pytest.mark.parametrize(
    ("name", "scope"),
    [("head", "head/"), ("my head", "my_head/"), ("_head", "._head/"), ("größe", "gr__e/")],
)
def test_any_name_of_a_head_gives_a_scope(name: str, scope: str) -> None:
    with tf.Graph().as_default(), op_names.scope(name) as opened:
        assert opened == scope


def test_names_of_the_first_replica_are_those_of_one() -> None:
    """The others stand below `replica_1`, as in the original."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    config = kestimator.RunConfig(train_distribute=strategy)
    columns = [fc.numeric_column("x")]
    estimator = kestimator.v1.DNNRegressor([2], columns, config=config)
    seen = {}

    class Shapes(kestimator.SessionRunHook):
        def after_create_session(self, session: object, coord: object) -> None:
            graph = tf.compat.v1.get_default_graph()
            for replica in ("", "replica_1/"):
                tensor = graph.get_tensor_by_name(f"{replica}dnn/head/truediv:0")
                seen[replica] = tensor.shape.rank

    data = tf.data.Dataset.from_tensors(({"x": [[1.0], [2.0]]}, [[1.0], [2.0]])).repeat()
    estimator.train(lambda: data, hooks=[Shapes()], steps=1)
    assert seen == {"": 0, "replica_1/": 0}
