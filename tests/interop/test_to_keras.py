"""Canned estimators as Keras models: the same predictions, and the way back."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.adapters.feature_columns import column_layers
from tests.selection import members

fc = tf.feature_column
FEATURES = {
    "age": np.array([17.0, 25.0, 31.5, 60.0, 18.0, 44.0], np.float32),
    "color": np.array([b"red", b"", b"blue", b"violet", b"green", b"red"]),
    "id": np.array([0, 3, -1, 2, 3, 1], np.int64),
    "pair": np.arange(12, dtype=np.float32).reshape(6, 2) / 10,
    "several": np.array([[0, 1, 1], [2, -1, -1], [-1, -1, -1], [3, 0, -1], [1, 2, 3], [2, 2, 0]]),
    "share": np.array([0.5, 1.0, 0.0, 2.0, -1.0, 3.0], np.float32),
}
LABELS = np.array([0, 1, 1, 0, 1, 0], np.int64)
COLORS = ["red", "green", "blue"]
SEVERAL = {"several": keras.Input([3], name="several", dtype="int64")}


def data(keys: Any, labels: Any = LABELS) -> Callable[[], tf.data.Dataset]:
    features = {key: FEATURES[key] for key in keys}
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).batch(3)


def tensors(keys: Any) -> dict[str, tf.Tensor]:
    return {key: tf.constant(FEATURES[key]) for key in keys}


def assert_equal(estimator: Any, model: keras.Model) -> None:
    """The model gives the floats that `predict` gives and no other, also when loaded again."""
    rows = list(estimator.predict(data(model.input)))
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = keras.models.load_model(f"{folder}/model.keras")
    found, again = model(tensors(model.input)), loaded(tensors(model.input))
    for key in rows[0]:
        name = "/".join(key) if isinstance(key, tuple) else key
        if rows[0][key].dtype == np.float32:
            expected = np.stack([row[key] for row in rows])
            np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(again[name], expected, rtol=1e-5, atol=1e-6)
        else:
            assert name not in found


def age() -> Any:
    return fc.numeric_column("age")


def identity(key: str = "id", **options: Any) -> Any:
    return fc.categorical_column_with_identity(key, 4, **options)


def color(**options: Any) -> Any:
    return fc.categorical_column_with_vocabulary_list("color", COLORS, **options)


def buckets() -> Any:
    return fc.bucketized_column(age(), [20, 25, 40])


def weighted() -> Any:
    return fc.weighted_categorical_column(identity(), "share")


CATEGORICAL = {
    "identity": identity,
    "identity with a default": lambda: identity(default_value=1),
    "words": color,
    "words with a default": lambda: color(default_value=2),
    "words with one bucket": lambda: color(num_oov_buckets=1),
    "words with buckets": lambda: color(num_oov_buckets=3),
    "numbers with buckets": lambda: fc.categorical_column_with_vocabulary_list(
        "id", [3, 1], num_oov_buckets=2
    ),
    "hash of words": lambda: fc.categorical_column_with_hash_bucket("color", 5),
    "hash of numbers": lambda: fc.categorical_column_with_hash_bucket("id", 5, tf.int64),
    "buckets": buckets,
    "cross": lambda: fc.crossed_column([buckets(), identity()], 16),
    "cross of features": lambda: fc.crossed_column(["color", color(default_value=1)], 16),
    "weighted": weighted,
    "several": lambda: identity("several"),
}
DENSE = {
    "number": age,
    "numbers": lambda: fc.numeric_column("pair", shape=2),
    "layer as normalizer": lambda: fc.numeric_column(
        "age", normalizer_fn=keras.layers.Normalization(axis=None, mean=30.0, variance=100.0)
    ),
    "buckets of one": buckets,
    "buckets of two": lambda: fc.bucketized_column(fc.numeric_column("pair", shape=2), [0.3, 0.6]),
    "clipped": lambda: fc.embedding_column(identity(), 2, max_norm=0.1),
    "layer": lambda: keras.layers.Normalization(axis=None, mean=30.0, variance=9.0, name="age"),
    "layer with weights": lambda: keras.layers.Dense(2, name="pair"),
    **{
        f"{combiner} of {name}": lambda make=make, combiner=combiner: fc.embedding_column(
            make(), 3, combiner=combiner
        )
        for name, make in CATEGORICAL.items()
        for combiner in ("sum", "mean", "sqrtn")
        if combiner == "mean" or name in ("several", "weighted")
    },
    **{
        f"indicator of {name}": lambda make=make: fc.indicator_column(make())
        for name, make in CATEGORICAL.items()
    },
}


def needed(column: Any) -> dict[str, Any]:
    """The inputs that have to be said, as they have several values."""
    name = getattr(column, "name", "")
    if "several" in name:
        return dict(SEVERAL)
    return {"pair": keras.Input([2], name="pair")} if name == "pair" else {}


FAST = [
    *("buckets of two", "clipped", "layer as normalizer", "layer with weights", "number"),
    *("indicator of cross", "indicator of words with buckets", "mean of hash of words"),
    *("mean of numbers with buckets", "mean of several", "sqrtn of weighted", "sum of several"),
]


@pytest.mark.parametrize("name", members(DENSE, fast=FAST))
def test_dense_columns(name: str, tmp_path: Any) -> None:
    column = DENSE[name]()
    config = kestimator.RunConfig(str(tmp_path), tf_random_seed=1)
    estimator = kestimator.DNNClassifier([4], [column], config=config)
    estimator.train(data(FEATURES), steps=2)
    assert_equal(estimator, estimator.to_keras(inputs=needed(column)))


@pytest.mark.parametrize("combiner", members(["sum", "mean", "sqrtn"], fast=["sqrtn"]))
def test_linear_models(combiner: str, tmp_path: Any) -> None:
    columns = [CATEGORICAL[name]() for name in ("words", "buckets", "cross", "weighted", "several")]
    columns += [age(), fc.numeric_column("pair", shape=2), fc.indicator_column(identity())]
    estimator = kestimator.LinearClassifier(
        columns, str(tmp_path), n_classes=3, sparse_combiner=combiner
    )
    estimator.train(data(FEATURES), steps=2)
    assert_equal(estimator, estimator.to_keras(inputs=SEVERAL))


def multi_head() -> Any:
    return kestimator.MultiHead(
        [kestimator.MultiClassHead(3, name="kind"), kestimator.RegressionHead(2, name="size")]
    )


HEADS = {
    "binary": (kestimator.BinaryClassHead, LABELS),
    "classes": (lambda: kestimator.MultiClassHead(3), LABELS),
    "labels": (lambda: kestimator.MultiLabelHead(2), np.stack([LABELS, 1 - LABELS], 1)),
    "numbers": (lambda: kestimator.RegressionHead(2), np.ones([6, 2], np.float32)),
    "link": (lambda: kestimator.RegressionHead(inverse_link_fn=tf.math.exp), LABELS),
    "counts": (kestimator.PoissonRegressionHead, LABELS),
    "logistic": (kestimator.LogisticRegressionHead, LABELS),
    "several": (multi_head, {"kind": LABELS, "size": np.ones([6, 2], np.float32)}),
}


@pytest.mark.parametrize("name", members(HEADS, fast=["binary", "link", "several"]))
def test_heads(name: str, tmp_path: Any) -> None:
    head, labels = HEADS[name]
    estimator = kestimator.DNNLinearCombinedEstimator(
        head(),
        str(tmp_path),
        linear_feature_columns=[color()],
        dnn_feature_columns=[buckets()],
        dnn_hidden_units=[4, 3],
        dnn_activation_fn=tf.nn.leaky_relu,
        dnn_dropout=0.2,
        batch_norm=True,
    )
    estimator.train(data(["age", "color"], labels), steps=2)
    assert_equal(estimator, estimator.to_keras())


def trained(folder: pathlib.Path, **options: Any) -> Any:
    """A wide and deep estimator whose columns have dots and blanks in their names."""
    cross = fc.crossed_column([buckets(), "color"], 8)
    config = kestimator.RunConfig(str(folder), tf_random_seed=1)
    return kestimator.DNNLinearCombinedClassifier(
        linear_feature_columns=[color(), cross, age()],
        dnn_feature_columns=[fc.embedding_column(identity("a.b id"), 2), age()],
        dnn_hidden_units=[4],
        config=config,
        **options,
    )


def dotted() -> tf.data.Dataset:
    names = {"age": "age", "color": "color", "id": "a.b id"}
    return data(names)().map(lambda x, y: ({new: x[old] for old, new in names.items()}, y))


def logits(estimator: Any) -> np.ndarray:
    return np.stack([row["logits"] for row in estimator.predict(dotted)])


class TestFiles:
    def test_are_loaded_without_kestimator(self, tmp_path: Any) -> None:
        estimator = trained(tmp_path / "model").train(dotted, steps=2)
        estimator.to_keras().save(tmp_path / "model.keras")
        np.savez(tmp_path / "features.npz", **{k: FEATURES[k] for k in ("age", "id", "color")})
        program = (
            "import sys, keras, numpy as np, tensorflow as tf\n"
            "model = keras.models.load_model('model.keras')\n"
            "x = {k: tf.constant(v) for k, v in np.load('features.npz').items()}\n"
            "x['a.b id'] = x.pop('id')\n"
            "np.save('logits.npy', model(x)['logits'])\n"
            "assert 'kestimator' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=120)
        found = np.load(tmp_path / "logits.npy")
        np.testing.assert_allclose(found, logits(estimator), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
    def test_are_starting_points(self, name: str, tmp_path: Any) -> None:
        estimator = trained(tmp_path / "model").train(dotted, steps=2)
        model = estimator.to_keras()
        path = tmp_path / name
        model.save(path) if name.endswith("keras") else model.save_weights(path)
        second = trained(tmp_path / "second", warm_start_from=str(path))
        np.testing.assert_allclose(logits(second), logits(estimator), rtol=1e-6)
        second.train(dotted, steps=1)
        assert second.get_variable_value("global_step") == 1

    def test_after_training_in_keras(self, tmp_path: Any) -> None:
        model = trained(tmp_path / "model").train(dotted, steps=2).to_keras()
        model.compile("sgd", loss={"logits": keras.losses.BinaryCrossentropy(from_logits=True)})
        model.fit(dotted().map(lambda x, y: (x, {"logits": y[:, None]})), shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        second = trained(tmp_path / "second", warm_start_from=tmp_path / "model.keras")
        x = {**tensors(["age", "color"]), "a.b id": tf.constant(FEATURES["id"])}
        np.testing.assert_allclose(logits(second), model(x)["logits"], rtol=1e-5, atol=1e-6)

    def test_are_exported_before_any_training(self, tmp_path: Any) -> None:
        estimator = trained(tmp_path / "model").train(dotted, steps=2)
        estimator.to_keras().save(tmp_path / "model.keras")
        second = trained(tmp_path / "second", warm_start_from=str(tmp_path / "model.keras"))
        receiver = kestimator.export.build_raw_serving_input_receiver_fn(
            {name: value[:1] for name, value in next(iter(dotted()))[0].items()}
        )
        path = second.export_saved_model(str(tmp_path / "export"), receiver).decode()
        names = {"age": "age", "color": "color", "id": "a.b id"}
        features = {new: tf.constant(FEATURES[old]) for old, new in names.items()}
        served = tf.saved_model.load(path).signatures["predict"](**features)["logits"]
        np.testing.assert_allclose(served, logits(estimator), rtol=1e-5, atol=1e-6)

    def test_of_some_variables(self, tmp_path: Any) -> None:
        estimator = trained(tmp_path / "model").train(dotted, steps=2)
        estimator.to_keras().save(tmp_path / "model.keras")
        settings = kestimator.WarmStartSettings(str(tmp_path / "model.keras"), "linear/")
        second = trained(tmp_path / "second", warm_start_from=settings).train(dotted, steps=1)
        assert second.get_variable_value("dnn/logits/kernel").shape == (4, 1)

    @pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
    def test_damaged(self, name: str, tmp_path: Any) -> None:
        (tmp_path / name).write_bytes(b"PK no such thing")
        second = trained(tmp_path / "second", warm_start_from=str(tmp_path / name))
        with pytest.raises(errors.UnreadableCheckpointError, match=name):
            second.train(dotted, steps=1)
        assert not (tmp_path / "second").exists()

    def test_absent(self, tmp_path: Any) -> None:
        with pytest.raises(errors.CheckpointNotFoundError, match=r"warm_start_from.*no\.keras"):
            trained(tmp_path / "second", warm_start_from=str(tmp_path / "no.keras"))

    def test_of_another_model(self, tmp_path: Any) -> None:
        keras.Sequential([keras.Input([1]), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
        second = trained(tmp_path / "second", warm_start_from=str(tmp_path / "model.keras"))
        with pytest.raises(ValueError, match=r"(?s)warm_start_from.*dnn/hiddenlayer_0"):
            second.train(dotted, steps=1)


class TestErrors:
    @pytest.mark.parametrize(
        ("column", "words"),
        [
            (lambda: fc.numeric_column("age", normalizer_fn=lambda x: x / 2), "'age'.*Rescaling"),
            (
                lambda: fc.indicator_column(fc.crossed_column(["color", "id"], 8, hash_key=7)),
                "'color_X_id'.*hash_key",
            ),
            (
                lambda: fc.indicator_column(fc.crossed_column(["color", "id", buckets()], 8)),
                "'age_bucketized_X_color_X_id'.*two features",
            ),
            (
                lambda: fc.indicator_column(fc.crossed_column(["color", identity("several")], 8)),
                "'color_X_several'.*one value",
            ),
        ],
    )
    def test_name_the_column(self, column: Any, words: str, tmp_path: Any) -> None:
        keys = [key for key in FEATURES if key != "id"]

        def words_only() -> tf.data.Dataset:
            return data(keys)().map(lambda x, y: ({**x, "id": x["color"]}, y))

        estimator = kestimator.DNNClassifier([2], [column()], str(tmp_path))
        estimator.train(words_only, steps=1)
        inputs = SEVERAL if "several" in words else None
        with pytest.raises(errors.ArgumentError, match=words):
            estimator.to_keras(inputs=inputs)

    @pytest.mark.parametrize(
        ("column", "words"),
        [
            (
                lambda: keras.utils.FeatureSpace({"age": "float"}, name="space"),
                "'space'.*its encoder",
            ),
            (
                lambda: fc.sequence_numeric_column("age"),
                "'age'.*no equivalent of a SequenceNumericColumn",
            ),
            (
                lambda: fc.embedding_column(
                    fc.categorical_column_with_vocabulary_file(
                        "color", "words.gz", 3, file_format="tfrecord_gzip"
                    ),
                    2,
                ),
                "'color'.*TFRecord",
            ),
        ],
    )
    def test_before_any_weight_is_read(self, column: Any, words: str) -> None:
        def value_of(name: str) -> np.ndarray:
            raise AssertionError(name)

        with pytest.raises(errors.ArgumentError, match=words):
            column_layers.ColumnLayers([made := column()], {}, value_of).dense(made, "dnn")

    def test_features_that_are_no_one_thing(self, tmp_path: Any) -> None:
        columns = [identity(), fc.crossed_column([color(), "id"], 4)]
        estimator = kestimator.LinearClassifier(columns, str(tmp_path))
        estimator.train(data(FEATURES), steps=1)
        assert_equal(estimator, estimator.to_keras())
        columns = [color(), fc.numeric_column("color")]
        words = "'color' cannot be a single Keras input"
        with pytest.raises(errors.ArgumentError, match=words):
            column_layers.ColumnLayers(columns, {}, lambda name: np.zeros(1))

    def test_functions(self, tmp_path: Any) -> None:
        estimator = kestimator.DNNClassifier(
            [2], [age()], str(tmp_path), activation_fn=lambda x: x * 2
        ).train(data(["age"]), steps=1)
        with pytest.raises(errors.ArgumentError, match="activation_fn"):
            estimator.to_keras()

    def test_arguments(self, tmp_path: Any) -> None:
        estimator = kestimator.LinearClassifier([age()], str(tmp_path))
        with pytest.raises(errors.CheckpointNotFoundError, match="Train first"):
            estimator.to_keras()
        estimator.train(data(["age"]), steps=1)
        with pytest.raises(errors.ArgumentError, match=r"inputs.*\['height'\]"):
            estimator.to_keras(inputs={"height": keras.Input([1])})
        with pytest.raises(errors.ArgumentTypeError, match="inputs"):
            estimator.to_keras(inputs=3)


def test_a_baseline_counts_examples(tmp_path: Any) -> None:
    estimator = kestimator.BaselineClassifier(str(tmp_path), n_classes=3)
    estimator.train(data(["age"]), steps=3)
    rows = list(estimator.predict(data(["age"])))
    found = estimator.to_keras()({"example": tf.zeros([6, 1])})
    expected = [row["probabilities"] for row in rows]
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-5)
