"""Measures one thing with one engine in this process, and prints one line of JSON.

    python -m benchmarks.worker --engine kestimator --measure steps --task linear

`python -m benchmarks.run` starts it for every row of the table, each time in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import itertools
import json
import logging
import os
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import canned, engines, serving, workloads

MIB = 2**20
Measurement = dict[str, float]


def measure_steps(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Steps per second in steady state: after a call to warm up, inside another one."""
    train = engines.trainer(engine, workloads.TASKS[task], directory)
    return _steady_rate(engine, train, warm=300, steps=max(500, int(6000 * scale)))


def _steady_rate(
    engine: str, train: engines.Train, *, warm: int, steps: int, every: int = 100
) -> Measurement:
    """The time of a step, what a call does before and after its steps left out.

    That (opening the data, checkpoints; with tf.estimator, building the graph anew) is given as
    `call_seconds`.
    """
    train(warm)
    clock = StepClock()
    with clock.listening():
        seconds = _seconds(lambda: train(steps))
    per_step = clock.seconds_per_step(every) if engine in engines.ESTIMATORS else seconds / steps
    return {
        "steps_per_second": 1 / per_step,
        "step_microseconds": per_step * 1e6,
        "call_seconds": seconds - steps * per_step,
    }


class StepClock(logging.Handler):
    """Reads the time off the log: by default an Estimator says every 100 steps how fast it is.

    Unlike a hook, it changes nothing about how the steps run.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.times: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Notes when a line about speed came."""
        if "global_step/sec" in record.getMessage():
            self.times.append(time.perf_counter())

    def seconds_per_step(self, every: int) -> float:
        """The mean over the run, between the first line and the last."""
        if len(self.times) < 3:
            raise ValueError(f"only {len(self.times)} lines about speed came: run more steps")
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) / every

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens, and keeps the lines from the screen."""
        loggers = [tf.get_logger(), logging.getLogger("kestimator")]
        kept = [(one.level, one.propagate, one.handlers) for one in loggers]
        for one in loggers:
            one.setLevel(logging.INFO)
            one.propagate, one.handlers = False, [self]
        try:
            yield
        finally:
            for one, (level, propagate, handlers) in zip(loggers, kept):  # noqa: B905
                one.setLevel(level)
                one.propagate, one.handlers = propagate, handlers


def measure_embedding(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The time of a step with a small and with a big table; `task` is '<optimizer>[_keras]'."""
    found: Measurement = {}
    for rows in workloads.TABLE_ROWS:
        train = _embedding_trainer(engine, task, rows, os.path.join(directory, str(rows)))
        rate = _steady_rate(engine, train, warm=100, steps=max(500, int(4000 * scale)))
        found[f"step_microseconds_{rows}"] = rate["step_microseconds"]
    small, big = (found[f"step_microseconds_{rows}"] for rows in workloads.TABLE_ROWS)
    return {**found, "big_to_small": big / small}


def _embedding_trainer(engine: str, task: str, rows: int, directory: str) -> engines.Train:
    est = engines.estimator_module(engine)
    optimizer = task.removesuffix("_keras")
    model_task = workloads.embedding_task(rows, optimizer)
    model_fn = (
        _keras_embedding_model_fn(est, rows, optimizer)
        if task.endswith("_keras")
        else workloads.model_fn_of(model_task, est)
    )
    # Checkpoints of a big table take as long as many steps: they are not what is measured.
    config = est.RunConfig(save_checkpoints_secs=None, save_checkpoints_steps=None)
    estimator = est.Estimator(model_fn, directory, config)
    input_fn = workloads.input_fn_of(model_task)
    return lambda steps: estimator.train(input_fn, steps=steps)


def _keras_embedding_model_fn(est: Any, rows: int, optimizer: str) -> Callable[..., Any]:
    import keras

    kinds = {
        "sgd": keras.optimizers.SGD,
        "adagrad": keras.optimizers.Adagrad,
        "ftrl": keras.optimizers.Ftrl,
    }

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        table = keras.layers.Embedding(rows, workloads.EMBEDDING_SIZE)
        outputs = keras.layers.Dense(1, use_bias=False)(table(features["id"]))
        loss = tf.reduce_mean(tf.square(tf.squeeze(outputs, 1) - labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=kinds[optimizer](0.1))

    return model_fn


def measure_canned_steps(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Steps per second of a canned estimator, in steady state."""
    train = canned.trainer(engine, task, directory)
    return _steady_rate(engine, train, warm=300, steps=max(500, int(4000 * scale)))


def measure_multiplications(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """How many steps per second there were if a step were its products of matrices alone."""
    del engine, task, directory
    multiply, steps = canned.multiplier(), max(500, int(4000 * scale))
    multiply(300)
    per_step = _seconds(lambda: multiply(steps)) / steps
    return {"steps_per_second": 1 / per_step, "step_microseconds": per_step * 1e6}


def measure_alternation(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Ten times 200 steps and an evaluation of all data, everything included."""
    estimator = canned.estimator_of(task, engines.estimator_module(engine), directory)

    def alternate() -> None:
        for _ in range(max(2, int(10 * scale))):
            estimator.train(canned.training_data, steps=200)
            estimator.evaluate(canned.evaluation_data)

    return {"seconds": _seconds(alternate)}


def measure_train_and_evaluate(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """2,000 steps with ten checkpoints, each evaluated over all data; everything included."""
    est = engines.estimator_module(engine)
    every, evaluations = 200, max(2, int(10 * scale))
    # The original evaluates checkpoints, at this distance.
    config = est.RunConfig(save_checkpoints_steps=every)
    estimator = canned.estimator_of(task, est, directory, config)
    train = est.TrainSpec(canned.training_data, max_steps=every * evaluations)
    evaluate = est.EvalSpec(canned.evaluation_data, steps=None, start_delay_secs=0, throttle_secs=0)
    seconds = _seconds(lambda: est.train_and_evaluate(estimator, train, evaluate))
    events = tf.io.gfile.glob(os.path.join(directory, "eval", "*tfevents*"))
    made = sum(
        event.HasField("summary")
        and any(value.tag == "average_loss" for value in event.summary.value)
        for path in events
        for event in tf.compat.v1.train.summary_iterator(path)
    )
    assert made == evaluations, made
    return {"seconds": seconds}


def measure_export(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The time of an export for serving, when one has been made before."""
    estimator, receiver_fn = _canned_for_export(engine, task, directory)
    # Exports of one directory have names of different seconds, and wait for them.
    bases = (os.path.join(directory, f"exports_{count}") for count in itertools.count())
    export = lambda: estimator.export_saved_model(next(bases), receiver_fn)  # noqa: E731
    first = _seconds(export)
    again = [_seconds(export) for _ in range(max(2, int(5 * scale)))]
    return {"first_seconds": first, "again_seconds": statistics.median(again)}


def measure_serving(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Requests of 32 examples per second that an export answers, in kestimator's TensorFlow."""
    estimator, receiver_fn = _canned_for_export(engine, task, directory)
    export = os.fsdecode(
        estimator.export_saved_model(os.path.join(directory, "exports"), receiver_fn)
    )
    rate = serving.calls_per_second(export, canned.requests(32), max(20, int(4000 * scale)))
    return {"calls_per_second": rate}


def _canned_for_export(engine: str, task: str, directory: str) -> tuple[Any, Any]:
    est = engines.estimator_module(engine)
    estimator = canned.estimator_of(task, est, os.path.join(directory, "model"))
    estimator.train(canned.training_data, steps=10)
    return estimator, canned.receiver_fn(est)


def measure_canned_embedding(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The time of a canned step with a small and with a big table; `task` is the optimizer."""
    est = engines.estimator_module(engine)
    # What changes every row of a big table takes a twentieth of a second for a step.
    steps = 400 if task in canned.DENSE_OPTIMIZERS else max(500, int(4000 * scale))
    found: Measurement = {}
    for rows in workloads.TABLE_ROWS:
        optimizer = getattr(est.optimizers, task)() if task.startswith("Lazy") else task
        estimator = canned.embedding_estimator(
            est, rows, optimizer, os.path.join(directory, str(rows))
        )
        data = functools.partial(canned.training_data, rows)
        train = functools.partial(_train, estimator, data)
        rate = _steady_rate(engine, train, warm=100, steps=steps)
        found[f"step_microseconds_{rows}"] = rate["step_microseconds"]
    small, big = (found[f"step_microseconds_{rows}"] for rows in workloads.TABLE_ROWS)
    return {**found, "big_to_small": big / small}


def _train(estimator: Any, input_fn: Callable[[], Any], steps: int) -> None:
    estimator.train(input_fn, steps=steps)


def measure_evaluate(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The time of an evaluation of two batches, when one has been made before."""
    estimator, _ = _trained(engine, task, directory)
    input_fn = workloads.evaluation_input_fn_of(workloads.TASKS[task])
    evaluate = lambda: estimator.evaluate(input_fn, steps=2)  # noqa: E731
    first = _seconds(evaluate)
    again = [_seconds(evaluate) for _ in range(max(2, int(5 * scale)))]
    return {"first_seconds": first, "again_seconds": statistics.median(again)}


def measure_predict_one(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The time of a prediction of one row, when one has been made before."""
    input_fn = workloads.rows_input_fn(workloads.TASKS[task], 1, 1)
    return _one_prediction(engine, task, directory, scale, lambda: input_fn)


def measure_predict_one_array(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """The same by `numpy_input_fn`, which makes an input_fn for each request."""
    array_input_fn = engines.array_input_fn(engine)
    features, _ = workloads.TASKS[task].data()
    row = {key: column[:1] for key, column in features.items()}
    return _one_prediction(
        engine, task, directory, scale, lambda: array_input_fn(row, batch_size=1, shuffle=False)
    )


def _one_prediction(
    engine: str, task: str, directory: str, scale: float, make_input_fn: Callable[[], Any]
) -> Measurement:
    estimator, _ = _trained(engine, task, directory)
    predict = lambda: list(estimator.predict(make_input_fn()))  # noqa: E731
    first = _seconds(predict)
    again = [_seconds(predict) for _ in range(max(3, int(15 * scale)))]
    return {"first_seconds": first, "again_seconds": statistics.median(again)}


def measure_predict_many(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Rows per second of the second prediction of 20,000 rows, each a dict of six outputs."""
    estimator, _ = _trained(engine, task, directory)
    rows = int(20_000 * scale)
    input_fn = workloads.rows_input_fn(workloads.TASKS[task], rows, 32)

    def predict() -> None:
        count = 0
        for row in estimator.predict(input_fn):
            count += 1
            outputs = row
        assert count == rows, count
        assert len(outputs) == 6, sorted(outputs)

    predict()
    return {"rows_per_second": rows / _seconds(predict)}


def measure_start(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Seconds from the constructor to the end of the first step, and to that of 200 steps."""
    del scale
    est = engines.estimator_module(engine)
    before, chosen = _peak_memory(), workloads.TASKS[task]
    clock = _first_step_clock(est)
    start = time.perf_counter()
    estimator = est.Estimator(workloads.model_fn_of(chosen, est), directory)
    estimator.train(workloads.input_fn_of(chosen), steps=1, hooks=[clock])
    first_step = clock.time - start
    peak = _peak_memory()
    second_dir = os.path.join(directory, "again")
    start = time.perf_counter()
    estimator = est.Estimator(workloads.model_fn_of(chosen, est), second_dir)
    estimator.train(workloads.input_fn_of(chosen), steps=200)
    return {
        "first_step_seconds": first_step,
        "steps_200_seconds": time.perf_counter() - start,
        "peak_mib": peak,
        "peak_mib_over_imports": peak - before,
        "peak_mib_200": _peak_memory(),
    }


def _first_step_clock(est: Any) -> Any:
    hook = getattr(est, "SessionRunHook", None) or tf.compat.v1.train.SessionRunHook

    class Clock(hook):  # type: ignore[misc,valid-type]
        time = 0.0

        def after_run(self, run_context: Any, run_values: Any) -> None:
            del run_context, run_values
            self.time = self.time or time.perf_counter()

    return Clock()


def measure_memory(engine: str, task: str, directory: str, scale: float) -> Measurement:
    """Resident memory over cycles of train(1 step) and evaluate, and over predict calls."""
    estimator, input_fn = _trained(engine, task, directory)
    cycles, calls = max(20, int(100 * scale)), max(50, int(2000 * scale))
    marks: Measurement = {"cycles": cycles, "calls": calls}
    for cycle in range(cycles):
        estimator.train(input_fn, steps=1)
        estimator.evaluate(input_fn, steps=2)
        if cycle == 9:
            marks["mib_after_10_cycles"] = _resident_memory()
    marks["mib_after_cycles"] = _resident_memory()
    one_row = workloads.rows_input_fn(workloads.TASKS[task], 1, 1)
    for call in range(calls):
        list(estimator.predict(one_row))
        if call == 9:
            marks["mib_after_10_calls"] = _resident_memory()
    marks["mib_after_calls"] = _resident_memory()
    return {
        **marks,
        "cycles_growth_mib": marks["mib_after_cycles"] - marks["mib_after_10_cycles"],
        "calls_growth_mib": marks["mib_after_calls"] - marks["mib_after_10_calls"],
    }


def _trained(engine: str, task: str, directory: str) -> tuple[Any, Any]:
    est = engines.estimator_module(engine)
    chosen = workloads.TASKS[task]
    estimator = est.Estimator(workloads.model_fn_of(chosen, est), directory)
    input_fn = workloads.input_fn_of(chosen)
    estimator.train(input_fn, steps=10)
    return estimator, input_fn


def _seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_memory() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / MIB


MEASURES: dict[str, Callable[[str, str, str, float], Measurement]] = {
    "steps": measure_steps,
    "canned_steps": measure_canned_steps,
    "multiplications": measure_multiplications,
    "alternation": measure_alternation,
    "train_and_evaluate": measure_train_and_evaluate,
    "export": measure_export,
    "serving": measure_serving,
    "canned_embedding": measure_canned_embedding,
    "embedding": measure_embedding,
    "evaluate": measure_evaluate,
    "predict_one": measure_predict_one,
    "predict_one_array": measure_predict_one_array,
    "predict_many": measure_predict_many,
    "start": measure_start,
    "memory": measure_memory,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--measure", required=True, choices=MEASURES)
    parser.add_argument("--task", required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="how much work, 1 being all")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("kestimator").setLevel(logging.ERROR)
    np.random.seed(1)
    with tempfile.TemporaryDirectory() as directory:
        measure = MEASURES[options.measure]
        found = measure(options.engine, options.task, directory, options.scale)
    versions = {"tensorflow": tf.__version__}
    print(json.dumps({"measurement": found, "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
