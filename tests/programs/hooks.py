"""Session hooks and checkpoint listeners: order, fetches, changes, how they stop a run."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _sgd() -> Any:
    return v1.train.GradientDescentOptimizer(0.1)


def _observer(est: Any, name: str, log: list[Any]) -> Any:
    """A hook that writes down each of its calls."""

    class Observer(est.SessionRunHook):
        def begin(self) -> None:
            log.append(f"{name}.begin")

        def after_create_session(self, session: Any, coord: Any) -> None:
            log.append(f"{name}.after_create_session")

        def before_run(self, run_context: Any) -> None:
            log.append(f"{name}.before_run")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            log.append(f"{name}.after_run")

        def end(self, session: Any) -> None:
            log.append(f"{name}.end")

    return Observer()


def _listener(est: Any, log: list[Any], name: str = "listener", stop_at: int | None = None) -> Any:
    class Listener(est.CheckpointSaverListener):
        def begin(self) -> None:
            log.append(f"{name}.begin")

        def before_save(self, session: Any, global_step_value: int) -> None:
            log.append(f"{name}.before_save {global_step_value}")

        def after_save(self, session: Any, global_step_value: int) -> Any:
            log.append(f"{name}.after_save {global_step_value}")
            return stop_at is not None and global_step_value >= stop_at

        def end(self, session: Any, global_step_value: int) -> None:
            log.append(f"{name}.end {global_step_value}")

    return Listener()


def _observed(est: Any, model_dir: str, log: list[Any], **config: Any) -> Any:
    """An estimator with an observer in every place of the spec."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        outputs = tf.matmul(features, weights)
        if mode == est.ModeKeys.PREDICT:
            hooks = [_observer(est, "prediction", log)]
            return est.EstimatorSpec(mode, predictions={"outputs": outputs}, prediction_hooks=hooks)
        loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
        return est.EstimatorSpec(
            mode,
            loss=loss,
            train_op=_sgd().minimize(loss, v1.train.get_global_step()),
            training_hooks=[_observer(est, "training", log)],
            training_chief_hooks=[_observer(est, "chief", log)],
            evaluation_hooks=[_observer(est, "evaluation", log)],
        )

    return est.Estimator(model_fn, config=est.RunConfig(model_dir, **config))


@CASES
def order_of_training(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, log, save_checkpoints_steps=2)
    hooks = [_observer(est, "one", log), _observer(est, "two", log)]
    listeners = [_listener(est, log, "first"), _listener(est, log, "second")]
    estimator.train(
        tools.batches(*tools.regression()), hooks=hooks, saving_listeners=listeners, steps=3
    )
    return {"log": log}


@CASES
def order_at_the_end_of_the_data(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, log)
    input_fn = tools.batches(*tools.regression(), epochs=1)
    estimator.train(
        input_fn, hooks=[_observer(est, "one", log)], saving_listeners=[_listener(est, log)]
    )
    again: list[Any] = []
    estimator.train(input_fn, saving_listeners=[_listener(est, again)])
    return {"log": log, "listener_of_the_second": again}


@CASES
def order_of_a_third_call(est: Any, model_dir: str) -> dict[str, Any]:
    """Every call begins and ends the hooks of the spec, whatever is kept between calls."""
    log: list[Any] = []
    estimator = _observed(est, model_dir, log)
    for _ in range(2):
        estimator.train(tools.batches(*tools.regression()), steps=1)
    log.clear()
    estimator.train(
        tools.batches(*tools.regression()), hooks=[_observer(est, "third", log)], steps=1
    )
    return {"log": log}


@CASES
def order_of_evaluation(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, log).train(tools.batches(*tools.regression()), steps=1)
    log.clear()
    estimator.evaluate(
        tools.batches(*tools.regression(), epochs=1), hooks=[_observer(est, "one", log)]
    )
    to_the_end = list(log)
    log.clear()
    estimator.evaluate(
        tools.batches(*tools.regression()), hooks=[_observer(est, "one", log)], steps=2
    )
    return {"to_the_end": to_the_end, "two_steps": log}


@CASES
def order_of_prediction(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, log).train(tools.batches(*tools.regression()), steps=1)
    log.clear()
    x, _ = tools.regression()
    for _ in estimator.predict(tools.batches(x, epochs=1), hooks=[_observer(est, "one", log)]):
        log.append("row")
    return {"log": log}


@CASES
def no_calls_when_max_steps_is_reached(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, log).train(tools.batches(*tools.regression()), steps=2)
    log.clear()
    hooks, listeners = [_observer(est, "one", log)], [_listener(est, log)]
    estimator.train(
        tools.batches(*tools.regression()), hooks=hooks, saving_listeners=listeners, max_steps=2
    )
    return {"log": log}


@CASES
def listener_stops(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    estimator = _observed(est, model_dir, [], save_checkpoints_steps=2)
    listeners = [_listener(est, log, stop_at=4)]
    estimator.train(tools.batches(*tools.regression()), saving_listeners=listeners, max_steps=100)
    return {"log": log, "files": tools.checkpoint_files(model_dir)}


@CASES
def listeners_without_checkpoints(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _observed(
        est, model_dir, [], save_checkpoints_steps=None, save_checkpoints_secs=None
    )

    def train() -> Any:
        return estimator.train(
            tools.batches(*tools.regression()), saving_listeners=[_listener(est, [])], steps=1
        )

    return {"error": tools.error(train, ValueError)}


def _simple(est: Any, model_dir: str, **config: Any) -> Any:
    return est.Estimator(
        tools.linear_model_fn(est, _sgd), config=est.RunConfig(model_dir, **config)
    )


@CASES
def fetches(est: Any, model_dir: str) -> dict[str, Any]:
    """Nested fetches of tensors, ops and names; results have the same structure."""
    seen: list[Any] = []

    class Fetch(est.SessionRunHook):
        def begin(self) -> None:
            graph = v1.get_default_graph()
            self.loss = graph.get_tensor_by_name("the_loss:0")
            self.twice = tf.multiply(self.loss, 2.0, name="twice")
            self.op = graph.get_operation_by_name("the_loss")

        def before_run(self, run_context: Any) -> Any:
            return est.SessionRunArgs(
                {
                    "loss": self.loss,
                    "more": [self.twice, ("the_loss:0", self.op)],
                    "named": {"twice": "twice:0"},
                }
            )

        def after_run(self, run_context: Any, run_values: Any) -> None:
            results = run_values.results
            assert isinstance(results["more"], list)
            assert isinstance(results["more"][1], tuple)
            seen.append(tools.plain(results))

    _simple(est, model_dir).train(tools.batches(*tools.regression()), hooks=[Fetch()], steps=3)
    return {"seen": seen}


@CASES
def fetches_that_change(est: Any, model_dir: str) -> dict[str, Any]:
    """Other fetches at other steps, and None at some."""
    seen: list[Any] = []

    class Sometimes(est.SessionRunHook):
        def begin(self) -> None:
            self.count = 0

        def before_run(self, run_context: Any) -> Any:
            self.count += 1
            if self.count % 3 == 0:
                return None
            return est.SessionRunArgs("the_loss:0" if self.count % 3 == 1 else ["the_loss:0"])

        def after_run(self, run_context: Any, run_values: Any) -> None:
            seen.append(tools.plain(run_values.results))

    _simple(est, model_dir).train(tools.batches(*tools.regression()), hooks=[Sometimes()], steps=7)
    return {"seen": seen}


@CASES
def session_in_after_run(est: Any, model_dir: str) -> dict[str, Any]:
    """A hook copies a target network every second step, and reads the step and the weights."""
    seen: list[Any] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        online = v1.get_variable("online", [3, 1], initializer=v1.zeros_initializer())
        target = v1.get_variable(
            "target", [3, 1], initializer=v1.ones_initializer(), trainable=False
        )
        loss = tf.reduce_mean(
            tf.square(tf.matmul(features, online) - labels + 0.1 * tf.matmul(features, target))
        )
        copy = target.assign(online)
        step = v1.train.get_global_step()

        class Copy(est.SessionRunHook):
            def after_run(self, run_context: Any, run_values: Any) -> None:
                now = run_context.session.run(step)
                if now % 2 == 0:
                    run_context.session.run(copy)
                online_now, target_now = run_context.session.run([online, target])
                seen.append([int(now), tools.plain(online_now), tools.plain(target_now)])

        train_op = _sgd().minimize(loss, global_step=step)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, training_hooks=[Copy()])

    est.Estimator(model_fn, model_dir).train(tools.batches(*tools.regression()), steps=5)
    return {"seen": seen, "variables": tools.checkpoint(model_dir)}


@CASES
def weights_set_in_after_create_session(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []

    class Load(est.SessionRunHook):
        def begin(self) -> None:
            variable = next(
                variable for variable in v1.global_variables() if variable.op.name == "w"
            )
            self.value = v1.placeholder(tf.float32, [3, 1])
            self.assign = variable.assign(self.value)

        def after_create_session(self, session: Any, coord: Any) -> None:
            session.run(self.assign, feed_dict={self.value: [[0.5], [0.25], [-1.0]]})

    hooks = [Load(), tools.losses_hook(est, losses)]
    estimator = _simple(est, model_dir).train(
        tools.batches(*tools.regression()), hooks=hooks, steps=3
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1), hooks=[Load()])
    return {
        "losses": losses,
        "evaluated": tools.plain(evaluated),
        "variables": tools.checkpoint(model_dir),
    }


@CASES
def variable_load(est: Any, model_dir: str) -> dict[str, Any]:
    """`Variable.load(value, session)`, as programs load embeddings."""

    class Load(est.SessionRunHook):
        def after_create_session(self, session: Any, coord: Any) -> None:
            variable = next(
                variable for variable in v1.global_variables() if variable.op.name == "w"
            )
            variable.load(np.array([[0.5], [0.25], [-1.0]], np.float32), session)

    losses: list[float] = []
    hooks = [Load(), tools.losses_hook(est, losses)]
    _simple(est, model_dir).train(tools.batches(*tools.regression()), hooks=hooks, steps=3)
    return {"losses": losses}


@CASES
def feeding(est: Any, model_dir: str) -> dict[str, Any]:
    """A placeholder with a default, fed by FeedFnHook and by a hook's SessionRunArgs."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        scale = v1.placeholder_with_default(tf.constant(1.0), [], name="scale")
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        loss = tf.identity(
            scale * tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels)),
            name="the_loss",
        )
        return est.EstimatorSpec(
            mode, loss=loss, train_op=_sgd().minimize(loss, v1.train.get_global_step())
        )

    class Scale(est.SessionRunHook):
        def begin(self) -> None:
            self.next = 1.0

        def before_run(self, run_context: Any) -> Any:
            self.next += 0.5
            return est.SessionRunArgs(None, feed_dict={"scale:0": self.next})

    input_fn = tools.batches(*tools.regression())
    results = {}
    for name, hooks in (
        ("none", []),
        ("feed_fn", [est.FeedFnHook(lambda: {"scale:0": 3.0})]),
        ("own", [Scale()]),
    ):
        losses: list[float] = []
        estimator = est.Estimator(model_fn, f"{model_dir}/{name}")
        estimator.train(input_fn, hooks=[*hooks, tools.losses_hook(est, losses)], steps=3)
        results[name] = losses
    return results


@CASES
def logging_tensors(est: Any, model_dir: str) -> dict[str, Any]:
    logged: dict[str, list[Any]] = {}

    def logger(name: str, **limits: Any) -> Any:
        def keep(values: dict[str, Any]) -> str:
            logged.setdefault(name, []).append(
                {key: tools.plain(value) for key, value in values.items()}
            )
            return "kept"

        return est.LoggingTensorHook(
            {"loss": "the_loss", "again": "the_loss:0"}, formatter=keep, **limits
        )

    hooks = [
        logger("every_2", every_n_iter=2),
        logger("every_3_at_end", every_n_iter=3, at_end=True),
    ]
    _simple(est, f"{model_dir}/steps").train(
        tools.batches(*tools.regression()), hooks=hooks, steps=7
    )
    hooks = [logger("only_at_end", at_end=True)]
    _simple(est, f"{model_dir}/end").train(tools.batches(*tools.regression()), hooks=hooks, steps=4)
    logged_tags: list[str] = []
    listed = est.LoggingTensorHook(
        ["the_loss"], every_n_iter=1, formatter=lambda values: logged_tags.extend(values)
    )
    estimator = _simple(est, f"{model_dir}/list").train(
        tools.batches(*tools.regression()), hooks=[listed], steps=1
    )
    estimator.evaluate(
        tools.batches(*tools.regression(12), epochs=1), hooks=[logger("evaluation", every_n_iter=1)]
    )
    return {
        **logged,
        "list": logged_tags,
        "both": tools.error(lambda: logger("", every_n_iter=1, every_n_secs=1), ValueError),
        "neither": tools.error(lambda: logger(""), ValueError),
    }


@CASES
def stopping_at_a_step(est: Any, model_dir: str) -> dict[str, Any]:
    reached = []
    estimator = _simple(est, model_dir)
    for hook in (
        {"last_step": 3},
        {"num_steps": 2},
        {"last_step": 6},
        {"last_step": 6},
        {"num_steps": 4},
    ):
        estimator.train(tools.batches(*tools.regression()), hooks=[est.StopAtStepHook(**hook)])
        reached.append(tools.plain(estimator.get_variable_value("global_step")))
    estimator.train(
        tools.batches(*tools.regression()), hooks=[est.StopAtStepHook(num_steps=10)], steps=3
    )
    reached.append(tools.plain(estimator.get_variable_value("global_step")))
    return {"reached": reached}


@CASES
def request_stop(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []

    class Stop(est.SessionRunHook):
        def begin(self) -> None:
            self.count = 0

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.count += 1
            if self.count == 3:
                run_context.request_stop()
            log.append([self.count, run_context.stop_requested])

    estimator = _simple(est, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[Stop(), _observer(est, "after", log)], steps=10
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(40), epochs=1), hooks=[Stop()])
    return {
        "log": log,
        "files": tools.checkpoint_files(model_dir),
        "evaluated": tools.plain(evaluated),
    }


@CASES
def final_ops(est: Any, model_dir: str) -> dict[str, Any]:
    hooks: list[Any] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        mean, update = v1.metrics.mean(labels)
        hooks[:] = [
            est.FinalOpsHook({"weights": weights, "mean": mean, "step": v1.train.get_global_step()})
        ]
        return est.EstimatorSpec(
            mode,
            loss=loss,
            train_op=_sgd().minimize(loss, v1.train.get_global_step()),
            eval_metric_ops={"mean": (mean, update)},
            evaluation_hooks=hooks,
        )

    estimator = est.Estimator(model_fn, model_dir).train(
        tools.batches(*tools.regression()), steps=3
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {"final": tools.plain(hooks[0].final_ops_values), "evaluated": tools.plain(evaluated)}


@CASES
def not_a_number(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(12)
    x[9] = np.nan
    log: list[Any] = []
    estimator = _simple(est, model_dir)

    def train() -> Any:
        return estimator.train(tools.batches(x, y, epochs=1), hooks=[_observer(est, "one", log)])

    failed = tools.error(train, est.NanLossDuringTrainingError, RuntimeError)
    kept: list[float] = []

    def own_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        shown = tf.where(tf.math.is_nan(loss), 0.0, loss)
        watcher = est.NanTensorHook(loss, fail_on_nan_loss=False)
        train_op = _sgd().minimize(loss, v1.train.get_global_step())
        hooks = [watcher, tools.logged_losses(est, kept, shown)]
        return est.EstimatorSpec(mode, loss=shown, train_op=train_op, training_hooks=hooks)

    tolerant = est.Estimator(own_fn, f"{model_dir}/tolerant").train(tools.batches(x, y))
    return {
        "failed": failed,
        "is_a_runtime_error": issubclass(est.NanLossDuringTrainingError, RuntimeError),
        "log": log,
        "files": tools.checkpoint_files(model_dir),
        "tolerant_losses": kept,
        "tolerant_step": tools.plain(tolerant.get_variable_value("global_step")),
    }


@CASES
def own_checkpoint_saver(est: Any, model_dir: str) -> dict[str, Any]:
    """A CheckpointSaverHook of the user's replaces the automatic one."""
    log: list[Any] = []
    estimator = _simple(est, model_dir, save_checkpoints_steps=100)

    def saver(**limits: Any) -> Any:
        return est.CheckpointSaverHook(model_dir, listeners=[_listener(est, log)], **limits)

    hooks = [saver(save_steps=2)]
    estimator.train(tools.batches(*tools.regression()), hooks=hooks, steps=5)
    return {
        "log": log,
        "files": tools.checkpoint_files(model_dir),
        "state": tools.checkpoint_state(model_dir),
        "both": tools.error(lambda: saver(save_steps=1, save_secs=1), ValueError),
        "neither": tools.error(saver, ValueError),
    }


def _with_training_hook(est: Any, place: str, hook: Any) -> Any:
    """A model_fn whose spec has a hook in one of its places."""
    plain = tools.linear_model_fn(est, _sgd)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        spec = plain(features, labels, mode)
        is_here = mode == est.ModeKeys.TRAIN and place in spec._fields
        return spec._replace(**{place: [hook]}) if is_here else spec

    return model_fn


@CASES
def own_checkpoint_savers_decide(est: Any, model_dir: str) -> dict[str, Any]:
    """Listeners and evaluations follow a saver of the user's, wherever it was passed."""
    found: dict[str, Any] = {}
    for place in ("train", "training_hooks", "training_chief_hooks"):
        for way in ("train", "train_and_evaluate"):
            folder, log = f"{model_dir}/{place}_{way}", list[Any]()
            saver = est.CheckpointSaverHook(folder, save_steps=3)
            estimator = est.Estimator(
                _with_training_hook(est, place, saver), config=est.RunConfig(folder)
            )
            os.makedirs(f"{folder}/eval")
            hooks, data = [saver] if place == "train" else [], tools.batches(*tools.regression())
            listeners = [_listener(est, log)]
            if way == "train":
                estimator.train(data, hooks=hooks, saving_listeners=listeners, max_steps=7)
            else:
                one = tools.batches(*tools.regression(), epochs=1)
                est.train_and_evaluate(
                    estimator,
                    est.TrainSpec(data, max_steps=7, hooks=hooks, saving_listeners=listeners),
                    est.EvalSpec(one, start_delay_secs=0, throttle_secs=0),
                )
            found[f"{place} {way}"] = {
                "log": log,
                "files": tools.checkpoint_files(folder),
                "evaluated": tools.scalars(f"{folder}/eval", ["loss"]),
            }
    return found


@CASES
def own_checkpoint_saver_elsewhere(est: Any, model_dir: str) -> dict[str, Any]:
    folder = f"{model_dir}/mine"
    os.makedirs(folder)
    estimator = _simple(
        est, f"{model_dir}/estimator", save_checkpoints_steps=None, save_checkpoints_secs=None
    )
    hook = est.CheckpointSaverHook(folder, save_steps=3, checkpoint_basename="mine.ckpt")
    estimator.train(tools.batches(*tools.regression()), hooks=[hook], steps=4)
    kept = sorted(name for name in os.listdir(folder) if name.endswith(".index"))
    return {"mine": kept, "estimator": tools.checkpoint_files(f"{model_dir}/estimator")}


@CASES
def step_counter(est: Any, model_dir: str) -> dict[str, Any]:
    class Steps(est.StepCounterHook):
        def __init__(self) -> None:
            super().__init__(every_n_steps=5, output_dir=f"{model_dir}/counter")

    estimator = _simple(est, model_dir, log_step_count_steps=None)
    estimator.train(tools.batches(*tools.regression()), hooks=[Steps()], steps=18)
    found = tools.events(f"{model_dir}/counter")
    return {
        "tags": sorted({event["tag"] for event in found}),
        "about_steps": [event["step"] for event in found],
    }


@CASES
def exception_in_a_hook(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []

    class Fail(est.SessionRunHook):
        def __init__(self) -> None:
            self.count = 0

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.count += 1
            if self.count == 2:
                raise KeyError("mine")

    estimator = _simple(est, model_dir)

    def train() -> Any:
        return estimator.train(
            tools.batches(*tools.regression()), hooks=[Fail(), _observer(est, "one", log)], steps=5
        )

    failed = tools.error(train, KeyError)
    files = tools.checkpoint_files(model_dir)
    estimator.train(tools.batches(*tools.regression()), steps=1)
    return {
        "failed": failed,
        "log": log,
        "files": files,
        "after": tools.checkpoint_files(model_dir),
    }


@CASES
def hook_called_as_a_context(est: Any, model_dir: str) -> dict[str, Any]:
    """What run contexts and run values offer."""
    seen: list[Any] = []

    class Look(est.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            original = run_context.original_args
            seen.append([type(original).__name__, run_context.stop_requested, original.feed_dict])
            seen.append(run_context.session.graph is v1.get_default_graph())
            return est.SessionRunArgs(fetches={"step": v1.train.get_global_step().name})

        def after_run(self, run_context: Any, run_values: Any) -> None:
            seen.append(
                [type(run_values).__name__, sorted(run_values.results), list(run_values._fields)]
            )

    _simple(est, model_dir).train(tools.batches(*tools.regression()), hooks=[Look()], steps=1)
    return {"seen": tools.plain(seen)}


@CASES
def graph_is_finalized_after_begin(est: Any, model_dir: str) -> dict[str, Any]:
    seen: list[Any] = []

    class Late(est.SessionRunHook):
        def after_create_session(self, session: Any, coord: Any) -> None:
            with session.graph.as_default():
                seen.append(tools.error(lambda: tf.constant(1.0), RuntimeError))

    _simple(est, model_dir).train(tools.batches(*tools.regression()), hooks=[Late()], steps=1)
    return {"seen": seen}


@CASES
def fetching_in_evaluation_and_prediction(est: Any, model_dir: str) -> dict[str, Any]:
    seen: dict[str, list[Any]] = {"evaluation": [], "prediction": []}

    def fetch(name: str, tensor: str) -> Any:
        return tools.losses_hook(est, seen[name], tensor)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        outputs = tf.matmul(features, weights, name="outputs")
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_mean(tf.square(outputs - labels), name="the_loss")
        return est.EstimatorSpec(
            mode, loss=loss, train_op=_sgd().minimize(loss, v1.train.get_global_step())
        )

    estimator = est.Estimator(model_fn, model_dir).train(
        tools.batches(*tools.regression()), steps=1
    )
    input_fn = tools.batches(*tools.regression(10), epochs=1)
    estimator.evaluate(input_fn, hooks=[fetch("evaluation", "the_loss:0")])
    rows = list(estimator.predict(input_fn, hooks=[fetch("prediction", "outputs:0")]))
    return {**seen, "rows": len(rows)}


@CASES
def same_hook_in_two_calls(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []
    hook = tools.losses_hook(est, losses)
    estimator = _simple(est, model_dir)
    for _ in range(3):
        estimator.train(tools.batches(*tools.regression()), hooks=[hook], steps=2)
    return {"losses": losses}


@CASES
def step_moved_by_a_hook(est: Any, model_dir: str) -> dict[str, Any]:
    """The train op leaves the global step alone; a hook moves it, at every second batch."""
    steps: list[int] = []

    class Moves(est.SessionRunHook):
        def begin(self) -> None:
            self._move = v1.train.get_global_step().assign_add(1)

        def before_run(self, run_context: Any) -> Any:
            return est.SessionRunArgs(v1.train.get_global_step())

        def after_run(self, run_context: Any, run_values: Any) -> None:
            steps.append(int(run_values.results))
            if len(steps) % 2 == 0:
                run_context.session.run(self._move)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.ones_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=_sgd().minimize(loss))

    config = est.RunConfig(model_dir, save_checkpoints_steps=2, log_step_count_steps=None)
    estimator = est.Estimator(model_fn, config=config)
    for most in ({"steps": 3}, {"max_steps": 7}, {}):
        estimator.train(tools.batches(*tools.regression(), epochs=10), hooks=[Moves()], **most)
    return {
        "steps": steps,
        "files": tools.checkpoint_files(model_dir),
        "variables": tools.checkpoint(model_dir),
    }
