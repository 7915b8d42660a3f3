"""The private names of Keras that the library uses: a version that moves one fails here."""

import importlib
import random
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.random import seed_generator

from kestimator.engine.keras_internals import (
    keras2_variables,
    keras_names,
    keras_objects,
    keras_saving,
    keras_state,
)


class AsksWhoIsMade:
    """Asks something while the variables of the objects that are made in it come to be."""

    def __init__(self, question):
        self.answers = []
        self._question = question
        self._scope = tf.variable_creator_scope(self._create)

    def _create(self, next_creator, **kwargs):
        self.answers.append(self._question())
        return next_creator(**kwargs)

    def __enter__(self):
        self._scope.__enter__()
        return self.answers

    def __exit__(self, *error):
        self._scope.__exit__(*error)


def nested_model():
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(1)])
    return keras.Sequential([keras.Input((3,)), inner])


def multi_output_model():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss={"a": "mse", "b": "mae"}, metrics={"a": ["mae"]})
    return model


class TestVariables:
    def test_use_path(self):
        variable = keras.Variable([1.0], name="given")
        keras_objects.use_path(variable, "scope/other")
        assert variable.path == "scope/other"

    def test_memory(self):
        variable, memory = keras.Variable([1.0]), tf.Variable([2.0])
        assert isinstance(keras_objects.memory_of(variable), tf.Variable)
        keras_objects.use_memory(variable, memory)
        assert keras_objects.memory_of(variable) is memory
        variable.assign([3.0])
        np.testing.assert_array_equal(memory.numpy(), [3.0])

    def test_a_foreign_variable(self):
        memory = tf.Variable([2.0, 4.0], name="scope/w", trainable=False)
        variable = keras_objects.ForeignVariable(memory)
        assert keras_objects.memory_of(variable) is memory
        assert variable.path == "scope/w"
        assert variable.shape == (2,)
        assert not variable.trainable

    def test_owner_and_handle(self):
        variable = keras.Variable([1.0])
        memory = keras_objects.memory_of(variable)
        assert keras_state.owner_of(memory) is variable
        assert keras_state.owner_of(tf.Variable([1.0])) is None
        assert keras_state.variable_behind(memory.handle) is memory


class TestLayersAndModels:
    def test_trainable_flags(self):
        model = nested_model()
        keras_objects.use_trainable(model, False)
        assert not keras_objects.is_marked_trainable(model)
        assert keras_objects.is_marked_trainable(model.layers[0])

    def test_compiling_again(self):
        model = nested_model()
        model.loss_mean = keras.metrics.Mean()
        assert keras_objects.tracked_metrics(model) == [model.loss_mean]
        model(np.ones((1, 3), np.float32))
        with keras_objects.compiling_again(model):
            model.loss_mean = keras.metrics.Mean()
        assert keras_objects.tracked_metrics(model) == [model.loss_mean]

    def test_takes_inputs_and_outputs(self):
        class Own(keras.Model):
            def __init__(self, units):
                inputs = keras.Input((3,))
                super().__init__(inputs, keras.layers.Dense(units)(inputs))

        assert keras_objects.takes_inputs_and_outputs(keras.Model)
        assert not keras_objects.takes_inputs_and_outputs(Own)

    def test_all_layers(self):
        model = nested_model()
        (inner,) = model.layers
        inside = {layer.name for layer in (inner, *inner.layers)}
        assert {layer.name for layer in keras_objects.all_layers(model)} >= inside

    def test_takes_training(self):
        assert keras_objects.takes_training(keras.layers.Dropout(0.5))
        assert not keras_objects.takes_training(keras.layers.Flatten())

    def test_lambda_output_shape(self):
        layer = keras.layers.Lambda(lambda x: x, output_shape=(3,))
        assert keras_objects.lambda_output_shape(layer) == (3,)
        assert keras_objects.lambda_output_shape(keras.layers.Lambda(lambda x: x)) is None

    def test_compile_arguments(self):
        model, optimizer, loss = nested_model(), keras.optimizers.SGD(), lambda y, p: 0.0
        model.compile(optimizer, loss, metrics=["mae"])
        arguments = keras_objects.compile_arguments(model)
        assert arguments["optimizer"] is optimizer
        assert arguments["loss"] is loss
        assert arguments["metrics"] == ["mae"]

    def test_compiled_metrics(self):
        model = multi_output_model()
        assert keras_objects.compiled_metrics(model) in model.metrics
        assert keras_objects.compiled_metrics(nested_model()) is None

    def test_metrics_of_losses(self):
        model = multi_output_model()
        model.evaluate(np.ones((2, 3)), {name: np.ones((2, 1)) for name in "ab"}, verbose=0)
        names = [metric.name for metric in keras_objects.metrics_of_losses(model)]
        assert names == ["a_loss", "b_loss"]
        assert keras_objects.metrics_of_losses(nested_model()) == []

    def test_wrapped_function(self):
        def function(y_true, y_pred, factor):
            return factor * (y_true - y_pred)

        metric = keras.metrics.MeanMetricWrapper(function, factor=3)
        assert keras_objects.wrapped_function(metric) == (function, {"factor": 3})

    def test_stable_paths(self):
        keras.layers.Dense(1)
        model = nested_model()
        keras_names.use_stable_paths(model)
        assert [variable.path for variable in model.variables] == [
            "sequential/dense/kernel",
            "sequential/dense/bias",
            "sequential/dense_1/kernel",
            "sequential/dense_1/bias",
        ]


class TestOptimizers:
    @pytest.mark.parametrize(
        "rate", [keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), lambda: 0.1]
    )
    def test_given_rate(self, rate):
        assert keras_objects.given_rate(keras.optimizers.SGD(rate)) is rate

    def test_given_rate_of_a_number(self):
        rate = keras_objects.given_rate(keras.optimizers.SGD(0.5))
        assert isinstance(rate, keras.Variable)
        assert float(rate.numpy()) == 0.5

    @pytest.mark.filterwarnings("error")
    def test_rate_not_described(self):
        def rate():
            return 0.1

        optimizer = keras.optimizers.SGD(rate)
        with keras_objects.rate_not_described(optimizer):
            assert optimizer.get_config()["learning_rate"] is not rate
        assert keras_objects.given_rate(optimizer) is rate

    def test_step_counter(self):
        optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
        variable = keras.Variable([1.0])
        for _ in range(3):
            optimizer.apply([tf.constant([1.0])], [variable])
        counter = keras_objects.step_counter(optimizer)
        assert any(counter is one for one in optimizer.variables)
        assert int(counter.numpy()) == 3
        assert int(optimizer.iterations) == 1

    @pytest.mark.parametrize(
        ("optimizer", "names"),
        [
            (keras.optimizers.Adagrad(), ["accumulators"]),
            (keras.optimizers.Adam(amsgrad=True), ["momentums", "velocities", "velocity_hats"]),
            (keras.optimizers.Ftrl(), ["accumulators", "linears"]),
            (
                keras.optimizers.RMSprop(momentum=0.9, centered=True),
                ["velocities", "average_gradients", "momentums"],
            ),
        ],
        ids=lambda value: getattr(value, "name", None),
    )
    def test_slot(self, optimizer, names):
        variables = [keras.Variable(tf.zeros(shape)) for shape in ([2], [3, 4])]
        optimizer.build(variables)
        for name in names:
            for variable in variables:
                found = keras_objects.slot(optimizer, name, variable)
                assert any(found is one for one in optimizer.variables)
                assert found.shape == variable.shape

    def test_gradients_of_replicas_are_summed_in_a_method_that_can_be_replaced(self, monkeypatch):
        def summed(self, pairs):
            return [(2 * gradient, variable) for gradient, variable in pairs]

        monkeypatch.setattr(*keras_objects.GRADIENT_REDUCER, summed)
        optimizer, variable = keras.optimizers.SGD(1.0), keras.Variable([1.0])
        optimizer.apply([tf.constant([1.0])], [variable])
        np.testing.assert_array_equal(variable.numpy(), [-1.0])


class TestNames:
    def test_automatic_name(self):
        assert keras_names.automatic_name(keras.layers.Conv2D) == "conv2d"
        assert keras_names.automatic_name(keras.layers.GlobalMaxPool1D) == keras_names.stable_name(
            keras.layers.GlobalMaxPool1D().name, keras.layers.GlobalMaxPool1D
        )

    def test_stable_name(self):
        assert keras_names.stable_name("dense_7", keras.layers.Dense) == "dense"
        assert keras_names.stable_name("mine_7", keras.layers.Dense) == "mine_7"

    def test_names_from_zero(self):
        before = [keras.layers.Dense(1).name for _ in range(2)]
        with keras_state.names_from_zero(None):
            assert [keras.layers.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
        assert int(keras.layers.Dense(1).name[6:]) == int(before[1][6:]) + 1

    def test_names_by_scope(self):
        graph = tf.Graph()
        with keras_state.names_from_zero(None, graph), graph.as_default():
            with tf.compat.v1.variable_scope("a"):
                keras_state.take_name("dense_1")
                names = [keras.layers.Dense(1).name for _ in range(2)]
            with tf.compat.v1.variable_scope("b"):
                others = [keras.layers.Dense(1).name]
            keras_state.count_names_by_scope(graph)
        assert names == ["dense", "dense_2"]
        assert others == ["dense"]

    def test_path_without_sequentials(self):
        paths = []

        class Watching(keras.layers.Layer):
            def build(self, shape):
                weight = self.add_weight(name="w")
                paths.append((weight.path, keras_state.path_without_sequentials(weight)))

            def call(self, x):
                return x

        with keras_state.names_from_zero(None):
            keras.Sequential([keras.Input([1]), Watching()])
            keras.Sequential([Watching()])(np.ones([1, 1]))
        assert paths == [
            ("sequential/watching/w", "watching/w"),
            ("sequential_1/watching_1/w", "sequential_1/watching_1/w"),
        ]


class TestState:
    def test_seeds_come_from_a_source(self, monkeypatch):
        def replacement(module):
            assert module is original
            return random.Random(3)

        original = seed_generator.python_random
        monkeypatch.setattr(seed_generator, "python_random", original)  # puts it back
        keras_state.replace_random(replacement)
        drawn = [keras.random.SeedGenerator().get_config()["seed"] for _ in range(2)]
        keras_state.replace_random(lambda module: random.Random(3))
        assert [keras.random.SeedGenerator().get_config()["seed"] for _ in range(2)] == drawn

    def test_the_source_of_a_thread(self):
        assert keras_state.python_random() is None
        with keras_state.names_from_zero(5):
            first = keras_state.python_random().random()
        keras_state.draw_seeds_like(random.Random(5))
        assert keras_state.python_random().random() == first
        keras_state.draw_seeds_like(None)
        assert keras_state.python_random() is None

    def test_is_without_state(self):
        assert not keras_state.is_without_state()
        with keras.StatelessScope():
            assert keras_state.is_without_state()

    def test_variable_being_made(self):
        with AsksWhoIsMade(keras_state.variable_being_made) as answers:
            made = keras.Variable([1.0], name="made")
            tf.Variable([1.0])
        assert answers[0] is made
        assert answers[1:] == [None]

    def test_metric_being_made(self):
        with AsksWhoIsMade(keras_state.is_metric_being_made) as answers:
            keras.metrics.Mean()
            keras.Variable([1.0])
        assert answers[0]
        assert not answers[-1]

    def test_optimizer_being_made(self):
        with AsksWhoIsMade(keras_state.is_optimizer_being_made) as answers:
            keras.optimizers.SGD()
            keras.Variable([1.0])
        assert answers[0]
        assert not answers[-1]

    def test_settings(self):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            kept = keras_state.settings()
            keras.config.set_dtype_policy("float32")
            keras_state.use_settings(kept)
            assert keras.config.dtype_policy().name == "mixed_float16"
        finally:
            keras.config.set_dtype_policy(before)


def test_code_is_refused(tmp_path):
    model = keras.Sequential([keras.Input([1]), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "model.keras")
    with keras_saving.code_refused():
        keras.config.enable_unsafe_deserialization()
        keras.models.load_model(tmp_path / "model.keras")
        with keras_saving.code_refused(), pytest.raises(ValueError, match="safe_mode"):
            keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_names_are_noted_beside_values(ending, tmp_path):
    model, path = nested_model(), tmp_path / f"model.{ending}"
    names = {id(variable): f"name_{i}" for i, variable in enumerate(model.variables[:3])}
    save = keras_saving.save_model if ending == "keras" else keras_saving.save_weights
    save(model, str(path), "name_of_variable", names)
    weights = path
    if ending == "keras":
        assert keras.models.load_model(path).count_params() == model.count_params()
        with zipfile.ZipFile(path) as file:
            weights = file.extract("model.weights.h5", tmp_path)
    found = []

    def visit(_, item):
        if "name_of_variable" in item.attrs:
            found.append((item.attrs["name_of_variable"], item.shape))

    with h5py.File(weights) as file:
        file.visititems(visit)
    assert sorted(found) == [("name_0", (3, 2)), ("name_1", (2,)), ("name_2", (2, 1))]


def test_keras2_initializes_no_variable_of_a_program():
    tf_keras = pytest.importorskip("tf_keras")
    with tf.Graph().as_default():
        layers = [tf_keras.layers.Dense(1, use_bias=False, name=name) for name in ("a", "b")]
        for layer in layers:
            layer.build([None, 1])
        ours, theirs = (layer.kernel for layer in layers)
        assert keras2_variables.left_to_the_program(ours) is ours
        session = importlib.import_module("tf_keras.api._v1.keras.backend").get_session()
        is_initialized = map(tf.compat.v1.is_variable_initialized, (ours, theirs))
        assert session.run(list(is_initialized)) == [False, True]
