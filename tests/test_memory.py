"""What a long-lived process keeps: nothing of dropped estimators, and few programs."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator as ke
from kestimator.adapters.hooks import event_files
from kestimator.engine.graphs import custom_gradients
from kestimator.engine.programs import program, program_cache
from kestimator.engine.tf_internals import tf_gradients
from kestimator.engine.variables import variable_store

v1: Any = tf.compat.v1


def dataset(size: int) -> tf.data.Dataset:
    """Two batches of `size` examples, whose shapes are known."""
    x = np.arange(2.0 * size, dtype=np.float32).reshape(size, 2)
    return tf.data.Dataset.from_tensors(({"x": x}, np.arange(size) % 2)).repeat(2)


def canned(model_dir: Any) -> ke.Estimator:
    column: Any = tf.feature_column.numeric_column("x", [2])
    return ke.DNNClassifier([4], [column], str(model_dir))


def keras_model_fn(features: Any, labels: Any, mode: str) -> ke.EstimatorSpec:
    logits = keras.layers.Dense(2)(features["x"])
    predictions = {"logits": logits}
    if mode == ke.ModeKeys.PREDICT:
        return ke.EstimatorSpec(mode, predictions)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    optimizer = keras.optimizers.SGD()
    return ke.EstimatorSpec(mode, predictions, keras.ops.mean(losses), optimizer)


def with_keras(model_dir: Any) -> ke.Estimator:
    return ke.Estimator(keras_model_fn, str(model_dir))


def traced(build: Callable[[Any], Any]) -> program.Program:
    return program.trace(
        build,
        element_spec=tf.TensorSpec([], tf.float32),
        name="memory",
        seed=None,
        store=variable_store.VariableStore(),
    )


@tf.custom_gradient
def tripled_backwards(x: Any) -> Any:
    return x * 1.0, lambda upstream: upstream * 3.0 * x


def graphs_of_one_estimator(make: Any, model_dir: Any) -> list[Any]:
    """Weak references to the graphs of an estimator that is gone when this function returns."""
    # A function of its own: something reads `f_locals` of the frame, which keeps what it has read.
    estimator = make(model_dir).train(lambda: dataset(4), steps=1)
    estimator.evaluate(lambda: dataset(4))
    programs = [*estimator._state.programs.of("train"), *estimator._state.programs.of("eval")]
    return [weakref.ref(model.graph) for model in programs]


@pytest.mark.parametrize("make", [canned, with_keras])
def test_a_dropped_estimator_leaves_no_graph(make: Any, tmp_path: Any) -> None:
    graphs = graphs_of_one_estimator(make, tmp_path)
    gc.collect()
    assert [graph() for graph in graphs] == [None, None]


def in_cond(x: tf.Tensor) -> tf.Tensor:
    return tf.cond(x > 0, lambda: tripled_backwards(x), lambda: x)


def in_while_loop(x: tf.Tensor) -> tf.Tensor:
    body = lambda i, y: (i + 1, tripled_backwards(y))  # noqa: E731
    return tf.while_loop(lambda i, _: i < 1, body, (0, x))[1]


@pytest.mark.parametrize("apply", [tripled_backwards, in_cond, in_while_loop])
def test_a_custom_gradient_ends_with_its_graph(apply: Any) -> None:
    gc.collect()
    before = tf_gradients.registered_gradients()
    one = traced(lambda x: tf.gradients(apply(x), x))
    assert one.function(one.result)(tf.constant(2.0))[0].numpy() == 6.0
    assert tf_gradients.registered_gradients() > before

    # A gradient that is taken after the trace, as a hook does it in `begin`.
    with one.growing():
        again = tf.gradients(apply(one.inputs[0]) * 2.0, one.inputs[0])
    assert one.function(again)(tf.constant(2.0))[0].numpy() == 12.0

    graph = weakref.ref(one.graph)
    del one, again
    gc.collect()
    assert graph() is None
    assert tf_gradients.registered_gradients() == before


def test_a_custom_gradient_of_another_graph_stays() -> None:
    one = traced(lambda x: x)
    with custom_gradients.kept_by(one.graph), tf.Graph().as_default():
        x = tf.constant(2.0)
        y = tripled_backwards(x)
    assert not one.graph.custom_gradients
    with y.graph.as_default(), v1.Session() as session:
        assert session.run(tf.gradients(y, x)) == [6.0]


def event_writer_threads() -> int:
    return sum("EventLogger" in type(thread).__name__ for thread in threading.enumerate())


def writer_of_one_estimator(model_dir: Any) -> Any:
    graphs_of_one_estimator(canned, model_dir)
    return v1.summary.FileWriterCache.get(str(model_dir))


def test_event_files_lose_their_threads_after_their_estimator(
    tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(event_files, "_SECONDS_KEPT", 0.0)
    writer = writer_of_one_estimator(tmp_path / "first")
    assert event_writer_threads() == 2  # of training and of evaluations
    gc.collect()
    canned(tmp_path / "second")
    # The writer of evaluations ends. The other one is still in use here.
    wait_until(lambda: event_writer_threads() == 1)
    writer.add_session_log(v1.SessionLog(status=v1.SessionLog.CHECKPOINT), 7)
    writer.flush()
    directory = writer.get_logdir()
    assert any(event.step == 7 for event in event_files.read_events(directory))
    del writer
    wait_until(lambda: event_writer_threads() == 0)


def test_no_event_file_is_written_over_by_the_next_estimator(tmp_path: Any) -> None:
    """TensorFlow names event files by the second in which they are opened."""
    directory = str(tmp_path / "eval")
    for step in range(5):
        log = event_files.EvaluationLog(str(tmp_path))
        log.write(directory, {"loss": 0.5, "global_step": step}, None)
        del log
    assert sorted(event_files.read_scalars(directory)) == [0, 1, 2, 3, 4]


def test_another_estimator_of_the_directory_keeps_its_event_file(tmp_path: Any) -> None:
    """One that is gone does not take the writers of the other one away."""

    class Evaluates(v1.train.CheckpointSaverListener):
        def after_save(self, session: Any, global_step_value: int) -> None:
            del session, global_step_value
            canned(tmp_path).evaluate(lambda: dataset(4))
            gc.collect()

    estimator = canned(tmp_path)
    estimator.train(lambda: dataset(4), steps=2, saving_listeners=[Evaluates()])
    assert len(list(tmp_path.glob("events.out.*"))) == 1


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.01)


def test_a_model_fn_always_knows_the_batch_size(tmp_path: Any) -> None:
    """It may compute with it, so no program is made for several sizes."""

    def model_fn(features: Any, mode: str) -> ke.EstimatorSpec:
        x = features["x"]
        size = 32 if x.shape[0] is None else x.shape[0]
        return ke.EstimatorSpec(mode, {"share": tf.reduce_sum(x, axis=1) / size})

    estimator = ke.Estimator(model_fn, str(tmp_path))
    for size in (3, 4, 5, 3, 6):
        rows = estimator.predict(lambda: dataset(size))  # noqa: B023
        expected = [(4.0 * row + 1.0) / size for row in range(size)] * 2
        np.testing.assert_allclose([row["share"] for row in rows], expected, rtol=1e-6)


def test_the_number_of_programs_is_limited(tmp_path: Any) -> None:
    def model_fn(features: Any, mode: str) -> ke.EstimatorSpec:
        return ke.EstimatorSpec(mode, {"sum": tf.reduce_sum(features, axis=1)})

    estimator = ke.Estimator(model_fn, str(tmp_path))
    for length in range(1, program_cache.MOST_PROGRAMS + 5):
        one = tf.data.Dataset.from_tensors(np.ones([1, length], np.float32))
        assert [row["sum"] for row in estimator.predict(lambda: one)] == [length]  # noqa: B023
    assert len(estimator._state.programs.of("infer")) == program_cache.MOST_PROGRAMS
