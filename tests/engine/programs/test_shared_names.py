"""Resources that a graph names: all functions of one program share them, and no other program."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store


def names_of_writers(directory: str) -> list[bytes]:
    def build(features: Any) -> Any:
        writer = tf.summary.create_file_writer(directory)
        tf.raw_ops.SummaryWriter(shared_name="by the user")
        tf.raw_ops.SummaryWriter(shared_name="by the user")
        return writer.init()

    traced = program.trace(
        build,
        element_spec=tf.TensorSpec([], tf.float32),
        name="writers",
        seed=None,
        store=variable_store.VariableStore(),
    )
    operations = traced.graph.get_operations()
    return [op.get_attr("shared_name") for op in operations if op.type == "SummaryWriter"]


def test_writers_of_summaries(tmp_path: Any) -> None:
    first, second = (names_of_writers(str(tmp_path)) for _ in range(2))
    assert first[1] == first[2] != first[0]
    assert not {*first} & {*second}
