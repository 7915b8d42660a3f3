"""`train_and_evaluate`: what is called in which order, what is evaluated, exported and returned."""

import os
import re
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()
X, Y = tools.regression()


def _sgd() -> Any:
    return v1.train.GradientDescentOptimizer(0.1)


def _estimator(est: Any, model_dir: str, **config: Any) -> Any:
    config = {"save_checkpoints_steps": 3, **config}
    return est.Estimator(
        tools.linear_model_fn(est, _sgd), config=est.RunConfig(model_dir, **config)
    )


def _exporter(est: Any, name: str, log: list[Any]) -> Any:
    """An exporter that writes down what it is given."""

    class Recorder(est.Exporter):
        @property
        def name(self) -> str:
            return name

        def export(
            self,
            estimator: Any,
            export_path: str,
            checkpoint_path: str,
            eval_result: Any,
            is_the_final_export: bool,
        ) -> str:
            path = os.path.relpath(export_path, estimator.model_dir)
            checkpoint = os.path.basename(checkpoint_path)
            keys = sorted(eval_result)
            log.append([name, path, checkpoint, keys, bool(is_the_final_export)])
            return f"{name} of {checkpoint}"

    return Recorder()


def _listener(est: Any, log: list[Any], stop_at: int | None = None) -> Any:
    class Listener(est.CheckpointSaverListener):
        def begin(self) -> None:
            log.append("listener.begin")

        def after_save(self, session: Any, global_step_value: int) -> Any:
            log.append(f"listener.after_save {global_step_value}")
            return stop_at is not None and global_step_value >= stop_at

        def end(self, session: Any, global_step_value: int) -> None:
            log.append(f"listener.end {global_step_value}")

    return Listener()


def _hook(est: Any, log: list[Any], name: str) -> Any:
    class Hook(est.SessionRunHook):
        def begin(self) -> None:
            log.append(f"{name}.begin")

        def after_create_session(self, session: Any, coord: Any) -> None:
            log.append(f"{name}.after_create_session")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            log.append(f"{name}.after_run")

        def end(self, session: Any) -> None:
            log.append(f"{name}.end")

    return Hook()


def _counted(input_fn: Any, log: list[Any], name: str) -> Any:
    def counted_input_fn() -> Any:
        log.append(name)
        return input_fn()

    return counted_input_fn


def _eval_spec(est: Any, **given: Any) -> Any:
    arguments = {"steps": None, "start_delay_secs": 0, "throttle_secs": 0, **given}
    return est.EvalSpec(tools.batches(X, Y, epochs=1), **arguments)


def _tensor_receiver(est: Any) -> Any:
    def receiver_fn() -> Any:
        x = v1.placeholder(tf.float32, [None, 3])
        return est.export.TensorServingInputReceiver(x, {"x": x})

    return receiver_fn


def _evaluated(model_dir: str, folder: str = "eval") -> Any:
    return tools.scalars(os.path.join(model_dir, folder))


@CASES
def order_of_calls(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    train_spec = est.TrainSpec(
        _counted(tools.batches(X, Y), log, "train input"),
        max_steps=8,
        hooks=[_hook(est, log, "train hook")],
        saving_listeners=[_listener(est, log)],
    )
    eval_spec = est.EvalSpec(
        _counted(tools.batches(X, Y, epochs=1), log, "eval input"),
        steps=1,
        hooks=[_hook(est, log, "eval hook")],
        exporters=[_exporter(est, "one", log), _exporter(est, "two", log)],
        throttle_secs=0,
    )
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, eval_spec)
    return {
        "log": log,
        "metrics": tools.typed(metrics),
        "exports": exports,
        "evaluated": _evaluated(model_dir),
        "events": [event["tag"] for event in tools.events(os.path.join(model_dir, "eval"))],
        "checkpoints": tools.checkpoint_files(model_dir),
        "folders": sorted(name for name in os.listdir(model_dir) if "." not in name),
    }


@CASES
def throttled(est: Any, model_dir: str) -> dict[str, Any]:
    """The first checkpoint and the last are evaluated, whatever the clock says."""
    spec = _eval_spec(est, throttle_secs=10**6, name="slow")
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=11)
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    return {
        "metrics": tools.typed(metrics),
        "exports": exports,
        "evaluated": _evaluated(model_dir, "eval_slow"),
    }


@CASES
def last_checkpoint_was_evaluated(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    exporters = [_exporter(est, "one", log)]
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=6)
    spec = _eval_spec(est, exporters=exporters)
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    return {"log": log, "metrics": tools.typed(metrics), "exports": exports}


@CASES
def checkpoints_by_seconds(est: Any, model_dir: str) -> dict[str, Any]:
    """With the default of 600 seconds, training ends before a checkpoint is due."""
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=5)
    metrics, exports = est.train_and_evaluate(
        estimator, train_spec, est.EvalSpec(tools.batches(X, Y, epochs=1))
    )
    return {
        "metrics": tools.typed(metrics),
        "exports": exports,
        "evaluated": _evaluated(model_dir),
    }


@CASES
def to_the_end_of_the_data(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    train_spec = est.TrainSpec(tools.batches(X, Y, epochs=4))
    spec = _eval_spec(est, exporters=_exporter(est, "one", log))
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    return {"log": log, "metrics": tools.typed(metrics), "exports": exports}


@CASES
def nothing_left_to_train(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _estimator(est, model_dir)
    estimator.train(tools.batches(X, Y), steps=5)
    train_spec = est.TrainSpec(
        _counted(tools.batches(X, Y), log, "train input"),
        max_steps=5,
        hooks=[_hook(est, log, "train hook")],
        saving_listeners=[_listener(est, log)],
    )
    spec = _eval_spec(est, exporters=_exporter(est, "one", log))
    returned = est.train_and_evaluate(estimator, train_spec, spec)
    return {"log": log, "returned": list(returned), "type": type(returned).__name__}


@CASES
def resumed(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    found = []
    for max_steps in (4, 10):
        train_spec = est.TrainSpec(
            tools.batches(X, Y), max_steps=max_steps, saving_listeners=[_listener(est, log)]
        )
        spec = _eval_spec(est, exporters=_exporter(est, "one", log))
        metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
        found.append({"metrics": tools.typed(metrics), "exports": exports})
    return {"log": log, "found": found, "evaluated": _evaluated(model_dir)}


@CASES
def stopped_by_a_hook(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    train_spec = est.TrainSpec(
        tools.batches(X, Y), max_steps=20, hooks=[est.StopAtStepHook(num_steps=4)]
    )
    spec = _eval_spec(est, exporters=_exporter(est, "one", log))
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    return {"log": log, "metrics": tools.typed(metrics), "exports": exports}


@CASES
def stopped_by_a_listener(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    train_spec = est.TrainSpec(
        tools.batches(X, Y), max_steps=20, saving_listeners=[_listener(est, log, stop_at=6)]
    )
    spec = _eval_spec(est, exporters=_exporter(est, "one", log))
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    return {"log": log, "metrics": tools.typed(metrics), "exports": exports}


@CASES
def training_data_goes_on(est: Any, model_dir: str) -> dict[str, Any]:
    """Evaluations do not start the training data afresh: one pass over it is ten steps."""
    seen: list[Any] = []
    x = np.arange(10, dtype=np.float32)[:, None] / 10

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        w = v1.get_variable("w", [], initializer=v1.ones_initializer())
        first = tf.identity(tf.reduce_sum(features), name="first")
        loss = tf.reduce_mean(features) * w
        if mode == est.ModeKeys.EVAL:
            return est.EstimatorSpec(mode, loss=loss)
        train_op = _sgd().minimize(loss, v1.train.get_global_step())
        del first
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, config=est.RunConfig(model_dir, save_checkpoints_steps=2))
    hook = tools.losses_hook(est, seen, "first:0")
    train_spec = est.TrainSpec(tools.batches(x, batch_size=1, epochs=1), hooks=[hook])
    spec = est.EvalSpec(tools.batches(x, batch_size=5, epochs=1), throttle_secs=0)
    metrics, _ = est.train_and_evaluate(estimator, train_spec, spec)
    return {"seen": seen, "metrics": tools.typed(metrics), "evaluated": _evaluated(model_dir)}


@CASES
def failing_evaluation(est: Any, model_dir: str) -> dict[str, Any]:
    def broken() -> Any:
        raise OSError("no data")

    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=8)
    raised = tools.error(
        lambda: est.train_and_evaluate(
            _estimator(est, model_dir), train_spec, est.EvalSpec(broken, throttle_secs=0)
        ),
        OSError,
    )
    return {"raised": raised, "checkpoints": tools.checkpoint_files(model_dir)}


@CASES
def wrong_arguments(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    train_spec, spec = est.TrainSpec(tools.batches(X, Y), max_steps=3), _eval_spec(est)
    unsaved = _estimator(est, model_dir, save_checkpoints_steps=None, save_checkpoints_secs=None)
    calls = {
        "estimator": (object(), train_spec, spec),
        "train_spec": (estimator, spec, spec),
        "no_train_spec": (estimator, None, spec),
        "eval_spec": (estimator, train_spec, train_spec),
        "no_eval_spec": (estimator, train_spec, None),
        "no_checkpoints": (unsaved, train_spec, spec),
    }
    kinds = (TypeError, ValueError)
    raised = {
        name: tools.error(lambda given=given: est.train_and_evaluate(*given), *kinds)
        for name, given in calls.items()
    }
    return {"raised": raised}


def _exports(folder: str) -> list[str]:
    """The names in a folder, with a sign in place of the time."""
    if not os.path.isdir(folder):
        return []
    return sorted(
        "<second>" if re.fullmatch(r"[12]\d{9}", name) else name for name in os.listdir(folder)
    )


@CASES
def saved_models(est: Any, model_dir: str) -> dict[str, Any]:
    """Latest and final exports of a run; what lies beside them stays."""
    folder = os.path.join(model_dir, "export", "latest")
    for name in ("0000000001", "0000000002", "12345", "notes", "temp-x", "00000000001"):
        os.makedirs(os.path.join(folder, name))
    receiver_fn = _tensor_receiver(est)
    exporters = [
        est.LatestExporter("latest", receiver_fn, exports_to_keep=2),
        est.FinalExporter("final", receiver_fn),
    ]
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=8)
    spec = _eval_spec(est, exporters=exporters)
    metrics, exports = est.train_and_evaluate(_estimator(est, model_dir), train_spec, spec)
    final = os.path.join(model_dir, "export", "final")
    return {
        "latest": _exports(folder),
        "final": _exports(final),
        "files": sorted(os.listdir(os.path.join(final, os.listdir(final)[0]))),
        "types": [type(path).__name__ for path in exports],
        "folders": [
            re.sub(r"\d{10}", "<second>", os.path.relpath(os.fsdecode(path), model_dir))
            for path in exports
        ],
        "metrics": tools.typed(metrics),
    }


@CASES
def final_needs_max_steps(est: Any, model_dir: str) -> dict[str, Any]:
    exporter = est.FinalExporter("final", _tensor_receiver(est))
    train_spec = est.TrainSpec(tools.batches(X, Y, epochs=2))
    _, exports = est.train_and_evaluate(
        _estimator(est, model_dir), train_spec, _eval_spec(est, exporters=exporter)
    )
    return {"exports": exports, "there": os.path.exists(os.path.join(model_dir, "export"))}


def _judged(est: Any, model_dir: str, results: list[Any], **given: Any) -> dict[str, Any]:
    """Which of some results a BestExporter exports."""
    estimator = _estimator(est, model_dir)
    estimator.train(tools.batches(X, Y), steps=1)
    exporter = est.BestExporter(serving_input_receiver_fn=_tensor_receiver(est), **given)
    folder = os.path.join(model_dir, "export", exporter.name)
    checkpoint = estimator.latest_checkpoint()
    exported = [
        exporter.export(estimator, folder, checkpoint, result, False) is not None
        for result in results
    ]
    names = [name for name in _exports(folder) if not name.endswith(".json")]
    return {"exported": exported, "name": exporter.name, "there": names}


@CASES
def best_by_loss(est: Any, model_dir: str) -> dict[str, Any]:
    losses = [3.0, 3.0, 2.0, 2.5, 1.0]
    results = [{"loss": np.float32(loss), "global_step": 1} for loss in losses]
    return _judged(est, model_dir, results, exports_to_keep=2)


@CASES
def best_by_a_function(est: Any, model_dir: str) -> dict[str, Any]:
    def compare_fn(best_eval_result: Any, current_eval_result: Any) -> bool:
        return bool(current_eval_result["auc"].sum() >= best_eval_result["auc"].sum())

    results = [{"auc": np.array([a, b], np.float32)} for a, b in ([1, 2], [0, 1], [3, 0], [4, 4])]
    return _judged(est, model_dir, results, compare_fn=compare_fn, name="by_auc")


@CASES
def best_of_a_run(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    exporters = [
        est.BestExporter(serving_input_receiver_fn=_tensor_receiver(est)),
        _exporter(est, "one", log),
    ]
    train_spec = est.TrainSpec(tools.batches(X, Y), max_steps=7)
    _, exports = est.train_and_evaluate(
        _estimator(est, model_dir), train_spec, _eval_spec(est, exporters=exporters)
    )
    folder = os.path.join(model_dir, "export", "best_exporter")
    names = [name for name in _exports(folder) if not name.endswith(".json")]
    return {"there": names, "types": [type(path).__name__ for path in exports], "log": log}


@CASES
def wrong_exporters(est: Any, model_dir: str) -> dict[str, Any]:
    receiver_fn = _tensor_receiver(est)
    estimator = _estimator(est, model_dir)
    estimator.train(tools.batches(X, Y), steps=1)

    def compare(one: Any, other: Any) -> bool:
        return True

    def three(best_eval_result: Any, current_eval_result: Any, more: Any) -> bool:
        return True

    def judge_nothing() -> Any:
        exporter = est.BestExporter(serving_input_receiver_fn=receiver_fn)
        for result in ({"loss": 1.0}, {"accuracy": 1.0}):
            exporter.export(
                estimator,
                os.path.join(model_dir, "export", "b"),
                estimator.latest_checkpoint(),
                result,
                False,
            )

    calls = {
        "keep_none_of_latest": lambda: est.LatestExporter("a", receiver_fn, exports_to_keep=0),
        "keep_none_of_best": lambda: est.BestExporter("a", receiver_fn, exports_to_keep=-1),
        "no_compare_fn": lambda: est.BestExporter("a", receiver_fn, compare_fn=None),
        "names_of_compare_fn": lambda: est.BestExporter("a", receiver_fn, compare_fn=compare),
        "more_of_compare_fn": lambda: est.BestExporter("a", receiver_fn, compare_fn=three),
        "no_loss": judge_nothing,
    }
    return {name: tools.error(call, TypeError, ValueError) for name, call in calls.items()}
