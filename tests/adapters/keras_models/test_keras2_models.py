"""Models of Keras 2 (`tf_keras`) as estimators; `tests/parity` has more of the numbers."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from tests.golden import make_keras_models as golden
from tests.golden.compare import differences
from tests.programs import tools

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers
X = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32) + 0.5
WEIGHTS = np.linspace(0.5, 2.0, 8, dtype=np.float32)


def made(**options: Any) -> Any:
    model = tf_keras.Sequential([tf_keras.Input([2], name="x"), L.Dense(3, "tanh"), L.Dense(1)])
    model.compile(options.pop("optimizer", "adam"), options.pop("loss", "mse"), **options)
    return model


def data(features: Any = X, labels: Any = Y, epochs: int | None = 1) -> Callable[[], Any]:
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).repeat(epochs).batch(4)


def predicted(estimator: Any) -> np.ndarray:
    return np.stack([next(iter(row.values())) for row in estimator.predict(data())])


class Own(tf_keras.Model):
    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size
        self.hidden, self.last = L.Dense(size, name="h"), L.Dense(1, name="out")

    def call(self, features: Any) -> Any:
        return self.last(self.hidden(features))

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size}


class TestTheOriginal:
    expected = json.loads(golden.GOLDEN.read_text(encoding="utf-8"))
    arguments = (
        kestimator.model_to_estimator,
        tf_keras,
        lambda: tf_keras.optimizers.legacy.SGD(0.05, momentum=0.9),
    )

    @pytest.mark.parametrize(
        "name", [pytest.param("functional", marks=pytest.mark.slow), "sample_weights"]
    )
    def test_gives_the_same(self, name: str) -> None:
        found = golden.answers(*self.arguments, name)
        wrong = differences(json.loads(json.dumps(found)), self.expected[name])
        assert not wrong, "\n".join(wrong)

    @pytest.mark.slow
    def test_its_directory_trains_on(self, tmp_path: Any) -> None:
        shutil.copytree(golden.MODEL_DIR, tmp_path / "model")
        model = golden.functional(tf_keras, self.arguments[2])
        estimator = kestimator.model_to_estimator(
            model, model_dir=tmp_path / "model", checkpoint_format="saver"
        )
        _, features, labels = golden.CASES["functional"]
        found = tools.typed(estimator.evaluate(data(features, labels)))
        expected = self.expected["functional"]["trained"]
        assert not differences(json.loads(json.dumps(found)), expected)
        assert estimator.train(data(features, labels)).get_variable_value("global_step") == 5

    @pytest.mark.slow
    def test_raises_the_same(self) -> None:
        found = golden.raised(*self.arguments)
        assert found == self.expected["errors"]


class TestState:
    def test_the_model_stays_as_it_is(self, tmp_path: Any) -> None:
        model = made(metrics=["mae"])
        before = model.get_weights()
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path)
        fresh = predicted(estimator)
        estimator.train(data()).evaluate(data())
        np.testing.assert_allclose(fresh, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
        for value, weight in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, weight)
        model.fit(X, Y, verbose=0)  # its class has the methods for eager execution again
        assert np.abs(predicted(estimator) - fresh).max() > 1e-4

    def test_classes_have_their_methods_back(self, tmp_path: Any) -> None:
        """A model_fn that makes models exchanges the classes of those that were made before."""
        before = made()

        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            outputs = tf_keras.Sequential([L.Dense(1)])(features)
            return kestimator.EstimatorSpec(mode, {"y": outputs}, tf.reduce_mean(outputs))

        kestimator.Estimator(model_fn, tmp_path / "one").evaluate(data())
        before.fit(X, Y, verbose=0)
        estimator = kestimator.model_to_estimator(before, model_dir=tmp_path / "two")
        np.testing.assert_allclose(predicted(estimator), before(X), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("saved", ["checkpoint", pytest.param("saver", marks=pytest.mark.slow)])
    def test_a_trained_model_comes_back(self, saved: str, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(
            made(metrics=["mae"]), model_dir=tmp_path, checkpoint_format=saved
        ).train(data())
        model = estimator.to_keras()
        np.testing.assert_allclose(model.predict(X, verbose=0), predicted(estimator), rtol=1e-5)
        loss, error = model.evaluate(X, Y, batch_size=4, verbose=0)
        evaluated = estimator.evaluate(data())
        assert [loss, error] == pytest.approx([evaluated["loss"], evaluated["mae"]], rel=1e-5)

    @pytest.mark.slow
    def test_the_weights_of_a_called_model_of_its_own_class(self, tmp_path: Any) -> None:
        model = Own(3)
        model.compile("sgd", "mse")
        expected = model(X).numpy()
        estimator = kestimator.model_to_estimator(
            model, model_dir=tmp_path, checkpoint_format="saver"
        )
        np.testing.assert_allclose(predicted(estimator), expected, rtol=1e-5, atol=1e-6)
        assert estimator.train(data()).get_variable_names()[0] == "global_step"
        assert isinstance(model, tf_keras.Model)
        model.fit(X, Y, verbose=0)

    @pytest.mark.slow
    def test_few_checkpoints_are_kept(self, tmp_path: Any) -> None:
        config = kestimator.RunConfig(
            str(tmp_path), keep_checkpoint_max=1, save_checkpoints_steps=1
        )
        estimator = kestimator.model_to_estimator(made(), config=config).train(data(), max_steps=2)
        assert [file.name for file in tmp_path.glob("*.index")] == ["model.ckpt-2.index"]
        assert estimator.train(data(epochs=None), max_steps=2).latest_checkpoint().endswith("-2")


class TestUse:
    @pytest.mark.parametrize("saved", ["checkpoint", pytest.param("saver", marks=pytest.mark.slow)])
    def test_train_and_evaluate_with_an_exporter(self, saved: str, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(
            made(metrics=["mae"]), model_dir=tmp_path, checkpoint_format=saved
        )
        receiver = kestimator.export.build_raw_serving_input_receiver_fn({"x": tf.constant(X)})
        metrics, exports = kestimator.train_and_evaluate(
            estimator,
            kestimator.TrainSpec(data({"x": X}, epochs=None), max_steps=4),
            kestimator.EvalSpec(data({"x": X}), exporters=kestimator.FinalExporter("f", receiver)),
        )
        assert metrics["global_step"] == 4
        loaded = tf.saved_model.load(exports[0].decode())
        served = loaded.signatures["serving_default"](x=tf.constant(X))
        np.testing.assert_allclose(
            next(iter(served.values())), predicted(estimator), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.slow
    def test_files_of_keras(self, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(made(), model_dir=tmp_path / "m").train(data())
        path = estimator.export_keras(tmp_path / "model.keras")
        loaded = tf_keras.models.load_model(path)
        np.testing.assert_allclose(loaded.predict(X, verbose=0), predicted(estimator), rtol=1e-5)
        fresh = made()
        fresh.load_weights(estimator.export_keras(tmp_path / "model.weights.h5"))
        np.testing.assert_allclose(fresh.predict(X, verbose=0), predicted(estimator), rtol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("saved", ["checkpoint", "saver"])
    def test_exports_of_every_mode_train_on(self, saved: str, tmp_path: Any) -> None:
        estimator = kestimator.model_to_estimator(
            made(metrics=["mae"]), model_dir=tmp_path / "model", checkpoint_format=saved
        ).train(data({"x": X}))
        features = {"x": tf.constant(X)}
        receiver = kestimator.export.build_raw_supervised_input_receiver_fn(
            features, tf.constant(Y)
        )
        serving = kestimator.export.build_raw_serving_input_receiver_fn(features)
        path = estimator.experimental_export_all_saved_models(
            tmp_path, {"train": receiver, "eval": receiver, "infer": serving}
        )
        again = kestimator.SavedModelEstimator(path, tmp_path / "again")
        for _ in range(2):
            found, expected = again.evaluate(data({"x": X})), estimator.evaluate(data({"x": X}))
            assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
            assert found["metrics/mae"] == pytest.approx(expected["mae"], rel=1e-5)
            again.train(data({"x": X}))
            estimator.train(data({"x": X}))

    def test_weighted_metrics_count_the_weights(self, tmp_path: Any) -> None:
        """The original counts them without weights."""
        model = made(metrics=["mae"], weighted_metrics=["mse"])
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path)
        found = estimator.evaluate(data({"features": X, "sample_weights": WEIGHTS}))
        error = (model.predict(X, verbose=0) - Y)[:, 0]
        assert found["mse"] == pytest.approx(np.average(error**2, weights=WEIGHTS), rel=1e-5)
        assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)

    @pytest.mark.slow
    def test_models_of_both_generations_side_by_side(self, tmp_path: Any) -> None:
        given = keras.Input([2], name="x")
        new = keras.Model(given, keras.layers.Dense(1)(given))
        new.compile("sgd", "mse")
        old = made(optimizer="sgd")
        estimators = [
            kestimator.model_to_estimator(model, model_dir=tmp_path / name)
            for name, model in (("new", new), ("old", old))
        ]
        for _ in range(2):
            for estimator in estimators:
                estimator.train(data())
        for model, estimator in zip((new, old), estimators, strict=True):
            for _ in range(2):
                model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
            np.testing.assert_allclose(
                predicted(estimator), model.predict(X, verbose=0), rtol=1e-4, atol=1e-5
            )

    @pytest.mark.slow
    def test_added_metrics_and_copies(self, tmp_path: Any) -> None:
        first = kestimator.model_to_estimator(made(), model_dir=tmp_path).train(data())
        second = kestimator.add_metrics(
            first, lambda labels: {"top": tf.compat.v1.metrics.mean(labels)}
        )
        assert second.evaluate(data())["top"] == pytest.approx(Y.mean(), abs=1e-6)


class TestErrors:
    def test_a_class_without_a_config(self) -> None:
        class Closed(tf_keras.Model):
            def __init__(self, size: Any) -> None:
                super().__init__()
                self.last = L.Dense(size)

            def call(self, values: Any) -> Any:
                return self.last(values)

            def get_config(self) -> Any:
                raise NotImplementedError

        model = Closed(1)
        model.compile("sgd", "mse")
        with pytest.raises(errors.ArgumentError, match="(?s)get_config.*from_config"):
            kestimator.model_to_estimator(model, checkpoint_format="saver")

    def test_paths_of_objects_of_an_own_class(self) -> None:
        model = Own()
        model.compile("sgd", "mse")
        with pytest.raises(errors.ArgumentError, match="checkpoint_format.*'saver'"):
            kestimator.model_to_estimator(model)

    def test_operations_instead_of_layers(self, tmp_path: Any) -> None:
        given = tf_keras.Input([2])
        model = tf_keras.Model(given, L.Dense(1)(2.0 * given))
        model.compile("sgd", "mse")
        estimator = kestimator.model_to_estimator(model, model_dir=tmp_path / "model")
        with pytest.raises(errors.ArgumentError, match="tf_keras.layers.Lambda"):
            estimator.train(data())
        assert not (tmp_path / "model").exists()

    def test_an_optimizer_that_legacy_ones_lack(self) -> None:
        with pytest.raises(errors.ArgumentError, match="AdamW of Keras 3"):
            kestimator.model_to_estimator(made(optimizer=tf_keras.optimizers.AdamW()))

    def test_names(self) -> None:
        with pytest.raises(KeyError, match="'r'"):
            kestimator.model_to_estimator(
                made(), export_outputs={"r": kestimator.export.PredictOutput}
            )
        estimator = kestimator.model_to_estimator(
            made(metrics=["mae"]), metric_names_map={"mse": "A"}
        )
        with pytest.raises(ValueError, match=r"Missing: \['mae'\]"):
            estimator.evaluate(data())

    def test_no_labels(self) -> None:
        estimator = kestimator.model_to_estimator(made())
        with pytest.raises(errors.InputError, match="no labels"):
            estimator.train(lambda: tf.data.Dataset.from_tensors(X))


@pytest.mark.slow
def test_tf_keras_is_keras_2(tmp_path: Any) -> None:
    """With TF_USE_LEGACY_KERAS=1, `tf.keras` and `tf.layers` are what `tests/parity` runs."""
    program = pathlib.Path(__file__).with_name("legacy_keras.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[3],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
