"""Summaries of a model_fn: tags, steps and values in the training event file."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _written(
    est: Any,
    model_dir: str,
    summarize: Callable[[Any, Any], Any],
    hooks: Callable[[], list[Any]] = list,
    **config: Any,
) -> list[dict[str, Any]]:
    """What three steps of training wrote; `summarize` may return a Scaffold."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        mean = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        scaffold = summarize(features, mean)
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            mean, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(
            mode, loss=mean, train_op=train_op, scaffold=scaffold, training_hooks=hooks()
        )

    config = {"save_summary_steps": 1, "log_step_count_steps": None, **config}
    estimator = est.Estimator(model_fn, config=est.RunConfig(model_dir, **config))
    estimator.train(tools.batches(*tools.regression()), steps=3)
    return sorted(tools.events(model_dir), key=lambda event: (event["step"], event["tag"]))


@CASES
def of_every_kind(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        v1.summary.scalar("mean_error", mean)
        v1.summary.histogram("features", features)
        v1.summary.text("words", tf.constant("some words"))
        v1.summary.image(
            "images", tf.reshape(tf.tile(features[:, :1], [1, 12]), [-1, 2, 2, 3]), max_outputs=2
        )
        v1.summary.tensor_summary("tensor", features[0])

    return {"events": _written(est, model_dir, summarize)}


@CASES
def name_scopes(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        with tf.name_scope("scoped"):
            v1.summary.scalar("one", mean)
            with tf.name_scope("deeper"):
                v1.summary.scalar("two", mean)
        with v1.variable_scope("variables"):
            v1.summary.scalar("three", mean)
        v1.summary.scalar("with/slashes", mean)
        v1.summary.scalar("with spaces", mean)
        v1.summary.scalar("family_member", mean, family="family")
        v1.summary.scalar("twice", mean)
        v1.summary.scalar("twice", 2.0 * mean)

    return {"events": _written(est, model_dir, summarize)}


@CASES
def automatic_loss(est: Any, model_dir: str) -> dict[str, Any]:
    return {"events": _written(est, model_dir, lambda features, mean: None)}


@CASES
def own_summary_called_loss(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        v1.summary.scalar("loss", 10.0 * mean)

    return {"events": _written(est, model_dir, summarize)}


@CASES
def op_called_loss(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        tf.identity(mean, name="loss")

    return {"events": _written(est, model_dir, summarize)}


@CASES
def scope_called_loss(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        with tf.name_scope("loss"):
            v1.summary.scalar("part", mean)

    return {"events": _written(est, model_dir, summarize)}


@CASES
def scaffold_summary_op(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> Any:
        v1.summary.scalar("not_written", mean)
        only = v1.summary.scalar("only", mean, collections=["mine"])
        return v1.train.Scaffold(summary_op=v1.summary.merge([only]))

    return {"events": _written(est, model_dir, summarize)}


@CASES
def in_another_collection(est: Any, model_dir: str) -> dict[str, Any]:
    def summarize(features: Any, mean: Any) -> None:
        v1.summary.scalar("unobserved", mean, collections=["mine"])
        v1.summary.scalar("seen", mean, collections=["mine", v1.GraphKeys.SUMMARIES])

    return {"events": _written(est, model_dir, summarize)}


@CASES
def own_saver_hook(est: Any, model_dir: str) -> dict[str, Any]:
    folder = f"{model_dir}/mine"
    merged: list[Any] = []

    def summarize(features: Any, mean: Any) -> None:
        merged[:] = [v1.summary.scalar("mine", mean, collections=["mine"])]

    def hooks() -> list[Any]:
        return [est.SummarySaverHook(save_steps=1, output_dir=folder, summary_op=merged[0])]

    written = _written(est, model_dir, summarize, hooks, save_summary_steps=None)
    return {"model_dir": written, "mine": tools.events(folder)}


@CASES
def only_in_training(est: Any, model_dir: str) -> dict[str, Any]:
    """Summaries of the evaluation's model_fn are not written, only its metrics."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        v1.summary.scalar(f"in_{mode}", loss)
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir).train(
        tools.batches(*tools.regression()), steps=1
    )
    estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {
        "train": sorted(event["tag"] for event in tools.events(model_dir)),
        "eval": sorted(event["tag"] for event in tools.events(f"{model_dir}/eval")),
    }


@CASES
def evaluation_saver_hook(est: Any, model_dir: str) -> dict[str, Any]:
    """The usual way to get summaries of an evaluation."""
    folder = f"{model_dir}/eval_summaries"

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        hooks = []
        if mode == est.ModeKeys.EVAL:
            v1.summary.scalar("batch_loss", loss)
            hooks = [
                est.SummarySaverHook(
                    save_steps=1, output_dir=folder, summary_op=v1.summary.merge_all()
                )
            ]
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, evaluation_hooks=hooks)

    estimator = est.Estimator(model_fn, model_dir).train(
        tools.batches(*tools.regression()), steps=2
    )
    estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {
        "values": sorted(event["value"] for event in tools.events(folder)),
        "count": len(tools.events(folder)),
    }


@CASES
def steps_per_second(est: Any, model_dir: str) -> dict[str, Any]:
    found = _written(
        est, model_dir, lambda features, mean: None, save_summary_steps=None, log_step_count_steps=1
    )
    return {"tags": sorted({event["tag"] for event in found})}
