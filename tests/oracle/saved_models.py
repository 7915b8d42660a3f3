"""Writes an export of every mode with the library at hand, and reads what another one wrote.

    python tests/oracle/saved_models.py write head some/folder      # prints where it is
    python tests/oracle/saved_models.py read head some/folder/out/1700000000

Run by an interpreter that has kestimator, or one that has tensorflow-cpu==2.15.1 and
tensorflow-estimator==2.15.0. Prints JSON.
"""

import dataclasses
import json
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

import numpy as np
import tensorflow as tf

from tests.programs import exported, exports, original, tools

v1 = tf.compat.v1
IDS = np.array([[2], [0], [1]], np.int64)
PEOPLE = {
    "age": np.array([[1.0], [20.0], [3.0]], np.float32),
    "color": np.array([["red"], ["blue"], ["unknown"]]),
}
MODES = ("train", "eval", "infer")


@dataclasses.dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        make: Makes its estimator, for a library and a folder.
        features: The features of a batch.
        labels: The labels.
        columns: The feature columns, where requests are serialized examples.
    """

    make: Callable[[Any, str], Any]
    features: Any
    labels: Any
    columns: Callable[[str], list[Any]] | None = None

    def input_fn(self) -> Any:
        return tf.data.Dataset.from_tensors((self.features, self.labels))

    def fed(self) -> dict[str, Any]:
        """What the graphs for training and evaluation are fed."""
        features, labels = self.features, self.labels
        return {
            **(features if isinstance(features, dict) else {"input": features}),
            **(labels if isinstance(labels, dict) else {"label": labels}),
        }

    def request(self) -> dict[str, Any]:
        """What the graph for serving is fed."""
        if self.columns is None:
            return self.features if isinstance(self.features, dict) else {"input": self.features}
        return {"inputs": _examples(self.features), "examples": _examples(self.features)}


def _examples(features: dict[str, np.ndarray]) -> list[bytes]:
    def feature(row: Any) -> Any:
        if row.dtype.kind == "U":
            words = [word.encode() for word in row]
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=words))
        return tf.train.Feature(float_list=tf.train.FloatList(value=row))

    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={name: feature(values[row]) for name, values in features.items()}
            )
        ).SerializeToString()
        for row in range(3)
    ]


def _columns(folder: str) -> list[Any]:
    vocabulary = os.path.join(folder, "vocabulary.txt")
    pathlib.Path(vocabulary).write_text("red\ngreen\nblue\n", encoding="utf-8")
    color = tf.feature_column.categorical_column_with_vocabulary_file("color", vocabulary)
    age = tf.feature_column.numeric_column("age")
    return [age, tf.feature_column.embedding_column(color, 2)]


def _network(optimizer: str) -> Callable[[Any, str], Any]:
    return lambda est, folder: est.DNNClassifier(
        [4, 3],
        _columns(folder),
        os.path.join(folder, "model"),
        n_classes=3,
        batch_norm=True,
        optimizer=optimizer,
    )


def _of_model_fn(model_fn: Callable[[Any], Any]) -> Callable[[Any, str], Any]:
    return lambda est, folder: est.Estimator(model_fn(est), os.path.join(folder, "model"))


def _loops(est: Any) -> Any:
    """Loops and branches, as TF1 writes them if it has been told to."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weight = v1.get_variable("weight", [], initializer=v1.constant_initializer(0.5))
        x = features["x"]
        total = tf.while_loop(lambda i, _: i < 3, lambda i, t: (i + 1, t + x * weight), [0, x])[1]
        total = tf.cond(tf.reduce_sum(total) > -1e6, lambda: total, lambda: -total)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"total": total})
        loss = tf.reduce_mean((total - tf.cast(labels, tf.float32)) ** 2)
        metrics = {"mean": v1.metrics.mean(total)}
        train_op = exports.minimized(loss)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    return model_fn


def _head(name: str) -> Case:
    """A head over one matrix."""
    return Case(
        _of_model_fn(lambda est: exports.of_head(est, name)),
        {"x": exports.X},
        exports.HEADS[name][1],
        lambda folder: [tf.feature_column.numeric_column("x", [2])],
    )


HEADS = {f"head_{name}": _head(name) for name in exports.HEADS}
MODELS = {
    "by_hand": Case(_of_model_fn(exports.by_hand), exports.X, IDS),
    "loops": Case(_of_model_fn(_loops), {"x": exports.X}, IDS),
    "network": Case(_network("Adagrad"), PEOPLE, IDS, _columns),
    "network_adam": Case(_network("Adam"), PEOPLE, IDS, _columns),
}


def write(est: Any, name: str, folder: str) -> str:
    """Trains for a step, exports every mode, and removes all but the export."""
    case = {**MODELS, **HEADS}[name]
    estimator = case.make(est, folder).train(case.input_fn)
    supervised = est.experimental.build_raw_supervised_input_receiver_fn(
        *tf.nest.map_structure(tf.constant, (case.features, case.labels))
    )

    def raw() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        if isinstance(case.features, dict):
            return est.export.ServingInputReceiver({"x": x}, {"x": x})
        return est.export.TensorServingInputReceiver(x, x)

    serving = raw
    if case.columns is not None:
        spec = tf.feature_column.make_parse_example_spec(case.columns(folder))
        serving = est.export.build_parsing_serving_input_receiver_fn(spec)
    receivers = dict(zip(MODES, (supervised, supervised, serving), strict=True))
    path = estimator.experimental_export_all_saved_models(os.path.join(folder, "out"), receivers)
    pathlib.Path(folder, "vocabulary.txt").unlink(missing_ok=True)
    return path.decode()


def read(est: Any, name: str, path: str) -> dict[str, Any]:
    """What an export answers, and how its estimator goes on."""
    case = {**MODELS, **HEADS}[name]
    fed, request = case.fed(), case.request()
    found = {
        "predicted": exported.predicted(path, request),
        "functions": exported.from_functions(path, "serve", request),
        "evaluated": exported.evaluated(path, [fed, fed]),
        "losses": exported.trained_on(path, fed)["losses"],
    }
    with tempfile.TemporaryDirectory() as model_dir:
        again = est.SavedModelEstimator(path, model_dir)
        if isinstance(case.features, dict):  # the original cannot name a bare tensor
            found["before"] = tools.typed(again.evaluate(case.input_fn))
            again.train(lambda: case.input_fn().repeat(), steps=3)
            found["after"] = tools.typed(again.evaluate(case.input_fn))
            rows = again.predict(lambda: tf.data.Dataset.from_tensors(request))
            found["rows"] = tools.plain(list(rows))
    return found


def library() -> Any:
    """kestimator, or the original where there is one."""
    if hasattr(tf, "estimator"):
        return original.library()
    import kestimator

    return kestimator


def main() -> None:
    task, name, path = sys.argv[1:]
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if os.environ.get("CONTROL_FLOW_V1"):
        v1.disable_control_flow_v2()
    print(json.dumps({"write": write, "read": read}[task](library(), name, path)))


if __name__ == "__main__":
    main()
