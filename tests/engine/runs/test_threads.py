"""One estimator in several threads: each call works on the checkpoint that it asks for."""

import contextlib
import copy
import itertools
import logging
import queue
import threading
import warnings

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.saving import saving_lib

import kestimator
from kestimator.engine.checkpoints import keras_files, keras_writing
from kestimator.engine.runs import locks
from kestimator.validation import threads as _threads

v1 = tf.compat.v1
PATIENCE = 120
ROWS = np.arange(400, dtype=np.float32)


def model_fn(features, labels, mode):
    """A line through the origin, with momentum and a random walk, which would tell any mix-up."""
    weight = v1.get_variable("weight", [], initializer=v1.ones_initializer())
    noise = v1.get_variable("noise", [8], initializer=v1.zeros_initializer(), trainable=False)
    y = weight * features["x"]
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"x": features["x"], "y": y})
    loss = tf.reduce_mean((y - labels) ** 2)
    metrics = {"weight": v1.metrics.mean(weight)}
    walk = v1.assign_add(noise, tf.random.stateless_normal([8], [1, v1.train.get_global_step()]))
    step = v1.train.AdamOptimizer(0.01).minimize(loss, v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, {}, loss, tf.group(step, walk), metrics)


def train_input_fn():
    x = tf.data.Dataset.range(1, 100_000).map(lambda i: tf.cast(i % 7, tf.float32)[None])
    return x.map(lambda x: ({"x": x}, 3 * x))


def eval_input_fn():
    return tf.data.Dataset.from_tensors(({"x": [1.0, 2.0]}, [3.0, 6.0])).repeat(20)


def rows_input_fn():
    return tf.data.Dataset.from_tensor_slices({"x": ROWS}).batch(2)


def array_input_fn(size):
    return kestimator.inputs.numpy_input_fn({"x": ROWS}, batch_size=size, shuffle=False)


def receiver_fn():
    x = v1.placeholder(tf.float32, [1])
    return kestimator.export.ServingInputReceiver({"x": x}, {"x": x})


def made(model_dir, **config):
    config = {"save_checkpoints_steps": 1, "keep_checkpoint_max": None, **config}
    return kestimator.Estimator(model_fn, str(model_dir), kestimator.RunConfig(**config))


def at(estimator, step):
    return f"{estimator.model_dir}/model.ckpt-{step}"


def weight_at(estimator, step):
    return tf.train.load_variable(at(estimator, step), "weight")


def values_of(estimator):
    return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}


def assert_equal(values, others):
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], name)


class Threads:
    """Threads whose errors are raised where they are joined."""

    def __init__(self):
        self._errors, self._threads = [], []

    def start(self, function, *args):
        def run():
            try:
                function(*args)
            except BaseException as error:
                self._errors.append(error)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if self._errors:
            raise self._errors[0]


@pytest.fixture
def threads():
    return Threads()


@pytest.fixture
def estimator(tmp_path):
    """Trained for three steps, each with its checkpoint."""
    return made(tmp_path / "model").train(train_input_fn, steps=3)


def test_eight_threads_predict_at_once_from_the_first_call_on(estimator, threads):
    barrier, weight = threading.Barrier(8), weight_at(estimator, 3)

    def serve(input_fn):
        barrier.wait()
        for _ in range(3):
            found = [row["y"] for row in estimator.predict(input_fn)]
            np.testing.assert_array_equal(found, weight * ROWS)

    for input_fn in (rows_input_fn, array_input_fn(400), array_input_fn(50), rows_input_fn) * 2:
        threads.start(serve, input_fn)
    threads.join()


@pytest.mark.parametrize("input_fn", [rows_input_fn, array_input_fn(400), array_input_fn(7)])
def test_two_threads_predict_from_two_checkpoints(estimator, threads, input_fn):
    def serve(step):
        weight = weight_at(estimator, step)
        for taken in (1, 30, None, 2, None):
            rows = estimator.predict(input_fn, checkpoint_path=at(estimator, step))
            found = [row["y"] for row in itertools.islice(rows, taken)]
            np.testing.assert_array_equal(found, weight * ROWS[:taken])

    threads.start(serve, 1)
    threads.start(serve, 3)
    threads.join()


def test_generators_that_are_open_in_two_threads_keep_their_values(estimator, threads):
    """What one has computed ahead stays right when the other reads its checkpoint."""
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def take(number, step):
        found = []
        rows = estimator.predict(rows_input_fn, checkpoint_path=at(estimator, step))
        while True:
            turns[number].acquire(timeout=PATIENCE)
            some = [row["y"] for row in itertools.islice(rows, 37)]
            turns[1 - number].release()
            found.extend(some)
            if not some:
                break
        np.testing.assert_array_equal(found, weight_at(estimator, step) * ROWS)

    threads.start(take, 0, 1)
    threads.start(take, 1, 3)
    threads.join()


def test_a_generator_goes_on_in_another_thread(estimator, threads):
    rows = estimator.predict(rows_input_fn, checkpoint_path=at(estimator, 1))
    found = [row["y"] for row in itertools.islice(rows, 150)]
    threads.start(lambda: found.extend(row["y"] for row in rows))
    threads.join()
    np.testing.assert_array_equal(found, weight_at(estimator, 1) * ROWS)


class ReadsSteps(kestimator.SessionRunHook):
    """Sees every step, and reads the global step around it."""

    def before_run(self, run_context):
        return v1.train.SessionRunArgs(v1.train.get_global_step())

    def after_run(self, run_context, run_values):
        assert run_context.session.run(v1.train.get_global_step()) == run_values.results + 1


def predicted_from_latest(estimator):
    path = estimator.latest_checkpoint()
    rows = estimator.predict(rows_input_fn, checkpoint_path=path)
    return int(path.rpartition("-")[2]), [row["y"] for row in rows]


@pytest.mark.parametrize("hooks", [[], [ReadsSteps()]], ids=["on the device", "seen by a hook"])
def test_training_while_others_evaluate_predict_and_export(tmp_path, threads, hooks):
    alone, estimator = (made(tmp_path / name, save_checkpoints_steps=10) for name in ("a", "b"))
    for one in (alone, estimator):
        one.train(train_input_fn, max_steps=1)
    alone.train(train_input_fn, max_steps=61, hooks=hooks)
    evaluations, predictions, exports = [], [], []

    def again(times, results, call, *args):
        for _ in range(times):
            results.append(call(*args))

    threads.start(again, 6, evaluations, estimator.evaluate, eval_input_fn)
    threads.start(again, 6, predictions, predicted_from_latest, estimator)
    exported = (str(tmp_path / "exports"), receiver_fn)
    threads.start(again, 2, exports, estimator.export_saved_model, *exported)
    estimator.train(train_input_fn, max_steps=61, hooks=hooks)
    threads.join()
    assert_equal(values_of(estimator), values_of(alone))
    for result in evaluations:
        weight = weight_at(estimator, result["global_step"])
        np.testing.assert_allclose(result["weight"], weight, rtol=1e-6)
        np.testing.assert_allclose(result["loss"], 2.5 * (weight - 3) ** 2, rtol=1e-5)
    for step, found in predictions:
        np.testing.assert_array_equal(found, weight_at(estimator, step) * ROWS)
    for path in exports:
        serve = tf.saved_model.load(path.decode()).signatures["serving_default"]
        weight = serve(x=tf.constant([1.0]))["y"].numpy()
        assert weight in [weight_at(estimator, step) for step in (1, 11, 21, 31, 41, 51, 61)]


def test_latest_checkpoints_that_are_deleted_meanwhile(tmp_path, threads):
    """Training keeps one checkpoint alone, and writes one at every step."""
    estimator = made(tmp_path, keep_checkpoint_max=1).train(train_input_fn, steps=1)
    has_ended = threading.Event()

    def evaluate():
        while not has_ended.is_set():
            result = estimator.evaluate(eval_input_fn)
            np.testing.assert_allclose(result["loss"], 2.5 * (result["weight"] - 3) ** 2, rtol=1e-5)

    def predict():
        while not has_ended.is_set():
            found = np.array([row["y"] for row in estimator.predict(rows_input_fn)])
            np.testing.assert_array_equal(found, found[1] * ROWS)

    threads.start(evaluate)
    threads.start(predict)
    try:
        estimator.train(train_input_fn, steps=40)
    finally:
        has_ended.set()
    threads.join()


def test_predictions_outlive_the_checkpoint_that_they_began_with(tmp_path, threads):
    estimator = made(tmp_path, keep_checkpoint_max=1).train(train_input_fn, steps=1)
    weight, found = weight_at(estimator, 1), []

    class Predicts(kestimator.SessionRunHook):
        def after_create_session(self, session, coord):
            self.rows = estimator.predict(rows_input_fn)
            found.append(next(self.rows)["y"])

        def end(self, session):
            found.extend(row["y"] for row in self.rows)

    estimator.train(train_input_fn, steps=5, hooks=[Predicts()])
    np.testing.assert_array_equal(found, weight * ROWS)
    assert estimator.get_variable_value("global_step") == 6


class Pauses(kestimator.SessionRunHook):
    """Stops training amid its second step until it is told to go on."""

    def __init__(self):
        self.has_come, self.may_go = threading.Event(), threading.Event()
        self._steps = 0

    def after_run(self, run_context, run_values):
        self._steps += 1
        if self._steps == 2:
            self.has_come.set()
            assert self.may_go.wait(PATIENCE)


def test_a_second_training_is_refused_and_the_first_goes_on(tmp_path, threads):
    alone = made(tmp_path / "alone").train(train_input_fn, steps=5)
    estimator, hook = made(tmp_path / "model"), Pauses()
    threads.start(lambda: estimator.train(train_input_fn, steps=5, hooks=[hook]))
    assert hook.has_come.wait(PATIENCE)
    calls = []
    with pytest.raises(kestimator.errors.BusyError, match="in another thread"):
        estimator.train(lambda: calls.append("called"), steps=1)
    hook.may_go.set()
    threads.join()
    assert calls == []
    assert_equal(values_of(estimator), values_of(alone))
    assert estimator.train(train_input_fn, steps=1).get_variable_value("global_step") == 6


def test_of_trainings_that_begin_at_once_one_goes_on(tmp_path, threads):
    estimator, barrier, results = made(tmp_path), threading.Barrier(4), []

    def train():
        barrier.wait()
        try:
            results.append(estimator.train(train_input_fn, max_steps=20))
        except kestimator.errors.BusyError:
            results.append(None)

    for _ in range(4):
        threads.start(train)
    threads.join()
    assert estimator in results
    assert estimator.get_variable_value("global_step") == 20


def test_a_training_that_fails_lets_the_next_one_begin(estimator):
    def failing_input_fn():
        raise OSError("no data")

    with pytest.raises(OSError, match="no data"):
        estimator.train(failing_input_fn, steps=1)
    assert estimator.train(train_input_fn, steps=1).get_variable_value("global_step") == 4


def joined(call):
    """What a function returns, called in another thread."""
    threads, results = Threads(), []
    threads.start(lambda: results.append(call()))
    threads.join()
    return results[0]


def test_a_hook_of_training_that_waits_for_another_thread(estimator):
    class Asks(kestimator.SessionRunHook):
        def __init__(self):
            self.found = []

        def ask(self):
            row = next(estimator.predict(array_input_fn(400)))
            result = estimator.evaluate(eval_input_fn, steps=1)
            return list(row), result["global_step"], result["weight"]

        def after_create_session(self, session, coord):
            self.found.append(joined(self.ask))

        def before_run(self, run_context):
            self.found.append(joined(self.ask))

        def after_run(self, run_context, run_values):
            self.found.append(joined(self.ask))

        def end(self, session):
            self.found.append(joined(self.ask))

    hook = Asks()
    estimator.train(train_input_fn, steps=3, hooks=[hook])
    assert len(hook.found) == 8
    for keys, step, weight in hook.found:
        assert keys == ["x", "y"]
        np.testing.assert_allclose(weight, weight_at(estimator, step), rtol=1e-6)
    assert estimator.get_variable_value("global_step") == 6


def test_a_hook_of_predictions_that_waits_for_another_thread(estimator):
    class Asks(kestimator.SessionRunHook):
        def __init__(self):
            self.found = []

        def after_run(self, run_context, run_values):
            path = at(estimator, 3)
            joined(lambda: next(estimator.predict(array_input_fn(400), checkpoint_path=path)))
            self.found.append(run_context.session.run("weight:0"))

    hook = Asks()
    rows = estimator.predict(array_input_fn(100), hooks=[hook], checkpoint_path=at(estimator, 1))
    weight = weight_at(estimator, 1)
    np.testing.assert_array_equal([row["y"] for row in rows], weight * ROWS)
    assert hook.found == [weight] * 4  # those of the checkpoint that it predicts from


def test_predictions_that_wait_for_data_hold_nobody_up(estimator, threads):
    """A server whose requests come through a queue into one call of `predict`."""
    requests, answers = queue.Queue(), queue.Queue()

    def input_fn():
        spec = {"x": tf.TensorSpec([1], tf.float32)}
        return tf.data.Dataset.from_generator(
            lambda: iter(requests.get, None), output_signature=spec
        )

    def serve():
        for row in estimator.predict(input_fn, checkpoint_path=at(estimator, 1)):
            answers.put(row["y"])

    threads.start(serve)
    for x in (1.0, 2.0):
        result = estimator.evaluate(eval_input_fn, steps=1)
        weight = weight_at(estimator, result["global_step"])
        np.testing.assert_allclose(result["weight"], weight, rtol=1e-6)
        estimator.train(train_input_fn, steps=1)
        requests.put({"x": [x]})
        assert answers.get(timeout=PATIENCE) == weight_at(estimator, 1) * x
    requests.put(None)
    threads.join()


def test_one_estimator_trains_while_another_evaluates_and_exports(tmp_path, threads):
    alone = made(tmp_path / "alone").train(train_input_fn, max_steps=1)
    alone.train(train_input_fn, max_steps=30)
    trained, other = made(tmp_path / "trained"), made(tmp_path / "other")
    other.train(train_input_fn, steps=2)
    other.evaluate(eval_input_fn)
    trained.train(train_input_fn, max_steps=1)
    hook = Pauses()
    threads.start(lambda: trained.train(train_input_fn, max_steps=30, hooks=[hook]))
    hook.may_go.set()
    for _ in range(2):
        result = other.evaluate(eval_input_fn)
        np.testing.assert_allclose(result["weight"], weight_at(other, 2), rtol=1e-6)
        path = other.export_saved_model(str(tmp_path / "exports"), receiver_fn)
        serve = tf.saved_model.load(path.decode()).signatures["serving_default"]
        np.testing.assert_array_equal(serve(x=tf.constant([2.0]))["y"], 2 * weight_at(other, 2))
    threads.join()
    assert trained.get_variable_value("weight") == alone.get_variable_value("weight")


def test_a_thread_of_a_hook_fills_a_queue(tmp_path):
    """It runs ops of its own amid steps that wait for them: neither stands in the other's way."""
    queues = []

    def queue_model_fn(features, labels, mode):
        queues[:] = [v1.FIFOQueue(1, tf.float32, []), v1.placeholder(tf.float32, [])]
        enqueue = queues[0].enqueue(queues[1], name="enqueue")
        factor = v1.get_variable("factor", [], initializer=v1.zeros_initializer())
        add = v1.assign_add(factor, queues[0].dequeue())
        count = v1.assign_add(v1.train.get_global_step(), 1)
        del enqueue
        return kestimator.EstimatorSpec(mode, {}, tf.identity(add), tf.group(add, count))

    class Fills(kestimator.SessionRunHook):
        def after_create_session(self, session, coord):
            def fill():
                for value in range(50):
                    session.run("enqueue", {queues[1]: value})

            self.thread = threading.Thread(target=fill, daemon=True)
            self.thread.start()

        def end(self, session):
            self.thread.join(PATIENCE)

    estimator = kestimator.Estimator(queue_model_fn, str(tmp_path))
    estimator.train(train_input_fn, steps=50, hooks=[Fills()])
    assert estimator.get_variable_value("factor") == sum(range(50))


def test_seeds_of_evaluations_leave_training_as_it_was(tmp_path):
    def noisy_model_fn(features, labels, mode):
        values = keras.layers.Dropout(0.5)(tf.ones([16]), training=True)
        total = v1.get_variable("total", [16], initializer=v1.zeros_initializer())
        count = v1.assign_add(v1.train.get_global_step(), 1)
        train_op = tf.group(v1.assign_add(total, values), count)
        return kestimator.EstimatorSpec(mode, {}, tf.reduce_sum(values), train_op)

    class Evaluates(v1.train.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            joined(lambda: estimator.evaluate(eval_input_fn, steps=3))

    config = kestimator.RunConfig(save_checkpoints_steps=2, tf_random_seed=1)
    totals = []
    for listeners in ([], [Evaluates()]):
        estimator = kestimator.Estimator(noisy_model_fn, str(tmp_path / str(len(totals))), config)
        estimator.train(train_input_fn, steps=6, saving_listeners=listeners)
        totals.append(estimator.get_variable_value("total"))
    np.testing.assert_array_equal(*totals)


def small_keras_model():
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, name="line")])
    model.compile("sgd", "mse")
    return model


def stored_names(path):
    names = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: names.append(item.attrs.get(keras_files.NAME)))
    return sorted(name for name in names if name)


def test_keras_files_written_at_once(tmp_path, threads):
    """Each has the names of its own variables; those that Keras writes itself have none."""
    store, models = saving_lib.H5IOStore, [small_keras_model() for _ in range(3)]
    barrier = threading.Barrier(3)

    def write(number, model):
        names = {id(v): f"name_{number}/{v.name}" for v in model.variables}
        barrier.wait()
        for count in range(5):
            path = tmp_path / f"{number}_{count}.weights.h5"
            if number:
                keras_writing.save(model, str(path), names)
                keras_writing.save(model, str(tmp_path / f"{number}.keras"), names)
            else:
                model.save_weights(path)
            wanted = [f"name_{number}/bias", f"name_{number}/kernel"]
            assert stored_names(path) == (wanted if number else [])

    for number, model in enumerate(models):
        threads.start(write, number, model)
    threads.join()
    assert saving_lib.H5IOStore is store
    loaded = keras.models.load_model(tmp_path / "2.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], models[2].get_weights()[0])


def test_one_keras_model_for_estimators_of_several_threads(tmp_path, threads):
    model, estimators = small_keras_model(), [None] * 4
    barrier = threading.Barrier(len(estimators))

    def make(number):
        barrier.wait()
        directory = str(tmp_path / str(number))
        estimators[number] = kestimator.model_to_estimator(model, model_dir=directory)
        assert model.compiled

    for number in range(len(estimators)):
        threads.start(make, number)
    threads.join()
    x = np.ones([4, 1], np.float32)
    estimators[0].train(lambda: ({model.inputs[0].name: x}, 2 * x), steps=1)
    assert "line/kernel" in estimators[0].get_variable_names()
    model.fit(x, 2 * x, verbose=0)


class TestFairLock:
    def test_says_whether_another_thread_has_it(self):
        lock, found = locks.FairLock(), []

        def ask():
            found.append(lock.is_held_elsewhere())

        for is_held in (True, False):
            with lock if is_held else contextlib.nullcontext():
                ask()
                thread = threading.Thread(target=ask)
                thread.start()
                thread.join()
        assert found == [False, True, False, False]

    def test_who_comes_back_at_once_finds_the_others_before(self, threads):
        lock, turns, has_begun = locks.FairLock(), [], threading.Event()

        def loop(name, count):
            for _ in range(count):
                with lock:
                    turns.append(name)
                    has_begun.set()
                    if name == "loop":
                        waiting.wait(0.001)

        waiting = threading.Event()  # never set: lets others run while the lock is held
        threads.start(loop, "loop", 400)
        has_begun.wait(PATIENCE)
        threads.start(loop, "other", 5)
        threads.join()
        assert "loop" in turns[len(turns) - turns[::-1].index("other") :]

    def test_it_is_reentrant_and_free_afterwards(self, threads):
        lock = locks.FairLock()
        with lock, lock:
            pass

        def take():
            with lock:
                pass

        threads.start(take)
        threads.join()
        with pytest.raises(ValueError, match="inside"), lock:
            raise ValueError("inside")
        joined(take)

    def test_a_long_wait_is_told_and_no_part_of_the_time(self, threads, caplog, monkeypatch):
        monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.01)
        lock, has_it, times = locks.FairLock(), threading.Event(), []

        def hold():
            with lock:
                has_it.set()
                while not caplog.records:
                    has_begun.wait(0.01)

        has_begun = threading.Event()
        with caplog.at_level(logging.WARNING, logger="tensorflow"):
            threads.start(hold)
            has_it.wait(PATIENCE)
            start = lock.clock()
            with lock:
                times.append(lock.clock() - start)
        threads.join()
        assert "has waited" in caplog.text
        assert times[0] < 0.01

    def test_a_copy_is_another_lock(self, threads):
        lock = locks.FairLock()
        with lock:
            other = copy.deepcopy(lock)

            def take():
                with other:
                    pass

            joined(take)


class TestShared:
    def test_it_begins_with_the_first_and_ends_with_the_last(self):
        events = []

        @contextlib.contextmanager
        def noted():
            events.append("begin")
            yield
            events.append("end")

        shared = _threads.Shared(noted)
        with shared:
            joined(lambda: shared.__enter__())
            assert events == ["begin"]
        assert events == ["begin"]
        joined(lambda: shared.__exit__())
        assert events == ["begin", "end"]
        with pytest.raises(ValueError, match="inside"), shared:
            raise ValueError("inside")
        assert events == ["begin", "end"] * 2

    def test_warnings_are_ignored_in_the_meantime_alone(self):
        filters = list(warnings.filters)
        ignoring = _threads.ignoring(message="some")
        with ignoring:
            joined(lambda: warnings.warn("some words", UserWarning, stacklevel=1))
        assert warnings.filters == filters
        with pytest.raises(UserWarning, match="some words"):
            warnings.warn("some words", UserWarning, stacklevel=1)
