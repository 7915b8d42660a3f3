"""TensorFlow's private names do what the engine asks of them, in the TensorFlow that is installed.

A TensorFlow that moves a name fails here, with that name, before it fails anywhere else.
"""

import ast
import copy
import importlib
import inspect
import logging
import pathlib
import pkgutil
import sys

import pytest
import tensorflow as tf
from tensorflow.python.util import deprecation

from kestimator.engine import tf_internals
from kestimator.engine.tf_internals import (
    tf_datasets,
    tf_distribution,
    tf_execution,
    tf_functions,
    tf_gradients,
    tf_meta_graphs,
    tf_moved_names,
    tf_operations,
    tf_profiles,
    tf_seeds,
    tf_summaries,
    tf_tensors,
    tf_variables,
)

v1 = tf.compat.v1
MODULES = [info.name for info in pkgutil.iter_modules(tf_internals.__path__)]


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def computed(tensor):
    with v1.Session(graph=tensor.graph) as session:
        return session.run(tensor)


class TestOperations:
    def test_set_attribute(self, graph):
        op = tf.constant(1).op
        tf_operations.set_attribute(op, "_mark", b"seen")
        assert op.get_attr("_mark") == b"seen"

    def test_replace_input(self, graph):
        total = tf.add(1, tf.constant(2))
        tf_operations.replace_input(total.op, 1, tf.constant(40))
        assert computed(total) == 41

    def test_add_control_inputs(self, graph):
        first, second = tf.constant(1).op, tf.constant(2).op
        tf_operations.add_control_inputs(second, [first])
        assert list(second.control_inputs) == [first]

    @pytest.mark.parametrize(
        ("name", "module"),
        [
            ("__tf_tensor__", "framework.ops"),
            ("_get_graph_from_inputs", "framework.ops"),
            ("_colocate_with_for_gradient", "framework.ops"),
            ("_op_to_colocate_with", "framework.ops"),
            ("EnableControlFlowV2", "ops.control_flow_util"),
        ],
    )
    def test_builders(self, name, module):
        assert name in (
            tf_operations.BUILDERS_THAT_CAPTURE | tf_operations.BUILDERS_OF_CONTROL_FLOW
        )
        source = inspect.getsource(importlib.import_module(f"tensorflow.python.{module}"))
        functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
        asking = [one for one in functions if one.name == name and asks_what_is_built(one)]
        assert asking

    def test_all_builders_are_tested(self):
        (marker,) = self.test_builders.pytestmark
        assert {name for name, _ in marker.args[1]} == (
            tf_operations.BUILDERS_THAT_CAPTURE | tf_operations.BUILDERS_OF_CONTROL_FLOW
        )


def asks_what_is_built(function):
    nodes = ast.walk(function)
    return any(isinstance(n, ast.Attribute) and n.attr == "building_function" for n in nodes)


class TestFunctions:
    def test_function_of_ops(self, graph):
        x = v1.placeholder(tf.float32, [])
        y = 3 * x
        body = [op for op in graph.get_operations() if op is not x.op]
        made = tf_functions.function_of_ops(graph, "tf_internals_triple", body, [x], [y], [])
        with tf_execution.eager_mode():
            (tripled,) = made.call_flat(tf.constant(2.0))
            (again,) = tf_functions.call_by_name(made.name, [tf.constant(3.0)], 1)
            assert (tripled.numpy(), again.numpy()) == (6.0, 9.0)

    def test_it_runs_operations_and_calls_functions(self):
        variable = tf.Variable(1.0)
        graph = tf_functions.function_graph("outer")
        with graph.as_default():
            x = v1.placeholder(tf.float32, [])
            handle = v1.placeholder(tf.resource, [])
            tf_tensors.copy_handle_data(variable.handle, handle)
            write = tf.raw_ops.AssignVariableOp(resource=handle, value=tf.function(tf.exp)(x))
        (called,) = tf_functions.called_functions(graph)
        assert called.cached_definition.node_def
        body = [op for op in graph.get_operations() if op.type != "Placeholder"]
        inputs = [x, handle]
        made = tf_functions.function_of_ops(graph, "tf_internals_w", body, inputs, [], [write])
        made.call_flat(tf.constant(0.0), variable.handle)
        variable.assign_add(0.5)
        assert variable.numpy() == 1.5
        assert made.call_options.is_stateful

    def test_function_graph(self):
        graph = tf_functions.function_graph("inner")
        assert (graph.name, graph.building_function) == ("inner", True)
        assert isinstance(graph, tf_functions.MAKER_OF_NESTED_OPS[0])

    def test_add_function(self, graph):
        outer = tf_functions.function_graph("outer")
        with outer.as_default():
            tf.function(tf.exp)(tf.constant(0.0))
        (function,) = tf_functions.called_functions(outer)
        tf_functions.add_function(graph, function)
        assert [one.name for one in tf_functions.called_functions(graph)] == [function.name]

    def test_maker_of_nested_ops(self, monkeypatch):
        owner, name = tf_functions.MAKER_OF_NESTED_OPS
        original, made = getattr(owner, name), []

        def make(graph, op_type, inputs, dtypes=None, input_types=None, name=None, *rest, **more):
            made.append(op_type)
            return original(graph, op_type, inputs, dtypes, input_types, name, *rest, **more)

        monkeypatch.setattr(owner, name, make)
        tf.function(lambda: tf.random.uniform([2]), autograph=False)()
        assert "RandomUniform" in made


class TestExecution:
    def test_eager_mode(self, graph):
        assert not tf.executing_eagerly()
        with tf_execution.eager_mode():
            assert tf.executing_eagerly()

    def test_background(self):
        executor = tf_execution.background_executor()
        with tf_execution.running_on(executor):
            later = tf.constant(1) + 1
        executor.wait()
        assert later.numpy() == 2

    def test_errors_in_the_background_wait(self):
        executor = tf_execution.background_executor()
        with tf_execution.running_on(executor):
            tf.raw_ops.CheckNumerics(tensor=float("nan"), message="seen")
        with pytest.raises(tf.errors.InvalidArgumentError, match="seen"):
            executor.wait()
        executor.clear_error()
        executor.wait()

    def test_call_options(self):
        # A copy: `function_executor_type` changes the object itself.
        kept = copy.copy(tf_execution.call_options())
        with tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR"):
            inside = tf_execution.call_options()
            assert inside.executor_type == "SINGLE_THREADED_EXECUTOR"
        v1.ConfigProto.FromString(inside.config_proto_serialized or b"")
        tf_execution.set_call_options(inside)
        try:
            assert tf_execution.call_options() is inside
        finally:
            tf_execution.set_call_options(kept)
        assert tf_execution.call_options() is kept
        assert not kept.executor_type

    def test_recording(self):
        tf_execution.start_recording()
        try:
            tf.function(lambda x: x + 1)(tf.constant(1))
            recorded = tf_execution.recorded()
        finally:
            tf_execution.stop_recording()
        assert isinstance(recorded, v1.RunMetadata)
        assert "AddV2" in [node.op for part in recorded.partition_graphs for node in part.node]

    def test_profiles(self, tmp_path):
        with tf.profiler.experimental.Profile(str(tmp_path)):
            tf.constant(1.0) + 1.0
        (path,) = tmp_path.rglob("*.xplane.pb")
        assert "/host:CPU" in [plane.name for plane in tf_profiles.parsed(path.read_bytes()).planes]

    def test_without_deprecations(self):
        @deprecation.deprecated(None, "Use another one.", warn_once=False)
        def old():
            pass

        notes = []
        handler = logging.Handler()
        handler.emit = notes.append
        logger = logging.getLogger("tensorflow")
        logger.addHandler(handler)
        try:
            with tf_execution.without_deprecations():
                old()
            assert notes == []
            old()
            assert len(notes) == 1
        finally:
            logger.removeHandler(handler)

    def test_session_interface(self):
        assert issubclass(v1.Session, tf_execution.SessionInterface)


class TestTensors:
    def test_is_eager(self, graph):
        inside = tf.constant(1)
        with tf_execution.eager_mode():
            outside = tf.constant(1)
        assert tf_tensors.is_eager(outside)
        assert not any(map(tf_tensors.is_eager, [inside, 1, None]))

    def test_class_in_graphs(self, graph):
        assert type(tf.constant(1)) is tf_tensors.class_in_graphs()
        with tf_execution.eager_mode():
            assert type(tf.constant(1)) is not tf_tensors.class_in_graphs()

    def test_handle_data(self, graph):
        with tf_execution.eager_mode():
            handle = tf.Variable([1.0, 2.0]).handle
            table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        placeholder = v1.placeholder(tf.resource, [])
        assert tf_tensors.handle_data(placeholder) is None
        assert tf_tensors.handle_data(table.resource_handle) is None
        tf_tensors.copy_handle_data(handle, placeholder)
        for one in (handle, placeholder):
            data = tf_tensors.handle_data(one)
            assert tf.as_dtype(data.dtype) == tf.float32
            assert tf.TensorShape(data.shape) == [2]

    def test_record_capture(self):
        external = tf.constant(2.0)
        with tf.GradientTape() as tape:
            tape.watch(external)
            graph = tf_functions.function_graph("taped")
            with graph.as_default():
                internal = v1.placeholder(tf.float32, [])
                tf_tensors.record_capture(internal, external)
                square = internal * internal
        with graph.as_default():
            assert tape.gradient(square, external) is not None


class TestVariables:
    def test_classes(self):
        variable = tf.Variable(1.0)
        assert isinstance(variable, tf_variables.ResourceVariable)
        assert isinstance(variable, tf_variables.BaseResourceVariable)
        assert issubclass(tf_variables.UnreadVariable, tf_variables.BaseResourceVariable)

    def test_unread_variable(self, graph):
        with v1.variable_scope("", use_resource=True):
            assigned = v1.get_variable("v", initializer=1.0).assign(2.0, read_value=True)
        assert isinstance(assigned, tf_variables.UnreadVariable)

    def test_variable_def(self, graph):
        variable = v1.get_variable("v", initializer=1.0, use_resource=True)
        definition = variable.to_proto()
        assert isinstance(definition, tf_variables.VariableDef)
        assert (definition.variable_name, definition.is_resource) == ("v:0", True)

    def test_uninitialized(self):
        variable = tf_variables.uninitialized("v", tf.TensorShape([2]), tf.int64)
        assert (variable.shape, variable.dtype, variable.trainable) == ([2], tf.int64, False)
        assert not tf.raw_ops.VarIsInitializedOp(resource=variable.handle)
        variable.assign([1, 2])
        assert tf.raw_ops.VarIsInitializedOp(resource=variable.handle)

    def test_unique_id(self):
        first, second = tf.Variable(1.0), tf.Variable(1.0)
        assert isinstance(tf_variables.unique_id(first), str)
        assert tf_variables.unique_id(first) != tf_variables.unique_id(second)

    def test_own_handle(self):
        variable = tf.Variable(1.0)
        assert tf_variables.own_handle(variable) is variable.handle
        assert tf_variables.has_handle(variable)
        assert not tf_variables.has_handle(tf.constant(1.0))
        with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
            assert tf_variables.own_handle(tf.Variable(1.0)) is None

    def test_read_op(self, graph):
        variable = v1.get_variable("v", initializer=1.0, use_resource=True)
        read = tf_variables.read_op(variable)
        assert read.op.type == "ReadVariableOp"
        assert read.op.inputs[0] is variable.handle

    def test_fetched(self, graph):
        variable = v1.get_variable("v", initializer=1.0, use_resource=True)
        assert tf_variables.is_fetchable(variable)
        assert tf_variables.fetched(variable).op.type == "ReadVariableOp"
        assert not tf_variables.is_fetchable("v")

    def test_slice_info(self, graph):
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(2), use_resource=True):
            first, second = v1.get_variable("v", shape=[4])
        whole = v1.get_variable("whole", initializer=1.0, use_resource=True)
        assert tf_variables.slice_info(whole) is None
        info = tf_variables.slice_info(second)
        assert (info.full_name, list(info.full_shape), info.var_offset) == ("v", [4], [2])
        tf_variables.set_slice_info(first, info)
        assert tf_variables.slice_info(first) is info


class TestSeeds:
    def test_global_seed(self):
        before = tf_seeds.global_seed()
        try:
            tf.random.set_seed(17)
            assert tf_seeds.global_seed() == 17
        finally:
            tf.random.set_seed(before)

    def test_count(self, graph):
        graph.seed = 1
        assert tf_seeds.counted(graph) == 0
        tf_seeds.count_from(graph, 5)
        assert v1.get_seed(None) == (1, 5)
        assert tf_seeds.counted(graph) == 6

    def test_owners_of_get_seed(self, graph, monkeypatch):
        asked = []

        def get_seed(seed):
            asked.append(seed)
            return 3, 4

        owners = tf_seeds.owners_of_get_seed()
        for owner in owners:
            assert owner.get_seed(7) == (87654321, 7)
            monkeypatch.setattr(owner, "get_seed", get_seed)
        tf.random.uniform([2], seed=8)
        tf.data.Dataset.range(3).shuffle(3, seed=9)
        tf.compat.v1.get_seed(10)
        tf.compat.v1.random.get_seed(11)
        assert {id(tf.compat.v1), id(tf.compat.v1.random)} <= set(map(id, owners))
        assert asked == [8, 9, 10, 11]


class TestSummaries:
    def test_resource(self, tmp_path):
        writer = tf.summary.create_file_writer(str(tmp_path))
        assert isinstance(writer, tf_summaries.ResourceSummaryWriter)
        assert tf_summaries.resource_of(writer).dtype == tf.resource
        writer.close()

    def test_summary_state(self, tmp_path):
        default = tf.summary.experimental.get_step
        state = {}
        with tf_summaries.summary_state(state):
            tf.summary.experimental.set_step(7)
        assert default() is None
        with tf_summaries.summary_state(state):
            assert default() == 7
        assert default() is None

    def test_release_of_a_writer(self, tmp_path):
        directory = str(tmp_path)
        with tf.Graph().as_default():
            events = tf.compat.v1.summary.FileWriterCache.get(directory).event_writer
        tf_summaries.release_writer(directory)
        assert events._closed  # nobody else held it
        tf_summaries.release_writer(directory)  # there is none
        with tf.Graph().as_default():
            again = tf.compat.v1.summary.FileWriterCache.get(directory)
        assert again.event_writer is not events


def test_gradients():
    @tf.custom_gradient
    def squared(x):
        return x * x, lambda upstream: upstream * 7.0

    def through(x):
        return tf.while_loop(lambda i, _: i < 1, lambda i, y: (i + 1, squared(y)), (0, x))[1]

    def negated(gradient):
        return lambda *args: [g if g is None else -g for g in gradient(*args)]

    before = tf_gradients.registered_gradients()
    with tf.Graph().as_default() as graph:
        x = tf.constant(2.0)
        y = squared(x)
        (name,) = tf_gradients.registered_gradients() - before
        assert tf_gradients.gradients_of_ops(graph) == {name}
        tf_gradients.exchange_gradient(name, negated)
        (gradient,) = tf.gradients(y, x)
        with tf.compat.v1.Session() as session:
            assert session.run(gradient) == -7.0
        through(x)
        assert len(tf_gradients.gradients_of_functions(graph) - before - {name}) == 1
    assert tf_gradients.registered_gradients() > before | {name}
    tf_gradients.forget_gradient(name)
    assert name not in tf_gradients.registered_gradients()


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


class TestDistribution:
    def test_classes(self, strategy):
        on_read = {
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.SUM,
        }
        with strategy.scope():
            mirrored, read = tf.Variable(1.0), tf.Variable(1.0, **on_read)
        assert isinstance(mirrored, tf_distribution.MirroredVariable)
        assert isinstance(read, tf_distribution.SyncOnReadVariable)
        for variable in (mirrored, read):
            assert isinstance(variable, tf_distribution.DistributedVariable)
            assert len(variable.values) == 1

    def test_reduction(self):
        asked = tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(["/cpu:0"], cross_device_ops=asked)
        assert tf_distribution.reduction(strategy) is asked
        other = tf.distribute.ReductionToOneDevice()
        tf_distribution.set_reduction(strategy, other)
        assert strategy.extended._get_cross_device_ops(tf.constant(1.0)) is other

    def test_is_collective(self, strategy):
        assert tf_distribution.is_collective(tf_distribution.reduction(strategy))
        assert not tf_distribution.is_collective(tf.distribute.ReductionToOneDevice())

    def test_scaled_losses(self, strategy):
        with tf_distribution.scaled_losses(strategy):
            assert strategy._scale_loss_for_estimator
        assert not strategy._scale_loss_for_estimator

    def test_workers_of(self):
        # More than one needs several processes: see tests/distribute.
        assert tf_distribution.workers_of(tf.distribute.MultiWorkerMirroredStrategy()) == (1, 0)


class TestMetaGraphs:
    def test_files(self, graph, tmp_path):
        tf.constant(1, name="one")
        binary, text = str(tmp_path / "binary"), str(tmp_path / "text")
        v1.train.export_meta_graph(binary)
        v1.train.export_meta_graph(text, as_text=True)
        for path in (binary, text):
            (node,) = tf_meta_graphs.read_meta_graph(path).graph_def.node
            assert node.name == "one"

    def test_importer(self, graph, monkeypatch):
        seen = []
        owner, name = tf_meta_graphs.IMPORTER
        original = getattr(owner, name)

        def load(meta_graph, *args, **kwargs):
            seen.append(meta_graph)
            return original(meta_graph, *args, **kwargs)

        monkeypatch.setattr(owner, name, load)
        meta_graph = v1.train.export_meta_graph()
        v1.train.import_meta_graph(meta_graph)
        assert seen == [meta_graph]

    def test_saved_models(self, tmp_path):
        asset, directory = tmp_path / "words.txt", str(tmp_path / "saved")
        asset.write_text("one")
        module = tf.Module()
        module.words = tf.saved_model.Asset(str(asset))
        tf.saved_model.save(module, directory)
        (meta_graph,) = tf_meta_graphs.read_saved_model(directory).meta_graphs
        assert meta_graph.meta_info_def.tags == ["serve"]
        (path,) = tf_meta_graphs.asset_paths(directory, meta_graph).values()
        assert pathlib.Path(path.decode()).read_text() == "one"

    def test_no_saved_model(self, tmp_path):
        with pytest.raises(OSError, match=r"saved_model\.pb"):
            tf_meta_graphs.read_saved_model(str(tmp_path))


class TestDatasets:
    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda data: data, "TensorSlice"),
            (lambda data: tf.data.Dataset.from_tensors(1), "Tensor"),
            (lambda data: tf.data.Dataset.range(3), "Range"),
            (lambda data: data.take(1), "Take"),
            (lambda data: data.skip(1), "Skip"),
            (lambda data: data.repeat(), "Repeat"),
            (lambda data: data.batch(2), "Batch"),
            (lambda data: tf.data.Dataset.zip(data, data), "Zip"),
            (lambda data: data.cache(), "Cache"),
            (lambda data: data.map(tf.abs), "Map"),
        ],
    )
    def test_kind(self, make, kind):
        assert tf_datasets.kind(make(tf.data.Dataset.from_tensor_slices([1, 2]))) == kind

    def test_inputs(self):
        data = tf.data.Dataset.range(3)
        assert list(tf_datasets.inputs(data)) == []
        assert list(tf_datasets.inputs(data.take(1))) == [data]

    def test_has_generator(self):
        spec = tf.TensorSpec([], tf.int32)
        data = tf.data.Dataset.from_generator(lambda: iter([1]), output_signature=spec)
        assert tf_datasets.has_generator(data.batch(1).map(tf.identity))
        assert not tf_datasets.has_generator(tf.data.Dataset.range(3).map(tf.identity))

    def test_types_of_ops(self):
        data = tf.data.Dataset.range(3)
        assert tf_datasets.types_of_ops(data) == set()
        assert "Neg" in tf_datasets.types_of_ops(data.map(tf.negative))
        nested = data.flat_map(lambda _: tf.data.Dataset.range(2).batch(2))
        assert "BatchDatasetV2" in tf_datasets.types_of_ops(nested)

    def test_types_of_ops_of_called_functions(self):
        data = tf.data.Dataset.range(3).map(
            lambda x: tf.cond(x > 0, lambda: tf.numpy_function(int, [x], tf.int64), lambda: x)
        )
        assert "PyFunc" in tf_datasets.types_of_ops(data)

    def test_is_stateful(self):
        assert not tf_datasets.is_stateful("Add")
        assert tf_datasets.is_stateful("RandomUniform")
        assert tf_datasets.is_stateful("an op that nothing has")

    @pytest.mark.parametrize("path", ["", "cached"])
    def test_cache_file(self, path):
        data = tf.data.Dataset.range(3).cache(path)
        assert tf.get_static_value(tf_datasets.cache_file(data)) == path.encode()

    def test_tracer(self):
        callers = []

        def look(x):
            frame = sys._getframe(1)
            while frame is not None:
                callers.append(str(frame.f_globals.get("__name__")))
                frame = frame.f_back
            return x

        tf.data.Dataset.range(3).map(look)
        assert tf_datasets.TRACER in callers
        assert any(caller.startswith(tf_datasets.PACKAGE) for caller in callers)


def public_names(module):
    source = inspect.getsource(importlib.import_module(f"{tf_internals.__name__}.{module}"))
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


class TestMovedNames:
    def test_for_tf_slim(self):
        values = {name: value for _, name, value in tf_moved_names.for_tf_slim()}
        assert values["Tensor"] is tf.Tensor
        assert values["cond"] is v1.cond
        assert values["variable"] is v1.Variable

    def test_contrib(self):
        assert tf_moved_names.contrib_lookup.StaticHashTable is tf.lookup.StaticHashTable
        assert callable(tf_moved_names.contrib_summary.record_summaries_every_n_global_steps)


@pytest.mark.parametrize("module", MODULES)
def test_all_names_are_tested(module):
    tree = ast.parse(pathlib.Path(__file__).read_text())
    tested = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == module
    }
    names = {name for name in public_names(module) if not name.startswith("_")}
    assert names
    assert names - tested == set()
