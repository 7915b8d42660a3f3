"""Canned estimators: what each promises, whatever the numbers; and what they refuse, how."""

from __future__ import annotations

import functools
import inspect
import json
import operator
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.engine.graphs import ordering
from kestimator.estimator import state_of
from tests.selection import members

v1 = tf.compat.v1
fc = tf.feature_column

COLORS = ["red", "green", "blue"]
FEATURES = {
    "age": np.array([17.0, 25.0, 31.5, 60.0, 18.0, 44.0], np.float32),
    "color": np.array([b"red", b"", b"blue", b"violet", b"green", b"red"]),
    "id": np.array([0, 3, -1, 2, 3, 1], np.int64),
}
LABELS = np.array([0, 1, 1, 0, 1, 0], np.int64)


def data(epochs: int | None = None) -> Callable[[], tf.data.Dataset]:
    return lambda: tf.data.Dataset.from_tensor_slices((FEATURES, LABELS)).repeat(epochs).batch(3)


def age() -> Any:
    return fc.numeric_column("age", normalizer_fn=lambda x: x / 50.0)


def color() -> Any:
    return fc.categorical_column_with_vocabulary_list("color", COLORS)


def wide() -> list[Any]:
    buckets = fc.bucketized_column(fc.numeric_column("age"), [20, 40])
    return [age(), color(), fc.crossed_column([buckets, color()], 8)]


def deep() -> list[Any]:
    identity = fc.categorical_column_with_identity("id", 4)
    return [age(), fc.indicator_column(color()), fc.embedding_column(identity, 2)]


BOTH = {
    "linear_feature_columns": wide,
    "dnn_feature_columns": deep,
    "dnn_hidden_units": lambda: [4],
}
DEEP = {"hidden_units": lambda: [4, 3], "feature_columns": deep}
REGRESSION = {"head": kestimator.RegressionHead}
ESTIMATORS: dict[str, dict[str, Callable[[], Any]]] = {
    "BaselineClassifier": {},
    "BaselineEstimator": REGRESSION,
    "BaselineRegressor": {},
    "DNNClassifier": DEEP,
    "DNNEstimator": {**DEEP, **REGRESSION},
    "DNNRegressor": DEEP,
    "DNNLinearCombinedClassifier": BOTH,
    "DNNLinearCombinedEstimator": {**BOTH, **REGRESSION},
    "DNNLinearCombinedRegressor": BOTH,
    "LinearClassifier": {"feature_columns": wide},
    "LinearEstimator": {"feature_columns": wide, **REGRESSION},
    "LinearRegressor": {"feature_columns": wide},
}


def made(name: str, model_dir: Any, **options: Any) -> kestimator.Estimator:
    given = {key: value() for key, value in ESTIMATORS[name].items()}
    config = kestimator.RunConfig(str(model_dir), tf_random_seed=1, save_summary_steps=100)
    return getattr(kestimator, name)(config=config, **{**given, **options})


def predictions(estimator: kestimator.Estimator) -> np.ndarray:
    def features() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(FEATURES).batch(4)

    rows = list(estimator.predict(features))
    key = "logits" if "logits" in rows[0] else "predictions"
    return np.array([row[key] for row in rows])


FAST = ["BaselineEstimator", "DNNClassifier", "DNNLinearCombinedRegressor", "LinearRegressor"]


@pytest.mark.parametrize("name", members(ESTIMATORS, fast=FAST))
class TestEveryEstimator:
    def test_learns(self, name: str, tmp_path: Any) -> None:
        estimator = made(name, tmp_path).train(data(), steps=1)
        first = estimator.evaluate(data(1))["average_loss"]
        estimator.train(data(), steps=60)
        assert estimator.evaluate(data(1))["average_loss"] < first

    def test_serves_what_it_predicts(self, name: str, tmp_path: Any) -> None:
        estimator = made(name, tmp_path / "model").train(data(), steps=3)
        spec = _parsing_spec([*wide(), *deep()])
        receiver = kestimator.export.build_parsing_serving_input_receiver_fn(spec)
        path = estimator.export_saved_model(str(tmp_path / "export"), receiver)
        loaded = tf.saved_model.load(path.decode())
        served = loaded.signatures["predict"](examples=tf.constant(examples()))
        key = "logits" if "logits" in served else "predictions"
        np.testing.assert_allclose(served[key].numpy(), predictions(estimator), rtol=1e-5)

    def test_can_be_called_from_another_model_fn(self, name: str, tmp_path: Any) -> None:
        inner = made(name, tmp_path / "inner")
        outer = kestimator.Estimator(inner.model_fn, str(tmp_path / "outer"))
        outer.train(data(), steps=2)
        assert outer.get_variable_names() == inner.train(data(), steps=1).get_variable_names()


def _parsing_spec(columns: list[Any]) -> dict[str, Any]:
    spec = fc.make_parse_example_spec(columns)
    return {**spec, "age": tf.io.FixedLenFeature([1], tf.float32)}


def examples() -> list[bytes]:
    return [_example(row) for row in range(len(LABELS))]


def _example(row: int) -> bytes:
    feature = tf.train.Feature
    values = {"age": feature(float_list=tf.train.FloatList(value=[FEATURES["age"][row]]))}
    if FEATURES["color"][row]:
        words = tf.train.BytesList(value=[FEATURES["color"][row]])
        values["color"] = feature(bytes_list=words)
    if FEATURES["id"][row] >= 0:
        values["id"] = feature(int64_list=tf.train.Int64List(value=[FEATURES["id"][row]]))
    features = tf.train.Features(feature=values)
    return tf.train.Example(features=features).SerializeToString()


def step_types(estimator: kestimator.Estimator) -> list[tf.Operation]:
    (model,) = state_of(estimator).programs.of("train")
    reached = ordering.reachable_operations([*model.operations, model.spec.loss])
    return [op for op in reached if op.type not in ("Placeholder", "Const")]


class TestCost:
    @pytest.mark.parametrize("optimizer", ["SGD", "Adagrad", "Ftrl"])
    def test_a_step_reads_no_table_in_full(self, optimizer: str, tmp_path: Any) -> None:
        estimator = made("DNNClassifier", tmp_path, optimizer=optimizer)
        tables = [
            placeholder.op
            for op in step_types(estimator.train(data(), steps=1))
            if op.type == "ReadVariableOp"
            for placeholder in op.inputs
        ]
        assert not [op.name for op in tables if "embedding" in op.name]

    @pytest.mark.parametrize("clipnorm", [None, 0.1])
    def test_small_tables_are_updated_whole_to_the_same_bits(
        self, clipnorm: float | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def trained(name: str) -> tuple[kestimator.Estimator, set[str]]:
            optimizer = keras.optimizers.Adagrad(0.5, clipnorm=clipnorm)
            estimator = made("DNNClassifier", tmp_path / name, optimizer=optimizer)
            estimator.train(data(), steps=10)
            return estimator, {op.type for op in step_types(estimator)}

        whole, whole_types = trained("whole")
        monkeypatch.setattr(canned_optimizers, "SMALL_TABLE", 7)
        rows, rows_types = trained("rows")
        assert "ResourceSparseApplyAdagradV2" in rows_types - whole_types
        for name in rows.get_variable_names():
            np.testing.assert_array_equal(
                rows.get_variable_value(name), whole.get_variable_value(name), name
            )

    def test_thirteen_numbers_and_six_embeddings(self, tmp_path: Any) -> None:
        features = {f"number_{i}": FEATURES["age"] for i in range(13)}
        features |= {f"id_{i}": FEATURES["id"] for i in range(6)}
        ids = [fc.categorical_column_with_identity(f"id_{i}", 1000) for i in range(6)]
        columns = [
            *(fc.numeric_column(f"number_{i}") for i in range(13)),
            *(fc.embedding_column(column, 8) for column in ids),
        ]
        estimator = kestimator.DNNClassifier([128, 64], columns, str(tmp_path))
        estimator.train(
            lambda: tf.data.Dataset.from_tensor_slices((features, LABELS)).batch(3), steps=1
        )
        assert len(step_types(estimator)) < 150


class TestOptimizers:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: keras.optimizers.AdamW(0.1),
            lambda: keras.optimizers.RMSprop(0.01),
            lambda: keras.optimizers.Adamax(lambda: 0.01),
            lambda: keras.optimizers.Adagrad(keras.optimizers.schedules.CosineDecay(0.1, 50)),
            lambda: kestimator.optimizers.LazyAdam(0.1),
            lambda: v1.train.MomentumOptimizer(0.01, 0.9),
        ],
        ids=["AdamW", "RMSprop", "function", "schedule", "LazyAdam", "TF1"],
    )
    @pytest.mark.parametrize(
        "name",
        members(["LinearClassifier", "DNNLinearCombinedRegressor"], fast=["LinearClassifier"]),
    )
    @pytest.mark.parametrize("is_object", [True, pytest.param(False, marks=pytest.mark.slow)])
    def test_objects_and_functions(
        self, make: Any, name: str, is_object: bool, tmp_path: Any
    ) -> None:
        optimizer = make() if is_object else make
        both = name.startswith("DNNLinear")
        keys = ["linear_optimizer", "dnn_optimizer"] if both else ["optimizer"]
        estimator = made(name, tmp_path, **dict.fromkeys(keys, optimizer))
        estimator.train(data(), steps=2)
        first = estimator.evaluate(data(1))["loss"]
        again = made(name, tmp_path, **dict.fromkeys(keys, optimizer))
        again.train(data(), steps=20)
        assert again.get_variable_value("global_step") == 22
        assert again.evaluate(data(1))["loss"] < first

    def test_an_object_that_computes_the_same_goes_on_from_a_name(self, tmp_path: Any) -> None:
        made("LinearClassifier", tmp_path, optimizer="Adam").train(data(), steps=2)
        names = made("LinearClassifier", tmp_path).get_variable_names()
        optimizer = keras.optimizers.Adam(0.5)
        estimator = made("LinearClassifier", tmp_path, optimizer=optimizer).train(data(), steps=2)
        assert estimator.get_variable_names() == names
        rate = estimator.get_variable_value("training/Adam/learning_rate")
        assert rate == np.float32(0.2)  # a checkpoint's settings win, as in the original

    def test_a_function_sees_the_global_step(self, tmp_path: Any) -> None:
        def optimizer() -> Any:
            step = v1.train.get_global_step()
            rate = v1.train.piecewise_constant(step, [2], [0.1, 0.0])
            return v1.train.GradientDescentOptimizer(rate)

        estimator = made("LinearClassifier", tmp_path, optimizer=optimizer)
        estimator.train(data(), steps=3)
        before = predictions(estimator)
        estimator.train(data(), steps=2)
        np.testing.assert_array_equal(predictions(estimator), before)

    def test_a_rate_that_is_a_function(self, tmp_path: Any) -> None:
        optimizer = keras.optimizers.SGD(lambda: 0.0)
        estimator = made("LinearClassifier", tmp_path, optimizer=optimizer).train(data(), steps=3)
        assert not np.any(predictions(estimator))


def test_two_optimizers_of_one_kind(tmp_path: Any) -> None:
    options = {"linear_optimizer": "Adagrad", "dnn_optimizer": keras.optimizers.Adagrad(0.1)}
    estimator = made("DNNLinearCombinedClassifier", tmp_path, **options).train(data(), steps=3)
    assert estimator.get_variable_value("training/Adagrad_1/iter") == 3
    names = estimator.get_variable_names()
    assert "training/Adagrad_1/linear/linear_model/age/weights/accumulator" in names
    assert "training/Adagrad/dnn/logits/bias/accumulator" in names


def test_trainable_keras_columns_are_trained(tmp_path: Any) -> None:
    layers = [keras.Input((), name="id", dtype="int64"), keras.layers.Embedding(8, 2)]
    model = keras.Sequential(layers, name="table")
    columns, options = [age(), model], {"activation_fn": None, "optimizer": "Adam"}
    estimator = kestimator.DNNClassifier([3], columns, str(tmp_path), **options)
    features = {**FEATURES, "id": np.abs(FEATURES["id"])}

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((features, LABELS)).repeat().batch(3)

    estimator.train(input_fn, steps=1)
    (name,) = (name for name in estimator.get_variable_names() if name.endswith("embeddings"))
    before = estimator.get_variable_value(name)
    estimator.train(input_fn, steps=2)
    assert np.any(estimator.get_variable_value(name) != before)


def test_shared_embeddings_are_where_the_original_has_them(tmp_path: Any, caplog: Any) -> None:
    ids = [fc.categorical_column_with_identity(key, 4, default_value=0) for key in ("id", "code")]
    with tf.Graph().as_default():  # TensorFlow makes them in a graph alone
        columns = fc.shared_embeddings(ids, 2)
    features = {**FEATURES, "code": FEATURES["id"]}

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((features, LABELS)).repeat().batch(3)

    estimator = kestimator.DNNClassifier([3], columns, str(tmp_path)).train(input_fn, steps=1)
    before = estimator.get_variable_value("code_id_shared_embedding")
    assert "keeps its initial values" in caplog.text
    estimator.train(input_fn, steps=2)
    after = estimator.get_variable_value("code_id_shared_embedding")
    np.testing.assert_array_equal(before, after)
    assert estimator.evaluate(input_fn, steps=1)["global_step"] == 3


SHARING = {"a": np.array([["x"], ["y"], ["x"]]), "b": np.array([["y"], ["x"], ["x"]])}


def shared_columns(make: Any) -> Any:
    """Two columns with one table of three rows, which start from 0.3."""
    ids = [fc.categorical_column_with_vocabulary_list(key, ["x", "y", "z"]) for key in "ab"]
    with tf.Graph().as_default():  # TensorFlow makes them in a graph alone
        return make(ids, 2, initializer=v1.constant_initializer(0.3))


def sharing_input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors((SHARING, tf.constant([[1.0], [0.0], [1.0]]))).repeat(3)


def values_of(estimator: Any) -> dict[str, list[float]]:
    """The first column of each table, and of each bias."""
    names = [name for name in estimator.get_variable_names() if not name.startswith("training/")]
    values = {name: estimator.get_variable_value(name) for name in names if "step" not in name}
    return {name: value.reshape(len(value), -1)[:, 0].tolist() for name, value in values.items()}


def test_a_linear_model_shares_an_embedding_of_tf1(tmp_path: Any) -> None:
    # The names and numbers of tf.compat.v1.estimator.LinearRegressor.
    estimator = kestimator.LinearRegressor(
        shared_columns(v1.feature_column.shared_embedding_columns),
        model_dir=str(tmp_path),
        optimizer=v1.train.GradientDescentOptimizer(0.1),
        loss_reduction="sum",
    ).train(sharing_input_fn)
    scope = "linear/linear_model/a_b_shared_embedding"
    assert values_of(estimator) == {
        f"{scope}/embedding_weights": pytest.approx([0.33088946, 0.28941348, 0.3], rel=1e-5),
        f"{scope}/weights": pytest.approx([0.14789127] * 2, rel=1e-5),
        f"{scope}_1/weights": pytest.approx([0.14351366] * 2, rel=1e-5),
        "linear/linear_model/bias_weights": pytest.approx([0.48288682], rel=1e-5),
    }


def test_a_linear_model_does_not_train_a_shared_embedding(tmp_path: Any) -> None:
    # The names and numbers of tf.estimator.LinearRegressor.
    columns = shared_columns(fc.shared_embeddings)
    estimator = kestimator.LinearRegressor(columns, model_dir=str(tmp_path), optimizer="SGD")
    estimator.train(sharing_input_fn)
    assert values_of(estimator) == {
        "a_b_shared_embedding": pytest.approx([0.3, 0.3, 0.3]),
        "linear/linear_model/a_shared_embedding/weights": pytest.approx([0.13311489] * 2, rel=1e-5),
        "linear/linear_model/b_shared_embedding/weights": pytest.approx([0.13311489] * 2, rel=1e-5),
        "linear/linear_model/bias_weights": pytest.approx([0.44371629], rel=1e-5),
    }


@pytest.mark.parametrize("name", [None, "table"])
def test_a_network_trains_a_shared_embedding_of_tf1(name: str | None, tmp_path: Any) -> None:
    make = functools.partial(
        v1.feature_column.shared_embedding_columns, shared_embedding_collection_name=name
    )
    # Not ReLU: a unit that is off for all examples would train nothing.
    estimator = kestimator.DNNRegressor(
        [2], shared_columns(make), str(tmp_path), activation_fn=tf.nn.sigmoid
    )
    estimator.train(sharing_input_fn)
    scope = "dnn/input_from_feature_columns/input_layer"
    table = f"{scope}/{name or 'a_b_shared_embedding'}/embedding_weights"
    names = [one for one in estimator.get_variable_names() if scope in one]
    assert names == [table, f"training/Adagrad/{table}/accumulator"]
    rows = estimator.get_variable_value(table)
    assert np.all(rows[:2] != rows[2])  # no example has the id of the last row


def test_a_keras_layer_serves_every_mode(tmp_path: Any) -> None:
    layer = keras.layers.Normalization(axis=None, mean=30.0, variance=100.0, name="ages")
    column = keras.Sequential([layer], name="age")
    normalization = keras.layers.Normalization(axis=-1, mean=30.0, variance=100.0, name="age")
    for position, keras_column in enumerate((column, normalization)):
        features = {"age": FEATURES["age"][:, None]}
        dataset = tf.data.Dataset.from_tensor_slices((features, LABELS)).batch(3)
        estimator = kestimator.LinearClassifier([keras_column], str(tmp_path / str(position)))
        estimator.train(lambda dataset=dataset: dataset, steps=2)
        assert estimator.evaluate(lambda dataset=dataset: dataset)["global_step"] == 2
        assert len(list(estimator.predict(lambda dataset=dataset: dataset))) == 6


class TestWhatIsRefusedAtConstruction:
    @pytest.mark.parametrize(
        ("name", "options", "words"),
        [
            ("DNNClassifier", {"optimizer": "adagrad"}, ["`optimizer`", "'adagrad'", "'Adagrad'"]),
            ("LinearClassifier", {"optimizer": 3}, ["`optimizer`", "3", "keras.optimizers"]),
            (
                "DNNLinearCombinedClassifier",
                {"linear_optimizer": "x"},
                ["`linear_optimizer`", "'x'"],
            ),
            ("DNNLinearCombinedClassifier", {"dnn_optimizer": None}, ["`dnn_optimizer`", "None"]),
            ("DNNClassifier", {"n_classes": 1}, ["`n_classes`", "1", "at least 2"]),
            ("DNNClassifier", {"n_classes": 2.5}, ["`n_classes`", "2.5"]),
            ("DNNClassifier", {"hidden_units": []}, ["`hidden_units`", "[]", "linear"]),
            ("DNNClassifier", {"hidden_units": [0]}, ["`hidden_units`", "[0]"]),
            ("DNNClassifier", {"dropout": 1.0}, ["`dropout`", "1.0", "[0, 1)"]),
            ("DNNClassifier", {"activation_fn": "nope"}, ["`activation_fn`", "'nope'"]),
            ("DNNClassifier", {"activation_fn": 3}, ["`activation_fn`", "3"]),
            ("DNNClassifier", {"feature_columns": []}, ["`feature_columns`", "non-empty"]),
            ("LinearClassifier", {"sparse_combiner": "max"}, ["`sparse_combiner`", "'max'"]),
            (
                "DNNLinearCombinedClassifier",
                {"linear_sparse_combiner": "max"},
                ["`linear_sparse_combiner`", "'max'"],
            ),
            (
                "DNNLinearCombinedClassifier",
                {"dnn_hidden_units": []},
                ["`dnn_hidden_units`", "dnn_feature_columns"],
            ),
            (
                "DNNLinearCombinedClassifier",
                {"dnn_feature_columns": None, "linear_feature_columns": []},
                ["linear_feature_columns", "dnn_feature_columns"],
            ),
            (
                "DNNLinearCombinedClassifier",
                {"dnn_dropout": -1, "dnn_feature_columns": age()},
                ["`dnn_dropout`"],
            ),
            ("LinearEstimator", {"head": 3}, ["`head`", "3", "RegressionHead"]),
        ],
    )
    def test_says_what_and_why(
        self, name: str, options: dict[str, Any], words: list[str], tmp_path: Any
    ) -> None:
        with pytest.raises(errors.ArgumentError) as caught:
            made(name, tmp_path / "model", **options)
        for word in words:
            assert word in str(caught.value)
        assert not (tmp_path / "model").exists()

    def test_a_number_for_hidden_units(self) -> None:
        with pytest.raises(errors.ArgumentTypeError, match="`hidden_units`"):
            kestimator.DNNClassifier(8, deep())

    def test_a_categorical_column_in_a_network(self) -> None:
        with pytest.raises(errors.ArgumentError, match="embedding_column") as caught:
            kestimator.DNNClassifier([3], [age(), color()])
        assert "`feature_columns[1]`" in str(caught.value)


class TestAddMetrics:
    def test_adds_and_replaces(self, tmp_path: Any) -> None:
        def metric_fn(features: Any, labels: Any, predictions: Any) -> dict[str, Any]:
            ages = keras.metrics.Mean(name="ages")
            ages.update_state(features["age"])
            right = v1.metrics.accuracy(labels, predictions["class_ids"][:, 0])
            return {"ages": ages, "right": right, "average_loss": v1.metrics.mean(7.0)}

        first = made("LinearClassifier", tmp_path)
        extended = kestimator.add_metrics(first, metric_fn).train(data(), steps=3)
        assert extended.model_dir == first.model_dir
        metrics = extended.evaluate(data(1))
        assert metrics["ages"] == pytest.approx(FEATURES["age"].mean(), rel=1e-5)
        assert metrics["right"] == metrics["accuracy"]
        assert metrics["average_loss"] == 7.0

    def test_refuses_other_arguments(self, tmp_path: Any) -> None:
        estimator = made("LinearClassifier", tmp_path)
        with pytest.raises(ValueError, match="metric_fn.*logits"):
            kestimator.add_metrics(estimator, lambda logits: {})
        with pytest.raises(TypeError, match="estimator"):
            kestimator.add_metrics("linear", lambda labels: {})  # type: ignore[arg-type]


class TestForwardFeatures:
    def test_passes_them_to_predictions_and_exports(self, tmp_path: Any) -> None:
        estimator = made("LinearClassifier", tmp_path / "model").train(data(), steps=1)
        forwarding = kestimator.forward_features(estimator, ["id", "color"], {"id": -7})
        rows = list(forwarding.predict(data(1)))
        assert [row["id"] for row in rows] == FEATURES["id"].tolist()
        spec = _parsing_spec([*wide(), *deep()])
        receiver = kestimator.export.build_parsing_serving_input_receiver_fn(spec)
        path = forwarding.export_saved_model(str(tmp_path / "export"), receiver)
        served = tf.saved_model.load(path.decode()).signatures["predict"](
            examples=tf.constant(examples())
        )
        assert served["id"].numpy()[:, 0].tolist() == [0, 3, -7, 2, 3, 1]
        assert served["color"].numpy()[:, 0].tolist() == FEATURES["color"].tolist()

    def test_all_of_them(self, tmp_path: Any) -> None:
        estimator = made("LinearClassifier", tmp_path).train(data(), steps=1)
        row = next(kestimator.forward_features(estimator).predict(data(1)))
        assert set(FEATURES) < set(row)

    @pytest.mark.parametrize("keys", [3, [3], []])
    def test_refuses_what_are_no_names(self, keys: Any, tmp_path: Any) -> None:
        with pytest.raises(TypeError, match="keys"):
            kestimator.forward_features(made("LinearClassifier", tmp_path), keys)

    def test_refuses_unknown_and_taken_names(self, tmp_path: Any) -> None:
        estimator = made("LinearClassifier", tmp_path).train(data(), steps=1)
        with pytest.raises(ValueError, match="keys.*height"):
            next(kestimator.forward_features(estimator, "height").predict(data(1)))

        def taken() -> tf.data.Dataset:
            return data(1)().map(lambda features, _: {**features, "logits": features["age"]})

        with pytest.raises(ValueError, match="logits"):
            next(kestimator.forward_features(estimator, "logits").predict(taken))


class TestParsingSpecs:
    def test_of_classifiers_and_regressors(self) -> None:
        columns = [age(), color()]
        spec = kestimator.classifier_parse_example_spec(columns, "y", weight_column="w")
        assert spec == {
            "age": tf.io.FixedLenFeature((1,), tf.float32),
            "color": tf.io.VarLenFeature(tf.string),
            "y": tf.io.FixedLenFeature((1,), tf.int64),
            "w": tf.io.FixedLenFeature((1,), tf.float32),
        }
        spec = kestimator.regressor_parse_example_spec(
            columns, "y", label_dimension=2, label_default=[1.0, 2.0]
        )
        assert spec["y"] == tf.io.FixedLenFeature((2,), tf.float32, [1.0, 2.0])

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"label_key": "age"}, "label_key"),
            ({"label_key": "y", "weight_column": "age"}, "weight_column"),
            ({"label_key": "y", "weight_column": "y"}, "weight_column"),
            ({"label_key": "y", "weight_column": 3}, "weight_column"),
        ],
    )
    def test_names_that_are_taken(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(errors.ArgumentError, match=words):
            kestimator.classifier_parse_example_spec([age()], **options)

    def test_keras_layers_have_none(self) -> None:
        layer = keras.layers.Normalization(name="age")
        with pytest.raises(errors.ArgumentError, match="Keras layer"):
            kestimator.regressor_parse_example_spec([layer], "y")


class TestLogitFns:
    def test_in_a_model_fn_of_ones_own(self, tmp_path: Any) -> None:
        experimental = kestimator.experimental

        def model_fn(features: Any, labels: Any, mode: str, config: Any) -> Any:
            head = kestimator.BinaryClassHead()
            build = experimental.dnn_logit_fn_builder
            network = build(1, [3], deep(), tf.nn.relu, None, None, True)
            with v1.variable_scope("mine"):
                logits = experimental.call_logit_fn(network, features, mode, {}, config)
                logits += experimental.linear_logit_fn_builder(1, wide())(features)
            optimizer = v1.train.AdamOptimizer(0.01)
            return head.create_estimator_spec(
                features,
                mode,
                logits,
                labels,
                optimizer=optimizer,
                trainable_variables=v1.trainable_variables(),
                update_ops=v1.get_collection(v1.GraphKeys.UPDATE_OPS),
            )

        estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(data(), steps=3)
        names = {name for name in estimator.get_variable_names() if "Adam" not in name}
        assert names >= {
            "mine/hiddenlayer_0/kernel",
            "mine/hiddenlayer_0/batchnorm_0/moving_mean",
            "mine/input_from_feature_columns/input_layer/id_embedding/embedding_weights",
            "mine/linear_model/bias_weights",
            "mine/logits/bias",
        }
        assert np.any(estimator.get_variable_value("mine/hiddenlayer_0/batchnorm_0/moving_mean"))

    def test_what_they_refuse(self) -> None:
        call = kestimator.experimental.call_logit_fn
        with pytest.raises(ValueError, match="dict that maps strings"):
            call(lambda features: 3, {}, "train", {}, None)
        with pytest.raises(TypeError, match="features"):
            call(lambda x: x, {}, "train", {}, None)
        with pytest.raises(ValueError, match="`units`"):
            kestimator.experimental.linear_logit_fn_builder(1.5, [age()])  # type: ignore[arg-type]


def test_features_without_names(tmp_path: Any) -> None:
    def unnamed() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((FEATURES["age"], LABELS)).batch(2)

    with pytest.raises(ValueError, match="`features`.*a dict"):
        made("LinearClassifier", tmp_path).train(unnamed, steps=1)
    made("BaselineClassifier", tmp_path).train(unnamed, steps=1)


def test_a_baseline_counts_the_rows_of_python_lists(tmp_path: Any) -> None:
    def lists() -> Any:
        return {"age": [[1.0], [2.0], [3.0]]}, [[10.0], [20.0], [60.0]]

    estimator = made("BaselineRegressor", tmp_path, optimizer=tf.keras.optimizers.SGD(0.5))
    estimator.train(lists, steps=1)
    # The gradient of the mean of the squared errors, halved, is the mean of the labels.
    np.testing.assert_allclose(estimator.get_variable_value("baseline/bias"), [30.0], rtol=1e-6)


def test_words_of_a_file_go_with_an_export(tmp_path: Any) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(COLORS))
    column = fc.categorical_column_with_vocabulary_file("color", str(words), num_oov_buckets=1)
    estimator = kestimator.LinearClassifier([column], str(tmp_path / "model"))
    estimator.train(data(), steps=3)
    expected = predictions(estimator)
    receiver = kestimator.export.build_raw_serving_input_receiver_fn({"color": tf.constant([""])})
    path = pathlib.Path(estimator.export_saved_model(str(tmp_path / "export"), receiver).decode())
    assert [file.name for file in (path / "assets").iterdir()] == ["words.txt"]
    words.unlink()
    served = tf.saved_model.load(str(path)).signatures["predict"]
    result = served(color=tf.constant(FEATURES["color"]))["logits"]
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


def test_signatures_are_those_of_the_original() -> None:
    """Names and defaults in their order, as inspected in 2.15."""
    golden = pathlib.Path(__file__).parents[1] / "golden" / "canned_signatures.json"
    expected = json.loads(golden.read_text(encoding="utf-8"))
    for name, parameters in expected.items():
        found = inspect.signature(operator.attrgetter(name)(kestimator)).parameters.values()
        assert [_parameter(p) for p in found] == parameters, name


def _parameter(parameter: inspect.Parameter) -> list[str]:
    default = parameter.default
    if default is parameter.empty:
        return [parameter.name]
    return [parameter.name, getattr(default, "__name__", None) or repr(default)]
