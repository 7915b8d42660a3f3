import json
import math
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.inputs import keras_input_fn, numpy_input_fn, pandas_input_fn
from tests.golden import make_inputs

v1 = tf.compat.v1
GOLDEN = json.loads(
    pathlib.Path(make_inputs.__file__).with_name("input_functions.json").read_text()
)


def batches(input_fn, most=make_inputs.MOST_BATCHES):
    return list(input_fn().take(most).as_numpy_iterator())


def lists(input_fn, most=make_inputs.MOST_BATCHES):
    return [batch.tolist() for batch in batches(input_fn, most)]


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: json.dumps(record["case"]))
def test_equals_the_original(record):
    def observe():
        input_fn = make_inputs.make_input_fn(record["case"], numpy_input_fn, pandas_input_fn)
        return [make_inputs.plain(batch) for batch in batches(input_fn)]

    if "error" not in record:
        # Bytes are decoded on both sides by numpy's str, as "b'v'".
        assert observe() == record["batches"]
        return
    # An empty array made the original divide by zero.
    expected = {"TypeError": TypeError}.get(record["error"], ValueError)
    with pytest.raises(expected):
        observe()


class TestNumpyInputFn:
    def test_batches_run_across_epochs(self):
        input_fn = numpy_input_fn(np.arange(5), batch_size=2, num_epochs=2, shuffle=False)
        assert lists(input_fn) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]

    def test_each_epoch_is_shuffled_on_its_own(self):
        input_fn = numpy_input_fn(np.arange(50), batch_size=50, num_epochs=3, shuffle=True)
        epochs = lists(input_fn)
        assert [sorted(epoch) for epoch in epochs] == [list(range(50))] * 3
        assert len({tuple(epoch) for epoch in epochs}) == 3
        assert epochs != lists(input_fn)

    def test_rows_stay_together(self):
        x = {"a": np.arange(20), "b": np.arange(20) * 10}
        input_fn = numpy_input_fn(x, np.arange(20) * 100, shuffle=True)
        ((features, label),) = batches(input_fn)
        np.testing.assert_array_equal(features["b"], features["a"] * 10)
        np.testing.assert_array_equal(label, features["a"] * 100)

    def test_shuffle_is_uniform(self):
        input_fn = numpy_input_fn(np.arange(4), batch_size=4, num_epochs=4000, shuffle=True)
        tf.random.set_seed(1)
        firsts = np.stack(batches(input_fn, 4000))[:, 0]
        assert np.bincount(firsts).min() > 850

    def test_seed(self):
        input_fn = numpy_input_fn(np.arange(50), batch_size=50, shuffle=True)
        tf.random.set_seed(7)
        first, second = lists(input_fn), lists(input_fn)
        tf.random.set_seed(7)
        assert (lists(input_fn), lists(input_fn)) == (first, second)
        assert first != second

    @pytest.mark.parametrize(
        ("shuffle", "drawn"), [(False, [0.12736404, 0.81469131]), (True, [0.77806914, 0.50528848])]
    )
    @pytest.mark.parametrize("is_frame", [False, True])
    def test_only_a_random_order_takes_a_seed_from_the_model(self, is_frame, shuffle, drawn):
        def model_fn(features, labels, mode):
            weight = v1.get_variable("w", [2], initializer=v1.random_uniform_initializer())
            step = v1.train.get_global_step().assign_add(1)
            return kestimator.EstimatorSpec(mode, loss=tf.reduce_sum(weight), train_op=step)

        x = {"x": np.ones(8)}
        if is_frame:
            input_fn = pandas_input_fn(pd.DataFrame(x), batch_size=2, shuffle=shuffle)
        else:
            input_fn = numpy_input_fn(x, batch_size=2, shuffle=shuffle)
        config = kestimator.RunConfig(tf_random_seed=3)
        estimator = kestimator.Estimator(model_fn, config=config).train(input_fn, steps=1)
        # From tf.estimator, whose queues took a seed in the same way.
        np.testing.assert_allclose(estimator.get_variable_value("w"), drawn, rtol=1e-6)

    @pytest.mark.parametrize("labels", [None, np.arange(5), {"y": np.arange(5)}])
    @pytest.mark.parametrize("x", [np.ones((5, 2)), {"a": np.arange(5), "b": np.array([*"abcde"])}])
    def test_the_only_batch_is_that_of_the_dataset(self, x, labels):
        input_fn = numpy_input_fn(x, labels, batch_size=5, shuffle=False)
        (wanted,) = batches(input_fn)
        found = tf.nest.map_structure(lambda tensor: tensor.numpy(), input_fn.only_batch())
        tf.nest.map_structure(np.testing.assert_array_equal, found, wanted)

    @pytest.mark.parametrize(
        "others", [{"batch_size": 4}, {"num_epochs": 2}, {"num_epochs": None}, {"shuffle": True}]
    )
    def test_several_batches_or_random_ones_are_no_only_batch(self, others):
        settings = {"batch_size": 5, "shuffle": False, **others}
        assert numpy_input_fn(np.arange(5), **settings).only_batch() is None

    def test_specification(self):
        x = {"a": np.ones((6, 3), np.float32)}
        dataset = numpy_input_fn(x, np.arange(6), batch_size=4, shuffle=False)()
        features, label = dataset.element_spec
        assert features["a"] == tf.TensorSpec([None, 3], tf.float32)
        assert label == tf.TensorSpec([None], tf.int64)
        assert dataset.cardinality() == 2

    def test_specification_without_end(self):
        dataset = numpy_input_fn(np.arange(6), batch_size=4, num_epochs=None, shuffle=True)()
        assert dataset.element_spec == tf.TensorSpec([4], tf.int64)
        assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY

    def test_arrays_are_read_at_the_call(self):
        array = np.arange(3)
        input_fn = numpy_input_fn(array, shuffle=False)
        lists(input_fn)
        array += 5
        assert lists(input_fn) == [[5, 6, 7]]

    def test_called_inside_a_function_it_embeds_nothing(self):
        input_fn = numpy_input_fn(np.arange(100_000), shuffle=True)

        @tf.function(autograph=False)
        def cardinality():
            return input_fn().cardinality()

        graph = cardinality.get_concrete_function().graph
        assert len(graph.as_graph_def().SerializeToString()) < 10_000
        assert cardinality() == -(-100_000 // 128)

    def test_missing_strings(self):
        input_fn = numpy_input_fn({"s": np.array(["a", None], object)}, shuffle=False)
        with pytest.raises(TypeError, match="column 's'.*Fill in missing values"):
            input_fn()

    def test_message_shows_all_shapes(self):
        input_fn = numpy_input_fn({"a": np.ones((5, 2))}, np.ones(4), shuffle=False)
        with pytest.raises(errors.ArgumentError, match=r"x\['a'\].*\(5, 2\).*\(4,\)"):
            input_fn()

    def test_same_name_in_x_and_y(self):
        input_fn = numpy_input_fn({"a": np.ones(5)}, {"a": np.ones(5)}, shuffle=False)
        with pytest.raises(ValueError, match=r"names other than.*\['a'\] are in both"):
            input_fn()

    def test_empty_labels(self):
        with pytest.raises(ValueError, match="`y`.*Pass None"):
            numpy_input_fn(np.ones(5), {}, shuffle=False)()

    @pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
    def test_batch_size(self, batch_size):
        with pytest.raises(ValueError, match="`batch_size`.*a whole number above 0"):
            numpy_input_fn(np.ones(5), batch_size=batch_size, shuffle=False)

    @pytest.mark.parametrize(
        ("num_epochs", "error"), [(1.5, TypeError), ("2", TypeError), (-1, ValueError)]
    )
    def test_epochs(self, num_epochs, error):
        with pytest.raises(error, match="`num_epochs`.*non-negative integer, or None"):
            numpy_input_fn(np.arange(4), num_epochs=num_epochs, shuffle=False)


class TestInsideOfAnotherInputFn:
    """The original gives tensors there; see also the program `inputs.arrays_taken_apart`."""

    X = np.arange(4.0, dtype=np.float32)

    def estimator(self, model_dir):
        def model_fn(features, labels, mode):
            weight = v1.get_variable("w", [], initializer=v1.ones_initializer())
            y = weight * features["x"]
            if mode == "infer":
                return kestimator.EstimatorSpec(mode, predictions={"y": y})
            loss = tf.reduce_mean((y - labels) ** 2)
            return kestimator.EstimatorSpec(mode, loss=loss)

        return kestimator.Estimator(model_fn, str(model_dir))

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    def test_two_batches_are_no_features_and_labels(self, size, tmp_path):
        def input_fn():
            features, labels = numpy_input_fn({"x": self.X}, 3 * self.X, size, shuffle=False)()
            return features, labels

        metrics = self.estimator(tmp_path).evaluate(input_fn)
        assert metrics["loss"] == pytest.approx(np.mean((2 * self.X) ** 2))

    def test_the_arrays_themselves_may_come_as_two_batches(self, tmp_path):
        """Features alone: two batches of a bare tensor look like features and labels."""

        def input_fn():
            one, other = numpy_input_fn(self.X, None, batch_size=2, shuffle=False)()
            return {"x": one}, other

        with pytest.raises(TypeError, match="Iterating over a symbolic"):
            self.estimator(tmp_path).evaluate(input_fn)

    def test_a_dataset_is_returned_and_transformed_as_it_is(self, tmp_path):
        calls = []

        def input_fn():
            calls.append(tf.executing_eagerly())
            dataset = numpy_input_fn({"x": self.X}, 3 * self.X, 2, shuffle=False)()
            return dataset.map(lambda features, labels: ({"x": features["x"] + 1}, labels))

        rows = self.estimator(tmp_path).predict(input_fn)
        assert [row["y"] for row in rows] == [1, 2, 3, 4]
        assert calls == [True]

    def test_shuffled_rows_stay_together(self, tmp_path):
        def input_fn():
            features, labels = numpy_input_fn({"x": self.X}, 3 * self.X, 3, 2, shuffle=True)()
            return {"x": features["x"] - labels}, labels

        rows = [row["y"] for row in self.estimator(tmp_path).predict(input_fn)]
        assert sorted(rows) == sorted([-2.0 * x for x in self.X] * 2)

    def test_in_a_graph_of_ones_own(self):
        with tf.Graph().as_default(), v1.Session() as session:
            features = numpy_input_fn({"x": self.X}, batch_size=3, shuffle=False)()
            session.run(v1.tables_initializer())
            assert session.run(features)["x"].tolist() == [0, 1, 2]
            assert session.run(features["x"]).tolist() == [3]
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(features)

    def test_eagerly_it_is_iterated_as_any_dataset(self):
        dataset = numpy_input_fn(self.X, batch_size=2, shuffle=False)()
        one, other = dataset
        assert [*one.numpy(), *other.numpy()] == self.X.tolist()


class TestPandasInputFn:
    def test_strings_of_pandas_3(self):
        frame = pd.DataFrame({"s": pd.Series(["a", "b"], dtype="string")})
        ((batch),) = batches(pandas_input_fn(frame, shuffle=False))
        assert batch["s"].tolist() == [b"a", b"b"]

    def test_frame_is_not_changed(self):
        frame = pd.DataFrame({"a": [1, 2]})
        pandas_input_fn(frame, pd.Series([0, 1]), shuffle=True)()
        assert list(frame.columns) == ["a"]

    def test_same_columns_in_x_and_y(self):
        frame = pd.DataFrame({"a": [1, 2]})
        ((features, label),) = batches(pandas_input_fn(frame, frame * 2, shuffle=False))
        assert features["a"].tolist() == [1, 2]
        assert label["a"].tolist() == [2, 4]

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [(np.ones(2), None, "`x`.*DataFrame"), (pd.DataFrame({"a": [1]}), [1], "`y`.*Series")],
    )
    def test_other_types(self, x, y, message):
        with pytest.raises(TypeError, match=message):
            pandas_input_fn(x, y, shuffle=False)

    def test_other_index(self):
        with pytest.raises(ValueError, match="`y`.*reindex"):
            pandas_input_fn(pd.DataFrame({"a": [1]}), pd.Series([1], index=[5]), shuffle=False)

    def test_dtype(self):
        dates = pd.to_datetime(["2020-01-01"])
        with pytest.raises(TypeError, match="column 'a'.*astype"):
            pandas_input_fn(pd.DataFrame({"a": dates}), shuffle=False)()

    @pytest.mark.parametrize(
        ("column", "values", "dtype"),
        [
            (pd.Categorical(["b", "a", "b"]), [b"b", b"a", b"b"], object),
            (pd.Categorical([3, 1, 3]), [3, 1, 3], np.int64),
            (pd.array([1, 2, 3], dtype="Int64"), [1, 2, 3], np.int64),
            (pd.array([1, 2, 3], dtype="Int8"), [1, 2, 3], np.int8),
            (pd.array([1, 2, 3], dtype="Float32"), [1, 2, 3], np.float32),
            (pd.array([True, False, True], dtype="boolean"), [True, False, True], np.bool_),
        ],
    )
    def test_dtypes_of_pandas(self, column, values, dtype):
        frame = pd.DataFrame({"a": column})
        ((features, labels),) = batches(pandas_input_fn(frame, frame["a"], shuffle=False))
        for batch in (features["a"], labels):
            assert batch.tolist() == values
            assert batch.dtype == dtype

    def test_a_frame_of_one_column_as_labels(self, tmp_path):
        frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "y": [0, 0, 1, 1]})
        evaluations = []
        for labels in (frame[["y"]], frame["y"]):
            input_fn = pandas_input_fn(frame[["a"]], labels, batch_size=4, shuffle=False)
            columns = [tf.feature_column.numeric_column("a")]
            estimator = kestimator.LinearClassifier(columns, str(tmp_path / str(len(evaluations))))
            evaluations.append(estimator.train(input_fn).evaluate(input_fn))
        assert evaluations[0] == evaluations[1]

    @pytest.mark.parametrize(
        "column", [pd.array([1, None], dtype="Int64"), pd.Categorical(["a", None])]
    )
    def test_gaps(self, column):
        with pytest.raises(ValueError, match="column 'a'.*fillna"):
            pandas_input_fn(pd.DataFrame({"a": column}), shuffle=False)()


class Batches(keras.utils.PyDataset):
    def __init__(self, items):
        super().__init__()
        self.items = items
        self.begun = self.epochs = 0
        self.fetched = []

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.fetched.append(index)
        return self.items[index]

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.epochs += 1


class TestKerasInputFn:
    def test_batches(self):
        items = [({"a": np.ones([n, 2], np.float32)}, np.arange(n)) for n in (3, 2)]
        py_dataset = Batches(items)
        input_fn = keras_input_fn(py_dataset, num_epochs=2)
        dataset = input_fn()
        assert dataset.element_spec == (
            {"a": tf.TensorSpec([None, 2], tf.float32)},
            tf.TensorSpec([None], tf.int64),
        )
        assert [len(label) for _, label in dataset] == [3, 2, 3, 2]
        assert py_dataset.epochs == 2

    def test_without_end(self):
        assert lists(keras_input_fn(Batches([np.arange(2)]), None), 3) == [[0, 1]] * 3

    @pytest.mark.parametrize("item", [np.ones(3), (np.ones(3),), (np.ones(3), None, None)])
    def test_without_labels(self, item):
        assert lists(keras_input_fn(Batches([item]))) == [[1.0, 1.0, 1.0]]

    def test_several_inputs(self):
        ((first, second),) = batches(keras_input_fn(Batches([([np.ones(3), np.zeros(3)],)])))
        assert (first.tolist(), second.tolist()) == ([1.0] * 3, [0.0] * 3)

    def test_items_are_fetched_once(self):
        py_dataset = Batches([np.arange(2), np.arange(3)])
        assert lists(keras_input_fn(py_dataset, num_epochs=2)) == [[0, 1], [0, 1, 2]] * 2
        assert py_dataset.fetched == [0, 1, 0, 1]
        assert (py_dataset.begun, py_dataset.epochs) == (2, 2)

    def test_a_second_pass_over_the_dataset_fetches_again(self):
        py_dataset = Batches([np.arange(2)])
        dataset = keras_input_fn(py_dataset)()
        assert [[batch.numpy().tolist() for batch in dataset] for _ in range(2)] == [[[0, 1]]] * 2
        assert (py_dataset.fetched, py_dataset.begun) == ([0, 0], 2)

    def test_a_list_is_a_pair(self):
        ((features, labels),) = batches(keras_input_fn(Batches([[np.ones(3), np.zeros(3)]])))
        assert (features.tolist(), labels.tolist()) == ([1.0] * 3, [0.0] * 3)

    def test_sample_weights(self):
        (batch,) = batches(keras_input_fn(Batches([(np.ones(2), np.ones(2), np.zeros(2))])))
        assert [part.tolist() for part in batch] == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]

    @pytest.mark.parametrize(
        "labels",
        [[0, 1, 2], [[0], [1], [2]], [0.0, 1.0, 2.0], np.eye(3)],
        ids=["numbers", "column", "floats", "one-hot"],
    )
    def test_class_weight(self, labels):
        py_dataset = Batches([(np.ones(3), np.asarray(labels))])
        ((*_, weights),) = batches(keras_input_fn(py_dataset, class_weight={0: 0.5, 1: 3}))
        assert weights.tolist() == [0.5, 3.0, 1.0]
        assert weights.dtype == np.float32

    @pytest.mark.parametrize(
        "item", [(np.ones(2),) * 3, (np.ones(2), {"a": np.ones(2)})], ids=["weights", "labels"]
    )
    def test_class_weight_that_does_not_fit(self, item):
        with pytest.raises(ValueError, match="`class_weight`.*sample weights or several labels"):
            keras_input_fn(Batches([item]), class_weight={0: 1.0})()

    @pytest.mark.parametrize("wrong", [[1.0], {"a": 1.0}, {0: "a"}, {-1: 1.0}, {0: math.nan}])
    def test_wrong_class_weight(self, wrong):
        with pytest.raises((ValueError, TypeError), match="class_weight"):
            keras_input_fn(Batches([np.ones(2)]), class_weight=wrong)

    def test_empty(self):
        with pytest.raises(ValueError, match="at least one batch"):
            keras_input_fn(Batches([]))()

    def test_other_type(self):
        with pytest.raises(TypeError, match="a keras.utils.PyDataset"):
            keras_input_fn([np.ones(3)])
