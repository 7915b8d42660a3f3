"""Streaming metrics and losses: what evaluate returns, in which order, and what it writes."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
metrics, losses = v1.metrics, v1.losses
CASES = tools.Cases()


def _classification(rows: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, 3) and labels (rows,) of three classes."""
    x, y = tools.regression(rows)
    return x, np.digitize(y[:, 0], [-0.5, 1.0]).astype(np.int64)


def _input_fn(data: Any = None) -> Any:
    """Three batches, the last of them short."""
    return tools.batches(*(data or _classification()), batch_size=4, epochs=1)


def _metric_estimator(est: Any, model_dir: str, make: Any) -> Any:
    """An estimator whose model is `make(features, labels)` -> (loss, metrics)."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss, ops = make(features, labels)
        weight = v1.get_variable("unused", [], initializer=v1.zeros_initializer())
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            loss + 0.0 * weight, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=ops)

    return est.Estimator(model_fn, model_dir)


def _evaluated(est: Any, model_dir: str, make: Any, data: Any = None) -> dict[str, Any]:
    estimator = _metric_estimator(est, model_dir, make).train(_input_fn(data), steps=1)
    return tools.typed(estimator.evaluate(_input_fn(data)))


def _logits(features: Any, classes: int = 3) -> Any:
    kernel = np.linspace(-1.0, 1.0, 3 * classes, dtype=np.float32).reshape(3, classes)[::-1].copy()
    return tf.matmul(features, v1.get_variable("kernel", initializer=kernel)) + tf.constant(
        [0.0, 0.2, -0.1][:classes]
    )


@CASES
def of_classes(est: Any, model_dir: str) -> dict[str, Any]:
    def make(features: Any, labels: Any) -> Any:
        logits = _logits(features)
        predicted = tf.argmax(logits, axis=1)
        weights = tf.abs(features[:, 0])
        return losses.sparse_softmax_cross_entropy(labels, logits), {
            "accuracy": metrics.accuracy(labels, predicted),
            "weighted": metrics.accuracy(labels, predicted, weights=weights),
            "per_class": metrics.mean_per_class_accuracy(labels, predicted, 3),
            "mean_iou": metrics.mean_iou(labels, predicted, 3),
            "top_2": metrics.recall_at_k(labels, logits, 2),
            "precision_at_2": metrics.precision_at_k(labels, logits, 2),
            "a_mean": metrics.mean(logits),
            "Z": metrics.mean(tf.cast(labels, tf.float32), weights=weights, name="z"),
        }

    return _evaluated(est, model_dir, make)


@CASES
def of_two_classes(est: Any, model_dir: str) -> dict[str, Any]:
    def make(features: Any, labels: Any) -> Any:
        labels = tf.cast(labels > 0, tf.float32)[:, None]
        logits = _logits(features, 1)
        probabilities, predicted = tf.sigmoid(logits), tf.cast(logits > 0, tf.float32)
        return losses.sigmoid_cross_entropy(labels, logits), {
            "auc": metrics.auc(labels, probabilities),
            "auc_precision_recall": metrics.auc(
                labels, probabilities, curve="PR", summation_method="careful_interpolation"
            ),
            "precision": metrics.precision(labels, predicted),
            "recall": metrics.recall(labels, predicted),
            "true_positives": metrics.true_positives(labels, predicted),
            "false_negatives": metrics.false_negatives(labels, predicted),
            "at_thresholds": metrics.precision_at_thresholds(
                labels, probabilities, [0.3, 0.5, 0.7]
            ),
            "sensitivity": metrics.sensitivity_at_specificity(labels, probabilities, 0.5),
        }

    return _evaluated(est, model_dir, make)


@CASES
def of_numbers(est: Any, model_dir: str) -> dict[str, Any]:
    def make(features: Any, labels: Any) -> Any:
        outputs = _logits(features, 1)
        return losses.mean_squared_error(labels, outputs), {
            "rmse": metrics.root_mean_squared_error(labels, outputs),
            "mse": metrics.mean_squared_error(labels, outputs),
            "mae": metrics.mean_absolute_error(labels, outputs),
            "relative": metrics.mean_relative_error(labels, outputs, tf.abs(labels) + 1.0),
            "cosine": metrics.mean_cosine_distance(
                tf.nn.l2_normalize(features, 1), tf.nn.l2_normalize(features[:, ::-1], 1), dim=1
            ),
            "below": metrics.percentage_below(outputs, 0.2),
            "mean_tensor": metrics.mean_tensor(tf.reduce_mean(features, axis=0)),
        }

    return _evaluated(est, model_dir, make, tools.regression(10))


@CASES
def of_other_types(est: Any, model_dir: str) -> dict[str, Any]:
    def make(features: Any, labels: Any) -> Any:
        predicted = tf.argmax(_logits(features), axis=1)
        matrix = v1.get_variable(
            "confusion",
            [3, 3],
            tf.int64,
            initializer=v1.zeros_initializer(),
            trainable=False,
            collections=[v1.GraphKeys.LOCAL_VARIABLES, v1.GraphKeys.METRIC_VARIABLES],
        )
        update = matrix.assign_add(tf.math.confusion_matrix(labels, predicted, 3, dtype=tf.int64))
        return tf.reduce_mean(features), {
            "confusion": (matrix.read_value(), update),
            "constant": (tf.constant(7), tf.no_op()),
            "double": (tf.constant(0.5, tf.float64), tf.no_op()),
            "words": (tf.constant("some words"), tf.no_op()),
            "flag": (tf.constant(True), tf.no_op()),
        }

    return _evaluated(est, model_dir, make)


@CASES
def metric_fn_outside(est: Any, model_dir: str) -> dict[str, Any]:
    """A dictionary with slashes in its keys, made in a name scope."""

    def make(features: Any, labels: Any) -> Any:
        with tf.name_scope("metrics"):
            predicted = tf.argmax(_logits(features), axis=1)
            ops = {
                f"class/{k}": metrics.accuracy(tf.equal(labels, k), tf.equal(predicted, k))
                for k in range(3)
            }
        return tf.reduce_mean(features), ops

    return _evaluated(est, model_dir, make)


@CASES
def v1_losses(est: Any, model_dir: str) -> dict[str, Any]:
    def make(features: Any, labels: Any) -> Any:
        outputs, weights = _logits(features), tf.abs(features[:, :1])
        one_hot, reduction = tf.one_hot(labels, 3), losses.Reduction
        each = {
            "softmax": losses.softmax_cross_entropy(one_hot, outputs, label_smoothing=0.1),
            "sparse_softmax": losses.sparse_softmax_cross_entropy(labels, outputs, weights[:, 0]),
            "sigmoid": losses.sigmoid_cross_entropy(one_hot, outputs, reduction=reduction.SUM),
            "squared": losses.mean_squared_error(one_hot, outputs, weights),
            "squared_over_batch": losses.mean_squared_error(
                one_hot, outputs, weights, reduction=reduction.SUM_OVER_BATCH_SIZE
            ),
            "absolute": losses.absolute_difference(one_hot, outputs, reduction=reduction.MEAN),
            "huber": losses.huber_loss(one_hot, outputs, delta=0.5),
            "hinge": losses.hinge_loss(one_hot, outputs),
            "log": losses.log_loss(one_hot, tf.sigmoid(outputs)),
            "cosine": losses.cosine_distance(
                tf.nn.l2_normalize(one_hot, 1), tf.nn.l2_normalize(outputs, 1), axis=1
            ),
        }
        losses.add_loss(0.01 * tf.reduce_sum(features**2))
        each["total"] = losses.get_total_loss(add_regularization_losses=True)
        each["count"] = tf.constant(float(len(losses.get_losses())))
        return each["total"], {name: metrics.mean(value) for name, value in each.items()}

    return _evaluated(est, model_dir, make)


@CASES
def total_loss_with_regularization(est: Any, model_dir: str) -> dict[str, Any]:
    seen: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        with v1.variable_scope("net", regularizer=lambda weights: 0.05 * tf.nn.l2_loss(weights)):
            weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        losses.mean_squared_error(labels, tf.matmul(features, weights))
        total = tf.identity(losses.get_total_loss(), name="the_loss")
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            total, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(
            mode,
            loss=total,
            train_op=train_op,
            eval_metric_ops={"penalty": metrics.mean(losses.get_regularization_loss())},
        )

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, seen)], steps=4
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(10), epochs=1))
    return {"losses": seen, "evaluated": tools.typed(evaluated)}


def _accurate(est: Any, model_dir: str, **config: Any) -> Any:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        logits = _logits(features)
        loss = losses.sparse_softmax_cross_entropy(labels, logits)
        ops = {
            "accuracy": metrics.accuracy(labels, tf.argmax(logits, axis=1)),
            "per_feature": metrics.mean_tensor(tf.reduce_mean(features, axis=0)),
        }
        train_op = v1.train.GradientDescentOptimizer(0.5).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=ops)

    return est.Estimator(model_fn, config=est.RunConfig(model_dir, **config))


@CASES
def which_checkpoint(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _accurate(est, model_dir, save_checkpoints_steps=2)
    input_fn = tools.batches(*_classification(), epochs=1)
    evaluated = [tools.plain(estimator.evaluate(input_fn))]
    estimator.train(tools.batches(*_classification(8)), steps=4)
    evaluated.append(tools.plain(estimator.evaluate(input_fn)))
    for step in (0, 2, 4):
        evaluated.append(
            tools.plain(
                estimator.evaluate(input_fn, checkpoint_path=f"{model_dir}/model.ckpt-{step}")
            )
        )
    rows = [
        tools.plain(
            estimator.evaluate(input_fn, steps=2, checkpoint_path=f"{model_dir}/model.ckpt-2")
        ),
        tools.plain(estimator.evaluate(input_fn, steps=100)),
    ]

    def missing() -> Any:
        return estimator.evaluate(input_fn, checkpoint_path=f"{model_dir}/model.ckpt-3")

    estimator.train(tools.batches(*_classification(8)), steps=1)
    evaluated.append(tools.plain(estimator.evaluate(input_fn)))
    return {"evaluated": evaluated, "limited": rows, "missing": tools.error(missing, ValueError)}


@CASES
def on_empty_data(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _accurate(est, model_dir).train(tools.batches(*_classification()), steps=2)

    def empty() -> tf.data.Dataset:
        return tools.batches(*_classification(), epochs=1)().take(0)

    return tools.typed(estimator.evaluate(empty))


@CASES
def events(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _accurate(est, model_dir)
    input_fn = tools.batches(*_classification(), epochs=1)
    estimator.evaluate(input_fn, name="untrained")
    estimator.train(tools.batches(*_classification(8)), steps=3)
    estimator.evaluate(input_fn)
    estimator.evaluate(input_fn, name="named")
    estimator.train(tools.batches(*_classification(8)), steps=2)
    estimator.evaluate(input_fn)
    folders = {}
    for folder in ("eval", "eval_named", "eval_untrained"):
        found = tools.events(f"{model_dir}/{folder}")
        for event in found:
            if event["tag"] == "checkpoint_path":
                event["value"] = [
                    os.path.basename(path) for path in np.ravel(event["value"]).tolist()
                ]
        folders[folder] = sorted(found, key=lambda event: (event["step"], event["tag"]))
    return {
        "folders": folders,
        "eval_dir": [
            os.path.relpath(path, model_dir)
            for path in (estimator.eval_dir(), estimator.eval_dir("named"))
        ],
    }


@CASES
def serialized_summaries(est: Any, model_dir: str) -> dict[str, Any]:
    """A metric whose value is a serialized Summary, as object-detection programs return images."""

    def make(features: Any, labels: Any) -> Any:
        image = tf.reshape(tf.linspace(0.0, 1.0, 12), [1, 2, 2, 3])
        return tf.reduce_mean(features), {
            "picture": (v1.summary.image("picture", image), tf.no_op()),
            "plain": metrics.mean(features),
        }

    estimator = _metric_estimator(est, model_dir, make).train(_input_fn(), steps=1)
    results = estimator.evaluate(_input_fn())
    picture = v1.Summary.FromString(results["picture"])
    return {
        "keys": list(results),
        "type": type(results["picture"]).__name__,
        "picture": [value.tag for value in picture.value],
        "events": sorted(
            [event["tag"], event["kind"]] for event in tools.events(f"{model_dir}/eval")
        ),
    }


@CASES
def reserved_names(est: Any, model_dir: str) -> dict[str, Any]:
    def with_key(key: str) -> str | None:
        def make(features: Any, labels: Any) -> Any:
            return tf.reduce_mean(features), {key: metrics.mean(features)}

        return tools.error(lambda: _evaluated(est, f"{model_dir}/{key}", make), ValueError)

    return {
        "loss": with_key("loss"),
        "global_step": with_key("global_step"),
        "other": with_key("other"),
    }


@CASES
def training_state_is_left_alone(est: Any, model_dir: str) -> dict[str, Any]:
    """Local variables of metrics start anew at every evaluation and are in no checkpoint."""
    estimator = _accurate(est, model_dir).train(tools.batches(*_classification(8)), steps=3)
    input_fn = tools.batches(*_classification(), epochs=1)
    first, second = estimator.evaluate(input_fn), estimator.evaluate(input_fn)
    return {
        "equal": tools.plain(first) == tools.plain(second),
        "names": estimator.get_variable_names(),
        "files": tools.checkpoint_files(model_dir),
    }
