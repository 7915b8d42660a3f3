"""Parts of graphs: called, copied, put into other graphs, and run on one thread."""

import numpy as np
import pytest
import tensorflow as tf

from kestimator.engine.graphs import pruned_function
from kestimator.engine.programs import program
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_store


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
    run = pruned_function.PrunedFunction(target, feeds, tensors, operations)
    return [tensor.numpy() for tensor in run(*values)]


def test_only_what_is_fetched_is_put_into_the_other_graph(graph):
    variable = tf.Variable(1.0)
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [])
        product = variable * x
        write = variable.assign_add(x)
        variable.assign(-1.0)
    assert inlined(pruned_function.PrunedFunction(graph, [x], [product]), [tf.constant(3.0)]) == [
        3.0
    ]
    assert variable.numpy() == 1.0
    function = pruned_function.PrunedFunction(graph, [x], [x], [write.op])
    assert inlined(function, [tf.constant(3.0)]) == [3.0]
    assert variable.numpy() == 4.0


def test_tensors_amid_the_graph_are_fed(graph):
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [])
        doubled = 2 * x
        with tf.control_dependencies([doubled]):
            result = doubled + 1
    function = pruned_function.PrunedFunction(graph, [doubled], [result])
    assert [value.numpy() for value in function(tf.constant(5.0))] == [6.0]
    assert inlined(function, [tf.constant(5.0)]) == [6.0]


def test_one_of_several_outputs_is_fed_and_the_others_are_computed(graph):
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [2])
        first, second = tf.unstack(x)
        result = first + 10 * second
    function = pruned_function.PrunedFunction(graph, [first, x], [result, first])
    values = [tf.constant(7.0), tf.constant([1.0, 2.0])]
    assert [value.numpy() for value in function(*values)] == [27.0, 7.0]
    assert inlined(function, values) == [27.0, 7.0]


def test_branches_do_not_run_on_one_thread(graph):
    with graph.as_default():
        n = tf.compat.v1.placeholder(tf.int32, [])
        branched = tf.cond(n > 0, lambda: n, lambda: -n)
    assert not pruned_function.PrunedFunction(graph, [n], [branched]).runs_on_one_thread


def test_a_loop_alone_runs_on_one_thread(graph):
    with graph.as_default():
        n = tf.compat.v1.placeholder(tf.int32, [])
        looped = tf.while_loop(lambda i: i < n, lambda i: [i + 2], [0])[0]
    function = pruned_function.PrunedFunction(graph, [n], [looped])
    assert function.runs_on_one_thread
    with execution_modes.on_one_thread(True):
        assert inlined(function, [tf.constant(5)]) == [6]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize(("elements", "plain"), [(511, False), (512, True), (16_385, False)])
def test_adam_of_small_variables_is_computed_by_plain_ops(graph, elements, plain, dtype):
    numbers = (0.9**3, 0.999**3, 0.01, 0.9, 0.999, 1e-8)
    names = ("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon")
    random = np.random.RandomState(1)
    start = random.rand(3, elements)

    def update(apply, variable_store):
        handles = {
            name: one.handle for name, one in zip(("var", "m", "v"), variable_store, strict=True)
        }
        grad = tf.cast(tf.linspace(-1.0, 1.0, elements), dtype)
        values = {name: tf.constant(n, dtype) for name, n in zip(names, numbers, strict=True)}
        return apply(**handles, **values, grad=grad)

    expected = [tf.Variable(value, dtype=dtype) for value in start]
    update(tf.raw_ops.ResourceApplyAdam, expected)
    found = [tf.Variable(value, dtype=dtype) for value in start]
    with graph.as_default():
        operation = update(tf.raw_ops.ResourceApplyAdam, found)
    assert ("ResourceApplyAdam" not in {op.type for op in graph.get_operations()}) == plain
    inlined(pruned_function.PrunedFunction(graph, [], [], [operation]), [])
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-6)


def test_tf1_adam_takes_plain_ops():
    def build(_):
        weights = tf.compat.v1.get_variable("weights", [32, 32])
        tf.compat.v1.train.AdamOptimizer().minimize(tf.reduce_sum(weights**2))

    store = variable_store.VariableStore()
    made = program.trace(build, element_spec=(), name="adam", seed=None, store=store)
    types = {op.type for op in made.graph.get_operations()}
    assert "AssignSubVariableOp" in types
    assert "ResourceApplyAdam" not in types
