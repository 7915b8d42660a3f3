"""The Estimator beyond the original: programs that are kept, shared memory, Keras models."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import shutil
import threading
import unittest.mock
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.adapters.hooks import event_files
from kestimator.estimator import state_of

v1 = tf.compat.v1
ModeKeys = kestimator.ModeKeys

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


def dataset(batch: int = 6, repeat: int | None = 1) -> Any:
    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).repeat(repeat).batch(batch)

    return input_fn


class Counted:
    """A linear model_fn that counts its calls by mode."""

    def __init__(self, **fields: Any) -> None:
        self.calls: list[str] = []
        self.fields = fields

    def __call__(self, features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        self.calls.append(mode)
        w = v1.get_variable("w", initializer=np.zeros((3, 1), "float32"))
        y = features["x"] @ w
        if mode == ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, predictions={"y": y, "twice": 2 * y})
        loss = tf.reduce_mean((y - labels) ** 2)
        step = v1.train.get_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        metrics = {"mae": v1.metrics.mean_absolute_error(labels, y)}
        return kestimator.EstimatorSpec(
            mode, loss=loss, train_op=train_op, eval_metric_ops=metrics, **self.fields
        )


class Fetching(kestimator.SessionRunHook):
    """Fetches a tensor with every step."""

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("global_step:0")


def logging() -> kestimator.SessionRunHook:
    return v1.train.LoggingTensorHook(["global_step:0"], every_n_iter=2)


def test_each_mode_is_traced_once(tmp_path: Any) -> None:
    model_fn = Counted()
    estimator = kestimator.Estimator(model_fn, tmp_path)
    for _ in range(3):
        estimator.train(dataset(), steps=2)
        estimator.evaluate(dataset())  # 6, 6, 6 and 2 rows: a short batch is no new trace
        list(estimator.predict(dataset()))
    assert model_fn.calls == ["train", "eval", "infer"]


def test_another_input_spec_is_traced_again(tmp_path: Any) -> None:
    model_fn = Counted()
    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(dataset(), steps=1)

    def double() -> tf.data.Dataset:
        return dataset()().map(lambda f, y: ({**f, "unused": f["x"]}, y))

    estimator.train(double, steps=1)
    assert model_fn.calls == ["train", "train"]


def test_second_evaluation_reads_no_checkpoint(tmp_path: Any, monkeypatch: Any) -> None:
    estimator = kestimator.Estimator(Counted(), tmp_path)
    estimator.train(dataset(), steps=3)
    first = estimator.evaluate(dataset())

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a checkpoint was read")

    from kestimator.engine.checkpoints import checkpoint_files

    monkeypatch.setattr(checkpoint_files, "restore", refuse)
    assert estimator.evaluate(dataset()) == first


def test_newer_checkpoint_of_another_process_is_noticed(tmp_path: Any) -> None:
    reader, writer = (kestimator.Estimator(Counted(), tmp_path) for _ in range(2))
    writer.train(dataset(), steps=1)
    assert reader.evaluate(dataset())["global_step"] == 1
    writer.train(dataset(repeat=None), steps=20)
    seen = reader.evaluate(dataset())
    assert seen == writer.evaluate(dataset())
    assert seen["global_step"] == 21


def test_evaluating_an_old_checkpoint_leaves_training_as_it_was(tmp_path: Any) -> None:
    config = kestimator.RunConfig(save_checkpoints_steps=2)
    straight = kestimator.Estimator(Counted(), tmp_path / "a", config)
    straight.train(dataset(repeat=None), steps=8)
    looked = kestimator.Estimator(Counted(), tmp_path / "b", config)

    class EvaluateOld(kestimator.CheckpointSaverListener):
        def after_save(self, session: Any, global_step_value: int) -> None:
            if global_step_value:
                old = str(tmp_path / "b" / "model.ckpt-0")
                assert looked.evaluate(dataset(), checkpoint_path=old)["global_step"] == 0

    looked.train(dataset(repeat=None), steps=8, saving_listeners=[EvaluateOld()])
    np.testing.assert_array_equal(straight.get_variable_value("w"), looked.get_variable_value("w"))


def test_half_consumed_predictions_keep_their_checkpoint(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(Counted(), tmp_path)
    estimator.train(dataset(repeat=None), steps=3)
    whole = [row["y"] for row in estimator.predict(dataset(batch=2))]
    rows = estimator.predict(dataset(batch=2))
    some = [next(rows)["y"] for _ in range(4)]
    estimator.train(dataset(repeat=None), steps=3)
    rest = [row["y"] for row in rows]
    np.testing.assert_array_equal(whole, [*some, *rest])


def test_two_interleaved_predictions(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(Counted(), tmp_path)
    estimator.train(dataset(), steps=1)
    one, two = estimator.predict(dataset()), estimator.predict(dataset())
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first["y"], second["y"])


def test_ops_that_a_hook_adds_do_not_pile_up(tmp_path: Any) -> None:
    class Adds(kestimator.SessionRunHook):
        def begin(self) -> None:
            self.one = tf.constant(1.0) + 1.0

    model_fn = Counted()
    estimator = kestimator.Estimator(model_fn, tmp_path)
    for _ in range(2):
        estimator.train(dataset(), steps=1, hooks=[Adds()])
    assert model_fn.calls == ["train", "train"]


@pytest.mark.parametrize(
    "call",
    [
        lambda estimator, input_fn: estimator.train(input_fn, steps=3),
        lambda estimator, input_fn: estimator.train(input_fn, [Fetching()], steps=3),
        lambda estimator, input_fn: estimator.train(input_fn, [logging()], steps=3),
        lambda estimator, input_fn: estimator.evaluate(input_fn, steps=3),
        lambda estimator, input_fn: estimator.evaluate(input_fn, steps=3, hooks=[Fetching()]),
        lambda estimator, input_fn: next(estimator.predict(input_fn)),
        lambda estimator, input_fn: next(estimator.predict(input_fn, hooks=[Fetching()])),
    ],
    ids=[
        "train",
        "train seen",
        "train logged",
        "evaluate",
        "evaluate seen",
        "predict",
        "predict seen",
    ],
)
def test_the_input_is_closed_when_a_call_ends(tmp_path: Any, call: Any) -> None:
    """Not when garbage is collected: it may hold much, and TensorFlow may take long to close it.

    Every tf.data iterator has a thread that tunes it in ever longer periods, and its end may have
    to wait for one: more than 10 seconds, where garbage had not been collected for long.
    """
    columns = [tf.feature_column.numeric_column("x", 3)]
    kestimator.LinearRegressor(columns, tmp_path).train(dataset(), steps=1)
    estimator = kestimator.LinearRegressor(columns, tmp_path)  # a new one has kept nothing yet
    gc.collect()
    gc.disable()
    try:
        before = iterators()
        for _ in range(2):
            call(estimator, dataset(repeat=None))
            assert iterators() == before
    finally:
        gc.enable()


def test_a_call_that_fails_leaves_nothing_to_the_next(tmp_path: Any) -> None:
    class Makes(kestimator.SessionRunHook):
        def begin(self) -> None:
            tf.compat.v1.get_variable("absent_in_the_checkpoint", [])

    estimator = kestimator.Estimator(Counted(), tmp_path).train(dataset(), steps=1)
    with pytest.raises(tf.errors.NotFoundError, match="absent_in_the_checkpoint"):
        estimator.train(dataset(), [Makes()], steps=1)
    assert estimator.train(dataset(), steps=1).get_variable_value("global_step") == 2


def test_callbacks_of_functions_see_every_batch(tmp_path: Any) -> None:
    batches: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda n, logs: batches.append(n))
    kestimator.Estimator(Counted(), tmp_path).train(
        dataset(repeat=None), steps=20, callbacks=[callback]
    )
    assert batches == list(range(20))


@pytest.mark.parametrize("trains", [False, True])
def test_dropout_of_keras_continues_where_there_was_none(tmp_path: Any, trains: bool) -> None:
    """The state of a seed decides nothing but the next random numbers."""

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        dense = keras.layers.Dense(1, use_bias=False, name="dense")
        dense.build([None, 3])
        dense.set_weights([np.ones([3, 1])])  # a write of the trace, for fresh starts only
        x = tf.nn.dropout(features["x"], 0.5)
        if is_layer:
            x = keras.layers.Dropout(0.5)(features["x"], training=mode == ModeKeys.TRAIN)
        if mode == ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, {"kernel": dense.kernel[tf.newaxis]})
        loss = tf.reduce_mean(dense(x) ** 2)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1))

    is_layer = False
    first = kestimator.Estimator(model_fn, tmp_path).train(dataset(), steps=1)
    kernel = first.get_variable_value("dense/kernel")
    assert np.abs(kernel - 1.0).max() > 1e-3
    is_layer = True
    estimator = kestimator.Estimator(model_fn, tmp_path)
    np.testing.assert_array_equal(next(estimator.predict(dataset()))["kernel"], kernel)
    if trains:
        estimator.train(dataset(), steps=1)
        assert "seed_generator/seed_generator_state" in estimator.get_variable_names()
    assert estimator.evaluate(dataset(1))["global_step"] == 1 + trains


@pytest.mark.parametrize("name", ["run[1]", "a*b?", "back\\slash", "ram://estimator/of_tests"])
def test_directories_of_any_name(tmp_path: Any, name: str) -> None:
    model_dir = name if name.startswith("ram:") else os.path.join(tmp_path, name)
    first = kestimator.Estimator(Counted(), model_dir).train(dataset(), steps=3)
    again = kestimator.Estimator(Counted(), model_dir)
    np.testing.assert_array_equal(again.get_variable_value("w"), first.get_variable_value("w"))
    assert again.train(dataset(), steps=3).get_variable_value("global_step") == 6
    receiver_fn = kestimator.export.build_raw_serving_input_receiver_fn(
        {"x": tf.constant(X[:1])}, default_batch_size=None
    )
    exported = again.export_saved_model(str(tmp_path / "exported"), receiver_fn)
    served = tf.saved_model.load(exported.decode()).signatures["serving_default"](tf.constant(X))
    rows = list(kestimator.Estimator(Counted(), model_dir).predict(dataset()))
    np.testing.assert_allclose(served["y"], [row["y"] for row in rows], rtol=1e-6)
    if not model_dir.startswith("ram:"):  # there, TensorFlow's `warm_start` finds nothing
        warm = kestimator.Estimator(Counted(), str(tmp_path / "warm"), warm_start_from=model_dir)
        np.testing.assert_allclose(next(warm.predict(dataset()))["y"], rows[0]["y"], rtol=1e-6)


def iterators() -> int:
    """How many iterators over Datasets there are in this process."""
    # By the names of types first: `issubclass` for every object took most of ten seconds a test.
    kinds = {type(one) for one in gc.get_objects() if type(one).__name__.endswith("Iterator")}
    kinds = {kind for kind in kinds if issubclass(kind, tf.data.Iterator)}
    return sum(type(one) in kinds for one in gc.get_objects())


@pytest.mark.parametrize("kind", [kestimator.SessionRunHook, v1.train.StopAtStepHook])
def test_a_method_set_on_a_hook_sees_every_step(kind: Any, tmp_path: Any) -> None:
    hook = kind() if kind is kestimator.SessionRunHook else kind(num_steps=100)
    hook.after_run = unittest.mock.Mock()
    kestimator.Estimator(Counted(), str(tmp_path)).train(dataset(repeat=3), hooks=[hook], steps=7)
    assert hook.after_run.call_count == 7


def test_a_directory_with_absolute_paths_may_be_moved(tmp_path: Any) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    estimator = kestimator.Estimator(Counted(), str(old)).train(dataset(), steps=2)
    path = estimator.latest_checkpoint()
    (old / "checkpoint").write_text(
        f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n'
    )
    old.rename(new)
    moved = kestimator.Estimator(Counted(), str(new))
    assert moved.latest_checkpoint() == str(new / "model.ckpt-2")
    moved.train(dataset(), steps=1)
    assert moved.evaluate(dataset())["global_step"] == 3


def test_an_open_generator_gets_the_rows_that_it_yields(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        return kestimator.EstimatorSpec(mode, predictions=2 * features)

    request = [0.0]

    def input_fn() -> tf.data.Dataset:
        spec = tf.TensorSpec([], tf.float32)
        return tf.data.Dataset.from_generator(
            lambda: iter(lambda: request[0], None), output_signature=spec
        ).batch(1)

    rows = kestimator.Estimator(model_fn, str(tmp_path)).predict(input_fn)
    for number in range(20):
        request[0] = float(number)
        assert next(rows) == 2 * number


def test_predictions_without_features_end_with_the_data(tmp_path: Any) -> None:
    def input_fn() -> tf.data.Dataset:
        labels = np.array([0, 1, 1, 1])
        data = tf.data.Dataset.from_tensor_slices(({"x": X[:4]}, labels))
        return data.batch(2, drop_remainder=True)

    estimator = kestimator.BaselineClassifier(str(tmp_path)).train(input_fn)
    assert len(list(estimator.predict(input_fn))) == 4


def test_a_model_fn_may_leave_out_the_mode(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any) -> kestimator.EstimatorSpec:
        w = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        y = features["x"] @ w
        loss = tf.reduce_mean((y - (0.0 if labels is None else labels)) ** 2)
        step = v1.train.get_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        return kestimator.EstimatorSpec(None, {"y": y}, loss, train_op)

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(dataset(), steps=2)
    assert estimator.evaluate(dataset())["global_step"] == 2
    assert len(list(estimator.predict(dataset()))) == 20


def test_a_metric_may_be_a_nest(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        spec = Counted()(features, labels, mode)
        metrics = {"nest": (((tf.constant(2.0), tf.constant(1)), tf.constant("a")), tf.no_op())}
        return spec._replace(eval_metric_ops=metrics)

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(dataset(), steps=1)
    assert estimator.evaluate(dataset())["nest"] == ((2.0, 1), b"a")


def test_a_keras_metric_that_is_never_updated_is_an_error(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        spec = Counted()(features, labels, mode)
        return spec._replace(eval_metric_ops={"forgotten": keras.metrics.Mean()})

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(dataset(), steps=1)
    with pytest.raises(ValueError, match=r"'forgotten'.*`update_state"):
        estimator.evaluate(dataset())


METRIC_UPDATES: dict[str, Callable[[Callable[[], int], tf.Tensor], Any]] = {
    "tf.function": lambda update, y: tf.function(update)(),
    "tf.cond": lambda update, y: tf.cond(tf.reduce_sum(y) > -1.0, update, lambda: 0),
    "tf.while_loop": lambda update, y: tf.while_loop(lambda i: i < 3, lambda i: update() + i, [0]),
    "tf.map_fn": lambda update, y: tf.map_fn(lambda value: update() + value, tf.range(3)),
}


@pytest.mark.parametrize("place", METRIC_UPDATES)
def test_an_update_of_a_keras_metric_inside_a_function_does_not_count(
    place: str, tmp_path: Any
) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        spec = Counted()(features, labels, mode)
        metric = keras.metrics.Mean()

        def update() -> int:
            metric.update_state(labels)
            return 1

        METRIC_UPDATES[place](update, labels)
        return spec._replace(eval_metric_ops={"inside": metric})

    estimator = kestimator.Estimator(model_fn, str(tmp_path)).train(dataset(), steps=1)
    with pytest.raises(ValueError, match=r"'inside'.*updates in a `tf.function`.* do not count"):
        estimator.evaluate(dataset())


def test_a_mock_of_a_hook_is_asked_at_every_step(tmp_path: Any) -> None:
    hook = unittest.mock.MagicMock(spec=kestimator.SessionRunHook)
    hook.before_run.return_value = None
    kestimator.Estimator(Counted(), tmp_path).train(dataset(repeat=None), [hook], steps=5)
    assert hook.after_run.call_count == 5


def test_tf2_summaries_are_written(tmp_path: Any) -> None:
    class WithSummary(Counted):
        def __call__(self, features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            tf.summary.write("rows", tf.cast(tf.shape(labels)[0], tf.float32))
            return super().__call__(features, labels, mode)

    config = kestimator.RunConfig(save_summary_steps=2)
    kestimator.Estimator(WithSummary(), tmp_path, config).train(dataset(repeat=None), steps=5)
    found = {
        event.step: float(tf.make_ndarray(value.tensor))
        for event in event_files.read_events(str(tmp_path))
        for value in event.summary.value
        if value.tag == "rows"
    }
    assert found == {1: 6.0, 3: 6.0, 5: 6.0}


def test_callbacks_see_one_epoch_and_their_batches(tmp_path: Any) -> None:
    seen: list[Any] = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen.append("begin")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, round(logs["loss"], 4)))
            self.model.stop_training = batch == 2

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(("epoch", epoch))

    losses: list[float] = []

    class Losses(kestimator.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return run_context.original_args

        def after_run(self, run_context: Any, run_values: Any) -> None:
            losses.append(round(float(run_values.results["loss"]), 4))

    estimator = kestimator.Estimator(Counted(), tmp_path)
    estimator.train(dataset(repeat=None), steps=10, hooks=[Losses()], callbacks=[Watch()])
    means = [round(float(np.mean(losses[: count + 1])), 4) for count in range(len(losses))]
    assert seen == ["begin", *enumerate(means), ("epoch", 0)]
    assert len(losses) == 3


def test_callbacks_without_batch_methods_leave_the_loop_alone(tmp_path: Any) -> None:
    from kestimator.runtime import callback_hooks

    class Ends(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.last = logs["loss"]

    estimator = kestimator.Estimator(Counted(), tmp_path)
    ends = Ends()
    estimator.train(dataset(repeat=None), steps=10, callbacks=[ends])
    (model,) = state_of(estimator).programs
    hook = callback_hooks.training_hook(
        state_of(estimator), model, [ends], steps=10, verbose=0, export=estimator.export_keras
    )
    assert hook is not None
    assert hook.steps_until_due(0) > 1000
    assert 1.0 < ends.last < 1.5  # the mean of the ten steps


@pytest.mark.parametrize("kind", ["train_op", "applied", "v1", "v1_by_default"])
def test_keras_models_train_as_under_fit(tmp_path: Any, kind: str) -> None:
    """The same weights as `fit`, for each way to say what trains them."""

    def build() -> keras.Model:
        return keras.Sequential(
            [
                keras.layers.Dense(4, "tanh", kernel_initializer="ones", name="hidden"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dense(1, kernel_initializer="ones", name="top"),
            ],
            name="net",
        )

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        model = build()
        y = model(features["x"], training=mode == ModeKeys.TRAIN)
        if mode == ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, predictions=y)
        loss = tf.reduce_mean(keras.losses.mean_squared_error(labels, y))
        mae = keras.metrics.MeanAbsoluteError()
        mae.update_state(labels, y)
        train_op = minimized(loss, model) if mode == ModeKeys.TRAIN else None
        return kestimator.EstimatorSpec(
            mode, loss=loss, train_op=train_op, eval_metric_ops={"mae": mae}
        )

    def minimized(loss: tf.Tensor, model: keras.Model) -> Any:
        if kind.startswith("v1"):
            variables = None if kind == "v1_by_default" else model.trainable_variables
            return v1.train.GradientDescentOptimizer(0.05).minimize(
                loss, v1.train.get_global_step(), var_list=variables
            )
        optimizer = keras.optimizers.SGD(0.05)
        if kind == "applied":
            variables = model.trainable_variables
            gradients = tf.gradients(loss, [variable.value for variable in variables])
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return optimizer

    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(dataset(repeat=5), steps=None)
    reference = build()
    reference.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    reference.fit(dataset(repeat=5)().map(lambda f, y: (f["x"], y)), verbose=0, shuffle=False)
    for variable in reference.variables:
        if variable.path.startswith("net/"):
            value = estimator.get_variable_value(variable.path)
            np.testing.assert_allclose(value, variable.numpy(), rtol=1e-5, atol=1e-6)
    mae = reference.evaluate(X, Y, batch_size=6, verbose=0, return_dict=True)["mae"]
    np.testing.assert_allclose(estimator.evaluate(dataset())["mae"], mae, rtol=1e-5)
    np.testing.assert_allclose(
        list(estimator.predict(dataset())), reference.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_model_dir_holds_what_the_original_writes(tmp_path: Any) -> None:
    kestimator.Estimator(Counted(), tmp_path).train(dataset(), steps=2)
    names = {name.split(".tfevents")[0] for name in os.listdir(tmp_path)}
    assert names == {
        "checkpoint",
        "events.out",
        "graph.pbtxt",
        "training.json",  # the original does not write this one
        *(f"model.ckpt-{n}.{part}" for n in (0, 2) for part in ("index", "meta")),
        *(f"model.ckpt-{n}.data-00000-of-00001" for n in (0, 2)),
    }


def test_own_ops_take_no_names_from_variables(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        names = ["input", "identity", "add", "placeholder", "const", "mean", "features"]
        weights = [v1.get_variable(name, [3, 1]) for name in names]
        loss = tf.add_n([tf.reduce_mean(features["x"] @ weight) for weight in weights])
        step = v1.train.get_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(dataset(), steps=1)
    estimator.evaluate(dataset())
    assert set(estimator.get_variable_names()) == {
        *("input", "identity", "add", "placeholder", "const", "mean", "features"),
        "global_step",
    }


def test_a_program_is_a_keras_model(tmp_path: Any) -> None:
    """What a callback gets as its model takes the same steps as `train`."""
    given: list[Any] = []

    class Keep(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            given.append(self.model)

    estimator = kestimator.Estimator(Counted(), tmp_path / "a")
    estimator.train(dataset(repeat=None), steps=1, callbacks=[Keep()])
    other = kestimator.Estimator(Counted(), tmp_path / "b")
    other.train(dataset(repeat=None), steps=2)
    (model,) = given
    second = next(iter(dataset(repeat=None)().skip(1)))
    loss = model.train_step(second)["loss"].numpy()
    assert loss > 0
    memory = state_of(estimator).store["w"].variable.numpy()
    np.testing.assert_allclose(memory, other.get_variable_value("w"), rtol=1e-6)


def test_evaluation_and_prediction_are_keras_models_too(tmp_path: Any) -> None:
    from kestimator.runtime import program_model

    estimator = kestimator.Estimator(Counted(), tmp_path)
    estimator.train(dataset(repeat=None), steps=2)
    expected = estimator.evaluate(dataset(), steps=1)
    rows = list(estimator.predict(dataset()))
    models = {model.mode: model for model in state_of(estimator).programs}
    batch = next(iter(dataset()()))

    def as_keras(model: Any) -> keras.Model:
        return program_model.ProgramModel(state_of(estimator), model, estimator.export_keras)

    tested = as_keras(models[ModeKeys.EVAL]).test_step(batch)
    np.testing.assert_allclose(tested["loss"], expected["loss"], rtol=1e-6)
    predicted = as_keras(models[ModeKeys.PREDICT]).predict_step(batch[0])
    np.testing.assert_allclose(predicted["twice"], [row["twice"] for row in rows[:6]], rtol=1e-6)


@pytest.mark.parametrize("patterns", [["w", "w/Adam"], ["w", "w"], ["w/Adam", "w.*"]])
def test_a_variable_that_several_patterns_select_is_warm_started_once(
    tmp_path: Any, patterns: list[str]
) -> None:
    """The original fails: "At least two variables have the same name: w/Adam"."""

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        w = v1.get_variable("w", initializer=np.zeros((3, 1), "float32"))
        loss = tf.reduce_mean((features["x"] @ w - labels) ** 2)
        train_op = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_global_step())
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    first = kestimator.Estimator(model_fn, str(tmp_path / "first")).train(dataset(), steps=2)
    settings = kestimator.WarmStartSettings(first.model_dir, patterns)
    second = kestimator.Estimator(model_fn, str(tmp_path / "second"), warm_start_from=settings)
    assert second.evaluate(dataset())["loss"] == first.evaluate(dataset())["loss"]
    second.train(dataset(), steps=1)
    path = str(tmp_path / "second" / "model.ckpt-0")
    for name in ("w", "w/Adam", "w/Adam_1"):
        found = tf.train.load_variable(path, name)
        np.testing.assert_array_equal(found, first.get_variable_value(name))


class TestAModelMadeOutside:
    """Two estimators whose model_fns use one Keras model share its variables."""

    @pytest.fixture
    def model_fn(self) -> Any:
        model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
        model.build((None, 3))

        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            y = model(features["x"])
            loss = tf.reduce_mean(tf.square(y - labels)) if labels is not None else None
            return kestimator.EstimatorSpec(
                mode, predictions=y, loss=loss, train_op=keras.optimizers.SGD(0.1)
            )

        return model_fn

    def test_has_the_values_of_the_estimator_that_uses_it(
        self, model_fn: Any, tmp_path: Any
    ) -> None:
        first = kestimator.Estimator(model_fn, tmp_path / "first")
        first.train(dataset(repeat=None), steps=2)
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        loss, rows = first.evaluate(dataset())["loss"], list(first.predict(dataset()))
        half = first.predict(dataset())
        assert next(half) == rows[0]
        second = kestimator.Estimator(model_fn, tmp_path / "second")
        second.train(dataset(repeat=None), steps=20)
        assert first.evaluate(dataset())["loss"] == loss
        assert second.evaluate(dataset())["loss"] < 0.5 * loss
        assert [next(half), *half] == rows[1:]
        second.evaluate(dataset())
        (name,) = (name for name in second.get_variable_names() if name.endswith("kernel"))
        first.train(dataset(repeat=None), steps=20)
        np.testing.assert_array_equal(
            first.get_variable_value(name), second.get_variable_value(name)
        )

    def test_does_not_start_from_what_another_one_trained(
        self, model_fn: Any, tmp_path: Any
    ) -> None:
        kestimator.Estimator(model_fn, tmp_path / "first").train(dataset(), steps=1)
        with pytest.raises(ValueError, match="another estimator has trained that model"):
            kestimator.Estimator(model_fn, tmp_path / "second").train(dataset(), steps=1)
        assert not (tmp_path / "second").exists()

    def test_is_not_read_while_another_one_trains_it(self, model_fn: Any, tmp_path: Any) -> None:
        class Evaluates(kestimator.SessionRunHook):
            def after_run(self, run_context: Any, run_values: Any) -> None:
                kestimator.Estimator(model_fn, tmp_path / "first").evaluate(dataset())

        estimator = kestimator.Estimator(model_fn, tmp_path / "first").train(dataset(), steps=1)
        with pytest.raises(kestimator.errors.BusyError, match="another estimator is using"):
            estimator.train(dataset(), [Evaluates()], steps=2)

    def test_is_not_trained_while_another_thread_evaluates_it(
        self, model_fn: Any, tmp_path: Any
    ) -> None:
        begun, may_end = threading.Event(), threading.Event()

        class Waits(kestimator.SessionRunHook):
            def after_run(self, run_context: Any, run_values: Any) -> None:
                begun.set()
                assert may_end.wait(60)

        first = kestimator.Estimator(model_fn, tmp_path / "first").train(dataset(), steps=1)
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        loss = first.evaluate(dataset())["loss"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            evaluation = pool.submit(first.evaluate, dataset(), hooks=[Waits()])
            try:
                assert begun.wait(60)
                second = kestimator.Estimator(model_fn, tmp_path / "second")
                with pytest.raises(kestimator.errors.BusyError, match="another estimator is"):
                    second.train(dataset(), steps=1)
            finally:
                may_end.set()
            assert evaluation.result()["loss"] == loss
        assert second.train(dataset(), steps=1).evaluate(dataset())["global_step"] == 2
