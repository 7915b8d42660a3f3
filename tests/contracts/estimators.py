"""The rows of the contract table: each estimator class, with data that it can be tried on.

A class that `kestimator` makes public and that has no row here fails `test_estimators.py`.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import kestimator

fc = tf.feature_column
Features = dict[str, np.ndarray]
FEATURES: Features = {
    "age": np.array([17.0, 25.0, 31.5, 60.0, 18.0, 44.0], np.float32),
    "color": np.array([b"red", b"pink", b"blue", b"violet", b"green", b"red"]),
    "id": np.array([0, 3, 1, 2, 3, 1], np.int64),
}
LABELS = np.array([0, 1, 1, 0, 1, 0], np.int64)
PARSING = {
    "age": tf.io.FixedLenFeature([1], tf.float32),
    "color": tf.io.FixedLenFeature([1], tf.string),
    "id": tf.io.FixedLenFeature([1], tf.int64),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What a class is tried with.

    Attributes:
        options: The constructor's arguments besides `config`, made anew for each estimator.
        features: The features of six examples.
        labels: Their labels.
        parsing: How a server parses them from `tf.train.Example`s.
        has_warm_start: Whether the class promises `warm_start_from`.
        has_keras: Whether it promises `to_keras`.
        output: A key of its predictions.
        signature: The signature that serves them.
        served: The key there, if it is another one.
    """

    options: Callable[[], dict[str, Any]] = dict
    features: Features = dataclasses.field(default_factory=lambda: FEATURES)
    labels: Any = dataclasses.field(default_factory=lambda: LABELS)
    parsing: dict[str, Any] = dataclasses.field(default_factory=lambda: PARSING)
    has_warm_start: bool = True
    has_keras: bool = True
    output: str = "logits"
    signature: str = "predict"
    served: str | None = None

    def input_fn(self, epochs: int | None = None) -> Callable[[], tf.data.Dataset]:
        """Batches of three, endless by default."""
        data = self.features if self.labels is None else (self.features, self.labels)
        return lambda: tf.data.Dataset.from_tensor_slices(data).repeat(epochs).batch(3)

    def receivers(self) -> dict[str, Any]:
        """A receiver of the data as it is, for each mode."""
        export = kestimator.export
        features = {name: tf.constant(values) for name, values in self.features.items()}
        serving = export.build_raw_serving_input_receiver_fn(features)
        supervised: Any = serving
        if self.labels is not None:
            labels = tf.constant(self.labels)
            supervised = export.build_raw_supervised_input_receiver_fn(features, labels)
        return {"train": supervised, "eval": supervised, "infer": serving}

    def examples(self) -> list[bytes]:
        """The examples as a server gets them."""
        columns = zip(*self.features.values(), strict=True)
        return [_example(dict(zip(self.features, values, strict=True))) for values in columns]


def _example(features: dict[str, Any]) -> bytes:
    feature = {name: _feature(np.ravel(value)) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _feature(values: np.ndarray) -> tf.train.Feature:
    if values.dtype.kind == "S":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values.tolist()))
    if values.dtype.kind == "i":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _color() -> Any:
    return fc.categorical_column_with_vocabulary_list("color", ["red", "green", "blue"])


def _wide() -> list[Any]:
    buckets = fc.bucketized_column(fc.numeric_column("age"), [20, 40])
    return [fc.numeric_column("age"), _color(), fc.crossed_column([buckets, _color()], 8)]


def _deep() -> list[Any]:
    identity = fc.categorical_column_with_identity("id", 4)
    scaled = fc.numeric_column("age", normalizer_fn=keras.layers.Rescaling(1 / 50))
    return [scaled, fc.indicator_column(_color()), fc.embedding_column(identity, 2)]


def _of_head() -> dict[str, Any]:
    return {"head": kestimator.RegressionHead()}


def _network() -> dict[str, Any]:
    return {"hidden_units": [4, 3], "feature_columns": _deep()}


def _linear() -> dict[str, Any]:
    return {"feature_columns": _wide()}


def _combined() -> dict[str, Any]:
    return {
        "linear_feature_columns": _wide(),
        "dnn_feature_columns": _deep(),
        "dnn_hidden_units": [4],
    }


def _recurrent() -> dict[str, Any]:
    visited = fc.sequence_categorical_column_with_identity("visited", 4)
    return {"sequence_feature_columns": [fc.embedding_column(visited, 2)], "units": 3}


def _clusters() -> dict[str, Any]:
    return {
        "num_clusters": 2,
        "initial_clusters": [[20.0], [50.0]],
        "use_mini_batch": False,
        "feature_columns": [fc.numeric_column("age")],
    }


def _model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    age = tf.reshape(features["age"], [-1, 1]) / 50.0
    logits = keras.layers.Dense(1, name="line")(age)
    head = kestimator.BinaryClassHead()
    return head.create_estimator_spec(
        features,
        mode,
        logits,
        labels,
        optimizer=keras.optimizers.Adam(0.1),
        trainable_variables=tf.compat.v1.trainable_variables(),
    )


def _line(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    """A model_fn without a head."""
    logits = keras.layers.Dense(1, name="line")(tf.reshape(features["age"], [-1, 1]) / 50.0)
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"logits": logits})
    errors = logits - tf.cast(tf.reshape(labels, [-1, 1]), tf.float32)
    return kestimator.EstimatorSpec(
        mode,
        loss=tf.reduce_mean(errors**2),
        train_op=keras.optimizers.Adam(0.1),
        eval_metric_ops={"mean": tf.compat.v1.metrics.mean(errors)},
    )


@functools.cache
def _exported() -> str:
    """An untrained model, exported for every mode, whose features may have any shape."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    config = kestimator.RunConfig(f"{folder}/model", tf_random_seed=1)
    estimator = kestimator.Estimator(_line, config=config)
    estimator.train(Row().input_fn(0))

    def receiver() -> Any:
        age = tf.compat.v1.placeholder(tf.float32)
        return kestimator.export.ServingInputReceiver({"age": age}, {"age": age})

    def supervised() -> Any:
        age, labels = receiver().features["age"], tf.compat.v1.placeholder(tf.int64)
        return kestimator.export.SupervisedInputReceiver(
            {"age": age}, labels, {"age": age, "label": labels}
        )

    modes = {"train": supervised, "eval": supervised, "infer": receiver}
    return estimator.experimental_export_all_saved_models(f"{folder}/out", modes).decode()


_BASELINE: dict[str, Any] = {"has_warm_start": False}
_EXPERIMENTAL: dict[str, Any] = {"has_warm_start": False, "has_keras": False}
_VISITED: dict[str, Any] = {
    "features": {"visited": np.array([[0, 3], [1, 2], [3, 1], [2, 2], [0, 1], [3, 3]], np.int64)},
    "parsing": {"visited": tf.io.VarLenFeature(tf.int64)},
}
ROWS: dict[str, Row] = {
    "BaselineClassifier": Row(**_BASELINE),
    "BaselineEstimator": Row(_of_head, output="predictions", **_BASELINE),
    "BaselineRegressor": Row(output="predictions", **_BASELINE),
    "DNNClassifier": Row(_network),
    "DNNEstimator": Row(lambda: _network() | _of_head(), output="predictions"),
    "DNNRegressor": Row(_network, output="predictions"),
    "DNNLinearCombinedClassifier": Row(_combined),
    "DNNLinearCombinedEstimator": Row(
        lambda: _combined() | _of_head(), output="predictions", has_warm_start=False
    ),
    "DNNLinearCombinedRegressor": Row(_combined, output="predictions"),
    "Estimator": Row(lambda: {"model_fn": _model_fn}, has_keras=False),
    "LinearClassifier": Row(_linear),
    "LinearEstimator": Row(lambda: _linear() | _of_head(), output="predictions"),
    "LinearRegressor": Row(_linear, output="predictions"),
    "SavedModelEstimator": Row(
        lambda: {"saved_model_dir": _exported()},
        signature="serving_default",
        **_EXPERIMENTAL,
    ),
    "experimental.KMeans": Row(
        _clusters,
        features={"age": FEATURES["age"].reshape(6, 1)},
        labels=None,
        parsing={"age": PARSING["age"]},
        output="all_distances",
        signature="all_distances",
        served="output",
        **_EXPERIMENTAL,
    ),
    "experimental.RNNClassifier": Row(_recurrent, **_VISITED, **_EXPERIMENTAL),
    "experimental.RNNEstimator": Row(
        lambda: _recurrent() | _of_head(), output="predictions", **_VISITED, **_EXPERIMENTAL
    ),
}


def public_classes() -> dict[str, type[kestimator.Estimator]]:
    """Every estimator class that kestimator makes public, those of `experimental` too."""
    places = {"": kestimator, "experimental.": kestimator.experimental}
    return {
        f"{prefix}{name}": getattr(place, name)
        for prefix, place in places.items()
        for name in place.__all__
        if _is_estimator(getattr(place, name))
    }


def _is_estimator(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, kestimator.Estimator)
