"""Early stopping: at which step, by which results, and what it leaves in checkpoints."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()
X, Y = tools.regression()


def _estimator(est: Any, model_dir: str, every: int = 2) -> Any:
    """A variable that counts steps; its `score` in evaluations goes up, then down from 12 on."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        w = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        loss = tf.identity(tf.abs(w - 12.0) + 0.0 * tf.reduce_sum(features), name="the_loss")
        if mode == est.ModeKeys.EVAL:
            score = 12.0 - tf.abs(w - 12.0)
            return est.EstimatorSpec(
                mode, loss=loss, eval_metric_ops={"score": v1.metrics.mean(score)}
            )
        step = v1.train.get_global_step()
        train_op = tf.group(v1.assign_add(w, 1.0), v1.assign_add(step, 1))
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    config = est.RunConfig(model_dir, save_checkpoints_steps=every, keep_checkpoint_max=50)
    return est.Estimator(model_fn, config=config)


def _run(est: Any, estimator: Any, hook: Any, max_steps: int = 40, **given: Any) -> dict[str, Any]:
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=max_steps, hooks=[hook])
    spec = est.EvalSpec(
        tools.batches(X, Y, epochs=1), steps=None, start_delay_secs=0, throttle_secs=0, **given
    )
    metrics, _ = est.train_and_evaluate(estimator, train_spec, spec)
    return {
        "step": int(metrics["global_step"]),
        "evaluated": tools.scalars(estimator.eval_dir(given.get("name")))["score"]["steps"],
    }


STEPS = {"run_every_secs": None, "run_every_steps": 1}


@CASES
def higher(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(estimator, "score", 6.0, **STEPS)
    found = _run(est, estimator, hook)
    return {**found, "checkpoint": tools.checkpoint(model_dir)}


@CASES
def higher_from_some_step_on(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(estimator, "score", 6.0, min_steps=11, **STEPS)
    return _run(est, estimator, hook)


@CASES
def lower(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_lower_hook(estimator, "loss", 4.0, **STEPS)
    return _run(est, estimator, hook)


@CASES
def no_increase(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_no_increase_hook(estimator, "score", 6, **STEPS)
    return _run(est, estimator, hook)


@CASES
def no_decrease(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_no_decrease_hook(estimator, "loss", 5, **STEPS)
    return _run(est, estimator, hook)


@CASES
def no_decrease_from_some_step_on(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_no_decrease_hook(estimator, "loss", 4, min_steps=17, **STEPS)
    return _run(est, estimator, hook)


@CASES
def looks_at_every_step_by_seconds(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(estimator, "score", 6.0, run_every_secs=0)
    return _run(est, estimator, hook)


@CASES
def reads_another_folder(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(
        estimator, "score", 6.0, eval_dir=estimator.eval_dir("other"), **STEPS
    )
    return _run(est, estimator, hook, name="other")


@CASES
def never(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(estimator, "score", 100.0, **STEPS)
    return _run(est, estimator, hook, max_steps=9)


@CASES
def seldom(est: Any, model_dir: str) -> dict[str, Any]:
    """The hook looks at the first step and every seven from there."""
    estimator = _estimator(est, model_dir)
    hook = est.experimental.stop_if_higher_hook(
        estimator, "score", 2.0, run_every_secs=None, run_every_steps=7
    )
    found = _run(est, estimator, hook)
    return {"about_steps": [found["step"]]}


@CASES
def goes_on_after_a_stop(est: Any, model_dir: str) -> dict[str, Any]:
    """Old results stop a second run after its first step; without the hook it goes on."""
    estimator = _estimator(est, model_dir)
    steps = []
    for _ in range(2):
        hook = est.experimental.stop_if_higher_hook(estimator, "score", 6.0, **STEPS)
        steps.append(_run(est, estimator, hook)["step"])
    estimator.train(tools.batches(X, Y), steps=3)
    steps.append(int(estimator.get_variable_value("global_step")))
    return {"steps": steps}


@CASES
def of_a_function(est: Any, model_dir: str) -> dict[str, Any]:
    calls: list[int] = []

    def should_stop() -> bool:
        calls.append(1)
        return len(calls) == 5

    estimator = _estimator(est, model_dir)
    hook = est.experimental.make_early_stopping_hook(estimator, should_stop, **STEPS)
    estimator.train(tools.batches(X, Y), hooks=[hook], steps=20)
    return {
        "calls": len(calls),
        "about_step": int(estimator.get_variable_value("global_step")),
        "stop": bool(estimator.get_variable_value("signal_early_stopping/STOP")),
        "names": estimator.get_variable_names(),
    }


@CASES
def at_a_checkpoint_step(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    hook = est.experimental.make_stop_at_checkpoint_step_hook(estimator, 5)
    estimator.train(tools.batches(X, Y), hooks=[hook])
    return {
        "kind": type(hook).__name__,
        "checkpoints": tools.checkpoint_files(model_dir),
    }


@CASES
def evaluator_in_memory(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[str] = []
    estimator = _estimator(est, model_dir)

    def input_fn() -> Any:
        log.append("input")
        return tools.batches(X, Y, epochs=1)()

    class Hook(est.SessionRunHook):
        def begin(self) -> None:
            log.append("begin")

        def after_create_session(self, session: Any, coord: Any) -> None:
            log.append("session")

        def end(self, session: Any) -> None:
            log.append("end")

    hook = est.experimental.InMemoryEvaluatorHook(
        estimator, input_fn, hooks=[Hook()], name="memory", every_n_iter=3
    )
    estimator.train(tools.batches(X, Y), hooks=[hook], steps=7)
    folder = estimator.eval_dir("memory")
    return {
        "log": log,
        "evaluated": tools.scalars(folder),
        "tags": [event["tag"] for event in tools.events(folder)],
        "names": estimator.get_variable_names(),
        "w": float(estimator.get_variable_value("w")),
    }


@CASES
def wrong_arguments(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    experimental = est.experimental
    input_fn = tools.batches(X, Y, epochs=1)

    def unknown_metric() -> Any:
        hook = experimental.stop_if_higher_hook(estimator, "unknown", 1.0, **STEPS)
        return _run(est, estimator, hook)

    calls = {
        "both": lambda: experimental.stop_if_higher_hook(
            estimator, "loss", 1.0, run_every_secs=1, run_every_steps=1
        ),
        "neither": lambda: experimental.stop_if_higher_hook(
            estimator, "loss", 1.0, run_every_secs=None
        ),
        "estimator": lambda: experimental.make_early_stopping_hook(object(), lambda: True),
        "function": lambda: experimental.make_early_stopping_hook(estimator, None),
        "unknown_metric": unknown_metric,
        "every_n_iter": lambda: experimental.InMemoryEvaluatorHook(
            estimator, input_fn, every_n_iter=0
        ),
        "no_every_n_iter": lambda: experimental.InMemoryEvaluatorHook(
            estimator, input_fn, every_n_iter=None
        ),
        "hooks_of_evaluator": lambda: experimental.InMemoryEvaluatorHook(
            estimator, input_fn, hooks=[object()]
        ),
        "steps_of_evaluator": lambda: experimental.InMemoryEvaluatorHook(
            estimator, input_fn, steps=0
        ),
    }
    kinds = (KeyError, TypeError, ValueError)
    return {name: tools.error(call, *kinds) for name, call in calls.items()}


@CASES
def evaluator_of_moving_weights(est: Any, model_dir: str) -> dict[str, Any]:
    """Metrics of the weights amid training; training is as it would be without the hook."""
    finals = []
    evaluated = None
    for with_hook in (True, False):
        folder = os.path.join(model_dir, str(with_hook))
        model_fn = tools.linear_model_fn(est, lambda: v1.train.AdamOptimizer(0.1))
        estimator = est.Estimator(model_fn, folder)
        hooks = []
        if with_hook:
            hooks.append(
                est.experimental.InMemoryEvaluatorHook(
                    estimator, tools.batches(X, Y, epochs=1), every_n_iter=2
                )
            )
        estimator.train(tools.batches(X, Y), hooks=hooks, steps=5)
        finals.append(tools.plain(np.ravel(estimator.get_variable_value("w"))))
        if with_hook:
            evaluated = tools.scalars(estimator.eval_dir())
    return {"finals": finals, "evaluated": evaluated}
