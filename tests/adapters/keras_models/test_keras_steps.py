"""Sample weights and class weights count as they do in `fit` and `evaluate`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

L = keras.layers
X = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(8, 2)
Y = np.array([0, 1, 2, 1, 0, 2, 2, 1])
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0, 0.25, 1.5], np.float32)
CLASS_WEIGHT = {0: 0.5, 2: 3.0}


class Items(keras.utils.PyDataset):
    def __init__(self, *columns: Any) -> None:
        super().__init__()
        self._columns = columns

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return tuple(column[4 * index : 4 * index + 4] for column in self._columns)


def compiled() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = L.Dense(4, "tanh"), L.Dense(3, "softmax", name="p")
    model = keras.Sequential([keras.Input([2], name="x"), *layers])
    model.compile(
        keras.optimizers.Adam(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy"],
    )
    return model


def triples() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).batch(4)


def triples_of_a_graph() -> Any:
    return tf.compat.v1.data.make_one_shot_iterator(triples()).get_next()


INPUTS: dict[str, Callable[[], Any]] = {
    "a Dataset": triples,
    "tensors of a graph": triples_of_a_graph,
    "a PyDataset": lambda: Items(X, Y, WEIGHTS),
}


def assert_as_fit(
    input_fn: Callable[[], Any], evaluated: Callable[[], Any], **options: Any
) -> kestimator.Estimator:
    """Trains and evaluates as `fit` and `evaluate` do with the options."""
    model = compiled()
    estimator = kestimator.model_to_estimator(model).train(input_fn)
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0, **options)
    trained = estimator.to_keras()
    for value, expected in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)
    results = estimator.evaluate(evaluated)
    with_weights = {"sample_weight": options.get("sample_weight")}
    expected = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True, **with_weights)
    assert {name: results[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    return estimator


@pytest.mark.parametrize("name", INPUTS)
def test_sample_weights(name: str) -> None:
    estimator = assert_as_fit(INPUTS[name], INPUTS[name], sample_weight=WEIGHTS)
    rows = list(estimator.predict(triples))
    without = list(estimator.predict(lambda: tf.data.Dataset.from_tensor_slices(X).batch(4)))
    for row, expected in zip(rows, without, strict=True):
        np.testing.assert_array_equal(row["p"], expected["p"])


def test_class_weight() -> None:
    input_fn = kestimator.inputs.keras_input_fn(Items(X, Y), class_weight=CLASS_WEIGHT)
    evaluated = kestimator.inputs.keras_input_fn(Items(X, Y))
    assert_as_fit(input_fn, evaluated, class_weight=CLASS_WEIGHT)


def test_many_steps_in_a_loop_on_the_device() -> None:
    estimator = kestimator.model_to_estimator(compiled())
    estimator.train(lambda: triples().repeat(), steps=30)
    model = compiled()
    model.fit(X, Y, sample_weight=WEIGHTS, batch_size=4, epochs=15, shuffle=False, verbose=0)
    trained = estimator.to_keras()
    for value, expected in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


def test_copies_of_an_estimator_take_weights() -> None:
    copied = copy.deepcopy(kestimator.model_to_estimator(compiled()))
    assert copied.train(triples).get_variable_value("global_step") == 2


def test_other_estimators_refuse_weights() -> None:
    estimator = kestimator.DNNClassifier([2], [tf.feature_column.numeric_column("x")])
    with pytest.raises(errors.InputError, match="model_to_estimator.*weight_column"):
        estimator.train(triples)


def test_more_than_three_elements_are_refused() -> None:
    estimator = kestimator.model_to_estimator(compiled())
    with pytest.raises(
        errors.InputError, match=r"\(features, labels, sample_weights\).*4 elements"
    ):
        estimator.train(lambda: tf.data.Dataset.from_tensors((X, Y, WEIGHTS, WEIGHTS)))
