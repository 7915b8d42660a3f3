"""Feature columns: the fast path and TensorFlow's give the same, and what each costs."""

from __future__ import annotations

import collections
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_features, column_kinds, input_layers
from kestimator.engine.graphs import ordering
from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store

v1 = tf.compat.v1
fc = tf.feature_column
Place = column_kinds.Place

COLORS = ["red", "green", "blue"]
AGES = np.array([17.0, 25.0, 31.5, 60.0, 18.0, 44.0], np.float32)
IDS = np.array([0, 3, -1, 2, 3, 1], np.int64)
OUTSIDE = np.array([0, 3, -1, 7, -2, 1], np.int64)
WORDS = np.array([b"red", b"", b"blue", b"violet", b"green", b"red"])
CODES = np.array([100, 7, -1, 8, 100, 3], np.int64)
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.25, 3.0, 1.5], np.float32)
FEATURES = {
    "age": AGES,
    "id": IDS,
    "outside": OUTSIDE,
    "color": WORDS,
    "code": CODES,
    "weight": WEIGHTS,
    "pair": np.stack([AGES, WEIGHTS], axis=1),
}


def words_file(tmp_path: Any) -> str:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(COLORS))
    return str(path)


def categorical(tmp_path: Any) -> dict[str, Any]:
    identity = fc.categorical_column_with_identity
    words = fc.categorical_column_with_vocabulary_list
    hashed = fc.categorical_column_with_hash_bucket
    file = fc.categorical_column_with_vocabulary_file
    age = fc.bucketized_column(fc.numeric_column("age"), [18, 30, 45])
    return {
        "identity": identity("id", 4),
        "identity default": identity("outside", 4, default_value=2),
        "list": words("color", COLORS),
        "list default": words("color", COLORS, default_value=1),
        "list oov": words("color", COLORS, num_oov_buckets=2),
        "list with the empty word": words("color", ["", *COLORS]),
        "list of numbers": words("code", [7, 100]),
        "list of numbers oov": words("code", [7, 100], num_oov_buckets=3),
        "file": file("color", words_file(tmp_path)),
        "file part": file("color", words_file(tmp_path), vocabulary_size=2, default_value=0),
        "file oov": file("color", words_file(tmp_path), num_oov_buckets=2),
        "hash": hashed("color", 5),
        "hash of numbers": hashed("code", 5, dtype=tf.int64),
        "bucketized": age,
        "bucketized pair": fc.bucketized_column(fc.numeric_column("pair", shape=2), [1, 20]),
        "cross": fc.crossed_column([age, "color"], 7),
        "cross of raw": fc.crossed_column(["color", "code"], 7, hash_key=3),
        "cross of ids": fc.crossed_column([words("color", COLORS), identity("id", 4), age], 9),
        "cross of a cross": fc.crossed_column([fc.crossed_column(["color", age], 7), "code"], 9),
    }


CATEGORICAL = [
    "identity",
    "identity default",
    "list",
    "list default",
    "list oov",
    "list with the empty word",
    "list of numbers",
    "list of numbers oov",
    "file",
    "file part",
    "file oov",
    "hash",
    "hash of numbers",
    "bucketized",
    "bucketized pair",
    "cross",
    "cross of raw",
    "cross of ids",
    "cross of a cross",
]


def weighted(column: Any) -> Any:
    return fc.weighted_categorical_column(column, "weight")


def computed(
    build: Any, features: dict[str, np.ndarray], *, fast: bool
) -> tuple[np.ndarray, dict[str, np.ndarray], collections.Counter[str]]:
    """The result of a trace, the gradients of all variables, and the ops of the result."""

    def trace(tensors: Any) -> Any:
        v1.set_random_seed(1)
        result = build(column_features.Features(tensors, fast=fast))
        made = v1.trainable_variables()
        scale = tf.cast(tf.reshape(tf.range(tf.size(result)), tf.shape(result)), tf.float32)
        gradients = tf.gradients(result * (scale + 1), made) if made else []
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        initial = [v1.assign(v, _numbers(v.shape)) for v in made]
        tables = v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)
        names = [variable.name for variable in made]
        return {"r": result, "g": dense, "n": names, "i": tf.group(*initial, *tables)}

    spec = {
        key: tf.TensorSpec([None, *value.shape[1:]], tf.as_dtype(value.dtype))
        if isinstance(value, np.ndarray)
        else tf.type_spec_from_value(value)
        for key, value in features.items()
    }
    made = program.trace(
        trace, element_spec=spec, name="columns", seed=1, store=variable_store.VariableStore()
    )
    made.function([], [made.result["i"]])()
    fetches = [made.result["r"], *made.result["g"]]
    function = made.function(fetches)
    given = dict(zip(map(id, made.inputs), program.flatten(_as_tensors(features)), strict=True))
    result, *gradients = function(*(given[id(tensor)] for tensor in function.inputs))
    types = collections.Counter(op.type for op in ordering.reachable_operations([made.result["r"]]))
    named = dict(zip(made.result["n"], (g.numpy() for g in gradients), strict=True))
    return result.numpy(), named, types


def _as_tensors(features: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tf.constant(value) if isinstance(value, np.ndarray) else value
        for key, value in sorted(features.items())
    }


def _numbers(shape: Any) -> np.ndarray:
    return np.linspace(-1.0, 2.0, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def assert_both_ways_agree(build: Any, features: dict[str, np.ndarray] = FEATURES) -> None:
    features = dict(sorted(features.items()))
    fast, fast_gradients, types = computed(build, features, fast=True)
    general, general_gradients, _ = computed(build, features, fast=False)
    np.testing.assert_allclose(fast, general, rtol=1e-6, atol=1e-6)
    assert list(fast_gradients) == list(general_gradients)
    for name, gradient in general_gradients.items():
        np.testing.assert_allclose(fast_gradients[name], gradient, rtol=1e-5, atol=1e-5)
    assert "SparseTensorDenseMatMul" not in types


def inputs(*columns: Any) -> Any:
    ordered = column_kinds.checked_columns("feature_columns", columns, Place.DENSE)
    return lambda features: input_layers.input_layer(features, ordered, training=True)


def linear(*columns: Any, units: int = 1, combiner: str = "sum") -> Any:
    ordered = column_kinds.checked_columns("feature_columns", columns, Place.LINEAR)
    return lambda features: (
        input_layers.linear_logits(
            features, ordered, units=units, sparse_combiner=combiner, training=True
        ).logits
    )


def is_fast(build: Any, features: dict[str, np.ndarray] = FEATURES) -> bool:
    types = computed(build, dict(sorted(features.items())), fast=True)[2]
    return not any(op.startswith("Sparse") and op != "SparseCross" for op in types)


@pytest.mark.parametrize("kind", CATEGORICAL)
class TestCategoricalColumns:
    @pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
    def test_embedded(self, kind: str, combiner: str, tmp_path: Any) -> None:
        column = categorical(tmp_path)[kind]
        assert_both_ways_agree(inputs(fc.embedding_column(column, 2, combiner=combiner)))

    def test_as_indicators(self, kind: str, tmp_path: Any) -> None:
        assert_both_ways_agree(inputs(fc.indicator_column(categorical(tmp_path)[kind])))

    @pytest.mark.parametrize("units", [1, 3])
    def test_in_a_linear_model(self, kind: str, units: int, tmp_path: Any) -> None:
        assert_both_ways_agree(linear(categorical(tmp_path)[kind], units=units))

    def test_of_one_value_for_each_example_in_a_column(self, kind: str, tmp_path: Any) -> None:
        columns = {k: v if v.ndim > 1 else v[:, None] for k, v in FEATURES.items()}
        assert_both_ways_agree(linear(categorical(tmp_path)[kind]), columns)

    def test_is_fast(self, kind: str, tmp_path: Any) -> None:
        column = categorical(tmp_path)[kind]
        assert is_fast(linear(column)) == (kind != "bucketized pair")


@pytest.mark.parametrize("kind", CATEGORICAL[: CATEGORICAL.index("bucketized")])
class TestWeightedColumns:
    """Where all examples have a value: TensorFlow's code wants ids and weights to pair up."""

    FEATURES = {
        **FEATURES,
        "id": np.abs(IDS),
        "outside": np.abs(OUTSIDE),
        "color": np.where(WORDS == b"", b"gray", WORDS),
        "code": np.abs(CODES),
    }

    @pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
    def test_embedded(self, kind: str, combiner: str, tmp_path: Any) -> None:
        column = weighted(categorical(tmp_path)[kind])
        embedding = fc.embedding_column(column, 2, combiner=combiner)
        assert_both_ways_agree(inputs(embedding), self.FEATURES)

    @pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
    def test_in_a_linear_model(self, kind: str, combiner: str, tmp_path: Any) -> None:
        column = weighted(categorical(tmp_path)[kind])
        assert_both_ways_agree(linear(column, combiner=combiner), self.FEATURES)
        assert is_fast(linear(column, combiner=combiner), self.FEATURES)

    def test_as_indicators(self, kind: str, tmp_path: Any) -> None:
        if "default" in kind or kind == "file part" or "oov" in kind or "hash" in kind:
            column = weighted(categorical(tmp_path)[kind])
            assert_both_ways_agree(inputs(fc.indicator_column(column)), self.FEATURES)


def test_columns_of_all_kinds_side_by_side(tmp_path: Any) -> None:
    kinds = categorical(tmp_path)
    columns = [
        fc.numeric_column("age"),
        fc.numeric_column("pair", shape=2),
        fc.numeric_column("weight", normalizer_fn=lambda x: x / 2.0 - 1.0),
        fc.numeric_column("id"),
        kinds["bucketized"],
        fc.embedding_column(kinds["identity"], 3),
        fc.indicator_column(kinds["list oov"]),
        fc.embedding_column(kinds["hash of numbers"], 2),
        fc.embedding_column(kinds["cross"], 1),
    ]
    assert_both_ways_agree(inputs(*columns))
    assert_both_ways_agree(linear(*columns, kinds["file"], kinds["cross"], units=2))
    assert is_fast(inputs(*columns))


def sparse(values: np.ndarray) -> tf.SparseTensor:
    return tf.sparse.from_dense(values)


SEVERAL = np.array([[0, 3, -1], [1, -1, -1], [-1, -1, -1], [2, 2, 0], [3, 1, 2], [0, 0, -1]])


class TestWhatTheFastPathLeaves:
    @pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
    def test_several_values_for_an_example(self, combiner: str) -> None:
        column = fc.categorical_column_with_identity("id", 4)
        features = {**FEATURES, "id": SEVERAL}
        build = inputs(fc.embedding_column(column, 2, combiner=combiner), fc.numeric_column("age"))
        assert_both_ways_agree(build, features)
        assert not is_fast(build, features)

    def test_several_values_are_reduced_as_asked(self) -> None:
        column = fc.categorical_column_with_identity("id", 4)
        features = {"id": SEVERAL}
        sums, *_ = computed(linear(column), features, fast=True)
        table = _numbers([4])
        expected = [table[row[row >= 0]].sum() - 1.0 for row in SEVERAL]  # the bias is -1
        np.testing.assert_allclose(sums[:, 0], expected, rtol=1e-6, atol=1e-6)

    def test_sparse_and_ragged_features(self) -> None:
        column = fc.categorical_column_with_identity("id", 4)
        dense, *_ = computed(linear(column), {"id": SEVERAL}, fast=True)
        rows = tf.ragged.constant([row[row >= 0].tolist() for row in SEVERAL], dtype=tf.int64)
        for given in (sparse(SEVERAL + 1).with_values(SEVERAL[SEVERAL >= 0]), rows):
            result, *_ = computed(linear(column), {"id": given}, fast=True)
            np.testing.assert_allclose(result, dense, rtol=1e-6)

    def test_norms_and_checkpoints_of_embeddings(self) -> None:
        column = fc.categorical_column_with_identity("id", 4)
        assert_both_ways_agree(inputs(fc.embedding_column(column, 2, max_norm=0.5)))

    def test_a_sparse_number(self) -> None:
        with pytest.raises(ValueError, match="age"):
            computed(inputs(fc.numeric_column("age")), {"age": sparse(AGES[:, None])}, fast=True)


class TestBadColumns:
    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ([], "non-empty"),
            (None, "non-empty"),
            ({"age": 1}, "non-empty"),
            (["age"], "numeric_column"),
            ([fc.categorical_column_with_identity("id", 4)], "embedding_column"),
            ([fc.numeric_column("age"), fc.numeric_column("age", shape=2)], "Duplicate.*'age'"),
            ([v1.keras], "tf.feature_column"),
        ],
    )
    def test_are_refused(self, columns: Any, words: str) -> None:
        with pytest.raises(ValueError, match=words) as caught:
            column_kinds.checked_columns("feature_columns", columns, Place.DENSE)
        assert isinstance(caught.value, errors.ArgumentError)
        assert "feature_columns" in str(caught.value)

    def test_categorical_columns_may_stand_in_linear_models(self) -> None:
        column = fc.categorical_column_with_identity("id", 4)
        assert column_kinds.checked_columns("x", column, Place.LINEAR) == (column,)

    def test_missing_features(self) -> None:
        with pytest.raises(ValueError, match="weight"):
            computed(inputs(fc.numeric_column("weight")), {"age": AGES}, fast=True)

    def test_features_without_names(self) -> None:
        with pytest.raises(errors.ArgumentError, match="a dict that maps feature names"):
            column_features.Features(tf.constant(AGES))

    @pytest.mark.parametrize("fast", [True, False])
    def test_numbers_for_a_column_of_words(self, fast: bool) -> None:
        column = fc.embedding_column(fc.categorical_column_with_hash_bucket("age", 4), 2)
        with pytest.raises(ValueError, match="string or"):
            computed(inputs(column), {"age": AGES}, fast=fast)

    def test_ids_beyond_the_last(self) -> None:
        column = fc.categorical_column_with_identity("outside", 4)
        with pytest.raises(tf.errors.InvalidArgumentError, match="7"):
            computed(linear(column), {"outside": OUTSIDE}, fast=True)


class TestKerasColumns:
    def test_a_layer_takes_the_feature_of_its_name(self) -> None:
        layer = keras.layers.Normalization(axis=None, mean=30.0, variance=4.0, name="age")
        result, *_ = computed(inputs(layer), {"age": AGES[:, None]}, fast=True)
        np.testing.assert_allclose(result[:, 0], (AGES - 30.0) / 2.0, rtol=1e-5)

    def test_a_model_takes_the_features_of_its_inputs(self) -> None:
        color = keras.Input((1,), name="color", dtype="string")
        age = keras.Input((1,), name="age")
        ids = keras.layers.StringLookup(vocabulary=COLORS, output_mode="one_hot")(color)
        model = keras.Model(
            {"color": color, "age": age}, keras.layers.Concatenate()([ids, age]), name="z"
        )
        features = {"age": AGES[:, None], "color": WORDS[:, None], "id": IDS}
        result, *_ = computed(inputs(model, fc.numeric_column("id")), features, fast=True)
        assert result.shape == (6, 6)
        np.testing.assert_allclose(result[:, -1], AGES)
        np.testing.assert_allclose(result[0, :5], [0, 0, 1, 0, 0])

    def test_a_sequential_model_with_weights_is_trained(self) -> None:
        table = keras.layers.Embedding(4, 2)
        model = keras.Sequential(
            [keras.Input((), name="id", dtype="int64"), table, keras.layers.Dense(3)]
        )
        features = {"id": np.abs(IDS)}
        result, gradients, _ = computed(inputs(model), features, fast=True)
        assert result.shape == (6, 3)
        assert len(gradients) == 3
        assert all(np.any(gradient != 0) for gradient in gradients.values())

    def test_a_feature_space(self) -> None:
        space = keras.utils.FeatureSpace(
            {"color": "string_categorical", "age": "float_normalized"}, name="space"
        )
        space.adapt(tf.data.Dataset.from_tensor_slices({"color": WORDS, "age": AGES}))
        features = {"color": WORDS, "age": AGES}
        result, *_ = computed(inputs(space), features, fast=True)
        np.testing.assert_allclose(result, space(features).numpy(), rtol=1e-5)

    def test_a_missing_input(self) -> None:
        model = keras.Sequential([keras.Input((1,), name="age"), keras.layers.Dense(1)])
        with pytest.raises(errors.ArgumentError, match="'age' is not in features"):
            computed(inputs(model), {"weight": WEIGHTS}, fast=True)

    def test_a_result_of_too_many_dimensions(self) -> None:
        layer = keras.layers.Reshape((1, 1), name="age")
        with pytest.raises(errors.ArgumentError, match=r"\(batch, n\)"):
            computed(inputs(layer), {"age": AGES[:, None]}, fast=True)


def test_thirteen_numbers_and_six_embeddings_take_few_ops() -> None:
    numbers = [fc.numeric_column(f"number_{i}") for i in range(13)]
    ids = [fc.categorical_column_with_identity(f"id_{i}", 100) for i in range(6)]
    features = {column.key: AGES for column in numbers} | {column.key: IDS for column in ids}
    build = inputs(*numbers, *(fc.embedding_column(column, 8) for column in ids))
    *_, types = computed(build, dict(sorted(features.items())), fast=True)
    assert sum(types.values()) - types["Placeholder"] - types["Const"] <= 16
