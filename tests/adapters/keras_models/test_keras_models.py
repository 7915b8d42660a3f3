"""`model_to_estimator` and `export_keras`: names, state, files, and what cannot be done."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from tests.golden import make_keras_models as golden
from tests.golden.compare import differences
from tests.programs import tools

L = keras.layers
X = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32) + 0.5


@pytest.fixture(autouse=True)
def same_weights_in_every_run() -> None:
    """Relative errors say nothing of a prediction that happens to come out near zero."""
    keras.utils.set_random_seed(1)


def made(*, loss: Any = "mse", optimizer: Any = None, **options: Any) -> keras.Model:
    model = keras.Sequential([keras.Input([2], name="x"), L.Dense(3, "tanh"), L.Dense(1)])
    model.compile(optimizer or keras.optimizers.Adam(0.1), loss, **options)
    return model


def data(features: Any = X, labels: Any = Y, epochs: int | None = 1) -> Callable[[], Any]:
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).repeat(epochs).batch(4)


def predicted(estimator: Any, key: str | None = None, input_fn: Any = None) -> np.ndarray:
    rows = list(estimator.predict(input_fn or data()))
    return np.stack([row[key or next(iter(row))] for row in rows])


def two_inputs() -> keras.Model:
    a, b = keras.Input([2], name="a"), keras.Input([2], name="b")
    h = L.Concatenate()([a, b])
    model = keras.Model([a, b], [L.Dense(1, name="p")(h), L.Dense(1, name="q")(h)])
    model.compile("sgd", {"p": "mse", "q": "mae"}, metrics={"p": ["mae"], "q": ["mae", "mse"]})
    return model


BOTH, LABELS = {"a": X, "b": X}, {"p": Y, "q": Y}


class TestState:
    def test_the_names_in_checkpoints_do_not_depend_on_the_process(self, tmp_path: Any) -> None:
        names = [
            kestimator.model_to_estimator(made(), model_dir=tmp_path / str(number))
            .train(data())
            .get_variable_names()
            for number in range(2)
        ]
        assert names[0] == names[1]
        assert names[0][-5:] == [
            "dense/bias",
            "dense/kernel",
            "dense_1/bias",
            "dense_1/kernel",
            "global_step",
        ]

    def test_training_goes_on_in_another_object(self, tmp_path: Any) -> None:
        model = made()
        model.layers[0].kernel.assign(X[:2, :1] * [[1.0, 2.0, 3.0]])
        first = kestimator.model_to_estimator(model, model_dir=tmp_path / "two")
        first.train(data(), steps=1)
        second = kestimator.model_to_estimator(made(), model_dir=tmp_path / "two")
        second.train(data(epochs=2), steps=3)
        straight = kestimator.model_to_estimator(model, model_dir=tmp_path / "one")
        straight.train(data(), steps=1).train(data(epochs=2), steps=3)
        assert second.get_variable_value("adam/iteration") == 4
        np.testing.assert_allclose(predicted(second), predicted(straight), rtol=1e-6)

    def test_training_starts_afresh_without_checkpoints(self, tmp_path: Any) -> None:
        config = kestimator.RunConfig(str(tmp_path), save_checkpoints_secs=None)
        estimator = kestimator.model_to_estimator(made(), config=config)
        before = estimator.evaluate(data())
        estimator.train(data())
        assert estimator.evaluate(data()) == before

    def test_the_optimizer_of_a_fitted_model_goes_on(self, tmp_path: Any) -> None:
        model = made()
        dataset = data()()
        model.fit(dataset, shuffle=False, verbose=0)
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path)
        estimator.train(data())
        model.fit(dataset, shuffle=False, verbose=0)
        np.testing.assert_allclose(
            predicted(estimator), model.predict(dataset, verbose=0), rtol=1e-5
        )
        assert estimator.get_variable_value("adam/iteration") == 4
        assert estimator.get_variable_value("global_step") == 2

    def test_a_model_without_weights_gets_them_by_the_seed(self, tmp_path: Any) -> None:
        found = []
        for number in range(2):
            model = keras.Sequential([L.Dense(3), L.Dense(1)])
            model.compile("sgd", "mse")
            config = kestimator.RunConfig(str(tmp_path / str(number)), tf_random_seed=3)
            found.append(predicted(kestimator.model_to_estimator(model, config=config)))
            assert not model.built
        np.testing.assert_array_equal(*found)

    def test_two_estimators_of_a_model_do_not_share_weights(self, tmp_path: Any) -> None:
        first = kestimator.model_to_estimator(made(), model_dir=tmp_path)
        second = kestimator.add_metrics(
            first, lambda labels: {"top": tf.compat.v1.metrics.mean(labels)}
        )
        before = predicted(second)
        first.train(data())
        assert np.abs(predicted(first) - before).max() > 1e-3
        np.testing.assert_array_equal(predicted(second), predicted(first))  # the new checkpoint

    def test_adapted_layers_keep_what_they_learned(self, tmp_path: Any) -> None:
        words, numbers = L.StringLookup(), L.Normalization()
        words.adapt(["a", "b", "b"])
        numbers.adapt(X)
        given = {"w": keras.Input([1], name="w", dtype="string"), "x": keras.Input([2], name="x")}
        rows = L.Flatten()(L.Embedding(4, 2)(words(given["w"])))
        model = keras.Model(given, L.Dense(1)(L.Concatenate()([rows, numbers(given["x"])])))
        model.compile("sgd", "mse")
        features = {"w": np.array([["a"], ["b"], ["c"], ["b"]] * 2), "x": X}
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path)
        found = predicted(estimator, input_fn=data(features))
        np.testing.assert_allclose(
            found, model.predict(data(features)().map(lambda x, _: x), verbose=0), rtol=1e-5
        )
        estimator.train(data(features))
        path = estimator.export_keras(tmp_path / "model.keras")
        loaded = keras.models.load_model(path)
        np.testing.assert_allclose(
            loaded.predict(data(features)().map(lambda x, _: x), verbose=0),
            predicted(estimator, input_fn=data(features)),
            rtol=1e-5,
        )

    def test_frozen_layers_stay_as_they_are(self, tmp_path: Any) -> None:
        model = made()
        model.layers[0].trainable = False
        model.compile("sgd", "mse")
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path).train(data())
        kernel = estimator.get_variable_value("dense/kernel")
        np.testing.assert_array_equal(kernel, model.layers[0].kernel.numpy())
        moved = estimator.get_variable_value("dense_1/kernel") - model.layers[1].kernel.numpy()
        assert np.abs(moved).max() > 0

    def test_train_and_evaluate_with_an_exporter(self, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(made(metrics=["mae"]), model_dir=tmp_path)
        receiver = kestimator.export.build_raw_serving_input_receiver_fn({"x": tf.constant(X)})
        metrics, exports = kestimator.train_and_evaluate(
            estimator,
            kestimator.TrainSpec(data({"x": X}, epochs=None), max_steps=6),
            kestimator.EvalSpec(
                data({"x": X}), every_steps=3, exporters=kestimator.FinalExporter("f", receiver)
            ),
        )
        assert metrics["global_step"] == 6
        loaded = tf.saved_model.load(exports[0].decode())
        served = loaded.signatures["serving_default"](x=tf.constant(X))
        np.testing.assert_allclose(
            next(iter(served.values())), predicted(estimator), rtol=1e-5, atol=1e-6
        )

    def test_its_directory_warm_starts_another_estimator(self, tmp_path: Any) -> None:
        first = kestimator.model_to_estimator(made(), model_dir=tmp_path / "one").train(data())

        def model_fn(features: Any) -> kestimator.EstimatorSpec:
            hidden = L.Dense(3, "tanh")(features)
            return kestimator.EstimatorSpec("infer", {"y": L.Dense(1)(hidden)})

        second = kestimator.Estimator(
            model_fn, tmp_path / "two", warm_start_from=str(tmp_path / "one")
        )
        np.testing.assert_allclose(predicted(second), predicted(first), rtol=1e-6)


class TestNames:
    def test_metrics_are_renamed(self, tmp_path: Any) -> None:
        names = {"p_mae": "A", "q_mae": "B", "q_mse": "C", "p_loss": "D"}
        estimator = kestimator.model_to_estimator(
            two_inputs(), model_dir=tmp_path, metric_names_map=names
        )
        found = estimator.train(data(BOTH, LABELS)).evaluate(data(BOTH, LABELS))
        assert list(found) == ["A", "B", "C", "D", "loss", "q_loss", "global_step"]

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            ({"p_mae": "A", "q_mae": "B"}, r"Missing: \['q_mse'\]"),
            ({"p_mae": "A", "q_mae": "B", "q_mse": "C", "r": "D"}, r"Unknown: \['r'\]"),
        ],
    )
    def test_all_metrics_are_renamed_and_no_others(
        self, names: Any, words: str, tmp_path: Any
    ) -> None:
        estimator = kestimator.model_to_estimator(
            two_inputs(), model_dir=tmp_path / "model", metric_names_map=names
        )
        for call in (estimator.train, estimator.evaluate):
            with pytest.raises(ValueError, match=words):
                call(data(BOTH, LABELS))
        assert not (tmp_path / "model").exists()

    def test_features_that_the_model_has_no_input_for_are_left_out(self, tmp_path: Any) -> None:
        """As the original does, and `fit`."""
        estimator = kestimator.model_to_estimator(two_inputs(), model_dir=tmp_path)
        expected = predicted(estimator, "p", data(BOTH, LABELS))
        found = predicted(estimator, "p", data({**BOTH, "c": X}, LABELS))
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize(
        ("features", "labels", "kind", "words"),
        [
            ({"a": X, "z": X}, LABELS, KeyError, r"Missing: \['b'\]\. Unknown: \['z'\]"),
            (X, LABELS, ValueError, "2 inputs, .*'a', 'b'.*received 1"),
            ((X, X, X), LABELS, ValueError, "received 3"),
            (BOTH, {"p": Y}, KeyError, r"labels.*\['q'\]"),
        ],
    )
    def test_others_are_errors(
        self, features: Any, labels: Any, kind: Any, words: str, tmp_path: Any
    ) -> None:
        estimator = kestimator.model_to_estimator(two_inputs(), model_dir=tmp_path / "model")
        with pytest.raises(kind, match=words) as caught:
            estimator.train(data(features, labels))
        assert isinstance(caught.value, errors.InputError)
        assert not (tmp_path / "model").exists()

    def test_no_labels(self, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(made(), model_dir=tmp_path)
        with pytest.raises(errors.InputError, match="no labels"):
            estimator.train(lambda: tf.data.Dataset.from_tensors(X))

    def test_signatures(self, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(
            two_inputs(),
            model_dir=tmp_path / "model",
            export_outputs={"p": kestimator.export.RegressionOutput},
        ).train(data(BOTH, LABELS))
        spec = {key: tf.io.FixedLenFeature([2], tf.float32) for key in BOTH}
        receiver = kestimator.export.build_parsing_serving_input_receiver_fn(spec)
        path = estimator.export_saved_model(tmp_path, receiver).decode()
        assert sorted(tf.saved_model.load(path).signatures) == ["p", "serving_default"]

    def test_signatures_of_unknown_outputs(self) -> None:
        outputs = {"r": kestimator.export.PredictOutput}
        with pytest.raises(KeyError, match=r"`export_outputs`.*\['p', 'q'\].*'r'"):
            kestimator.model_to_estimator(two_inputs(), export_outputs=outputs)


def hand_written(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    """A model_fn that makes a Keras model and says so."""
    model = keras.Sequential([keras.Input([2]), L.Dense(3, "tanh"), L.Dense(1)])
    outputs = model(features, training=mode == kestimator.ModeKeys.TRAIN)
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, {"y": outputs}, keras_model=model)
    loss = tf.reduce_mean((outputs - labels) ** 2)
    return kestimator.EstimatorSpec(
        mode, {"y": outputs}, loss, keras.optimizers.Adam(0.1), keras_model=model
    )


def of_variables(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    """A model_fn without Keras: two dense layers of TF1 variables, a scale, and slots."""
    v1 = tf.compat.v1
    for number, size in enumerate([3, 1]):
        with v1.variable_scope("dense" if number == 0 else f"dense_{number}"):
            kernel = v1.get_variable("kernel", [features.shape[1], size])
            features = tf.tanh(features @ kernel + v1.get_variable("bias", [size]))
    outputs = features * v1.get_variable("scale", [])
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, {"y": outputs})
    loss = tf.reduce_mean((outputs - labels) ** 2)
    step = v1.train.get_global_step()
    train_op = v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


class TestExportKeras:
    @pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
    def test_of_a_model_that_a_model_fn_names(self, name: str, tmp_path: Any) -> None:
        first = kestimator.Estimator(hand_written, tmp_path / "one").train(data(), steps=1)
        checkpoint = first.latest_checkpoint()
        first.train(data(), steps=2)
        path = first.export_keras(tmp_path / name, checkpoint)
        second = kestimator.Estimator(hand_written, tmp_path / "two", warm_start_from=path)
        expected = [row["y"] for row in first.predict(data(), checkpoint_path=checkpoint)]
        np.testing.assert_allclose(predicted(second), expected, rtol=1e-6)
        assert first.evaluate(data())["global_step"] == 3
        if name.endswith("keras"):
            model = keras.models.load_model(path)
        else:
            model = keras.Sequential([keras.Input([2]), L.Dense(3, "tanh"), L.Dense(1)])
            model.load_weights(path)
        found = model.predict(data()().map(lambda x, _: x), verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_of_a_model_fn_that_was_not_called_yet(self, tmp_path: Any) -> None:
        kestimator.Estimator(hand_written, tmp_path).train(data())
        fresh = kestimator.Estimator(hand_written, tmp_path)
        with pytest.raises(errors.ArgumentError, match="input_fn"):
            fresh.export_keras(tmp_path / "model.keras")
        fresh.export_keras(tmp_path / "model.keras", input_fn=data())
        found = keras.models.load_model(tmp_path / "model.keras")(X)
        np.testing.assert_allclose(found, predicted(fresh), rtol=1e-5)

    def test_weights_of_a_model_fn_without_keras(self, tmp_path: Any) -> None:
        first = kestimator.Estimator(of_variables, tmp_path / "one").train(data())
        path = first.export_keras(tmp_path / "model.weights.h5")
        second = kestimator.Estimator(of_variables, tmp_path / "two", warm_start_from=path)
        np.testing.assert_allclose(predicted(second), predicted(first), rtol=1e-6)
        model = keras.Sequential([keras.Input([2]), L.Dense(3, "tanh"), L.Dense(1, "tanh")])
        model.load_weights(path)
        scale = first.get_variable_value("scale")
        np.testing.assert_allclose(model(X) * scale, predicted(first), rtol=1e-5, atol=1e-6)
        with h5py.File(path) as file:
            assert sorted(file["layers"]) == ["dense", "dense_1", "layer"]

    def test_weights_of_recurrent_layers_find_their_way_back(self, tmp_path: Any) -> None:
        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            model = keras.Sequential(
                [keras.Input([2]), L.Reshape([2, 1]), L.Bidirectional(L.LSTM(2)), L.Dense(1)]
            )
            y = model(features)
            if mode == kestimator.ModeKeys.PREDICT:
                return kestimator.EstimatorSpec(mode, {"y": y}, keras_model=model)
            loss = tf.reduce_mean((y - labels) ** 2)
            optimizer = keras.optimizers.SGD(0.1)
            return kestimator.EstimatorSpec(mode, {"y": y}, loss, optimizer, keras_model=model)

        first = kestimator.Estimator(model_fn, tmp_path / "one").train(data())
        for name in ("model.keras", "model.weights.h5"):
            path = first.export_keras(tmp_path / name)
            second = kestimator.Estimator(model_fn, tmp_path / name[:8], warm_start_from=path)
            np.testing.assert_allclose(predicted(second), predicted(first), rtol=1e-6)

    def test_of_a_canned_estimator(self, tmp_path: Any) -> None:
        columns = [tf.feature_column.numeric_column("x", [2])]
        first = kestimator.DNNRegressor([3], columns, tmp_path / "one")
        first.train(data({"x": X}))
        model = keras.models.load_model(first.export_keras(tmp_path / "model.keras"))
        expected = predicted(first, input_fn=data({"x": X}))
        np.testing.assert_allclose(model({"x": X})["predictions"], expected, rtol=1e-5)
        path = first.export_keras(tmp_path / "model.weights.h5")
        first.to_keras().load_weights(path)
        second = kestimator.DNNRegressor([3], columns, tmp_path / "two", warm_start_from=path)
        np.testing.assert_allclose(predicted(second, input_fn=data({"x": X})), expected, rtol=1e-6)

    def test_weights_of_a_canned_estimator_without_an_equal_in_keras(self, tmp_path: Any) -> None:
        columns = [tf.feature_column.numeric_column("x", [2], normalizer_fn=lambda x: x / 2)]
        first = kestimator.LinearRegressor(columns, tmp_path / "one").train(data({"x": X}))
        with pytest.raises(errors.ArgumentError, match="Rescaling"):
            first.export_keras(tmp_path / "model.keras")
        path = first.export_keras(tmp_path / "model.weights.h5")
        second = kestimator.LinearRegressor(columns, tmp_path / "two", warm_start_from=path)
        found, expected = (predicted(one, input_fn=data({"x": X})) for one in (second, first))
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("path", "kind", "words"),
        [
            ("model.h5", ValueError, "`path`.*'.keras'.*'.weights.h5'"),
            ("folder.keras", ValueError, "directory"),
            ("no/model.keras", ValueError, "create .*no' first"),
            (3, TypeError, "`path`"),
        ],
    )
    def test_to_somewhere_else(self, path: Any, kind: Any, words: str, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(made(), model_dir=tmp_path / "m").train(data())
        (tmp_path / "folder.keras").mkdir()
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(kind, match=words):
            estimator.export_keras(tmp_path / path if isinstance(path, str) else path)
        assert sorted(tmp_path.rglob("*")) == before

    def test_before_training(self, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(made(), model_dir=tmp_path / "m")
        with pytest.raises(errors.CheckpointNotFoundError, match="Train first"):
            estimator.export_keras(tmp_path / "model.keras")

    def test_without_a_keras_model(self, tmp_path: Any) -> None:
        estimator = kestimator.Estimator(of_variables, tmp_path).train(data())
        with pytest.raises(errors.ArgumentError, match="keras_model=model"):
            estimator.export_keras(tmp_path / "model.keras")

    def test_leaves_an_older_file_whole_where_it_fails(self, tmp_path: Any) -> None:
        class Stubborn(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.last = L.Dense(1)

            def call(self, values: Any) -> Any:
                return self.last(values)

            def get_config(self) -> Any:
                raise NotImplementedError("no config")

        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            model = Stubborn()
            y = model(features)
            loss = None if labels is None else tf.reduce_mean((y - labels) ** 2)
            return kestimator.EstimatorSpec(
                mode, {"y": y}, loss, keras.optimizers.SGD(), keras_model=model
            )

        estimator = kestimator.Estimator(model_fn, tmp_path / "m").train(data())
        target = tmp_path / "model.keras"
        target.write_text("older")
        with pytest.raises(errors.ArgumentError, match="get_config"):
            estimator.export_keras(target)
        assert target.read_text() == "older"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "model.keras"]


class TestFiles:
    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_go_on_where_fit_ended(self, name: str, tmp_path: Any) -> None:
        """Of an `.h5` file, Keras itself does not read the state of the optimizer."""
        optimizer = keras.optimizers.SGD(0.1) if name == "model.h5" else keras.optimizers.Adam(0.1)
        model, dataset = made(metrics=["mae"], optimizer=optimizer), data()()
        model.fit(dataset, shuffle=False, verbose=0)
        model.save(tmp_path / name)
        estimator = kestimator.model_to_estimator(
            keras_model_path=tmp_path / name, model_dir=tmp_path / "m"
        ).train(data())
        model.fit(dataset, shuffle=False, verbose=0)
        found = predicted(estimator)
        np.testing.assert_allclose(found, model.predict(dataset, verbose=0), rtol=1e-5)
        assert "mae" in estimator.evaluate(data())

    def test_custom_objects(self, tmp_path: Any) -> None:
        class Twice(L.Layer):
            def call(self, values: Any) -> Any:
                return 2 * values

        model = keras.Sequential([keras.Input([2]), Twice(), L.Dense(1)])
        model.compile("sgd", "mse")
        path = tmp_path / "model.keras"
        model.save(path)
        with pytest.raises(ValueError, match="custom_objects"):
            kestimator.model_to_estimator(keras_model_path=path)
        estimator = kestimator.model_to_estimator(
            keras_model_path=path, custom_objects={"Twice": Twice}
        )
        np.testing.assert_allclose(predicted(estimator), model(X), rtol=1e-6)

    @pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_code_in_them_is_not_run(self, name: str, tmp_path: Any) -> None:
        model = keras.Sequential([keras.Input([2]), L.Lambda(lambda x: x * 2), L.Dense(1)])
        model.compile("sgd", "mse")
        model.save(tmp_path / name)
        with pytest.raises(errors.ArgumentError, match="lambda.*pass it as `keras_model`"):
            kestimator.model_to_estimator(keras_model_path=tmp_path / name)

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_damaged(self, name: str, tmp_path: Any) -> None:
        path = tmp_path / name
        made().save(path)
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"", b"no such thing", b"\x80\x04."):
            path.write_bytes(damaged)
            with pytest.raises(OSError, match=f"{name}.*cannot be read") as caught:
                kestimator.model_to_estimator(keras_model_path=str(path))
            assert isinstance(caught.value, errors.KerasFileError | ValueError)

    def test_with_a_damaged_part(self, tmp_path: Any) -> None:
        path = tmp_path / "model.keras"
        made().save(path)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            place = archive.getinfo("model.weights.h5").header_offset + 500
        content[place : place + 50] = bytes(50 * [7])
        path.write_bytes(bytes(content))
        with pytest.raises(errors.KerasFileError, match="weights"):
            kestimator.model_to_estimator(keras_model_path=path)

    def test_without_a_model(self, tmp_path: Any) -> None:
        with h5py.File(tmp_path / "model.h5", "w") as file:
            file["x"] = 1
        with pytest.raises(errors.KerasFileError, match="no model configuration"):
            kestimator.model_to_estimator(keras_model_path=tmp_path / "model.h5")

    @pytest.mark.parametrize(
        ("path", "kind", "words"),
        [
            ("no.keras", OSError, "does not exist"),
            ("saved_model", ValueError, "SavedModels"),
            ("model.weights.h5", ValueError, "weights, but no model"),
        ],
    )
    def test_others(self, path: str, kind: Any, words: str, tmp_path: Any) -> None:
        (tmp_path / "saved_model").mkdir()
        with pytest.raises(kind, match=words):
            kestimator.model_to_estimator(keras_model_path=tmp_path / path)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "kind", "words"),
        [
            ({}, ValueError, "Either `keras_model` or `keras_model_path`"),
            ({"keras_model": 3}, TypeError, "`keras_model`.*keras.Model"),
            ({"keras_model_path": 3}, TypeError, "`keras_model_path`"),
        ],
    )
    def test_models(self, arguments: Any, kind: Any, words: str) -> None:
        with pytest.raises(kind, match=words):
            kestimator.model_to_estimator(**arguments)

    def test_both(self) -> None:
        with pytest.raises(ValueError, match="both given"):
            kestimator.model_to_estimator(made(), "model.keras")

    def test_not_compiled(self) -> None:
        with pytest.raises(ValueError, match="compile"):
            kestimator.model_to_estimator(keras.Sequential([L.Dense(1)]))

    def test_checkpoint_format(self) -> None:
        with pytest.raises(ValueError, match="`checkpoint_format`.*'zip'"):
            kestimator.model_to_estimator(made(), checkpoint_format="zip")
        kestimator.model_to_estimator(made(), checkpoint_format="saver")

    @pytest.mark.parametrize("name", ["metric_names_map", "export_outputs"])
    def test_maps(self, name: str) -> None:
        with pytest.raises(TypeError, match=name):
            kestimator.model_to_estimator(made(), **{name: ["mae"]})

    def test_a_class_that_cannot_be_copied(self) -> None:
        class Closed(keras.Model):
            def __init__(self, size: Any) -> None:
                super().__init__()
                self.last = L.Dense(int(size[0]))

            def call(self, values: Any) -> Any:
                return self.last(values)

        model = Closed(np.array([1]))
        model(X)
        model.compile("sgd", "mse")
        with pytest.raises(
            errors.ArgumentError, match="(?s)Closed.*`get_config` and `from_config`"
        ):
            kestimator.model_to_estimator(model)

    def test_a_class_that_compiles_itself(self) -> None:
        class Own(keras.Model):
            def compile(self, rate: float) -> None:
                super().compile(keras.optimizers.SGD(rate), "mse")

        given = keras.Input([2])
        model = Own(given, L.Dense(1)(given))
        model.compile(0.1)
        with pytest.raises(errors.ArgumentError, match="compile_from_config"):
            kestimator.model_to_estimator(model)

    def test_a_class_that_says_how_it_compiles_itself(self, tmp_path: Any) -> None:
        class Own(keras.Model):
            def compile(self, rate: float) -> None:
                super().compile(keras.optimizers.SGD(rate), "mse")
                self.rate = rate

            def get_compile_config(self) -> Any:
                return {"rate": self.rate}

            def compile_from_config(self, config: Any) -> None:
                self.compile(**config)

        given = keras.Input([2])
        model = Own(given, L.Dense(1)(given))
        model.compile(0.1)
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path).train(data())
        model.fit(data()(), shuffle=False, verbose=0)
        np.testing.assert_allclose(predicted(estimator), model(X), rtol=1e-5)
        assert estimator.evaluate(data())["global_step"] == 2
        assert estimator.to_keras().optimizer.iterations == 2

    def test_a_step_without_a_loss(self, tmp_path: Any) -> None:
        class Silent(keras.Model):
            def train_step(self, data: Any) -> Any:
                return {"error": super().train_step(data)["loss"]}

        given = keras.Input([2])
        model = Silent(given, L.Dense(1)(given))
        model.compile("sgd", "mse")
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path / "m")
        with pytest.raises(errors.ArgumentError, match="train_step's result.*'loss'"):
            estimator.train(data())
        assert not (tmp_path / "m").exists()

    def test_the_model_fn_is_called_elsewhere(self) -> None:
        estimator = kestimator.model_to_estimator(made())
        with pytest.raises(errors.ArgumentError, match="outside of an Estimator"):
            estimator.model_fn(tf.constant(X), None, "infer", None)

    def test_the_spec_takes_keras_models_alone(self) -> None:
        with pytest.raises(TypeError, match="keras_model"):
            kestimator.EstimatorSpec("infer", tf.constant(1.0), keras_model=L.Dense(1))


def without_output_losses(found: dict[str, Any]) -> dict[str, Any]:
    """Keras 3 also has the loss of each output, which the original leaves out."""
    kept = [not key.endswith("_loss") for key in found["keys"]]
    return {
        "keys": [key for key, keep in zip(found["keys"], kept, strict=True) if keep],
        "types": [kind for kind, keep in zip(found["types"], kept, strict=True) if keep],
        "values": {k: v for k, v in found["values"].items() if not k.endswith("_loss")},
    }


class TestTheOriginal:
    expected = json.loads(golden.GOLDEN.read_text(encoding="utf-8"))
    arguments = (
        kestimator.model_to_estimator,
        keras,
        lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    )

    @pytest.mark.parametrize("name", golden.CASES)
    def test_gives_the_same(self, name: str) -> None:
        found = golden.answers(*self.arguments, name)
        for key in ("untrained", "trained"):
            found[key] = without_output_losses(found[key])
        expected = self.expected[name]
        found["weights"] = [name for name in found["weights"] if name in expected["weights"]]
        wrong = differences(json.loads(json.dumps(found)), expected)
        assert not wrong, "\n".join(wrong)

    def test_its_directory_is_read(self, tmp_path: Any) -> None:
        shutil.copytree(golden.MODEL_DIR, tmp_path / "model")
        model = golden.functional(keras, self.arguments[2])
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path / "model")
        _, features, labels = golden.CASES["functional"]
        found = tools.typed(estimator.evaluate(data(features, labels)))
        expected = self.expected["functional"]["trained"]
        assert not differences(json.loads(json.dumps(without_output_losses(found))), expected)
        with pytest.raises(errors.MissingVariableError, match="sgd/"):
            estimator.train(data(features, labels))

    def test_raises_the_same(self) -> None:
        assert golden.raised(*self.arguments) == self.expected["errors"]

    def test_takes_the_same_arguments(self) -> None:
        assert golden.signature(kestimator.model_to_estimator) == self.expected["signature"]
