"""Every callback of Keras, with every kind of model, beside what it does under `fit`.

All models are the same logistic regression from zeros: so their logs have to be equal.
"""

from __future__ import annotations

import csv
import http.server
import json
import pathlib
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator as ke
from kestimator import errors
from kestimator.adapters.hooks import event_files
from kestimator.estimator import state_of
from tests import selection

v1: Any = tf.compat.v1
STEPS, EPOCHS = 4, 3  # steps of an epoch
RATE = 0.5


def examples() -> tf.data.Dataset:
    random = np.random.RandomState(0)
    x = random.randn(16 * STEPS, 2).astype(np.float32)
    y = (x.sum(axis=1, keepdims=True) + random.randn(16 * STEPS, 1) > 0).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)


def by_name() -> tf.data.Dataset:
    return examples().map(lambda x, y: ({"x": x}, y))


def repeated() -> tf.data.Dataset:
    return by_name().repeat()


def network() -> keras.Model:
    layers = [keras.Input([2], name="x"), keras.layers.Dense(1, kernel_initializer="zeros")]
    return keras.Sequential(layers)


def compiled() -> keras.Model:
    model = network()
    optimizer: Any = keras.optimizers.SGD(RATE)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def keras_model_fn(features: Any, labels: Any, mode: str) -> ke.EstimatorSpec:
    model = network()
    logits = model(features["x"])
    if mode == ke.ModeKeys.PREDICT:
        return ke.EstimatorSpec(mode, {"logits": logits}, keras_model=model)
    losses = keras.losses.binary_crossentropy(labels, logits, from_logits=True)
    loss = keras.ops.mean(losses)
    optimizer = keras.optimizers.SGD(RATE)
    return ke.EstimatorSpec(mode, {"logits": logits}, loss, optimizer, keras_model=model)


def tf1_model_fn(features: Any, labels: Any, mode: str) -> ke.EstimatorSpec:
    with v1.variable_scope("dense"):
        kernel = v1.get_variable("kernel", [2, 1], initializer=v1.zeros_initializer())
        bias = v1.get_variable("bias", [1], initializer=v1.zeros_initializer())
    logits = features["x"] @ kernel + bias
    if mode == ke.ModeKeys.PREDICT:
        return ke.EstimatorSpec(mode, {"logits": logits})
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.GradientDescentOptimizer(RATE).minimize(loss, step)
    return ke.EstimatorSpec(mode, {"logits": logits}, loss, train_op)


def canned(model_dir: str) -> ke.Estimator:
    columns: Any = [tf.feature_column.numeric_column("x", [2])]
    return ke.LinearClassifier(columns, model_dir, optimizer=keras.optimizers.SGD(RATE))


KINDS: dict[str, Callable[[str], ke.Estimator]] = {
    "model_to_estimator": lambda model_dir: ke.model_to_estimator(compiled(), model_dir=model_dir),
    "Keras model_fn": lambda model_dir: ke.Estimator(keras_model_fn, model_dir),
    "TF1-style model_fn": lambda model_dir: ke.Estimator(tf1_model_fn, model_dir),
    "canned": canned,
}
WITH_OPTIMIZER = ("model_to_estimator", "Keras model_fn")


class Fit:
    """What `fit` does with a callback.

    Attributes:
        logs: The logs of the epochs.
        model: The model after training.
    """

    def __init__(self, callback: Any = None, epochs: int = EPOCHS) -> None:
        self.model: Any = compiled()
        history = self.model.fit(
            examples().repeat(),
            epochs=epochs,
            steps_per_epoch=STEPS,
            validation_data=examples(),
            shuffle=False,
            verbose=0,
            callbacks=[callback] if callback else None,
        )
        self.logs = history.history


class Run:
    """The same with an estimator.

    Attributes:
        estimator: The estimator after training.
        logs: The logs of the epochs.
    """

    def __init__(self, kind: str, model_dir: Any, *callbacks: Any, epochs: int = EPOCHS) -> None:
        self.estimator = KINDS[kind](str(model_dir / "model"))
        history = keras.callbacks.History()
        train = ke.TrainSpec(repeated, max_steps=epochs * STEPS)
        evaluation = ke.EvalSpec(by_name, every_steps=STEPS, steps=None)
        ke.train_and_evaluate(
            self.estimator, train, evaluation, callbacks=[*callbacks, history], verbose=0
        )
        self.logs = history.history

    def weights(self) -> list[np.ndarray]:
        names = [n for n in self.estimator.get_variable_names() if n.endswith(("kernel", "bias"))]
        names = names or ["linear/linear_model/x/weights", "linear/linear_model/bias_weights"]
        return [self.estimator.get_variable_value(name) for name in sorted(names, reverse=True)]

    def logits(self) -> np.ndarray:
        rows = self.estimator.predict(by_name)
        return np.array([row[min(row)] if len(row) == 1 else row["logits"] for row in rows])


def assert_logs(logs: dict[str, Any], expected: dict[str, Any]) -> None:
    """The logs of an estimator have those of `fit`, and more metrics for a canned one."""
    for name, values in expected.items():
        np.testing.assert_allclose(logs[name], values, rtol=2e-5, err_msg=name)


def assert_weights(run: Run, fit: Fit) -> None:
    for value, expected in zip(run.weights(), fit.model.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-7)


# What each callback has to do, for a kind of model.


def base(kind: str, path: pathlib.Path) -> None:
    calls: list[Any] = []

    class Calls(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            trainable, others = self.model.trainable_weights, self.model.non_trainable_variables
            calls.append(("begin", len(self.model.get_weights()), logs))
            calls.append(("weights", len(trainable), len(others), self.model.count_params()))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch", epoch))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch end", epoch, {"loss", "val_loss"} <= set(logs)))

        def on_train_end(self, logs: Any = None) -> None:
            calls.append("end")

    fit = Fit(Calls())
    expected = calls.copy()
    calls.clear()
    callback = Calls()
    run = Run(kind, path, callback)
    assert calls == expected
    assert callback.params["steps"] == EPOCHS * STEPS
    assert_logs(run.logs, fit.logs)
    assert_weights(run, fit)


def lambda_callback(kind: str, path: pathlib.Path) -> None:
    def callback(seen: list[Any]) -> Any:
        return keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])),
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["val_loss"])),
        )

    of_fit: list[Any] = []
    of_run: list[Any] = []
    Fit(callback(of_fit))
    Run(kind, path, callback(of_run))
    # As under fit, the loss of a batch is the mean of the epoch so far.
    np.testing.assert_allclose(of_run, of_fit, rtol=2e-5)


def history(kind: str, path: pathlib.Path) -> None:
    callback = keras.callbacks.History()
    Run(kind, path, callback)
    assert callback.epoch == [*range(EPOCHS)]
    assert_logs(callback.history, Fit().logs)


def csv_logger(kind: str, path: pathlib.Path) -> None:
    run = Run(kind, path, keras.callbacks.CSVLogger(str(path / "log.csv")))
    with open(path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    np.testing.assert_allclose([float(row["val_loss"]) for row in rows], run.logs["val_loss"])


def early_stopping(kind: str, path: pathlib.Path) -> None:
    def callback() -> Any:  # no epoch is good enough
        return keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=1)

    stopped = callback()
    run = Run(kind, path, stopped, epochs=6)
    fit = Fit(callback(), epochs=6)
    assert len(run.logs["loss"]) == len(fit.logs["loss"]) == 2
    assert stopped.stopped_epoch == 1
    assert run.estimator.get_variable_value("global_step") == 2 * STEPS


def learning_rate_scheduler(kind: str, path: pathlib.Path) -> None:
    def callback() -> Any:
        return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)

    fit = Fit(callback())
    run = Run(kind, path, callback())
    assert_logs(run.logs, fit.logs)
    assert run.logs["learning_rate"] == [RATE / 2, RATE / 4, RATE / 8]
    assert_weights(run, fit)


def reduce_lr_on_plateau(kind: str, path: pathlib.Path) -> None:
    def callback() -> Any:
        return keras.callbacks.ReduceLROnPlateau(
            "val_loss", 0.1, patience=1, min_delta=10.0, cooldown=0
        )

    fit = Fit(callback(), epochs=4)
    run = Run(kind, path, callback(), epochs=4)
    assert_logs(run.logs, fit.logs)
    np.testing.assert_allclose(run.logs["learning_rate"], [RATE, RATE, RATE / 10, RATE / 100])
    assert_weights(run, fit)


def model_checkpoint(kind: str, path: pathlib.Path) -> None:
    run = Run(kind, path, keras.callbacks.ModelCheckpoint(str(path / "m{epoch}.keras")))
    assert [*sorted(file.name for file in path.glob("m?.keras"))] == [
        "m1.keras",
        "m2.keras",
        "m3.keras",
    ]
    model = keras.models.load_model(path / "m3.keras")
    (features,) = (x for x, _ in by_name().unbatch().batch(1000))
    outputs = model(features if kind == "canned" else features["x"])
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    np.testing.assert_allclose(logits, run.logits(), rtol=2e-5, atol=1e-6)


def model_checkpoint_of_weights(kind: str, path: pathlib.Path) -> None:
    file = str(path / "best.weights.h5")
    callback = keras.callbacks.ModelCheckpoint(
        file, monitor="val_loss", save_best_only=True, save_weights_only=True
    )
    run = Run(kind, path, callback)  # the last epoch is the best
    model = network()
    if kind != "canned":  # whose layers are those of its columns
        model.load_weights(file)
        for value, expected in zip(model.get_weights(), run.weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
    assert pathlib.Path(file).stat().st_size > 0


def tensorboard(kind: str, path: pathlib.Path) -> None:
    run = Run(kind, path, keras.callbacks.TensorBoard(str(path / "logs")))
    scalars = tensors_of(path / "logs" / "validation")
    np.testing.assert_allclose(scalars["epoch_loss"], run.logs["val_loss"], rtol=1e-6)
    np.testing.assert_allclose(
        tensors_of(path / "logs" / "train")["epoch_loss"], run.logs["loss"], rtol=1e-6
    )


def tensors_of(directory: pathlib.Path) -> dict[str, list[float]]:
    """The scalars that tf.summary of TensorFlow 2 has written, by tag, in order."""
    scalars: dict[str, list[float]] = {}
    for event in event_files.read_events(str(directory)):
        for value in event.summary.value:
            array = tf.make_ndarray(value.tensor)
            if array.shape == () and array.dtype == np.float32:
                scalars.setdefault(value.tag, []).append(float(array))
    return scalars


def terminate_on_nan(kind: str, path: pathlib.Path) -> None:
    def with_nan() -> tf.data.Dataset:
        bad: Any = {"x": tf.fill([16, 2], float("nan"))}, tf.zeros([16, 1])
        good = by_name().take(2)
        return good.concatenate(tf.data.Dataset.from_tensors(bad)).concatenate(by_name())

    estimator = KINDS[kind](str(path / "model"))
    estimator.train(with_nan, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert estimator.get_variable_value("global_step") == 3
    with pytest.raises(v1.train.NanLossDuringTrainingError):
        KINDS[kind](str(path / "other")).train(with_nan)


def progbar_logger(kind: str, path: pathlib.Path, capsys: Any) -> None:
    estimator = KINDS[kind](str(path / "model"))
    callback: Any = keras.callbacks.ProgbarLogger()
    estimator.train(repeated, steps=STEPS, callbacks=[callback], verbose=1)
    assert f"{STEPS}/{STEPS}" in capsys.readouterr().out


def remote_monitor(kind: str, path: pathlib.Path) -> None:
    pytest.importorskip("requests")
    received: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append(json.loads(urllib.parse.parse_qs(body)["data"][0]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://localhost:{server.server_port}"
        run = Run(kind, path, keras.callbacks.RemoteMonitor(root))
    finally:
        server.shutdown()
        server.server_close()
    assert [logs["epoch"] for logs in received] == [0, 1, 2]
    np.testing.assert_allclose([logs["val_loss"] for logs in received], run.logs["val_loss"])


def tensorboard_histograms(kind: str, path: pathlib.Path) -> None:
    Run(kind, path, keras.callbacks.TensorBoard(str(path / "logs"), histogram_freq=1))
    tags = {
        value.tag
        for event in event_files.read_events(str(path / "logs" / "train"))
        for value in event.summary.value
    }
    assert any("kernel" in tag and "histogram" in tag for tag in tags), tags


WORK: dict[str, Callable[..., None]] = {
    "Callback": base,
    "CSVLogger": csv_logger,
    "EarlyStopping": early_stopping,
    "History": history,
    "LambdaCallback": lambda_callback,
    "LearningRateScheduler": learning_rate_scheduler,
    "ModelCheckpoint": model_checkpoint,
    "ModelCheckpoint, weights": model_checkpoint_of_weights,
    "ProgbarLogger": progbar_logger,
    "ReduceLROnPlateau": reduce_lr_on_plateau,
    "RemoteMonitor": remote_monitor,
    "TensorBoard": tensorboard,
    "TensorBoard, histograms": tensorboard_histograms,
    "TerminateOnNaN": terminate_on_nan,
}
REFUSED = {
    ("LearningRateScheduler", "TF1-style model_fn"): "Keras optimizer",
    ("LearningRateScheduler", "canned"): "Keras optimizer",
    ("ReduceLROnPlateau", "TF1-style model_fn"): "Keras optimizer",
    ("ReduceLROnPlateau", "canned"): "Keras optimizer",
    ("ModelCheckpoint", "TF1-style model_fn"): "no Keras model to write",
    **{("BackupAndRestore", kind): "continues from them by itself" for kind in KINDS},
    **{("OrbaxCheckpoint", kind): "continues from them by itself" for kind in KINDS},
    **{("SwapEMAWeights", kind): "use_ema" for kind in KINDS},
    **{("EarlyStopping, best weights", kind): "BestExporter" for kind in KINDS},
    ("TensorBoard, histograms", "TF1-style model_fn"): "tf.summary.histogram",
    ("TensorBoard, histograms", "canned"): "tf.summary.histogram",
}
CELLS = [(name, kind) for name in WORK for kind in KINDS if (name, kind) not in REFUSED]
FAST_KIND = "Keras model_fn"


def cells(pairs: Any) -> list[Any]:
    """The cells; of each callback, the first one is a fast test."""
    cells, names = [], set()
    for name, kind in sorted(pairs, key=lambda cell: cell[1] != FAST_KIND):
        marks = pytest.mark.slow if name in names else ()
        names.add(name)
        cells.append(pytest.param(name, kind, id=f"{name}-{kind}", marks=marks))
    return cells


@pytest.mark.parametrize(("name", "kind"), cells(CELLS))
def test_callback(name: str, kind: str, tmp_path: pathlib.Path, capsys: Any) -> None:
    more = (capsys,) if name == "ProgbarLogger" else ()
    WORK[name](kind, tmp_path, *more)


def refused_callback(name: str, path: pathlib.Path) -> Any:
    callbacks: Any = keras.callbacks
    makers: dict[str, Callable[[], Any]] = {
        "BackupAndRestore": lambda: callbacks.BackupAndRestore(str(path / "backup")),
        "EarlyStopping, best weights": lambda: callbacks.EarlyStopping(restore_best_weights=True),
        "LearningRateScheduler": lambda: callbacks.LearningRateScheduler(lambda epoch: 0.1),
        "ModelCheckpoint": lambda: callbacks.ModelCheckpoint(str(path / "model.keras")),
        # Its constructor needs a package of its own.
        "OrbaxCheckpoint": lambda: callbacks.OrbaxCheckpoint.__new__(callbacks.OrbaxCheckpoint),
        "ReduceLROnPlateau": callbacks.ReduceLROnPlateau,
        "SwapEMAWeights": callbacks.SwapEMAWeights,
        "TensorBoard, histograms": lambda: callbacks.TensorBoard(str(path), histogram_freq=1),
    }
    return makers[name]()


@pytest.mark.parametrize(("name", "kind"), cells(REFUSED))
def test_refused_callback(name: str, kind: str, tmp_path: pathlib.Path) -> None:
    callback = refused_callback(name, tmp_path)
    with pytest.raises(errors.ArgumentError, match=REFUSED[name, kind]):
        Run(kind, tmp_path, callback)
    assert not list((tmp_path / "model").glob("model.ckpt*"))


def test_the_table_is_complete() -> None:
    """The table has every callback of Keras, and the documentation has the table."""
    names = {name for name in dir(keras.callbacks) if name[0].isupper()} - {"CallbackList"}
    assert {name.split(",")[0] for name, _ in [*CELLS, *REFUSED]} == names
    text = (pathlib.Path(__file__).parents[3] / "docs/callbacks.md").read_text()
    lines = [line for line in text.splitlines() if line.endswith(("✓ |", "✗ |"))]
    rows = [line.strip("| ").split(" | ") for line in lines]
    marks = {(row[0], k): mark for row in rows for k, mark in zip(KINDS, row[1:], strict=True)}
    assert marks == {**dict.fromkeys(CELLS, "✓"), **dict.fromkeys(REFUSED, "✗")}


@pytest.mark.parametrize("when", ["on_epoch_begin", "on_epoch_end"])
def test_a_resumed_run_has_the_learning_rate_that_was_set(when: str, tmp_path: Any) -> None:
    callback: Any = keras.callbacks.LambdaCallback()

    def set_rate(epoch: int, logs: Any = None) -> None:
        callback.model.optimizer.learning_rate = 0.125

    setattr(callback, when, set_rate)
    model_dir = str(tmp_path)
    KINDS["Keras model_fn"](model_dir).train(repeated, steps=3, callbacks=[callback])
    again = KINDS["Keras model_fn"](model_dir)
    saved = again.get_variable_value("sgd/learning_rate")
    assert saved == pytest.approx(0.125)
    seen: list[float] = []
    watch = keras.callbacks.LambdaCallback()
    watch.on_train_begin = lambda logs=None: seen.append(float(watch.model.optimizer.learning_rate))
    again.train(repeated, steps=1, callbacks=[watch])
    assert seen == [saved]


class Zero(keras.callbacks.Callback):
    """Sets all weights when training ends."""

    def on_train_end(self, logs: Any = None) -> None:
        self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])


@pytest.mark.parametrize("save_steps", [None, 2, 3])  # 3 saves at the last step already
@pytest.mark.parametrize("kind", selection.members(KINDS, fast=[FAST_KIND]))
def test_what_a_callback_sets_at_the_end_is_in_the_last_checkpoint(
    kind: str, save_steps: int | None, tmp_path: Any
) -> None:
    saver: Any = ke.CheckpointSaverHook(str(tmp_path), save_steps=save_steps or 600)
    hooks = [saver] if save_steps else []
    estimator = KINDS[kind](str(tmp_path))
    estimator.train(repeated, steps=3, callbacks=[Zero()], hooks=hooks)
    values = [estimator.get_variable_value(n) for n in estimator.get_variable_names()]
    arrays = [v for v in values if v.shape and v.shape[-1] == 1]
    assert len(arrays) == 2
    assert not any(array.any() for array in arrays)
    assert estimator.get_variable_value("global_step") == 3
    again = KINDS[kind](str(tmp_path))
    assert estimator.evaluate(by_name) == again.evaluate(by_name)


def test_what_it_sets_after_the_last_evaluation_does_not_stay_in_memory_alone(
    tmp_path: Any,
) -> None:
    run = Run("Keras model_fn", tmp_path, Zero())
    other = KINDS["Keras model_fn"](str(tmp_path / "model"))
    assert run.estimator.evaluate(by_name) == other.evaluate(by_name)


def averaged() -> Any:
    return keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.5)


def averaged_estimator(kind: str, model_dir: Any, config: Any = None) -> ke.Estimator:
    def model_fn(features: Any, labels: Any, mode: str) -> ke.EstimatorSpec:
        spec = keras_model_fn(features, labels, mode)
        return spec._replace(train_op=averaged() if mode == "train" else None)

    if kind == "Keras model_fn":
        return ke.Estimator(model_fn, str(model_dir), config)
    source: Any = network()
    source.compile(averaged(), keras.losses.BinaryCrossentropy(from_logits=True))
    return ke.model_to_estimator(source, model_dir=str(model_dir), config=config)


@pytest.mark.parametrize("save_steps", [600, 4, 3])  # 3 saves at the last step already
@pytest.mark.parametrize("kind", selection.members(WITH_OPTIMIZER, fast=[FAST_KIND]))
def test_averages_of_the_optimizer_replace_the_weights_at_the_end(
    kind: str, save_steps: int, tmp_path: Any
) -> None:
    reference: Any = compiled()
    reference.compile(averaged(), keras.losses.BinaryCrossentropy(from_logits=True))
    reference.fit(examples().repeat(), epochs=1, steps_per_epoch=6, shuffle=False, verbose=0)
    estimator = averaged_estimator(kind, tmp_path, ke.RunConfig(save_checkpoints_steps=save_steps))
    estimator.train(repeated, steps=6)
    for name, expected in zip(["kernel", "bias"], reference.get_weights(), strict=True):
        (path,) = (n for n in estimator.get_variable_names() if n.endswith(f"dense/{name}"))
        np.testing.assert_allclose(estimator.get_variable_value(path), expected, rtol=2e-5)
    again = averaged_estimator(kind, tmp_path)
    assert estimator.evaluate(by_name) == again.evaluate(by_name)


@pytest.mark.parametrize("every_steps", [3, 4])
def test_the_last_evaluation_is_that_of_the_averages(every_steps: int, tmp_path: Any) -> None:
    estimator = averaged_estimator("Keras model_fn", tmp_path)
    metrics, _ = ke.train_and_evaluate(
        estimator,
        ke.TrainSpec(repeated, max_steps=6),
        ke.EvalSpec(by_name, every_steps=every_steps, steps=None),
    )
    assert metrics == averaged_estimator("Keras model_fn", tmp_path).evaluate(by_name)


def test_epochs_end_with_the_first_of_several_evaluations(tmp_path: Any) -> None:
    history = keras.callbacks.History()
    estimator = KINDS["Keras model_fn"](str(tmp_path))
    ke.train_and_evaluate(
        estimator,
        ke.TrainSpec(repeated, max_steps=6),
        [
            ke.EvalSpec(by_name, every_steps=2, steps=None),
            ke.EvalSpec(by_name, every_steps=3, steps=None, name="other"),
        ],
        callbacks=[history],
    )
    assert history.epoch == [0, 1, 2]
    # At steps 2, 4 and 6; the other one at 3 (or 4, the next checkpoint) and 6.
    assert len(history.history["val_loss"]) == 3
    assert history.history["val_other_loss"][-1] == history.history["val_loss"][-1]
    assert len(history.history["val_other_loss"]) < 3


def test_callbacks_of_an_evaluation_get_its_metrics(tmp_path: Any) -> None:
    ends: list[Any] = []

    class End(keras.callbacks.Callback):
        def on_test_end(self, logs: Any = None) -> None:
            ends.append(logs)

    estimator = KINDS["canned"](str(tmp_path)).train(repeated, steps=2)
    metrics = estimator.evaluate(by_name, callbacks=[End()])
    assert ends == [pytest.approx({name: float(value) for name, value in metrics.items()})]


def test_a_callback_does_not_write_the_summaries_of_a_model(tmp_path: Any) -> None:
    """TensorBoard makes its writer the default one for all of training."""

    def model_fn(features: Any, labels: Any, mode: str) -> ke.EstimatorSpec:
        spec = keras_model_fn(features, labels, mode)
        if mode == ke.ModeKeys.EVAL:
            tf.summary.scalar("of_the_model", 1.0, step=1)
        return spec

    KINDS["own"] = lambda model_dir: ke.Estimator(model_fn, model_dir)
    try:
        Run("own", tmp_path, keras.callbacks.TensorBoard(str(tmp_path / "logs")))
    finally:
        del KINDS["own"]
    for part in ("train", "validation"):
        assert "of_the_model" not in tensors_of(tmp_path / "logs" / part)


def test_a_callback_that_looks_at_no_batch_leaves_the_loop_on_the_device(tmp_path: Any) -> None:
    estimator = KINDS["Keras model_fn"](str(tmp_path))
    callbacks = [
        keras.callbacks.ModelCheckpoint(str(tmp_path / "a.weights.h5"), save_weights_only=True),
        keras.callbacks.TensorBoard(str(tmp_path / "logs")),
        keras.callbacks.EarlyStopping("loss"),
    ]
    observed: list[Any] = []
    (model,) = [
        m for m in [estimator.train(repeated, steps=1)] for m in state_of(estimator).programs
    ]
    original = type(model).made_once

    def made_once(self: Any, key: Any, make: Any) -> Any:
        observed.append(key)
        return original(self, key, make)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "made_once", made_once)
        estimator.train(repeated, steps=50, callbacks=callbacks)
    assert any(key[0] == "device loop" for key in observed if isinstance(key, tuple))


@pytest.mark.parametrize("kind", selection.members(KINDS, fast=["canned"]))
def test_a_hook_can_export_to_keras(kind: str, tmp_path: Any) -> None:
    """Its graph is the default one, and is finalized."""
    estimator = KINDS[kind](str(tmp_path / "model")).train(repeated, steps=1)
    files: list[str] = []

    class Export(v1.train.SessionRunHook):
        def end(self, session: Any) -> None:
            del session
            files.append(estimator.export_keras(str(tmp_path / "model.weights.h5")))
            if hasattr(estimator, "to_keras"):
                assert isinstance(estimator.to_keras(), keras.Model)

    estimator.train(repeated, steps=1, hooks=[Export()])
    assert pathlib.Path(*files).stat().st_size > 0
