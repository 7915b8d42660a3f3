"""Heads in hand-written model_fns: trained, evaluated, predicted with, exported."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import heads_data as data
from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()

STEPS = 12


def adagrad(loss: Any) -> Any:
    optimizer = v1.train.AdagradOptimizer(0.5, initial_accumulator_value=0.1)
    return optimizer.minimize(loss, global_step=v1.train.get_global_step())


def losses_hook(est: Any, specs: dict[str, Any], into: list[float]) -> Any:
    """A hook that keeps the loss of every step."""

    class Losses(est.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return est.SessionRunArgs(specs["train"].loss)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            into.append(tools.plain(run_values.results))

    return Losses()


def keras_optimizer(est: Any, name: str, **arguments: Any) -> Any:
    """A Keras optimizer; the original takes legacy ones, and wants to be told the global step.

    For those whose definition has not changed since.
    """
    if not hasattr(tf, "estimator"):
        return getattr(tf.keras.optimizers, name)(**arguments)
    optimizer = getattr(tf.keras.optimizers.legacy, name)(**arguments)
    optimizer.iterations = v1.train.get_or_create_global_step()
    return optimizer


def model_fn_of(
    head: Any, train: Callable[[], dict[str, Any]], specs: dict[str, Any], **changes: Any
) -> Callable[..., Any]:
    """A linear model from zeros.

    Args:
        head: The head.
        train: Makes the arguments of `create_estimator_spec` for training.
        specs: Keeps what was returned by mode.
        changes: Functions: `of_logits` and `of_labels` change these, `losses` makes
            regularization losses of the weights.
    """

    def same(value: Any) -> Any:
        return value

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable(
            "weights", [3, head.logits_dimension], initializer=v1.zeros_initializer()
        )
        bias = v1.get_variable(
            "bias", [head.logits_dimension], initializer=v1.constant_initializer(0.1)
        )
        logits = tf.matmul(features["x"], weights) + bias
        arguments = train() if mode == "train" else {}
        if "losses" in changes:
            arguments["regularization_losses"] = changes["losses"](weights)
        if labels is not None:
            arguments["labels"] = changes.get("of_labels", same)(labels)
        logits = changes.get("of_logits", same)(logits)
        spec = head.create_estimator_spec(features=features, mode=mode, logits=logits, **arguments)
        specs[mode] = spec
        return spec

    return model_fn


def run(
    est: Any,
    model_dir: str,
    head: Any,
    labels: Any,
    train: Callable[[], dict[str, Any]] = lambda: {"train_op_fn": adagrad},
    **changes: Any,
) -> dict[str, Any]:
    """What a head makes of training, evaluation and prediction."""
    specs: dict[str, Any] = {}
    estimator = est.Estimator(model_fn_of(head, train, specs, **changes), model_dir)
    rows = (data.features(), labels)
    losses: list[float] = []
    recording = [losses_hook(est, specs, losses)]
    estimator.train(tools.batches(*rows, batch_size=4), hooks=recording, steps=STEPS)
    metrics = estimator.evaluate(tools.batches(*rows, batch_size=4, epochs=1))
    predicted = list(estimator.predict(tools.batches(data.features(), epochs=1)))
    return {
        "losses": losses,
        **_variables(estimator),
        "metrics": tools.typed(metrics),
        "predictions": {
            "keys": tools.plain(list(predicted[0])),
            "types": [f"{value.dtype} {list(value.shape)}" for value in predicted[0].values()],
            "values": [tools.plain(list(row.values())) for row in predicted],
        },
        "outputs": _outputs(specs["infer"].export_outputs),
        "tags": sorted({event["tag"] for event in tools.events(model_dir)}),
        "scalars": tools.scalars(model_dir),
    }


def _variables(estimator: Any) -> dict[str, Any]:
    """What was trained, in one list: its small numbers have the noise of the large ones."""
    names = ("weights", "bias")
    trained = [np.ravel(estimator.get_variable_value(name)) for name in names]
    step = estimator.get_variable_value("global_step")
    return {"trained": tools.plain(np.concatenate(trained)), "global_step": tools.plain(step)}


def _outputs(export_outputs: dict[str, Any]) -> dict[str, Any]:
    """The kind of each output, and the keys of those that have some."""
    return {
        name: [type(output).__name__, list(getattr(output, "outputs", []))]
        for name, output in export_outputs.items()
    }


def _combination(name: str, kind: str, arguments: dict[str, Any]) -> None:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        named = arguments["named"]
        changes = {}
        if kind == "multi_label" and named:
            changes["of_labels"] = lambda labels: data.sparse(labels, named=True)
        head = data.head(est, kind, **arguments)
        return run(est, model_dir, head, data.labels(kind, named), **changes)

    program.__name__ = name
    CASES(program)


for combination in data.every_combination():
    _combination(*combination)


def _heads_of_three(est: Any, **arguments: Any) -> list[Any]:
    return [
        data.head(est, "binary", name="click", **arguments),
        data.head(est, "regression_of_two", name="price", **arguments),
        data.head(est, "multi_label", name="tags", thresholds=[0.5], **arguments),
    ]


def _labels_of_three() -> dict[str, Any]:
    kinds = {"click": "binary", "price": "regression_of_two", "tags": "multi_label"}
    return {name: data.labels(kind) for name, kind in kinds.items()}


@CASES
def several_heads(est: Any, model_dir: str) -> dict[str, Any]:
    return run(est, model_dir, est.MultiHead(_heads_of_three(est)), _labels_of_three())


@CASES
def several_heads_weighted(est: Any, model_dir: str) -> dict[str, Any]:
    heads = _heads_of_three(est, weight_column="w", loss_reduction="sum")
    head = est.MultiHead(heads, head_weights=[1.0, 0.5, 2.0])

    def losses(weights: Any) -> list[Any]:
        return [0.01 * tf.reduce_sum(tf.square(weights)), 0.001 * tf.reduce_sum(tf.abs(weights))]

    return run(est, model_dir, head, _labels_of_three(), losses=losses)


@CASES
def several_heads_with_logits_of_their_own(est: Any, model_dir: str) -> dict[str, Any]:
    def logits(joined: Any) -> dict[str, Any]:
        return {"click": joined[:, :1], "price": joined[:, 1:3], "tags": joined[:, 3:]}

    head = est.MultiHead(_heads_of_three(est))
    return run(est, model_dir, head, _labels_of_three(), of_logits=logits)


@CASES
def binary_with_everything(est: Any, model_dir: str) -> dict[str, Any]:
    column = tf.feature_column.numeric_column("w", normalizer_fn=lambda w: w * w)
    head = data.head(est, "binary", name="art", thresholds=[0.25, 0.5, 0.9], weight_column=column)

    def losses(weights: Any) -> list[Any]:
        return [0.01 * tf.reduce_sum(tf.square(weights))]

    return run(est, model_dir, head, data.labels("binary"), losses=losses)


@CASES
def binary_of_soft_labels(est: Any, model_dir: str) -> dict[str, Any]:
    head = data.head(est, "binary", thresholds=[0.5])
    return run(est, model_dir, head, data.labels("logistic")[:, None].round(1))


@CASES
def binary_with_a_loss_fn(est: Any, model_dir: str) -> dict[str, Any]:
    def loss_fn(labels: Any, logits: Any, features: Any) -> Any:
        scale = tf.reshape(features["w"], [-1, 1]) + 1.0
        return scale * tf.nn.relu(1.0 - (2.0 * labels - 1.0) * logits)

    head = data.head(est, "binary", loss_fn=loss_fn)
    return run(est, model_dir, head, data.labels("binary"))


@CASES
def binary_of_one_class(est: Any, model_dir: str) -> dict[str, Any]:
    labels = np.ones([data.ROWS, 1], np.int32)
    return run(est, model_dir, data.head(est, "binary"), labels)


@CASES
def multi_class_with_a_loss_fn(est: Any, model_dir: str) -> dict[str, Any]:
    def loss_fn(labels: Any, logits: Any) -> Any:
        wanted = tf.one_hot(tf.squeeze(labels, -1), 3)
        return tf.reduce_sum(tf.square(tf.nn.softmax(logits) - wanted), 1, keepdims=True)

    head = data.head(est, "multi_class", loss_fn=loss_fn, name="species")
    return run(est, model_dir, head, data.labels("multi_class")[:, None].astype(np.int32))


@CASES
def multi_label_with_everything(est: Any, model_dir: str) -> dict[str, Any]:
    head = data.head(
        est,
        "multi_label",
        named=True,
        thresholds=[0.3, 0.5],
        classes_for_class_based_metrics=["high", "low"],
        weight_column="w",
        name="tags",
    )
    return run(est, model_dir, head, data.labels("multi_label").astype(np.float32))


@CASES
def multi_label_of_sparse_ids(est: Any, model_dir: str) -> dict[str, Any]:
    def labels(indicators: Any) -> Any:
        return data.sparse(indicators, named=False)

    head = data.head(est, "multi_label", classes_for_class_based_metrics=[2, 1])
    return run(est, model_dir, head, data.labels("multi_label"), of_labels=labels)


@CASES
def regression_with_an_inverse_link(est: Any, model_dir: str) -> dict[str, Any]:
    def loss_fn(labels: Any, logits: Any) -> Any:
        return tf.abs(labels - tf.sinh(logits))

    head = data.head(est, "regression_of_two", loss_fn=loss_fn, inverse_link_fn=tf.sinh)
    return run(est, model_dir, head, data.labels("regression_of_two"))


@CASES
def poisson_without_the_full_loss(est: Any, model_dir: str) -> dict[str, Any]:
    head = data.head(est, "poisson", compute_full_loss=False, name="count")
    return run(est, model_dir, head, data.labels("poisson"))


@CASES
def update_ops(est: Any, model_dir: str) -> dict[str, Any]:
    def train() -> dict[str, Any]:
        steps = v1.get_variable("steps_seen", [], initializer=v1.zeros_initializer())
        return {"train_op_fn": adagrad, "update_ops": [v1.assign_add(steps, 1.0)]}

    head = data.head(est, "regression")
    estimator = est.Estimator(model_fn_of(head, train, {}), model_dir)
    rows = tools.batches(data.features(), data.labels("regression"))
    estimator.train(rows, steps=5)
    return {"checkpoint": tools.checkpoint(model_dir)}


@CASES
def slots_of_a_train_op_fn(est: Any, model_dir: str) -> dict[str, Any]:
    def train() -> dict[str, Any]:
        def adam(loss: Any) -> Any:
            step = v1.train.get_global_step()
            return v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)

        return {"train_op_fn": adam}

    head = data.head(est, "multi_class", name="species")
    estimator = est.Estimator(model_fn_of(head, train, {}), model_dir)
    estimator.train(tools.batches(data.features(), data.labels("multi_class")), steps=5)
    return {"checkpoint": tools.checkpoint(model_dir)}


@CASES
def no_data(est: Any, model_dir: str) -> dict[str, Any]:
    head = data.head(est, "binary", thresholds=[0.5])
    estimator = est.Estimator(model_fn_of(head, lambda: {"train_op_fn": adagrad}, {}), model_dir)
    labels = data.labels("binary")
    estimator.train(tools.batches(data.features(), labels), steps=1)
    return tools.typed(estimator.evaluate(tools.batches(data.features(), labels, epochs=0)))


def _with_keras_optimizer(name: str, **arguments: Any) -> None:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        def train() -> dict[str, Any]:
            return {
                "optimizer": keras_optimizer(est, name, **arguments),
                "trainable_variables": v1.trainable_variables(),
            }

        head = data.head(est, "multi_class")
        estimator = est.Estimator(model_fn_of(head, train, {}), model_dir)
        labels = data.labels("multi_class")
        estimator.train(tools.batches(data.features(), labels), steps=30)
        return {
            **_variables(estimator),
            "metrics": tools.typed(
                estimator.evaluate(tools.batches(data.features(), labels, epochs=1))
            ),
        }

    program.__name__ = f"keras_{name.lower()}"
    CASES(program)


_with_keras_optimizer("SGD", learning_rate=0.3, momentum=0.5)
_with_keras_optimizer("Adagrad", learning_rate=0.3)
_with_keras_optimizer("Ftrl", learning_rate=0.3)


def _refused(kind: str, wrong: Any, named: bool = False) -> Callable[[Any, str], str | None]:
    """What evaluation raises for labels that no check of shapes or dtypes can find."""

    def raised(est: Any, model_dir: str) -> str | None:
        head = data.head(est, kind, named=named)
        train = {"train_op_fn": adagrad}
        estimator = est.Estimator(model_fn_of(head, lambda: train, {}), model_dir)
        rows = tools.batches(data.features(), wrong, epochs=1)
        kinds = (tf.errors.InvalidArgumentError, ValueError, TypeError)
        return tools.error(lambda: estimator.evaluate(rows), *kinds)

    return raised


@CASES
def labels_out_of_range(est: Any, model_dir: str) -> dict[str, Any]:
    ids, several = data.labels("multi_class"), data.labels("multi_label")
    words = np.array(["low"] * 9 + ["none"])
    wrong = {
        "binary": _refused("binary", ids),
        "binary_named": _refused("binary", words, named=True),
        "multi_class": _refused("multi_class", ids + 1),
        "multi_class_negative": _refused("multi_class", ids - 1),
        "multi_class_named": _refused("multi_class", words, named=True),
        "multi_label": _refused("multi_label", several * 2),
        "logistic": _refused("logistic", data.labels("regression")),
    }
    return {
        name: raised(est, f"{model_dir}/{position}")
        for position, (name, raised) in enumerate(wrong.items())
    }
