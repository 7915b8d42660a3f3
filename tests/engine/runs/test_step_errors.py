"""Errors of data name the feature or label, in one sentence, and keep TensorFlow's class."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.engine.runs import step_errors

v1 = tf.compat.v1
fc = tf.feature_column
X = np.ones([8, 2], "float32")
Y = np.array([0, 1] * 4)


def dataset(features: Any, labels: Any = Y, *, batch: int = 4) -> Callable[[], tf.data.Dataset]:
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).batch(batch)


def generated(*elements: Any, batch: int | None = None) -> Callable[[], tf.data.Dataset]:
    def input_fn() -> tf.data.Dataset:
        types = ({"x": tf.float32}, tf.int64)
        data = tf.data.Dataset.from_generator(lambda: iter(elements), output_types=types)
        return data if batch is None else data.batch(batch)

    return input_fn


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [2, 1], initializer=v1.ones_initializer())
    predictions = tf.matmul(features["x"], w)[:, 0] + 0.0 * features["other"]
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions=predictions)
    loss = tf.reduce_mean((predictions - labels) ** 2)
    step = v1.train.get_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def three_wide() -> tf.data.Dataset:
    spec = ({"x": tf.TensorSpec(None), "other": tf.TensorSpec(None)}, tf.TensorSpec(None))
    element = ({"x": np.ones([8, 3]), "other": np.ones([8])}, np.ones([8]))
    return tf.data.Dataset.from_generator(lambda: iter([element] * 3), output_signature=spec)


def classifier(model_dir: Any, *columns: Any, **arguments: Any) -> kestimator.Estimator:
    numeric = fc.numeric_column("x", [2])
    return kestimator.DNNClassifier([4], columns or [numeric], model_dir=model_dir, **arguments)


def text_model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    loss = tf.reduce_sum(tf.strings.to_number(features["x"], name="to_number"))
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=v1.train.get_global_step() + 1)


def identity() -> Any:
    return fc.embedding_column(fc.categorical_column_with_identity("c", 2), 3)


@pytest.mark.parametrize("call", ["train", "evaluate", "predict"])
def test_op_is_traced_to_its_feature(tmp_path: Any, call: str) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(getattr(estimator, call)(three_wide) or ())
    sentence, _, rest = str(caught.value).partition("\n\n")
    assert sentence.startswith("Matrix size-incompatible: In[0]: [8,3], In[1]: [2,1]")
    assert "Matrix size-incompatible" in rest
    if "{{node" in rest:
        assert "reads the feature 'x' of the input_fn." in sentence


CASES = {
    "an id out of range": (
        lambda path: classifier(path, identity()),
        dataset({"c": Y + 1}),
        "which reads the feature 'c' of the input_fn.",
    ),
    "a shape that is not known before": (
        classifier,
        generated(({"x": [[1.0, 2.0, 3.0]]}, [0])),
        "Input to reshape is a tensor with 3 values, but the requested shape has 2, in the op "
        "'dnn/input_from_feature_columns/input_layer/x/Reshape', which reads the feature 'x' of",
    ),
    "labels out of range": (
        classifier,
        dataset({"x": X}, Y + 1),
        "Invalid argument `labels`. Expected: values from 0 to 1. There are two classes, 0 and 1. "
        "Received: [[1][2][1][2]]",
    ),
    "examples that cannot be batched": (
        classifier,
        generated(({"x": [1.0, 2.0]}, 0), ({"x": [1.0, 2.0, 3.0]}, 0), batch=2),
        "The examples of a batch need the feature 'x' of one shape. First element had shape [2] "
        "and element 1 had shape [3].",
    ),
    "a value with nan in it": (
        lambda path: kestimator.Estimator(text_model_fn, path),
        dataset({"x": np.array(["banana"] * 8), "z": np.full([8], np.nan)}),
        "StringToNumberOp could not correctly convert string: banana, in the op 'to_number', which "
        "reads the feature 'x' of the input_fn.",
    ),
    "NaN in a histogram": (
        classifier,
        dataset({"x": np.where(np.arange(16).reshape(8, 2) == 3, np.nan, X), "z": X}),
        "The data has NaN in the feature 'x'. Remove or replace it in the input_fn.",
    ),
}


@pytest.mark.parametrize(("make", "input_fn", "text"), CASES.values(), ids=CASES)
def test_first_sentence(tmp_path: Any, make: Any, input_fn: Any, text: str) -> None:
    estimator = make(tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        estimator.train(input_fn)
    assert text in str(caught.value).partition("\n\n")[0]


class TestNanLoss:
    def train(self, model_dir: Any, features: Any, labels: Any) -> str:
        estimator = kestimator.Estimator(model_fn, model_dir)
        with pytest.raises(v1.train.NanLossDuringTrainingError) as caught:
            estimator.train(dataset(features, labels))
        return str(caught.value)

    def test_feature(self, tmp_path: Any) -> None:
        other = np.array([1.0, np.nan] * 4, "float32")
        text = self.train(tmp_path, {"x": X, "other": other}, Y.astype("float32"))
        assert text.startswith("NaN loss during training. The data has NaN in the feature 'other'.")

    def test_feature_of_arrays(self, tmp_path: Any) -> None:
        features = {"x": X, "other": np.array([1.0, np.nan] * 4, "float32")}
        input_fn = kestimator.inputs.numpy_input_fn(
            features, Y.astype("float32"), batch_size=4, shuffle=True
        )
        estimator = kestimator.Estimator(model_fn, tmp_path)
        with pytest.raises(kestimator.errors.NanLossError, match="NaN in the feature 'other'"):
            estimator.train(input_fn)

    def test_labels(self, tmp_path: Any) -> None:
        labels = np.where(Y == 1, np.nan, 0.0).astype("float32")
        text = self.train(tmp_path, {"x": X, "other": X[:, 0]}, labels)
        assert "The data has NaN in the labels." in text

    def test_none_in_the_data(self, tmp_path: Any) -> None:
        infinite = np.full([8], np.inf, "float32")
        text = self.train(tmp_path, {"x": X, "other": infinite}, Y.astype("float32"))
        assert text == "NaN loss during training."

    def test_a_queue_is_not_read_again(self, tmp_path: Any) -> None:
        messages: queue.Queue[float] = queue.Queue()
        for _ in range(40):
            messages.put(np.nan)
        starts: list[int] = []

        def generate() -> Iterator[Any]:
            starts.append(1)
            while not messages.empty():
                yield {"x": X, "other": np.full([8], messages.get())}, Y

        def input_fn() -> tf.data.Dataset:
            types = ({"x": tf.float32, "other": tf.float32}, tf.float32)
            return tf.data.Dataset.from_generator(generate, output_types=types).take(2)

        estimator = kestimator.Estimator(model_fn, tmp_path)
        with pytest.raises(v1.train.NanLossDuringTrainingError, match=r"^NaN loss during training"):
            estimator.train(input_fn)
        assert len(starts) == 1
        assert messages.qsize() >= 38

    def test_shuffled_data_in_memory(self, tmp_path: Any) -> None:
        features = {"x": X, "other": np.where(np.arange(8) == 5, np.nan, 1.0).astype("float32")}

        def input_fn() -> tf.data.Dataset:
            data = tf.data.Dataset.from_tensor_slices((features, Y.astype("float32")))
            return data.shuffle(8).repeat().batch(2).prefetch(1)

        with pytest.raises(kestimator.errors.NanLossError, match="NaN in the feature 'other'"):
            kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=99)

    def test_mapped_data_of_files(self, tmp_path: Any) -> None:
        path = tmp_path / "numbers.csv"
        path.write_text("x,other,label\n" + "1.0,2.0,0\n" * 9 + "1.0,-2.0,1\n")

        def parse(line: tf.Tensor) -> Any:
            x, other, label = tf.io.decode_csv(line, [0.0, 0.0, 0.0])
            features = {"x": tf.stack([x, x]), "other": tf.math.log(other)}
            tf.debugging.assert_greater(x, 0.0)
            return features, label

        def input_fn() -> tf.data.Dataset:
            data = tf.data.TextLineDataset([str(path)]).skip(1).repeat()
            return data.map(parse, num_parallel_calls=2).batch(2).prefetch(1)

        with pytest.raises(kestimator.errors.NanLossError, match="NaN in the feature 'other'"):
            kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=99)

    def test_random_data_is_not_read_again(self, tmp_path: Any) -> None:
        def noisy(x: tf.Tensor) -> Any:
            return {"x": x, "other": tf.random.uniform([]) * np.nan}, 1.0

        def input_fn() -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(X).map(noisy).repeat().batch(2)

        with pytest.raises(v1.train.NanLossDuringTrainingError, match=r"training\.$"):
            kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=99)

    def test_data_that_takes_too_long_is_left(self, tmp_path: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(step_errors, "SECONDS_TO_LOOK_FOR_NAN", 0.0)

        def slow(x: tf.Tensor) -> Any:
            numbers = tf.random.stateless_normal([20_000_000], seed=[1, 2])
            return {"x": x, "other": tf.reduce_max(numbers) * np.nan}, 1.0

        def input_fn() -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(X).map(slow).batch(2)

        with pytest.raises(v1.train.NanLossDuringTrainingError, match=r"training\.$"):
            kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=99)


NOTE = ["The Dataset of the input_fn has single examples"]


def notes(error: BaseException) -> list[str]:
    return [note.partition(", ")[0] for note in getattr(error, "__notes__", [])]


class TestForgottenBatch:
    @pytest.mark.parametrize("method", ["train", "evaluate", "predict"])
    def test_model_fn(self, method: str, tmp_path: Any) -> None:
        def input_fn() -> tf.data.Dataset:
            features = {"x": X, "other": X[:, 0]}
            data = tf.data.Dataset.from_tensor_slices((features, Y.astype("float32")))
            return data.map(lambda x, y: (x, y)).shuffle(8).repeat().prefetch(1)

        estimator = kestimator.Estimator(model_fn, tmp_path)
        with pytest.raises(ValueError, match="Shape must be rank 2") as caught:
            list(getattr(estimator, method)(input_fn) or [])
        assert notes(caught.value) == NOTE

    def test_keras_model(self, tmp_path: Any) -> None:
        model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        estimator = kestimator.model_to_estimator(model, model_dir=str(tmp_path))
        with pytest.raises(ValueError, match="incompatible shape") as caught:
            estimator.train(lambda: tf.data.Dataset.from_tensor_slices((X, Y)))
        assert notes(caught.value) == NOTE

    @pytest.mark.parametrize("kind", ["tensors", "batch", "generator", "window"])
    def test_what_may_be_batches(self, kind: str, tmp_path: Any) -> None:
        def failing(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            raise ValueError("of its own")

        def input_fn() -> tf.data.Dataset:
            if kind == "generator":
                return tf.data.Dataset.from_generator(lambda: iter([X]), output_types=tf.float32)
            if kind == "tensors":
                return tf.data.Dataset.from_tensors(X)
            examples = tf.data.Dataset.from_tensor_slices(X)
            if kind == "batch":
                return examples.batch(2).map(lambda x: x)
            return examples.window(2).flat_map(lambda each: each.batch(2))

        with pytest.raises(ValueError, match="of its own") as caught:
            kestimator.Estimator(failing, tmp_path).train(input_fn)
        assert notes(caught.value) == []


class TestUnequalShapes:
    def rows(self, width: int) -> tf.data.Dataset:
        elements = [(*([1.0] * (width - 1)), [1.0] * size) for size in (1, 2)]
        types = (tf.float32,) * width
        return tf.data.Dataset.from_generator(lambda: iter(elements), output_types=types)

    def message(self, model_dir: Any, input_fn: Any) -> str:
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            classifier(model_dir, fc.numeric_column("x")).train(input_fn)
        return str(caught.value)

    def test_components_of_another_structure_have_no_name(self, tmp_path: Any) -> None:
        def input_fn() -> tf.data.Dataset:
            return self.rows(4).batch(2).map(lambda a, b, c, d: ({"x": d}, a))

        text = self.message(tmp_path, input_fn)
        assert "Cannot batch tensors with different shapes in component 3" in text
        assert "The examples of a batch" not in text

    def test_batches_of_batches_have_no_name(self, tmp_path: Any) -> None:
        def input_fn() -> tf.data.Dataset:
            inner = self.rows(2).batch(2).map(lambda a, b: ({"x": a}, b))
            return inner.batch(2).prefetch(1)

        assert "The examples of a batch" not in self.message(tmp_path, input_fn)

    def test_order_of_keys(self, tmp_path: Any) -> None:
        rows = [({"z": [1.0], "x": [1.0] * size}, 1.0) for size in (1, 2)]
        types = ({"z": tf.float32, "x": tf.float32}, tf.float32)

        def input_fn() -> tf.data.Dataset:
            data = tf.data.Dataset.from_generator(lambda: iter(rows), output_types=types)
            return data.batch(2).prefetch(1)

        text = self.message(tmp_path, input_fn)
        assert text.startswith("The examples of a batch need the feature 'x' of one shape.")


def test_an_explanation_never_replaces_the_error(tmp_path: Any, monkeypatch: Any) -> None:
    def fail(*arguments: Any) -> None:
        raise IndexError

    monkeypatch.setattr(step_errors, "_sentence", fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Matrix size-incompatible"):
        kestimator.Estimator(model_fn, tmp_path).train(three_wide)


def test_a_class_of_the_program_stays(tmp_path: Any) -> None:
    class Mine(tf.errors.InvalidArgumentError):
        def __init__(self) -> None:
            super().__init__(None, None, "Graph execution error:\n\nof a hook")

    class Fails(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> None:
            raise Mine

    estimator = kestimator.Estimator(model_fn, tmp_path)
    with pytest.raises(Mine):
        estimator.train(dataset({"x": X, "other": X[:, 0]}, Y.astype("float32")), hooks=[Fails()])


def test_errors_of_hooks_stay_as_they_are(tmp_path: Any) -> None:
    class Fails(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> None:
            raise tf.errors.InvalidArgumentError(None, None, "of a hook")

    estimator = kestimator.Estimator(model_fn, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"^of a hook$"):
        estimator.train(dataset({"x": X, "other": X[:, 0]}, Y.astype("float32")), hooks=[Fails()])


@pytest.mark.parametrize("kind", [tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError])
def test_full_disk_says_so_first(kind: Any, tmp_path: Any, monkeypatch: Any) -> None:
    text = (
        "Graph execution error:\n\nDetected at node save/SaveV2 defined at:\n  File x\n\n"
        "model.ckpt-0_temp/part; No space left on device\n\t [[{{node save/SaveV2}}]] [Op:__f_1]"
    )

    def save(*args: Any, **kwargs: Any) -> None:
        raise kind(None, None, text)

    monkeypatch.setattr(v1.train.Saver, "save", save)
    estimator = kestimator.Estimator(model_fn, tmp_path)
    with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
        estimator.train(dataset({"x": X, "other": X[:, 0]}, Y.astype("float32")))
    sentence, _, rest = str(caught.value).partition("\n\n")
    assert sentence.endswith(
        "model.ckpt-0_temp/part; No space left on device. Free some space, and train again."
    )
    assert rest == text
