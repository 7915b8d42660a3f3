"""What canned estimators refuse, and with which exceptions."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.programs import canned, tools

fc = tf.feature_column
CASES = tools.Cases()
KINDS = (TypeError, tf.errors.InvalidArgumentError, ValueError)


def _dnn(est: Any, **options: Any) -> Any:
    return est.DNNClassifier(**{"hidden_units": [3], "feature_columns": [canned.age()], **options})


def _linear(est: Any, **options: Any) -> Any:
    return est.LinearClassifier(**{"feature_columns": [canned.age()], **options})


def _twice() -> list[Any]:
    return [fc.numeric_column("age"), fc.numeric_column("age", shape=2)]


def _of_words() -> Any:
    return fc.categorical_column_with_identity("age", 3)


def _missing() -> Any:
    return fc.numeric_column("height")


ESTIMATORS: dict[str, Callable[[Any], Any]] = {
    "name of an optimizer in lower case": lambda est: _dnn(est, optimizer="adagrad"),
    "unknown name of an optimizer": lambda est: _linear(est, optimizer="Momentum"),
    "number for an optimizer": lambda est: _linear(est, optimizer=3),
    "no optimizer": lambda est: _dnn(est, optimizer=None),
    "function that makes no optimizer": lambda est: _dnn(est, optimizer=lambda: 3),
    "categorical column in a network": lambda est: _dnn(est, feature_columns=[canned.color()]),
    "columns of one name in a network": lambda est: _dnn(est, feature_columns=_twice()),
    "columns of one name": lambda est: _linear(est, feature_columns=_twice()),
    "no columns in a network": lambda est: _dnn(est, feature_columns=[]),
    "no columns": lambda est: _linear(est, feature_columns=[]),
    "name for a column": lambda est: _linear(est, feature_columns=["age"]),
    "numbers for a categorical column": lambda est: _linear(est, feature_columns=[_of_words()]),
    "missing feature in a network": lambda est: _dnn(est, feature_columns=[_missing()]),
    "missing feature": lambda est: _linear(est, feature_columns=[_missing()]),
    "one class": lambda est: _dnn(est, n_classes=1),
    "no label": lambda est: est.LinearRegressor([canned.age()], label_dimension=0),
    "unknown reduction": lambda est: _linear(est, loss_reduction="none"),
    "unknown combiner": lambda est: _linear(
        est, feature_columns=[canned.identity("several")], sparse_combiner="max"
    ),
    "dropout above 1": lambda est: _dnn(est, dropout=2.0),
    "dropout below 0": lambda est: _dnn(est, dropout=-1.0),
    "unknown activation": lambda est: _dnn(est, activation_fn="nope"),
    "no hidden units at all": lambda est: _dnn(est, hidden_units=None),
    "number of hidden units": lambda est: _dnn(est, hidden_units=8),
    "words for hidden units": lambda est: _dnn(est, hidden_units=["a"]),
    "neither part": lambda est: est.DNNLinearCombinedClassifier(),
    "network without hidden units": lambda est: est.DNNLinearCombinedClassifier(
        dnn_feature_columns=[canned.age()]
    ),
    "network of no hidden units": lambda est: est.DNNLinearCombinedClassifier(
        dnn_feature_columns=[canned.age()], dnn_hidden_units=[]
    ),
}


def _refused(est: Any, model_dir: str, make: Callable[[Any], Any]) -> dict[str, Any]:
    del model_dir

    def call() -> None:
        make(est).train(canned.input_fn("two"), steps=1)

    return {"raises": tools.error(call, *KINDS)}


CASES.update({name: functools.partial(_refused, make=make) for name, make in ESTIMATORS.items()})


def _data_refused(est: Any, model_dir: str, make: Callable[[], Any]) -> dict[str, Any]:
    def call() -> None:
        _dnn(est, model_dir=model_dir).train(lambda: tf.data.Dataset.from_tensors(make()), steps=1)

    return {"raises": tools.error(call, *KINDS)}


DATA: dict[str, Callable[[], Any]] = {
    "features without names": lambda: ([[1.0], [2.0]], [0, 1]),
    "label beyond the classes": lambda: ({"age": [1.0, 2.0]}, [0, 2]),
    "ragged numbers": lambda: ({"age": tf.ragged.constant([[1.0], [2.0, 3.0]])}, [0, 1]),
    "numbers of another shape": lambda: ({"age": [[1.0, 2.0], [2.0, 3.0]]}, [0, 1]),
    "words for numbers": lambda: ({"age": ["a", "b"]}, [0, 1]),
}
CASES.update({name: functools.partial(_data_refused, make=make) for name, make in DATA.items()})
