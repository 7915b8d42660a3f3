"""Heads outside of any Estimator: loss, predictions and metrics of eager tensors, and errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import heads_data as data
from tests.programs import tools

CASES = tools.Cases()
BATCHES = (slice(0, 4), slice(4, 7), slice(7, 10))


def _logits(width: int) -> np.ndarray:
    kernel = np.linspace(-1.5, 1.0, 3 * width).reshape(3, width).astype(np.float32)
    return data.features()["x"] @ kernel * 1.5


def _described(tensors: dict[Any, Any]) -> dict[str, Any]:
    return {
        "keys": tools.plain(list(tensors)),
        "types": [f"{tensor.dtype.name} {tensor.shape.as_list()}" for tensor in tensors.values()],
        "values": [tools.plain(tensor.numpy()) for tensor in tensors.values()],
    }


def measured(head: Any, labels: Any, logits: Any, features: Any) -> dict[str, Any]:
    """Loss, predictions and metrics over three batches."""
    metrics, losses = head.metrics(), []
    for rows in BATCHES:
        part = {name: tf.constant(values[rows]) for name, values in features.items()}
        own = labels(rows) if callable(labels) else labels[rows]
        losses.append(head.loss(own, logits[rows], features=part).numpy().item())
        metrics = head.update_metrics(metrics, part, logits[rows], own)
    return {
        "attributes": [head.name, head.logits_dimension, head.loss_reduction],
        "losses": losses,
        "predictions": _described(head.predictions(logits)),
        "metrics": {name: float(metric.result().numpy()) for name, metric in metrics.items()},
    }


def _combination(name: str, kind: str, arguments: dict[str, Any]) -> None:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        head = data.head(est, kind, **arguments)
        made = data.labels(kind, arguments["named"])
        labels: Any = made
        if kind == "multi_label" and arguments["named"]:

            def labels(rows: Any) -> Any:
                return data.sparse(made[rows], named=True)

        return measured(head, labels, _logits(head.logits_dimension), data.features())

    program.__name__ = name
    CASES(program)


for combination in data.every_combination():
    _combination(*combination)


@CASES
def more_dimensions(est: Any, model_dir: str) -> dict[str, Any]:
    logits = np.random.RandomState(0).normal(size=(2, 5, 3)).astype(np.float32)
    labels = data.labels("multi_class").reshape(2, 5)
    features = {"w": tf.constant(data.features()["w"].reshape(2, 5))}
    head = data.head(est, "multi_class", weight_column="w")
    metrics = head.update_metrics(head.metrics(), features, logits, labels)
    return {
        "loss": head.loss(labels, logits, features=features).numpy().item(),
        "predictions": _described(head.predictions(logits)),
        "metrics": {name: float(metric.result().numpy()) for name, metric in metrics.items()},
    }


@CASES
def weights_of_every_number(est: Any, model_dir: str) -> dict[str, Any]:
    weights = np.random.RandomState(1).uniform(0.0, 2.0, (data.ROWS, 2)).astype(np.float32)
    head = data.head(est, "regression_of_two", weight_column="each")
    labels = data.labels("regression_of_two")
    return measured(head, labels, _logits(2), {"each": weights})


@CASES
def regularization(est: Any, model_dir: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("binary", "multi_class", "regression", "multi_label"):
        head = data.head(est, kind, name="art")
        labels, logits = data.labels(kind), _logits(head.logits_dimension)
        losses = [tf.constant(0.5), tf.constant(1.25)]
        metrics = head.metrics(regularization_losses=losses)
        for more in (0.0, 1.0):
            losses = [tf.constant(0.5), tf.constant(more)]
            arguments = {"regularization_losses": losses}
            metrics = head.update_metrics(metrics, {}, logits, labels, **arguments)
        found[kind] = {
            "loss": head.loss(labels, logits, features={}, **arguments).numpy().item(),
            "metrics": {name: float(metric.result().numpy()) for name, metric in metrics.items()},
        }
    return found


@CASES
def some_predictions(est: Any, model_dir: str) -> dict[str, Any]:
    wanted = ["classes", "probabilities", "logits"]
    return {
        kind: _described(head.predictions(_logits(head.logits_dimension), keys=wanted))
        for kind, head in [(kind, data.head(est, kind)) for kind in data.CLASSIFIERS]
    }


@CASES
def several_heads(est: Any, model_dir: str) -> dict[str, Any]:
    heads = [data.head(est, "binary", name="b"), data.head(est, "regression_of_two", name="r")]
    head = est.MultiHead(heads, head_weights=[2.0, 0.5])
    labels = {"b": data.labels("binary"), "r": data.labels("regression_of_two")}
    logits = _logits(3)
    metrics = head.update_metrics(head.metrics(), {}, logits, labels)
    return {
        "attributes": [head.name, head.logits_dimension, head.loss_reduction],
        "loss": head.loss(labels, logits, features={}).numpy().item(),
        "predictions": _described(head.predictions(logits)),
        "metrics": {name: float(metric.result().numpy()) for name, metric in metrics.items()},
    }


@CASES
def extreme_predictions(est: Any, model_dir: str) -> dict[str, Any]:
    """Probabilities of exactly 0, 0.5 and 1, and ties."""
    logits = np.array([[-200.0], [200.0], [0.0], [0.0], [-200.0], [200.0]], np.float32)
    head = data.head(est, "binary", thresholds=[0.5])
    metrics = head.update_metrics(head.metrics(), {}, logits, np.array([0, 1, 1, 0, 1, 0]))
    return {name: float(metric.result().numpy()) for name, metric in metrics.items()}


@CASES
def many_predictions(est: Any, model_dir: str) -> dict[str, Any]:
    """More predictions than thresholds."""
    random = np.random.RandomState(5)
    logits = random.normal(size=(1000, 1)).astype(np.float32)
    labels = (logits[:, 0] + random.normal(size=1000) > 0.3).astype(np.int64)
    weights = random.uniform(0.0, 3.0, 1000).astype(np.float32)
    head = data.head(est, "binary", weight_column="w", thresholds=[0.2, 0.7])
    metrics = head.update_metrics(head.metrics(), {"w": tf.constant(weights)}, logits, labels)
    return {name: float(metric.result().numpy()) for name, metric in metrics.items()}


def _errors(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    kinds = (ValueError, TypeError, tf.errors.InvalidArgumentError)
    return {name: tools.error(call, *kinds) for name, call in calls.items()}


@CASES
def errors_of_constructors(est: Any, model_dir: str) -> dict[str, Any]:
    def binary(**arguments: Any) -> Callable[[], Any]:
        return lambda: est.BinaryClassHead(**arguments)

    def multi_label(*arguments: Any, **named: Any) -> Callable[[], Any]:
        return lambda: est.MultiLabelHead(*arguments, **named)

    chosen = "classes_for_class_based_metrics"
    click, price = est.BinaryClassHead(name="click"), est.RegressionHead(name="price")
    total = est.RegressionHead(name="total", loss_reduction="sum")
    return _errors(
        {
            "fine": binary(thresholds=(0.5,), label_vocabulary=("a", "b"), weight_column="w"),
            "thresholds_0": binary(thresholds=[0.0]),
            "thresholds_1": binary(thresholds=[1.0]),
            "thresholds_above": binary(thresholds=[1.5]),
            "thresholds_a_number": binary(thresholds=0.5),
            "thresholds_a_word": binary(thresholds=["a"]),
            "vocabulary_a_string": binary(label_vocabulary="ab"),
            "vocabulary_a_set": binary(label_vocabulary={"a", "b"}),
            "reduction_none": binary(loss_reduction="none"),
            "reduction_unknown": binary(loss_reduction="average"),
            "reduction_auto": binary(loss_reduction="auto"),
            "loss_fn_without_logits": binary(loss_fn=lambda labels: labels),
            "loss_fn_without_names": binary(loss_fn=lambda **arguments: 0),
            "loss_fn_with_more": binary(loss_fn=lambda labels, logits, scale: logits),
            "loss_fn_of_everything": binary(
                loss_fn=lambda labels, logits, features, loss_reduction: logits
            ),
            "loss_fn_a_number": binary(loss_fn=3),
            "two_classes": lambda: est.MultiClassHead(2),
            "no_classes": lambda: est.MultiClassHead(None),
            "short_vocabulary": lambda: est.MultiClassHead(3, label_vocabulary=["a", "b"]),
            "one_label": multi_label(1),
            "no_labels": multi_label(None),
            "labels_a_word": multi_label("2"),
            "long_vocabulary": multi_label(2, label_vocabulary=["a", "b", "c"]),
            "class_out_of_range": multi_label(2, **{chosen: [2]}),
            "class_below_range": multi_label(2, **{chosen: [-1]}),
            "class_without_vocabulary": multi_label(2, **{chosen: ["a"]}),
            "class_of_no_word": multi_label(2, label_vocabulary=["a", "b"], **{chosen: ["c"]}),
            "no_dimension": lambda: est.RegressionHead(0),
            "negative_dimension": lambda: est.PoissonRegressionHead(-1),
            "dimension_a_word": lambda: est.RegressionHead("1"),
            "no_heads": lambda: est.MultiHead([]),
            "heads_none": lambda: est.MultiHead(None),
            "heads_without_names": lambda: est.MultiHead([est.BinaryClassHead()]),
            "heads_of_other_reductions": lambda: est.MultiHead([click, total]).loss_reduction,
            "too_few_weights": lambda: est.MultiHead([click, price], head_weights=[1.0]),
        }
    )


@CASES
def errors_of_losses(est: Any, model_dir: str) -> dict[str, Any]:
    one, three = _logits(1)[:2], _logits(3)[:2]

    def loss(kind: str, labels: Any, logits: Any, features: Any = None, **more: Any) -> Any:
        def call() -> Any:
            return data.head(est, kind, **more).loss(labels, logits, features=features or {})

        return call

    ids, column = np.array([0, 1]), {"weight_column": "w"}
    named = {"named": True}
    sparse_floats = tf.SparseTensor([[0, 0]], [1.0], [2, 3])
    sparse_ids = tf.SparseTensor([[0, 0]], [3], [2, 3])
    multi = est.MultiHead([est.BinaryClassHead(name="a"), est.RegressionHead(2, name="b")])
    pairs = np.array([[0.0, 1.0], [1.0, 0.0]])
    return _errors(
        {
            "fine": loss("binary", ids, one),
            "logits_of_rank_1": loss("binary", ids, one[:, 0]),
            "logits_too_wide": loss("binary", ids, three),
            "no_labels": loss("binary", None, one),
            "labels_one_hot": loss("binary", np.eye(2), one),
            "labels_of_more_rows": loss("binary", np.array([0, 1, 1]), one),
            "labels_of_one_row": loss("binary", np.array([[1]]), one),
            "labels_out_of_range": loss("binary", np.array([0, 2]), one),
            "labels_negative": loss("binary", np.array([0, -1]), one),
            "labels_sparse": loss("binary", tf.sparse.from_dense([[1], [1]]), one),
            "labels_unknown_word": loss("binary", np.array(["low", "odd"]), one, **named),
            "labels_not_words": loss("binary", ids, one, **named),
            "weight_column_a_number": loss("binary", ids, one, {"w": ids}, weight_column=1),
            "weight_column_a_list": loss("binary", ids, one, {"w": ids}, weight_column=["w"]),
            "weights_missing": loss("binary", ids, one, {"x": ids}, **column),
            "weights_too_wide": loss("binary", ids, one, {"w": np.ones((2, 2))}, **column),
            "weights_of_more_rows": loss("binary", ids, one, {"w": np.ones(3)}, **column),
            "weights_of_one_row": loss("binary", ids, one, {"w": np.ones((1, 1))}, **column),
            "weights_of_rank_0": loss("binary", ids, one, {"w": 1.0}, **column),
            "loss_fn_of_a_batch": loss(
                "binary", ids, one, loss_fn=lambda labels, logits: tf.reduce_sum(logits)
            ),
            "loss_fn_of_rank_1": loss(
                "binary", ids, one, loss_fn=lambda labels, logits: logits[:, 0]
            ),
            "floats_for_ids": loss("multi_class", np.array([0.0, 1.0]), three),
            "one_hot_for_ids": loss("multi_class", np.eye(3, dtype=int)[:2], three),
            "ids_out_of_range": loss("multi_class", np.array([0, 3]), three),
            "ids_negative": loss("multi_class", np.array([0, -1]), three),
            "ids_for_words": loss("multi_class", ids, three, **named),
            "unknown_word": loss("multi_class", np.array(["low", "odd"]), three, **named),
            "indicators_of_rank_1": loss("multi_label", ids, three),
            "indicators_too_narrow": loss("multi_label", np.eye(2, dtype=int), three),
            "indicators_of_2": loss("multi_label", np.full((2, 3), 2), three),
            "indicators_words": loss("multi_label", np.full((2, 3), "low"), three, **named),
            "sparse_floats": loss("multi_label", sparse_floats, three),
            "sparse_out_of_range": loss("multi_label", sparse_ids, three),
            "numbers_of_rank_1": loss("regression_of_two", ids, three[:, :2]),
            "numbers_of_one_row": loss("regression", np.array([[1.0]]), one),
            "probabilities_out_of_range": loss("logistic", np.array([0.5, 1.5]), one),
            "labels_no_dict": lambda: multi.loss(ids, three, features={}),
            "labels_of_no_head": lambda: multi.loss({"a": ids}, three, features={}),
            "logits_of_no_head": lambda: multi.loss(
                {"a": ids, "b": pairs}, {"a": one}, features={}
            ),
            "logits_too_few": lambda: multi.loss({"a": ids, "b": pairs}, three[:, :2], features={}),
            "unknown_prediction": lambda: data.head(est, "binary").predictions(one, ["odd"]),
            "prediction_a_word": lambda: data.head(est, "binary").predictions(one, "logits"),
        }
    )


@CASES
def errors_of_specs(est: Any, model_dir: str) -> dict[str, Any]:
    def spec(**given: Any) -> Callable[[], Any]:
        def call() -> Any:
            with tf.Graph().as_default():
                arguments = {"mode": "train", "labels": tf.constant([[1]]), **given}
                head = est.BinaryClassHead()
                logits = tf.constant([[0.5]])
                return head.create_estimator_spec(features={}, logits=logits, **arguments)

        return call

    def nothing(loss: Any) -> Any:
        return tf.no_op()

    return _errors(
        {
            "fine": spec(train_op_fn=nothing),
            "predict_without_labels": spec(mode="infer", labels=None),
            "train_without_labels": spec(train_op_fn=nothing, labels=None),
            "evaluate_without_labels": spec(mode="eval", labels=None),
            "neither": spec(),
            "both": spec(train_op_fn=nothing, optimizer=3),
            "no_optimizer": spec(optimizer="SGD", trainable_variables=[]),
            "train_op_fn_a_number": spec(train_op_fn=3),
            "train_op_fn_of_nothing": spec(train_op_fn=lambda loss: None),
            "update_ops_a_number": spec(train_op_fn=nothing, update_ops=3),
            "regularization_a_number": spec(train_op_fn=nothing, regularization_losses=1.0),
            "unknown_mode": spec(mode="TRAIN"),
        }
    )
