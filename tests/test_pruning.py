"""Parts of graphs: called, copied, put into other graphs, and run on one thread."""

import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine import modes, program, pruning, small_updates


@pytest.fixture
def graph():
    return program.ProgramGraph("page")


def inlined(function, values):
    """Runs what `function.inlined` puts into a graph of its own."""
    target = program.ProgramGraph("target")
    with target.as_default():
        feeds = [tf.compat.v1.placeholder(value.dtype, value.shape) for value in values]
        tensors, operations = function.inlined(*feeds)
        with tf.control_dependencies(operations):
            tensors = [tf.identity(tensor) for tensor in tensors]
    run = pruning.PrunedFunction(target, feeds, tensors, operations)
    return [tensor.numpy() for tensor in run(*values)]


def test_only_what_is_fetched_is_put_into_the_other_graph(graph):
    variable = tf.Variable(1.0)
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [])
        product = variable * x
        write = variable.assign_add(x)
        variable.assign(-1.0)
    assert inlined(pruning.PrunedFunction(graph, [x], [product]), [tf.constant(3.0)]) == [3.0]
    assert variable.numpy() == 1.0
    function = pruning.PrunedFunction(graph, [x], [x], [write.op])
    assert inlined(function, [tf.constant(3.0)]) == [3.0]
    assert variable.numpy() == 4.0


def test_tensors_amid_the_graph_are_fed(graph):
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [])
        doubled = 2 * x
        with tf.control_dependencies([doubled]):
            result = doubled + 1
    function = pruning.PrunedFunction(graph, [doubled], [result])
    assert [value.numpy() for value in function(tf.constant(5.0))] == [6.0]
    assert inlined(function, [tf.constant(5.0)]) == [6.0]


def test_branches_do_not_run_on_one_thread(graph):
    with graph.as_default():
        n = tf.compat.v1.placeholder(tf.int32, [])
        branched = tf.cond(n > 0, lambda: n, lambda: -n)
    assert not pruning.PrunedFunction(graph, [n], [branched]).runs_on_one_thread


def test_a_loop_alone_runs_on_one_thread(graph):
    with graph.as_default():
        n = tf.compat.v1.placeholder(tf.int32, [])
        looped = tf.while_loop(lambda i: i < n, lambda i: [i + 2], [0])[0]
    function = pruning.PrunedFunction(graph, [n], [looped])
    assert function.runs_on_one_thread
    with modes.on_one_thread(True):
        assert inlined(function, [tf.constant(5)]) == [6]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize(
    ("elements", "is_replaced"), [(511, False), (512, True), (16_384, True), (16_385, False)]
)
def test_adam_of_small_variables_is_computed_by_plain_ops(graph, elements, is_replaced, dtype):
    def variables():
        random = np.random.RandomState(1)
        return [tf.Variable(random.rand(elements), dtype=dtype) for _ in range(3)]

    def update(var, m, v):
        numbers = [tf.constant(x, dtype) for x in (0.9**3, 0.999**3, 0.01, 0.9, 0.999, 1e-8)]
        grad = tf.cast(tf.linspace(-1.0, 1.0, elements), dtype)
        tf.raw_ops.ResourceApplyAdam(
            **{"var": var.handle, "m": m.handle, "v": v.handle, "grad": grad},
            **dict(
                zip(
                    ("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon"),
                    numbers,
                    strict=True,
                )
            ),
        )

    expected, found = variables(), variables()
    update(*expected)
    with graph.as_default():
        update(*found)
    (op,) = [op for op in graph.get_operations() if op.type == "ResourceApplyAdam"]
    assert bool(small_updates.plain_update(op)) == is_replaced
    with modes.on_one_thread(True):
        inlined(pruning.PrunedFunction(graph, [], [], [op]), [])
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-6)
