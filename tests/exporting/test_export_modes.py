"""Exports of every mode: Keras code in them, what loads them, and what is refused."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, export
from tests.programs import exported

v1 = tf.compat.v1
X = np.random.RandomState(0).uniform(-1.0, 1.0, (8, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
WORDS = np.array([["a"], ["b"], ["c"], ["a"], ["z"], ["b"], ["b"], ["c"]])
FEATURES = {"x": X, "word": WORDS}
FED = {**FEATURES, "label": Y}
ORACLE = os.environ.get("KESTIMATOR_ORACLE_PYTHON")
BESIDE_PYTHON = {"oracle": ORACLE, "here": sys.executable}


def keras_model_fn(optimizer):
    """Layers with state of every kind: a table, statistics, a seed, metrics."""
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])

    def model_fn(features, labels, mode):
        training = mode == kestimator.ModeKeys.TRAIN
        rows = keras.layers.Embedding(3, 2)(lookup(features["word"]))[:, 0]
        values = tf.concat([features["x"], rows], 1)
        values = keras.layers.Dense(4, "relu", use_bias=False)(values)
        values = keras.layers.BatchNormalization(momentum=0.5)(values, training=training)
        values = keras.layers.Dropout(0.2)(values, training=training)
        y = keras.layers.Dense(1)(values)
        if mode == kestimator.ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, predictions={"y": y})
        loss = tf.reduce_mean((y - labels) ** 2)
        metrics = {"mae": keras.metrics.MeanAbsoluteError(), "max": keras.metrics.Mean()}
        metrics["mae"].update_state(labels, y)
        metrics["max"].update_state(tf.reduce_max(y))
        train_op = optimizer()
        if isinstance(train_op, v1.train.Optimizer):
            train_op = train_op.minimize(loss, global_step=v1.train.get_global_step())
        return kestimator.EstimatorSpec(
            mode, predictions={"y": y}, loss=loss, train_op=train_op, eval_metric_ops=metrics
        )

    return model_fn


def batches(batch=(FEATURES, Y)):
    return lambda: tf.data.Dataset.from_tensors(batch).repeat(100)


def supervised():
    features = {name: tf.constant(values) for name, values in FEATURES.items()}
    return export.build_raw_supervised_input_receiver_fn(features, tf.constant(Y))()


def serving():
    features = {name: tf.constant(values) for name, values in FEATURES.items()}
    return export.build_raw_serving_input_receiver_fn(features)()


MODES = {"train": supervised, "eval": supervised, "infer": serving}


def trained(model_dir, optimizer=lambda: keras.optimizers.Adam(0.05)):
    config = kestimator.RunConfig(str(model_dir), tf_random_seed=3)
    return kestimator.Estimator(keras_model_fn(optimizer), config=config).train(batches(), steps=2)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("keras") / "model")


@pytest.fixture(scope="module")
def path(estimator, tmp_path_factory):
    """An export of every mode of `estimator`."""
    out = tmp_path_factory.mktemp("out")
    return estimator.experimental_export_all_saved_models(out, MODES).decode()


def copy_of(estimator, folder):
    """The same estimator in another folder, where it may be trained."""
    shutil.copytree(estimator.model_dir, folder)
    config = kestimator.RunConfig(str(folder), tf_random_seed=3)
    return kestimator.Estimator(keras_model_fn(lambda: keras.optimizers.Adam(0.05)), config=config)


def predicted_by(estimator):
    """What an estimator predicts for one batch, (8, 1)."""
    return next(estimator.predict(batches(), yield_single_examples=False))["y"]


def assert_same_variables(session, estimator, but=()):
    values = session.run({variable.op.name: variable for variable in v1.global_variables()})
    assert sorted(values) == estimator.get_variable_names()
    for name in set(values) - set(but):
        expected = estimator.get_variable_value(name)
        np.testing.assert_allclose(values[name], expected, 1e-5, 1e-6, err_msg=name)


class TestTrainingOn:
    def test_keras_code_trains_as_in_the_estimator(self, estimator, path, tmp_path):
        """All its state moves alike: statistics, seeds of dropout, the optimizer's moments."""
        straight = copy_of(estimator, tmp_path / "copy").train(batches(), steps=10)
        with exported.Loaded(path, "train") as loaded:
            assert loaded.global_step() == 2
            losses = loaded.train(FED)
            assert loaded.global_step() == 12
            assert losses[-1] < 0.7 * losses[0]
            assert_same_variables(loaded.session, straight)

    @pytest.mark.parametrize("kind", ["of TF1", "of one object"])
    def test_other_optimizers(self, kind, tmp_path):
        optimizer = keras.optimizers.SGD(0.05)
        made = {"of TF1": lambda: v1.train.AdamOptimizer(0.05), "of one object": lambda: optimizer}
        estimator = trained(tmp_path / "model", made[kind])
        path = estimator.experimental_export_all_saved_models(tmp_path / "out", MODES).decode()
        estimator.train(batches(), steps=10)
        with exported.Loaded(path, "train") as loaded:
            losses = loaded.train(FED)
            assert losses[-1] < losses[0]
            assert_same_variables(loaded.session, estimator)

    def test_the_other_modes_train_nothing(self, path):
        graphs = exported.meta_graphs(path)
        assert {
            tag: exported.TRAIN_OP in graph.collection_def for tag, graph in graphs.items()
        } == {
            "train": True,
            "eval": False,
            "serve": False,
        }


class TestEvaluating:
    def test_metrics_count_what_they_are_told_to(self, estimator, path):
        y = np.stack(
            [row["y"] for row in estimator.predict(batches(), yield_single_examples=True)][:8]
        )
        error, largest = np.abs(y - Y).mean(), y.max()
        other = {**FED, "label": Y + 1.0}
        other_error = np.abs(y - Y - 1.0).mean()
        first, second, third = exported.evaluated(path, [FED, other])
        assert first == {"metrics/mae/value": 0.0, "metrics/max/value": 0.0}
        assert second["metrics/mae/value"] == pytest.approx(error, rel=1e-5)
        assert third["metrics/mae/value"] == pytest.approx((error + other_error) / 2, rel=1e-5)
        assert third["metrics/max/value"] == pytest.approx(largest, rel=1e-5)

    def test_one_metric_at_a_time(self, path):
        with exported.Loaded(path, "eval") as loaded:
            loaded.answers("eval", FED, "max/update_op")
            values = loaded.answers("eval", FED, "/value")
        assert values["metrics/mae/value"] == 0.0
        assert values["metrics/max/value"] != 0.0

    def test_loss_and_predictions_are_those_of_evaluate(self, estimator, path):
        with exported.Loaded(path, "eval") as loaded:
            answers = loaded.answers("eval", FED)
        expected = estimator.evaluate(batches(), steps=1)["loss"]
        assert answers["loss"] == pytest.approx(expected, rel=1e-5)
        assert np.shape(answers["predictions/y"]) == (8, 1)


class TestLoaders:
    @pytest.mark.parametrize("tag", ["train", "eval", "serve"])
    def test_functions(self, estimator, path, tag):
        answers = exported.from_functions(path, tag, FED)
        name = "serving_default" if tag == "serve" else tag
        assert list(answers) == [name]
        y = answers[name]["y" if tag == "serve" else "predictions/y"]
        if tag != "train":  # there is no dropout
            np.testing.assert_allclose(y, predicted_by(estimator), rtol=1e-5)

    def test_without_kestimator(self, estimator, path, tmp_path):
        """A process that has TensorFlow alone."""
        program = f"""
import sys
sys.modules["kestimator"] = None  # cannot be imported
import tensorflow as tf
served = tf.saved_model.load({path!r}, tags=["serve"]).signatures["serving_default"]
answers = served(x=tf.constant({X.tolist()}), word=tf.constant({WORDS.tolist()}))
print(answers["y"].numpy().tolist())
"""
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        np.testing.assert_allclose(found, predicted_by(estimator), rtol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("where", ["here", pytest.param("oracle", marks=pytest.mark.oracle)])
    @pytest.mark.parametrize("tag", ["serve", "eval", "train"])
    def test_the_command_of_tensorflow(self, estimator, path, tmp_path, where, tag):
        python = BESIDE_PYTHON[where]
        if python is None:
            pytest.skip("KESTIMATOR_ORACLE_PYTHON names no Python with TF 2.15")
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "label.npy", Y)
        for folder in ("predictions", "metrics/mae", "metrics/max"):  # it makes none for its files
            (tmp_path / "answers" / folder).mkdir(parents=True)
        inputs = f"x={tmp_path}/x.npy" + ("" if tag == "serve" else f";label={tmp_path}/label.npy")
        name, key = ("serving_default", "y") if tag == "serve" else (tag, "predictions/y")
        command = [
            *(str(pathlib.Path(python).parent / "saved_model_cli"), "run", "--dir", path),
            *("--tag_set", tag, "--signature_def", name, "--inputs", inputs),
            *("--input_exprs", f"word={WORDS.tolist()}", "--outdir", str(tmp_path / "answers")),
        ]
        environment = {k: value for k, value in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found = np.load(tmp_path / "answers" / f"{key}.npy")
        if tag != "train":
            np.testing.assert_allclose(found, predicted_by(estimator), rtol=1e-5)
        assert found.shape == (8, 1)

    def test_warm_start_from_it(self, estimator, path, tmp_path):
        config = kestimator.RunConfig(str(tmp_path / "model"), tf_random_seed=3)
        model_fn = keras_model_fn(lambda: keras.optimizers.Adam(0.05))
        started = kestimator.Estimator(model_fn, config=config, warm_start_from=path)
        started.train(batches(), steps=1)
        kernel = estimator.get_variable_value("dense/kernel")
        np.testing.assert_allclose(started.get_variable_value("dense/kernel"), kernel, atol=0.06)


class TestValues:
    def test_of_a_given_checkpoint_and_the_rest_goes_on(self, estimator, tmp_path):
        copied = copy_of(estimator, tmp_path / "copy")
        first = copied.latest_checkpoint()
        copied.train(batches(), steps=3)
        path = copied.experimental_export_all_saved_models(
            tmp_path / "out", MODES, checkpoint_path=first
        ).decode()
        with exported.Loaded(path, "train") as loaded:
            assert_same_variables(loaded.session, estimator)
        assert copied.train(batches(), steps=1).get_variable_value("global_step") == 6

    def test_of_a_partial_warm_start(self, estimator, tmp_path):
        settings = kestimator.WarmStartSettings(
            estimator.model_dir, vars_to_warm_start=["dense/kernel"]
        )
        started = kestimator.Estimator(
            keras_model_fn(lambda: keras.optimizers.Adam(0.05)),
            str(tmp_path / "model"),
            warm_start_from=settings,
        )
        path = started.experimental_export_all_saved_models(tmp_path / "out", MODES).decode()
        with exported.Loaded(path, "train") as loaded:
            kernel = v1.get_default_graph().get_tensor_by_name("dense/kernel/Read/ReadVariableOp:0")
            found = loaded.session.run(kernel)
            assert loaded.global_step() == 0
        np.testing.assert_array_equal(found, estimator.get_variable_value("dense/kernel"))

    def test_amid_training(self, tmp_path):
        paths = []

        class Exports(kestimator.CheckpointSaverListener):
            def after_save(self, session, global_step_value):
                out = tmp_path / "out"
                paths.append(estimator.experimental_export_all_saved_models(out, MODES).decode())

        model_fn = keras_model_fn(lambda: keras.optimizers.Adam(0.05))
        config = kestimator.RunConfig(str(tmp_path / "m"), tf_random_seed=3)
        estimator = kestimator.Estimator(model_fn, config=config)
        estimator.train(batches(), steps=4, saving_listeners=[Exports()])
        steps = []
        for path in paths:
            with exported.Loaded(path, "train") as loaded:
                steps.append(loaded.global_step())
        assert steps == [0, 4]

    def test_as_text_with_assets(self, estimator, tmp_path):
        (tmp_path / "notes.txt").write_text("notes")
        path = estimator.experimental_export_all_saved_models(
            tmp_path / "out", MODES, assets_extra={"n.txt": tmp_path / "notes.txt"}, as_text=True
        ).decode()
        assert sorted(os.listdir(path)) == ["assets.extra", "saved_model.pbtxt", "variables"]
        assert exported.trained_on(path, FED, 1)["steps"] == [2, 3]

    def test_state_of_dual_coordinates(self, tmp_path):
        """`LinearSDCA` keeps what it knows of examples beside the variables."""
        age = tf.feature_column.numeric_column("age")
        linear = kestimator.LinearEstimator(
            kestimator.RegressionHead(),
            [age],
            str(tmp_path / "model"),
            optimizer=kestimator.experimental.LinearSDCA("id", symmetric_l2_regularization=1.0),
        )
        features = {"age": np.array([[1.0], [2.0]], np.float32), "id": np.array(["p", "q"])}
        labels = np.array([[2.0], [4.0]], np.float32)
        linear.train(batches((features, labels)), steps=1)
        receiver = export.build_raw_supervised_input_receiver_fn(
            {name: tf.constant(values) for name, values in features.items()}, tf.constant(labels)
        )
        path = linear.export_saved_model(tmp_path, receiver, experimental_mode="train").decode()
        found = exported.trained_on(path, {**features, "label": labels}, 30)
        linear.train(batches((features, labels)), steps=30)
        assert found["steps"] == [1, 31]
        for name, values in found["variables"].items():  # at the optimum; the way there is random
            expected = np.ravel(linear.get_variable_value(name))
            np.testing.assert_allclose(values, expected, rtol=1e-3)


def in_another_graph():
    with tf.Graph().as_default():
        return serving()


EAGER = tf.constant(X)


def eagerly():
    return export.ServingInputReceiver({"x": EAGER}, {"x": EAGER})


def with_number_as_key():
    x = v1.placeholder(tf.float32, [None, 3])
    return export.ServingInputReceiver({"x": x}, {1: x})


def with_unknown_features():
    x = v1.placeholder(tf.float32, [None, 3])
    return export.SupervisedInputReceiver({"z": x}, x, {"x": x})


class TestRefused:
    @pytest.mark.parametrize(
        ("receiver_fns", "kind", "match"),
        [
            ({}, ValueError, r"`input_receiver_fn_map`.*'train', 'eval', 'infer'"),
            (None, TypeError, "`input_receiver_fn_map`"),
            ([supervised], TypeError, "`input_receiver_fn_map`"),
            ({"test": supervised}, ValueError, "`key of input_receiver_fn_map`.*'infer'.*'test'"),
            ({"predict": serving}, ValueError, "`key of"),
            ({3: serving}, ValueError, "`key of"),
            ({"train": supervised, "eval": None}, ValueError, r"`input_receiver_fn_map\['eval'\]`"),
            ({"train": 3}, TypeError, r"`input_receiver_fn_map\['train'\]`"),
            ({"train": dict}, TypeError, "SupervisedInputReceiver"),
            ({"infer": serving, "eval": lambda: (X, Y)}, TypeError, "SupervisedInputReceiver"),
            ({"eval": in_another_graph}, ValueError, "in the receiver function"),
            ({"infer": eagerly}, ValueError, "in the receiver function"),
            ({"infer": with_number_as_key}, ValueError, "key of receiver_tensors.*a string"),
            ({"eval": with_unknown_features}, KeyError, "word"),
        ],
    )
    def test_receivers(self, estimator, tmp_path, receiver_fns, kind, match):
        with pytest.raises(kind, match=match):
            estimator.experimental_export_all_saved_models(tmp_path / "out", receiver_fns)
        assert os.listdir(tmp_path) == []

    def test_of_a_mode_alone(self, estimator, tmp_path):
        with pytest.raises(ValueError, match="`serving_input_receiver_fn`"):
            estimator.export_saved_model(tmp_path / "out", None, experimental_mode="train")
        with pytest.raises(ValueError, match="`experimental_mode`.*'train', 'eval', 'infer'"):
            estimator.export_saved_model(tmp_path / "out", serving, experimental_mode="serve")
        assert os.listdir(tmp_path) == []

    def test_no_checkpoint(self, tmp_path):
        model_fn = keras_model_fn(lambda: keras.optimizers.Adam(0.05))
        untrained = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        with pytest.raises(ValueError, match="Couldn't find trained model at") as raised:
            untrained.experimental_export_all_saved_models(tmp_path / "out", MODES)
        assert isinstance(raised.value, errors.CheckpointNotFoundError)
        assert os.listdir(tmp_path) == []

    def test_checkpoint_without_the_variables_of_one_mode(self, estimator, tmp_path):
        """A warm start from an export for serving has no optimizer."""
        path = estimator.export_saved_model(tmp_path / "served", serving).decode()
        model_fn = keras_model_fn(lambda: keras.optimizers.Adam(0.05))
        started = kestimator.Estimator(model_fn, str(tmp_path / "model"), warm_start_from=path)
        with pytest.raises(errors.MissingVariableError, match="adam/"):
            started.experimental_export_all_saved_models(tmp_path / "out", MODES)
        assert os.listdir(tmp_path) == ["served"]

    @pytest.mark.parametrize("make", ["export_saved_model", "experimental_export_all_saved_models"])
    def test_a_file_in_the_place_of_the_directory(self, estimator, tmp_path, make):
        (tmp_path / "file").write_text("kept")
        receiver = serving if make == "export_saved_model" else MODES
        for base in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
            with pytest.raises(ValueError, match="`export_dir_base`.*file' is a file"):
                getattr(estimator, make)(base, receiver)
        assert (tmp_path / "file").read_text() == "kept"

    def test_directory_that_cannot_be_made(self, estimator):
        with pytest.raises(tf.errors.OpError) as raised:
            estimator.experimental_export_all_saved_models("/proc/no/such/place", MODES)
        assert "a directory that this process may write to" in raised.value.__notes__[0]

    @pytest.mark.parametrize(
        ("mode", "field", "make", "match"),
        [
            ("eval", "predictions", lambda y: {1: y}, "key of predictions.*a string"),
            (
                *("eval", "eval_metric_ops", lambda y: {("a", 1): v1.metrics.mean(y)}),
                "key of metrics.*a string",
            ),
            (
                *(
                    "infer",
                    "export_outputs",
                    lambda y: dict.fromkeys("ab", export.PredictOutput(y)),
                ),
                "an output called 'serving_default'",
            ),
        ],
    )
    def test_outputs(self, tmp_path, mode, field, make, match):
        def model_fn(features, labels, mode):
            w = v1.get_variable("w", [3, 1])
            y = features["x"] @ w
            if mode == kestimator.ModeKeys.TRAIN:
                step = v1.assign_add(v1.train.get_global_step(), 1)
                return kestimator.EstimatorSpec(mode, loss=tf.reduce_mean(y), train_op=step)
            given = {"predictions": y, "loss": tf.reduce_mean(y), **{field: make(y)}}
            return kestimator.EstimatorSpec(mode, **given)

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(batches(), steps=1)
        with pytest.raises(ValueError, match=match):
            estimator.experimental_export_all_saved_models(tmp_path / "out", {mode: MODES[mode]})
        assert os.listdir(tmp_path) == ["model"]

    @pytest.mark.parametrize("failing", ["train", "eval", "infer"])
    def test_model_fn_that_fails_in_one_mode(self, tmp_path, failing):
        inner = keras_model_fn(lambda: keras.optimizers.Adam(0.05))
        started = []

        def model_fn(features, labels, mode):
            if started and mode == failing:
                raise RuntimeError("of the model_fn")
            return inner(features, labels, mode)

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(batches(), steps=1)
        started.append(True)
        with pytest.raises(RuntimeError, match="of the model_fn"):
            estimator.experimental_export_all_saved_models(tmp_path / "out", MODES)
        assert os.listdir(tmp_path) == ["model"]

    def test_failure_after_the_first_graph_is_written(self, estimator, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError

        monkeypatch.setattr(v1.saved_model.Builder, "add_meta_graph", fail)
        with pytest.raises(RuntimeError):
            estimator.experimental_export_all_saved_models(tmp_path / "out", MODES)
        assert os.listdir(tmp_path) == []


class TestReceivers:
    x = tf.constant([[1.0]])

    def test_supervised_gives_what_it_was_given(self):
        receiver = export.SupervisedInputReceiver(self.x, {"y": self.x}, self.x)
        assert receiver.features is self.x
        assert receiver.labels == {"y": self.x}
        assert list(receiver.receiver_tensors) == ["input"]

    @pytest.mark.parametrize(
        "arguments",
        [(None, x, x), (x, None, x), (x, x, None), (x, 3.0, x), ({"x": "x"}, x, x), (x, x, {0: x})],
    )
    def test_supervised_that_cannot_be_used(self, arguments):
        with pytest.raises(ValueError, match="features|labels|receiver_tensors"):
            export.SupervisedInputReceiver(*arguments)

    def test_unsupervised_is_one_for_serving_without_alternatives(self):
        receiver = export.UnsupervisedInputReceiver(self.x, {"a": self.x})
        assert isinstance(receiver, export.ServingInputReceiver)
        assert list(receiver.features) == ["feature"]
        assert receiver.receiver_tensors_alternatives is None
        with pytest.raises(ValueError, match="features"):
            export.UnsupervisedInputReceiver(None, self.x)

    @pytest.mark.parametrize("size", [None, 4])
    def test_raw_features_and_labels(self, size):
        receiver_fn = export.build_raw_supervised_input_receiver_fn(
            {"a": tf.zeros([2, 3])}, tf.zeros([2], tf.int64), size
        )
        with tf.Graph().as_default():
            receiver = receiver_fn()
        assert {key: value.shape.as_list() for key, value in receiver.receiver_tensors.items()} == {
            "a": [size, 3],
            "label": [size],
        }
        assert receiver.features["a"] is receiver.receiver_tensors["a"]
        assert receiver.labels is receiver.receiver_tensors["label"]

    def test_raw_tensors_of_another_graph_keep_their_names(self):
        with tf.Graph().as_default():
            x = v1.placeholder(tf.float32, [7, 2], name="numbers")
            y = v1.placeholder(tf.int64, None, name="answers")
        receiver_fn = export.build_raw_supervised_input_receiver_fn(x, {"y": y})
        with tf.Graph().as_default():
            receiver = receiver_fn()
        assert receiver.features.op.name == "numbers"
        assert receiver.features.shape.as_list() == [None, 2]
        assert list(receiver.receiver_tensors) == ["input", "y"]
        assert receiver.labels["y"].op.name == "answers"

    @pytest.mark.parametrize(
        ("features", "labels", "match"),
        [
            (None, x, "`features`"),
            ({"x": 1.0}, x, r"`features\['x'\]`"),
            (x, None, "`labels`"),
            (x, [x], "`labels`"),
            ({"x": tf.sparse.eye(2)}, x, r"`features\['x'\]`.*dense"),
            ({"x": x}, {"x": x}, r"distinct keys.*\['x'\]"),
            ({"label": x}, x, r"distinct keys.*\['label'\]"),
        ],
    )
    def test_raw_that_cannot_be_used(self, features, labels, match):
        with pytest.raises(ValueError, match=match):
            export.build_raw_supervised_input_receiver_fn(features, labels)

    def test_also_experimental(self):
        receiver_fn = kestimator.experimental.build_raw_supervised_input_receiver_fn
        assert receiver_fn is export.build_raw_supervised_input_receiver_fn
