"""The variables of a program: names, order, collections, first values, and their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.engine.programs import program
from kestimator.engine.tf_internals import tf_variables
from kestimator.engine.variables import variable_creator, variable_store

v1: Any = tf.compat.v1
ONES, ZEROS = v1.ones_initializer(), v1.zeros_initializer()


def traced(build: Callable[[], Any], store: Any = None) -> program.Program:
    """A program without inputs."""
    return program.trace(
        lambda _: build(),
        element_spec=(),
        name="page",
        seed=3,
        store=variable_store.VariableStore() if store is None else store,
    )


def initialize(made: program.Program, key: str = "GLOBAL_VARIABLES") -> None:
    views = made.graph.get_collection(getattr(v1.GraphKeys, key))
    made.function([], [view.initializer for view in views])()


def names(made: program.Program, key: str = "GLOBAL_VARIABLES") -> list[str]:
    """The names of the variables in a collection."""
    views = made.graph.get_collection(getattr(v1.GraphKeys, key))
    return [view.name.removesuffix(":0") for view in views]


def current_creator() -> variable_creator.VariableCreator:
    """The creator of the trace, in a trace."""
    return v1.get_default_graph().creator


def kernel_of(units: int = 1, width: int = 2, **options: Any) -> keras.layers.Dense:
    """A built layer that has only a kernel."""
    layer = keras.layers.Dense(units, use_bias=False, **options)
    layer.build((None, width))
    return layer


class TestNamesOfTF1:
    def test_are_those_of_a_tf1_graph(self) -> None:
        def build() -> None:
            v1.get_variable("w", [])
            with v1.variable_scope("outer"), v1.variable_scope("inner"):
                v1.get_variable("w", [])
                v1.Variable(0.0)
            with tf.name_scope("named"):
                v1.get_variable("v", [])  # only variable scopes count
                v1.Variable(0.0, name="own")
                v1.Variable(0.0, name="own")
            v1.Variable(0.0)
            v1.Variable(0.0)

        expected = ["w", "outer/inner/w", "outer/inner/Variable", "v", "named/own", "named/own_1"]
        made = traced(build)
        assert names(made) == [*expected, "Variable", "Variable_1"]

    def test_are_those_of_the_ops_and_of_the_store(self) -> None:
        def build() -> Any:
            with v1.variable_scope("scope"):
                return v1.get_variable("w", [2], initializer=ONES)

        store = variable_store.VariableStore()
        made = traced(build, store)
        view = made.result
        assert [slot.name for slot in store] == ["scope/w"]
        assert (view.op.name, view.op.type) == ("scope/w", "Placeholder")
        assert view.initializer.name == "scope/w/Assign"
        assert view.initial_value.op.name.startswith("scope/w/Initializer/")

    def test_of_parts(self) -> None:
        def build() -> Any:
            with v1.variable_scope("scope", partitioner=v1.fixed_size_partitioner(2)):
                rows = v1.get_variable("w", [3, 2], initializer=v1.constant_initializer(4.0))
                v1.get_variable("scalar", [], initializer=ZEROS)
            return rows, tf.convert_to_tensor(rows)

        store = variable_store.VariableStore()
        made = traced(build, store)
        rows, whole = made.result
        assert names(made) == ["scope/w/part_0", "scope/w/part_1", "scope/scalar"]
        assert [slot.variable.shape.as_list() for slot in store] == [[2, 2], [1, 2], []]
        found = [tf_variables.slice_info(part) for part in rows]
        assert [info.full_name for info in found] == ["scope/w", "scope/w"]
        assert [info.var_offset for info in found] == [[0, 0], [2, 0]]
        initialize(made)
        store["scope/w/part_1"].variable.assign([[5.0, 6.0]])
        (value,) = made.function([whole])()
        assert value.numpy().tolist() == [[4.0, 4.0], [4.0, 4.0], [5.0, 6.0]]

    def test_of_a_reused_variable(self) -> None:
        def build() -> Any:
            with v1.variable_scope("scope"):
                first = v1.get_variable("w", [2])
            with v1.variable_scope("scope", reuse=True):
                second = v1.get_variable("w", [2])
            with v1.variable_scope("scope", reuse=v1.AUTO_REUSE):
                return first, second, v1.get_variable("w", [2]), v1.get_variable("v", [2])

        made = traced(build)
        first, second, third, _ = made.result
        assert first is second is third
        assert names(made) == names(made, "TRAINABLE_VARIABLES") == ["scope/w", "scope/v"]

    @pytest.mark.parametrize(
        ("optimizer", "slots"),
        [
            (lambda: v1.train.GradientDescentOptimizer(0.1), []),
            (lambda: v1.train.MomentumOptimizer(0.1, 0.9), ["{}/Momentum"]),
            (lambda: v1.train.FtrlOptimizer(0.1), ["{}/Ftrl", "{}/Ftrl_1"]),
            (lambda: v1.train.AdamOptimizer(0.1), ["{}/Adam", "{}/Adam_1"]),
        ],
    )
    def test_of_slots(self, optimizer: Callable[[], Any], slots: list[str]) -> None:
        def build() -> None:
            with v1.variable_scope("scope"):
                weights = [v1.get_variable(name, [2]) for name in "vw"]
            optimizer().minimize(tf.add_n([tf.reduce_sum(weight) for weight in weights]))

        made = traced(build)
        shared = [name for name in names(made) if name.startswith("beta")]
        assert len(shared) == 2 if "{}/Adam" in slots else not shared
        expected = [slot.format(f"scope/{name}") for name in "vw" for slot in slots]
        assert names(made) == ["scope/v", "scope/w", *shared, *expected]
        assert names(made, "TRAINABLE_VARIABLES") == ["scope/v", "scope/w"]


class TestCollectionsOfTF1:
    @pytest.mark.parametrize(
        ("options", "collections"),
        [
            ({}, ["GLOBAL_VARIABLES", "TRAINABLE_VARIABLES"]),
            ({"trainable": False}, ["GLOBAL_VARIABLES"]),
            (
                {"synchronization": tf.VariableSynchronization.ON_READ, "trainable": False},
                ["GLOBAL_VARIABLES"],
            ),
            (
                {"synchronization": tf.VariableSynchronization.ON_READ},
                ["GLOBAL_VARIABLES"],
            ),
            (
                {"collections": [v1.GraphKeys.LOCAL_VARIABLES], "trainable": False},
                ["LOCAL_VARIABLES"],
            ),
            (
                {"collections": [v1.GraphKeys.LOCAL_VARIABLES, v1.GraphKeys.GLOBAL_VARIABLES]},
                ["GLOBAL_VARIABLES", "LOCAL_VARIABLES", "TRAINABLE_VARIABLES"],
            ),
            (
                {"collections": [v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.MODEL_VARIABLES]},
                ["GLOBAL_VARIABLES", "MODEL_VARIABLES", "TRAINABLE_VARIABLES"],
            ),
        ],
    )
    def test_are_those_asked_for(self, options: Any, collections: list[str]) -> None:
        store = variable_store.VariableStore()
        made = traced(lambda: v1.get_variable("w", [], initializer=ONES, **options), store)
        keys = (
            *("GLOBAL_VARIABLES", "LOCAL_VARIABLES", "MODEL_VARIABLES"),
            *("METRIC_VARIABLES", "TRAINABLE_VARIABLES"),
        )
        assert [key for key in keys if names(made, key)] == collections
        assert made.result.trainable == ("TRAINABLE_VARIABLES" in collections)
        is_local = "GLOBAL_VARIABLES" not in collections
        assert ("w" in store, "w" in made.local) == (not is_local, is_local)

    def test_local_variables_belong_to_each_program_alone(self) -> None:
        def build() -> Any:
            return v1.metrics.mean(tf.constant([2.0, 4.0]), name="m")

        store = variable_store.VariableStore()
        first, second = traced(build, store), traced(build, store)
        expected = ["m/total", "m/count"]
        assert names(first, "METRIC_VARIABLES") == names(first, "LOCAL_VARIABLES") == expected
        for made in (first, second):
            initialize(made, "LOCAL_VARIABLES")
        value, update = first.result
        first.function([update])()
        assert first.function([value])()[0].numpy() == 3.0
        assert second.local["m/total"].variable.numpy() == 0.0
        assert list(store) == []


class TestFirstValues:
    @pytest.mark.parametrize(
        ("make", "value"),
        [
            (lambda: v1.get_variable("w", [2], initializer=ONES), [1.0, 1.0]),
            (lambda: v1.get_variable("w", initializer=tf.constant([1, 2])), [1, 2]),
            (lambda: v1.Variable([1, 2], dtype=tf.float64), [1.0, 2.0]),
            (lambda: tf.Variable(lambda: tf.constant([3, 4])), [3, 4]),
            (lambda: tf.Variable(tf.range(2) + 5), [5, 6]),
        ],
    )
    def test_are_given_by_the_initializer(self, make: Callable[[], Any], value: Any) -> None:
        store = variable_store.VariableStore()
        made = traced(make, store)
        (slot,) = store
        assert not slot.is_initialized
        initialize(made)
        assert slot.variable.numpy().tolist() == value
        assert slot.variable.numpy().dtype == made.result.dtype.as_numpy_dtype
        (initial,) = made.function([made.result.initial_value])()
        assert initial.numpy().tolist() == value

    def test_may_depend_on_another_variable(self) -> None:
        def build() -> None:
            first = v1.get_variable("v", initializer=tf.constant(3.0))
            v1.get_variable("w", initializer=2.0 * first)

        store = variable_store.VariableStore()
        made = traced(build, store)
        for view in made.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES):
            made.function([], [view.initializer])()
        assert store["w"].variable.numpy() == 6.0

    def test_wait_for_nothing(self) -> None:
        def build() -> Any:
            with tf.control_dependencies([tf.no_op()]):
                return v1.get_variable("w", [], initializer=ONES)

        initializer = traced(build).result.initializer
        assert not initializer.control_inputs
        assert not any(tensor.op.control_inputs for tensor in initializer.inputs)

    def test_may_have_an_unknown_shape(self) -> None:
        def build() -> Any:
            value = v1.placeholder_with_default(tf.ones([3]), None)
            return v1.Variable(value, validate_shape=False)

        store = variable_store.VariableStore()
        made = traced(build, store)
        assert made.result.shape.rank is None
        initialize(made)
        assert store["Variable"].variable.numpy().tolist() == [1.0, 1.0, 1.0]

    def test_that_come_later_need_only_a_shape(self) -> None:
        """`tf.saved_model.load` asks for such variables."""

        def build() -> Any:
            return current_creator()(
                None, initial_value=None, name="w", shape=[2], dtype=tf.int64, trainable=None
            )

        store = variable_store.VariableStore()
        made = traced(build, store)
        assert made.result.initializer.type == "NoOp"
        assert made.result.initial_value is None
        assert (store["w"].variable.shape, store["w"].variable.dtype) == ([2], tf.int64)
        assert (names(made), names(made, "TRAINABLE_VARIABLES")) == (["w"], [])


class TestSecondPrograms:
    def test_have_the_memory_of_the_first(self) -> None:
        def build() -> Any:
            layer = kernel_of(kernel_initializer="ones")
            view = v1.get_variable("w", [], initializer=ONES)
            return view, layer, view.read_value()

        store = variable_store.VariableStore()
        first = traced(build, store)
        initialize(first)
        store["w"].variable.assign(5.0)
        store["dense/kernel"].variable.assign([[6.0], [7.0]])
        memories = [id(slot.variable) for slot in store]
        second = traced(build, store)
        assert [id(slot.variable) for slot in store] == memories
        (view, layer, read), others = second.result, first.result
        assert view is not others[0]
        assert view.memory is others[0].memory is store["w"].variable
        assert layer.kernel.value is others[1].kernel.value
        (value,) = second.function([read])()
        assert value.numpy() == 5.0
        assert layer.kernel.numpy().tolist() == [[6.0], [7.0]]

    def test_keep_the_first_value_of_a_layer(self) -> None:
        store = variable_store.VariableStore()
        for initializer in ("ones", "zeros"):
            traced(lambda i=initializer: kernel_of(kernel_initializer=i), store)
        store["dense/kernel"].variable.assign([[6.0], [7.0]])
        store["dense/kernel"].reset()
        assert store["dense/kernel"].variable.numpy().tolist() == [[1.0], [1.0]]

    @pytest.mark.parametrize(
        ("first", "second", "received"),
        [
            (
                lambda: v1.get_variable("w", [2]),
                lambda: v1.get_variable("w", [3]),
                ["'w'", "(2,)", "(3,)"],
            ),
            (
                lambda: v1.get_variable("w", [], tf.float32),
                lambda: v1.get_variable("w", [], tf.float64),
                ["'w'", "float32", "float64"],
            ),
            (
                lambda: kernel_of(width=2),
                lambda: kernel_of(width=3),
                ["'dense/kernel'", "(2, 1)", "(3, 1)"],
            ),
        ],
    )
    def test_have_its_shapes_and_dtypes(
        self, first: Callable[[], Any], second: Callable[[], Any], received: list[str]
    ) -> None:
        store = variable_store.VariableStore()
        traced(first, store)
        with pytest.raises(errors.CheckpointMismatchError) as error:
            traced(second, store)
        assert [part for part in received if part not in str(error.value)] == []


class TestKeras:
    def test_names_count_from_zero_in_each_scope(self) -> None:
        def build() -> None:
            kernel_of()
            kernel_of()
            for scope in ("scope", "scope", "other"):
                with v1.variable_scope(scope):
                    kernel_of()
            kernel_of(name="mine")
            kernel_of(name="mine")

        assert names(traced(build)) == [
            *("dense/kernel", "dense_1/kernel"),
            *("scope/dense/kernel", "scope/dense_1/kernel", "other/dense/kernel"),
            *("mine/kernel", "mine/kernel_1"),
        ]

    def test_a_reserved_name_is_not_given(self) -> None:
        def build() -> None:
            current_creator().reserve("dense/kernel")
            kernel_of()

        assert names(traced(build)) == ["dense/kernel_1"]

    def test_memory_has_its_first_value_during_the_trace(self) -> None:
        def build() -> Any:
            layer = kernel_of(kernel_initializer="ones")
            return layer, layer(tf.constant([[2.0, 3.0]]))

        store = variable_store.VariableStore()
        made = traced(build, store)
        layer, product = made.result
        assert layer.kernel.numpy().tolist() == [[1.0], [1.0]]
        assert store["dense/kernel"].keras_variable is layer.kernel
        (view,) = made.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        assert view.initializer.type == "NoOp"
        layer.kernel.assign([[10.0], [1.0]])
        assert made.function([product])()[0].numpy() == 23.0

    @pytest.mark.parametrize("value", [[1.0, 2.0], lambda: tf.constant([1.0, 2.0])])
    def test_a_variable_may_start_from_a_value(self, value: Any) -> None:
        def build() -> Any:
            given = value() if callable(value) else np.array(value)
            return keras.Variable(given, name="v", trainable=False)

        store = variable_store.VariableStore()
        made = traced(build, store)
        assert store["v"].variable.numpy().tolist() == [1.0, 2.0]
        assert (names(made), names(made, "TRAINABLE_VARIABLES")) == (["v"], [])
        assert not store["v"].is_trainable

    def test_metrics_are_local_and_start_again(self) -> None:
        def build() -> Any:
            metric = keras.metrics.Mean(name="m")
            metric.update_state(tf.constant([2.0, 4.0]))
            return metric.result()

        store = variable_store.VariableStore()
        made = traced(build, store)
        assert names(made, "LOCAL_VARIABLES") == ["m/total", "m/count"]
        assert (names(made), list(store)) == ([], [])
        for _ in range(2):
            made.function([], made.state_updates)()
        assert made.local["m/total"].variable.numpy() == 12.0
        initialize(made, "LOCAL_VARIABLES")
        assert made.local["m/total"].variable.numpy() == 0.0

    def test_optimizers_and_seeds_have_their_state(self) -> None:
        def build() -> None:
            layer = kernel_of()
            keras.layers.Dropout(0.5)
            keras.optimizers.SGD(0.1, momentum=0.9).build([layer.kernel])

        made = traced(build)
        found = names(made)
        assert found[0] == "dense/kernel"
        assert [name for name in found if variable_creator.is_seed(name)] == found[1:2]
        assert found[2:4] == ["sgd/iteration", "sgd/learning_rate"]
        assert len(found) == 5
        assert found[4].startswith("sgd/")
        assert "momentum" in found[4]
        assert names(made, "TRAINABLE_VARIABLES") == ["dense/kernel"]

    @pytest.mark.parametrize("reuse", [True, v1.AUTO_REUSE])
    def test_layers_share_variables_where_the_scope_reuses_them(self, reuse: Any) -> None:
        def build() -> Any:
            layers = []
            for options in ({}, {"reuse": reuse}):
                with v1.variable_scope("scope", **options):
                    layers += [kernel_of(), kernel_of(2)]
            return layers

        made = traced(build)
        first, second, third, fourth = made.result
        assert first.kernel.value is third.kernel.value
        assert second.kernel.value is fourth.kernel.value
        assert names(made) == ["scope/dense/kernel", "scope/dense_1/kernel"]

    def test_optimizers_share_nothing_where_the_scope_reuses(self) -> None:
        def build() -> None:
            with v1.variable_scope("scope", reuse=v1.AUTO_REUSE):
                for _ in range(2):
                    keras.optimizers.SGD(0.1, name="mine").build([])

        assert names(traced(build)) == [
            *("scope/mine/iteration", "scope/mine/learning_rate"),
            *("scope/mine/iteration_1", "scope/mine/learning_rate_1"),
        ]

    @pytest.mark.parametrize(
        ("made", "asked", "received"),
        [
            (None, {}, ["'scope/mine/kernel'", "none"]),
            ({"name": "other"}, {}, ["'scope/mine/kernel'", "['scope/other/kernel']"]),
            ({"width": 3}, {}, ["'scope/mine/kernel'", "(3, 1)", "(2, 1)"]),
            ({"dtype": "float64"}, {}, ["'scope/mine/kernel'", "float64", "float32"]),
        ],
    )
    def test_what_cannot_be_shared_is_refused(
        self, made: Any, asked: Any, received: list[str]
    ) -> None:
        def build() -> None:
            if made is not None:
                with v1.variable_scope("scope"):
                    kernel_of(**{"name": "mine", **made})
            with v1.variable_scope("scope", reuse=True):
                kernel_of(**{"name": "mine", **asked})

        with pytest.raises(errors.ArgumentError) as error:
            traced(build)
        assert [part for part in received if part not in str(error.value)] == []

    def test_memory_without_a_creator_is_in_no_program(self) -> None:
        def build() -> Any:
            kwargs = {"initial_value": lambda: tf.ones([2]), "dtype": "float32", "trainable": True}
            return variable_creator.stored_variable("apart", kwargs)

        made = traced(build)
        assert made.result.numpy().tolist() == [1.0, 1.0]
        assert isinstance(made.result, variable_store.StoredVariable)
        assert names(made) == []


class TestVariablesFromOutside:
    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda trainable: tf.Variable(2.0, name="w", trainable=trainable), "w"),
            (lambda trainable: keras.Variable(2.0, name="v", trainable=trainable), "v"),
        ],
    )
    @pytest.mark.parametrize("trainable", [True, False])
    def test_join_the_program_that_reads_them(
        self, make: Callable[[bool], Any], name: str, trainable: bool
    ) -> None:
        outside, store = make(trainable), variable_store.VariableStore()
        made = traced(lambda: (outside + 1.0, outside + 2.0), store)
        assert names(made) == [name]
        assert names(made, "TRAINABLE_VARIABLES") == [name] * trainable
        assert store.outside == list(store)
        assert store[name].is_trainable == trainable
        (view,) = made.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        assert view.initializer.type == "NoOp"
        outside.assign(10.0)
        assert [value.numpy() for value in made.function(made.result)()] == [11.0, 12.0]

    def test_have_one_view(self) -> None:
        outside, plain = keras.Variable(2.0, name="v"), tf.Variable(3.0, name="w")

        def build() -> Any:
            creator = current_creator()
            return [creator.view_of(one) for one in (outside, outside.value, plain, plain)]

        made = traced(build)
        first, second, third, fourth = made.result
        assert first is second
        assert third is fourth
        assert first.memory is outside.value
        assert third.memory is plain
        assert names(made) == ["v", "w"]

    @pytest.mark.parametrize("kind", [tf.Variable, keras.Variable])
    def test_of_one_name_are_refused(self, kind: Any) -> None:
        """A program that used the second one only would restore the value of the first."""
        first, second = (kind(value, name="w") for value in (1.0, 2.0))
        store = variable_store.VariableStore()
        with pytest.raises(errors.ArgumentError, match="'w'.*own `name`"):
            traced(lambda: first + second, store)
        with pytest.raises(errors.ArgumentError, match="'w'"):  # in another mode, too
            traced(lambda: second + 1.0, store)
        assert names(traced(lambda: first + 1.0, store)) == ["w"]

    def test_share_nothing_with_one_of_tf1_that_has_their_name(self) -> None:
        outside = tf.Variable(5.0, name="w")

        def build() -> Any:
            inside = v1.get_variable("w", [], initializer=ONES)
            return inside + 0.0, inside + outside

        made = traced(build)
        initialize(made)
        assert names(made, "TRAINABLE_VARIABLES") == ["w", "w_1"]
        assert [value.numpy() for value in made.function(list(made.result))()] == [1.0, 6.0]

    def test_get_no_name_that_another_program_uses(self) -> None:
        first, second = tf.Variable(1.0, name="w_1"), tf.Variable(2.0, name="w")
        store = variable_store.VariableStore()
        traced(lambda: first + 1.0, store)
        made = traced(lambda: v1.get_variable("w", [], initializer=ONES) + second, store)
        assert names(made) == ["w", "w_2"]
        assert store["w_1"].variable is first

    def test_a_view_is_its_own_view(self) -> None:
        def build() -> Any:
            view = v1.get_variable("w", [])
            return view, current_creator().view_of(view)

        made = traced(build)
        assert made.result[0] is made.result[1]
        assert names(made) == ["w"]


def test_a_keras_layer_shares_nothing_with_a_variable_of_tf1_that_has_its_name() -> None:
    def build() -> Any:
        with v1.variable_scope("dense"):
            inside = v1.get_variable("kernel", [2, 1], initializer=ONES)
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        return inside + layer(tf.eye(2))

    made = traced(build)
    initialize(made)
    assert names(made) == ["dense/kernel", "dense/kernel_1"]
    np.testing.assert_array_equal(made.function([made.result])()[0], [[1.0], [1.0]])


def test_an_empty_list_of_collections_is_none() -> None:
    made = traced(lambda: v1.Variable(1.0, collections=[], trainable=False, use_resource=True))
    assert names(made) == names(made, "LOCAL_VARIABLES") == []


class TestView:
    @pytest.mark.parametrize("resets", [True, False])
    def test_its_initializer_resets_if_asked_to(self, resets: bool) -> None:
        memory = tf.Variable(1.0, name="w")
        slot = variable_store.Slot("some/name", memory, initial_value=lambda: 7)

        def build() -> Any:
            with tf.name_scope("elsewhere"), tf.control_dependencies([tf.no_op()]):
                return current_creator().view(slot, resets=resets)

        view = traced(build)
        assert view.result.op.name == "some/name"
        assert not view.result.initializer.control_inputs
        view.function([], [view.result.initializer])()
        assert memory.numpy() == (7.0 if resets else 1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seed_generator/seed_generator_state", True),
        ("scope/dropout/seed_generator_3/seed_generator_state", True),
        ("seed_generator_state/kernel", False),
        ("dense/kernel", False),
    ],
)
def test_is_seed(name: str, expected: bool) -> None:
    assert variable_creator.is_seed(name) == expected
