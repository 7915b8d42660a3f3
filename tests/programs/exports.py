"""Exports of every mode: what is in the SavedModel, what it answers, how it trains on."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import exported, tools

CASES = tools.Cases()
v1 = tf.compat.v1

X = np.array([[0.5, -1.0], [2.0, 0.25], [-1.5, 1.0]], np.float32)
MORE_X = np.array([[1.0, 1.0], [-0.5, 0.75], [0.0, -2.0]], np.float32)
WORDS = ["low", "middle", "high"]
SPEC = {"x": tf.io.FixedLenFeature([2], tf.float32)}


def binary(est: Any) -> Any:
    return est.BinaryClassHead(label_vocabulary=["no", "yes"], thresholds=[0.25])


def multi_class(est: Any) -> Any:
    return est.MultiClassHead(3, label_vocabulary=WORDS)


def several(est: Any) -> Any:
    return est.MultiHead([est.BinaryClassHead(name="click"), est.RegressionHead(name="price")])


HEADS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "binary": (binary, np.array([["no"], ["yes"], ["no"]])),
    "multi_class": (multi_class, np.array([["high"], ["low"], ["middle"]])),
    "multi_label": (
        lambda est: est.MultiLabelHead(2, classes_for_class_based_metrics=[1]),
        np.array([[1, 0], [0, 1], [1, 1]], np.int64),
    ),
    "regression": (lambda est: est.RegressionHead(2), X[:, ::-1].copy()),
    "poisson": (
        lambda est: est.PoissonRegressionHead(),
        np.array([[1.0], [0.0], [2.0]], np.float32),
    ),
    "logistic": (
        lambda est: est.LogisticRegressionHead(),
        np.array([[0.5], [0.0], [1.0]], np.float32),
    ),
    "several": (
        several,
        {
            "click": np.array([[0], [1], [0]], np.int64),
            "price": np.array([[1.0], [2.0], [3.0]], np.float32),
        },
    ),
}


def weights(width: int) -> Any:
    """A variable of known numbers, (2, width)."""
    values = np.linspace(-0.5, 0.75, 2 * width, dtype=np.float32).reshape(2, width)
    return v1.get_variable("w", initializer=values)


def minimized(loss: Any) -> Any:
    optimizer = v1.train.AdagradOptimizer(0.1)
    return optimizer.minimize(loss, global_step=v1.train.get_global_step())


def of_head(est: Any, name: str) -> Callable[..., Any]:
    """A model_fn of a head over one matrix."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        head = HEADS[name][0](est)
        logits = tf.matmul(features["x"], weights(head.logits_dimension))
        return head.create_estimator_spec(features, mode, logits, labels, train_op_fn=minimized)

    return model_fn


def batch(x: Any, labels: Any) -> dict[str, Any]:
    """What a supervised receiver is fed."""
    named = labels if isinstance(labels, dict) else {"label": labels}
    return {"x": x, **named}


def examples() -> list[bytes]:
    """The rows as a server gets them."""
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=row))}
            )
        ).SerializeToString()
        for row in X
    ]


def supervised(est: Any, labels: Any) -> Any:
    """A receiver of raw features and labels, of any batch size."""

    def tensors() -> Any:
        with tf.Graph().as_default():
            x = v1.placeholder(tf.float32, [None, 2], name="numbers")
            return {"x": x}, tf.nest.map_structure(
                lambda values: v1.placeholder(
                    tf.as_dtype(values.dtype) if values.dtype.kind != "U" else tf.string,
                    [None, *values.shape[1:]],
                    name="answers",
                ),
                labels,
            )

    return est.experimental.build_raw_supervised_input_receiver_fn(*tensors())


def receivers(est: Any, labels: Any) -> dict[str, Any]:
    """A receiver for each mode."""
    receiver = supervised(est, labels)
    return {
        est.ModeKeys.TRAIN: receiver,
        est.ModeKeys.EVAL: receiver,
        est.ModeKeys.PREDICT: est.export.build_parsing_serving_input_receiver_fn(SPEC),
    }


def trained(est: Any, model_fn: Callable[..., Any], model_dir: str, labels: Any) -> Any:
    """An estimator after one step."""
    estimator = est.Estimator(model_fn, os.path.join(model_dir, "model"))
    return estimator.train(lambda: tf.data.Dataset.from_tensors(({"x": X}, labels)))


def whole(est: Any, name: str, model_dir: str) -> dict[str, Any]:
    """An export of every mode of a head, with everything that it answers."""
    labels = HEADS[name][1]
    estimator = trained(est, of_head(est, name), model_dir, labels)
    path = estimator.experimental_export_all_saved_models(
        os.path.join(model_dir, "out"), receivers(est, labels)
    ).decode()
    serving = {"inputs": examples(), "examples": examples()}
    return {
        "definitions": exported.definitions(path),
        "variables": tools.checkpoint(os.path.join(path, "variables", "variables")),
        "predicted": exported.predicted(path, serving),
        "functions": exported.from_functions(path, "serve", serving),
        "evaluated": exported.evaluated(path, [batch(X, labels), batch(MORE_X, labels)]),
        "trained": exported.trained_on(path, batch(X, labels)),
    }


def _head_case(name: str) -> Callable[..., dict[str, Any]]:
    return lambda est, model_dir: whole(est, name, model_dir)


CASES.update({f"head_{name}": _head_case(name) for name in HEADS})


@CASES
def head_of_sequences(est: Any, model_dir: str) -> dict[str, Any]:
    """A head that is applied to every step of a sequence, of which some are padding."""
    mask = np.array([[True, True], [True, False]])
    x = np.array([[[0.5, -1.0], [2.0, 0.25]], [[-1.5, 1.0], [0.0, 0.0]]], np.float32)
    labels = np.array([[1, 0], [0, 0]], np.int64)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        head = est.experimental.SequentialHeadWrapper(
            est.MultiClassHead(3), sequence_length_mask="mask"
        )
        logits = tf.tensordot(features["x"], weights(3), 1)
        return head.create_estimator_spec(features, mode, logits, labels, train_op_fn=minimized)

    features = {"x": x, "mask": mask}
    estimator = est.Estimator(model_fn, os.path.join(model_dir, "model"))
    estimator.train(lambda: tf.data.Dataset.from_tensors((features, labels)))
    tensors = {"x": tf.zeros([1, 2, 2]), "mask": tf.zeros([1, 2], tf.bool)}
    receiver = est.experimental.build_raw_supervised_input_receiver_fn(
        tensors, tf.zeros([1, 2], tf.int64)
    )
    serving = est.export.build_raw_serving_input_receiver_fn(tensors)
    modes = dict(zip(("train", "eval", "infer"), (receiver, receiver, serving), strict=True))
    path = estimator.experimental_export_all_saved_models(os.path.join(model_dir, "out"), modes)
    fed = {"label": labels, **features}
    return {
        "definitions": exported.definitions(path.decode()),
        "predicted": exported.predicted(path.decode(), features),
        "evaluated": exported.evaluated(path.decode(), [fed]),
        "trained": exported.trained_on(path.decode(), fed),
    }


def by_hand(est: Any) -> Callable[..., Any]:
    """A model_fn of several outputs: TF1 metrics, keys of several parts, an update without output.

    Features and labels are tensors, not dicts.
    """

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        logits = tf.matmul(features, weights(3))
        scale = v1.get_variable("scale", [], initializer=v1.ones_initializer())
        probabilities = tf.nn.softmax(logits * scale)
        best = tf.argmax(logits, 1)
        predictions = {"best": best, ("both", "probabilities"): probabilities}
        if mode == est.ModeKeys.PREDICT:
            outputs = {
                "serving_default": est.export.PredictOutput(predictions),
                "classes": est.export.ClassificationOutput(scores=probabilities),
                "best": est.export.PredictOutput({"best": best, "logits": logits}),
            }
            return est.EstimatorSpec(mode, predictions=predictions, export_outputs=outputs)
        labels = tf.cond(
            tf.size(labels) > 0, lambda: tf.reshape(labels, [-1]), lambda: tf.zeros([0], tf.int64)
        )
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits * scale)
        rows = v1.get_variable(
            "rows", [], tf.int64, v1.zeros_initializer(), False, collections=["local_variables"]
        )
        metrics = {
            "accuracy": v1.metrics.accuracy(labels, best),
            ("of", "auc"): v1.metrics.auc(tf.equal(labels, 0), probabilities[:, 0]),
            "chosen": v1.metrics.mean_tensor(tf.reduce_mean(tf.one_hot(best, 3), 0)),
            "metrics/rows": (
                tf.identity(rows.read_value()),
                v1.assign_add(rows, tf.size(labels, tf.int64)).op,
            ),
        }
        return est.EstimatorSpec(
            mode,
            predictions=predictions,
            loss=loss,
            train_op=minimized(loss),
            eval_metric_ops=metrics,
        )

    return model_fn


@CASES
def several_outputs(est: Any, model_dir: str) -> dict[str, Any]:
    labels = np.array([[2], [0], [1]], np.int64)
    estimator = est.Estimator(by_hand(est), os.path.join(model_dir, "model"))
    estimator.train(lambda: tf.data.Dataset.from_tensors((X, labels)))

    def serving() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        return est.export.TensorServingInputReceiver(x, x)

    receiver = est.experimental.build_raw_supervised_input_receiver_fn(
        tf.constant(X), tf.constant(labels)
    )
    modes = dict(zip(("train", "eval", "infer"), (receiver, receiver, serving), strict=True))
    out = os.path.join(model_dir, "out")
    path = estimator.experimental_export_all_saved_models(out, modes).decode()
    batches = [{"input": X, "label": labels}, {"input": MORE_X, "label": labels}]
    return {
        "definitions": exported.definitions(path),
        "predicted": exported.predicted(path, batches[0]),
        "functions": exported.from_functions(path, "serve", batches[0]),
        "evaluated": exported.evaluated(path, batches),
        "trained": exported.trained_on(path, batches[0]),
        "again": exported.trained_on(path, batches[1], 1),
    }


@CASES
def some_modes(est: Any, model_dir: str) -> dict[str, Any]:
    """Which variables are written depends on the modes, and a mode may be exported alone."""
    labels = HEADS["regression"][1]
    estimator = trained(est, of_head(est, "regression"), model_dir, labels)
    every = receivers(est, labels)
    found = {}
    for modes in (["eval", "infer"], ["infer", "train"], ["train"], ["eval"], ["infer"]):
        out = os.path.join(model_dir, "_".join(modes))
        if len(modes) == 1:
            path = estimator.export_saved_model(
                out, every[modes[0]], experimental_mode=modes[0]
            ).decode()
        else:
            chosen = {mode: every[mode] for mode in modes}
            path = estimator.experimental_export_all_saved_models(out, chosen).decode()
        found[",".join(modes)] = {
            "tags": list(exported.meta_graphs(path)),
            "variables": tools.names_and_shapes(os.path.join(path, "variables", "variables")),
        }
    return found


@CASES
def without_labels(est: Any, model_dir: str) -> dict[str, Any]:
    """A model that learns from features alone, and names of its own for predictions and loss."""

    def model_fn(features: Any, mode: str) -> Any:
        center = v1.get_variable("center", [2], initializer=v1.zeros_initializer())
        distances = tf.reduce_sum((features["x"] - center) ** 2, 1)
        loss = tf.reduce_mean(distances)
        return est.EstimatorSpec(
            mode,
            predictions={"predictions": distances, "predictions_of_center": center[None]},
            loss=loss,
            train_op=minimized(loss),
            eval_metric_ops={"metrics": v1.metrics.mean(distances)},
        )

    def receiver() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        return est.export.UnsupervisedInputReceiver({"x": x}, x)

    estimator = est.Estimator(model_fn, os.path.join(model_dir, "model"))
    estimator.train(lambda: tf.data.Dataset.from_tensors({"x": X}))
    out, modes = os.path.join(model_dir, "out"), ("train", "eval", "infer")
    path = estimator.experimental_export_all_saved_models(
        out, dict.fromkeys(modes, receiver), as_text=False
    ).decode()
    return {
        "definitions": exported.definitions(path),
        "evaluated": exported.evaluated(path, [{"input": X}, {"input": MORE_X}]),
        "trained": exported.trained_on(path, {"input": X}),
    }


@CASES
def too_few_inputs(est: Any, model_dir: str) -> dict[str, Any]:
    """Labels that are not among what is fed: the graph is written, without a signature."""
    labels = HEADS["regression"][1]
    estimator = trained(est, of_head(est, "regression"), model_dir, labels)

    def receiver() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        answers = v1.placeholder(tf.float32, [None, 2], name="y")
        return est.export.SupervisedInputReceiver({"x": x}, answers, x)

    path = estimator.export_saved_model(
        os.path.join(model_dir, "out"), receiver, experimental_mode="train"
    )
    return exported.definitions(path.decode())


@CASES
def saver_of_the_scaffold(est: Any, model_dir: str) -> dict[str, Any]:
    """Averages of the weights are served and evaluated in their place."""
    labels = X[:, :1].copy()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        matrix = weights(1)
        outputs = tf.matmul(features["x"], matrix)
        average = tf.train.ExponentialMovingAverage(0.5)
        if mode == est.ModeKeys.PREDICT:
            saver = v1.train.Saver(average.variables_to_restore([matrix]))
            return est.EstimatorSpec(
                mode, predictions={"y": outputs}, scaffold=v1.train.Scaffold(saver=saver)
            )
        loss = tf.reduce_mean((outputs - labels) ** 2)
        if mode == est.ModeKeys.EVAL:
            saver = v1.train.Saver(average.variables_to_restore([matrix]))
            return est.EstimatorSpec(mode, loss=loss, scaffold=v1.train.Scaffold(saver=saver))
        with tf.control_dependencies([minimized(loss)]):
            return est.EstimatorSpec(mode, loss=loss, train_op=average.apply([matrix]))

    estimator = trained(est, model_fn, model_dir, labels)
    path = estimator.experimental_export_all_saved_models(
        os.path.join(model_dir, "out"), receivers(est, labels)
    ).decode()
    fed = batch(X, labels)
    with exported.Loaded(path, "eval") as loaded:
        evaluated = loaded.answers("eval", fed)
    return {
        "variables": tools.checkpoint(os.path.join(path, "variables", "variables")),
        "predicted": exported.predicted(path, {"examples": examples()}),
        "evaluated": evaluated,
        "trained": exported.trained_on(path, fed),
    }


@CASES
def errors(est: Any, model_dir: str) -> dict[str, Any]:
    """What cannot be exported, and that nothing is left of it."""
    labels = HEADS["regression"][1]
    estimator = trained(est, of_head(est, "regression"), model_dir, labels)
    untrained = est.Estimator(of_head(est, "regression"), os.path.join(model_dir, "untrained"))
    receiver = supervised(est, labels)
    out = os.path.join(model_dir, "out")

    def failing(predictions: Any = None, **fields: Any) -> Any:
        def model_fn(features: Any, labels: Any, mode: str) -> Any:
            spec = of_head(est, "regression")(features, labels, mode)
            if mode == est.ModeKeys.TRAIN:
                return spec._replace(**({"predictions": predictions} if predictions else {}))
            return spec._replace(**{key: make(spec) for key, make in fields.items()})

        return est.Estimator(model_fn, estimator.model_dir)

    def export(exporting: Any, mode: str, receiver_fn: Any) -> str | None:
        return tools.error(
            lambda: exporting.experimental_export_all_saved_models(out, {mode: receiver_fn}),
            *(KeyError, ValueError, TypeError),
        )

    def unknown_features() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return est.export.SupervisedInputReceiver({"z": x}, x, {"x": x})

    def key_that_is_no_string() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return est.export.SupervisedInputReceiver({"x": x}, x, {1: x})

    parsing = est.export.build_parsing_serving_input_receiver_fn(SPEC)

    def of(name: str, make: Callable[[Any], Any]) -> Any:
        return failing(**{name: make})

    output = est.export.PredictOutput
    several = lambda spec: {  # noqa: E731
        "a": output(spec.predictions),
        "b": output(spec.predictions),
    }
    numbers = lambda spec: {1: spec.predictions["predictions"]}  # noqa: E731
    return {
        "no checkpoint": export(untrained, "train", receiver),
        "empty map": tools.error(
            lambda: estimator.experimental_export_all_saved_models(out, {}), ValueError
        ),
        "only an unknown mode": export(estimator, "test", receiver),
        "no function for one mode": tools.error(
            lambda: estimator.export_saved_model(out, None, experimental_mode="eval"), ValueError
        ),
        "features that the model_fn does not know": export(estimator, "eval", unknown_features),
        "a key that is no string": export(estimator, "eval", key_that_is_no_string),
        "no default among several outputs": export(of("export_outputs", several), "infer", parsing),
        "prediction without a name": export(of("predictions", numbers), "eval", receiver),
        "names of both features and labels": tools.error(
            lambda: est.experimental.build_raw_supervised_input_receiver_fn(
                {"x": tf.constant(X)}, {"x": tf.constant(X)}
            ),
            ValueError,
        ),
    }
