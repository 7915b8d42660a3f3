"""SavedModelEstimator, beyond what it has in common with the original's (`tests/parity`)."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, export
from tests.golden import make_saved_model
from tests.golden.compare import differences
from tests.parity import golden
from tests.programs import exported, saved_models

v1 = tf.compat.v1
X = np.random.RandomState(0).uniform(-1.0, 1.0, (8, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
FED = {"x": X, "label": Y}


def model_fn(features, labels, mode):
    """Keras layers with statistics, a seed and a metric."""
    training = mode == kestimator.ModeKeys.TRAIN
    values = keras.layers.Dense(4, "relu", use_bias=False)(features["x"])
    values = keras.layers.BatchNormalization(momentum=0.5)(values, training=training)
    values = keras.layers.Dropout(0.2)(values, training=training)
    y = keras.layers.Dense(1)(values)
    if mode == kestimator.ModeKeys.PREDICT:
        outputs = {"serving_default": export.PredictOutput(y), "y": export.PredictOutput({"y": y})}
        return kestimator.EstimatorSpec(mode, predictions={"y": y}, export_outputs=outputs)
    loss = tf.reduce_mean((y - labels) ** 2)
    v1.summary.scalar("of_the_model", loss)
    metric = keras.metrics.MeanAbsoluteError()
    metric.update_state(labels, y)
    return kestimator.EstimatorSpec(
        mode,
        predictions={"y": y},
        loss=loss,
        train_op=keras.optimizers.Adam(0.05),
        eval_metric_ops={"mae": metric},
    )


def batches(batch=({"x": X}, Y), times=100):
    return lambda: tf.data.Dataset.from_tensors(batch).repeat(times)


def summary_iterator(path):
    return v1.train.summary_iterator(str(path))


def supervised():
    return export.build_raw_supervised_input_receiver_fn({"x": tf.constant(X)}, tf.constant(Y))()


def serving():
    return export.build_raw_serving_input_receiver_fn({"x": tf.constant(X)})()


MODES = {"train": supervised, "eval": supervised, "infer": serving}


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    config = kestimator.RunConfig(str(tmp_path_factory.mktemp("model") / "m"), tf_random_seed=3)
    return kestimator.Estimator(model_fn, config=config).train(batches(), steps=2)


@pytest.fixture(scope="module")
def path(estimator, tmp_path_factory):
    """An export of every mode of `estimator`."""
    out = tmp_path_factory.mktemp("out")
    return estimator.experimental_export_all_saved_models(out, MODES).decode()


@pytest.fixture(scope="module")
def again(path, tmp_path_factory):
    """Its estimator, which no test trains."""
    return kestimator.SavedModelEstimator(path, tmp_path_factory.mktemp("again") / "model")


def test_what_the_original_exported(tmp_path):
    """Numbers are those that the original gave for the same export."""
    path = str(make_saved_model.DIRECTORY)
    answer = saved_models.goes_on_with_words(kestimator, path, str(tmp_path / "model"))
    expected = golden.expected("saved_models")["with_a_vocabulary"]
    assert differences(json.loads(json.dumps(answer)), expected) == []


class TestGoesOn:
    def test_with_keras_state(self, estimator, path, tmp_path):
        """Statistics, seeds of dropout and moments move as they would have in the estimator."""
        config = kestimator.RunConfig(str(tmp_path / "copy"), tf_random_seed=3)
        shutil.copytree(estimator.model_dir, tmp_path / "copy")
        straight = kestimator.Estimator(model_fn, config=config).train(batches(), steps=5)
        again = kestimator.SavedModelEstimator(path, tmp_path / "again").train(batches(), steps=5)
        assert again.get_variable_names() == straight.get_variable_names()
        for name in straight.get_variable_names():
            expected = straight.get_variable_value(name)
            np.testing.assert_allclose(again.get_variable_value(name), expected, 1e-5, 1e-6)
        expected, found = straight.evaluate(batches(times=2)), again.evaluate(batches(times=2))
        assert found["metrics/mae"] == pytest.approx(expected["mae"], rel=1e-5)
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)

    def test_before_any_training(self, estimator, path, again):
        assert again.saved_model_dir == path
        assert again.latest_checkpoint() == f"{path}/variables/variables"
        assert again.get_variable_names() == estimator.get_variable_names()
        assert again.get_variable_value("global_step") == 2
        assert again.evaluate(batches(times=1))["global_step"] == 2
        assert [row["output"] for row in again.predict(batches(times=1))] == [
            pytest.approx(row["y"]) for row in estimator.predict(batches(times=1))
        ]

    def test_max_steps_count_the_exported_ones(self, path, tmp_path, caplog):
        again = kestimator.SavedModelEstimator(path, tmp_path / "model")
        again.train(batches(), max_steps=2)
        assert "already been trained to step 2" in caplog.text
        assert not (tmp_path / "model").exists()
        assert again.train(batches(), max_steps=3).get_variable_value("global_step") == 3

    def test_train_and_evaluate(self, path, tmp_path):
        again = kestimator.SavedModelEstimator(path, tmp_path / "model")
        results, exports = kestimator.train_and_evaluate(
            again,
            kestimator.TrainSpec(batches(), max_steps=12),
            kestimator.EvalSpec(
                batches(times=1),
                every_steps=5,
                exporters=kestimator.FinalExporter("final", serving),
            ),
        )
        assert results["global_step"] == 12
        assert exported.predicted(exports[0].decode(), FED)["serving_default"]["output"]
        (events,) = (tmp_path / "model").glob("events.*")
        values = [value for event in summary_iterator(events) for value in event.summary.value]
        assert {"of_the_model", "loss", "global_step/sec"} >= {value.tag for value in values}
        assert "of_the_model" in {value.tag for value in values}

    def test_evaluation_amid_training_leaves_the_variables_alone(self, path, tmp_path):
        seen = []

        class Evaluates(kestimator.CheckpointSaverListener):
            def after_save(self, session, global_step_value):
                first = f"{path}/variables/variables"
                seen.append(again.evaluate(batches(times=1), checkpoint_path=first)["loss"])

        config = kestimator.RunConfig(save_checkpoints_steps=2)
        again = kestimator.SavedModelEstimator(path, tmp_path / "model", config=config)
        again.train(batches(), steps=4, saving_listeners=[Evaluates()])
        straight = kestimator.SavedModelEstimator(path, tmp_path / "b").train(batches(), steps=4)
        assert len(seen) == 3
        assert seen[0] == seen[1] == seen[2]
        np.testing.assert_allclose(
            again.get_variable_value("dense/kernel"), straight.get_variable_value("dense/kernel")
        )

    def test_how_many_checkpoints_are_kept(self, path, tmp_path):
        config = kestimator.RunConfig(save_checkpoints_steps=1, keep_checkpoint_max=2)
        again = kestimator.SavedModelEstimator(path, tmp_path / "model", config=config)
        again.train(batches(), steps=4)
        kept = sorted(path.name for path in (tmp_path / "model").glob("*.index"))
        assert kept == ["model.ckpt-5.index", "model.ckpt-6.index"]
        os.rename(tmp_path / "model", tmp_path / "moved")
        moved = kestimator.SavedModelEstimator(path, tmp_path / "moved")
        assert moved.latest_checkpoint() == str(tmp_path / "moved" / "model.ckpt-6")

    def test_from_estimators_made_of_it(self, again):
        def metric_fn(labels, predictions):
            return {"largest": v1.metrics.mean(tf.reduce_max(predictions["predictions/y"]))}

        more = kestimator.add_metrics(again, metric_fn)
        found = more.evaluate(batches(times=1), checkpoint_path=again.latest_checkpoint())
        largest = max(row["output"][0] for row in again.predict(batches(times=1)))
        assert found["largest"] == pytest.approx(largest, rel=1e-5)
        assert found["metrics/mae"] > 0

    def test_two_in_one_process_share_nothing(self, path, tmp_path):
        """Tables, functions and variables of one import are not those of another."""
        one, other = (
            kestimator.SavedModelEstimator(path, tmp_path / name) for name in ("one", "other")
        )
        before = other.evaluate(batches(times=1))
        one.train(batches(), steps=3)
        assert other.evaluate(batches(times=1)) == before


def sliced_model_fn(features, labels, mode):
    """A variable in slices, and a table that training fills."""
    weights = v1.get_variable(
        "weights",
        [4, 2],
        initializer=v1.ones_initializer(),
        partitioner=v1.fixed_size_partitioner(2),
    )
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
    y = tf.reduce_sum(tf.matmul(features["x"], tf.convert_to_tensor(weights)), 1)
    found = table.lookup(features["word"])
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"y": y, "found": found})
    loss, step = tf.reduce_sum(y), v1.train.get_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.01).minimize(loss)
    filled = table.insert(features["word"], tf.range(2, dtype=tf.int64) + step)
    with tf.control_dependencies([train_op, filled]):
        train_op = v1.assign_add(step, 1)
    metrics = {"found": v1.metrics.mean(found)} if mode == kestimator.ModeKeys.EVAL else None
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def test_sliced_variables_and_tables_that_training_fills(tmp_path):
    features = {"x": np.ones((2, 4), np.float32), "word": np.array(["a", "b"])}
    data = batches((features, np.zeros(2, np.float32)), times=3)
    estimator = kestimator.Estimator(sliced_model_fn, str(tmp_path / "model")).train(data)
    tensors = {name: tf.constant(values) for name, values in features.items()}
    receiver = export.build_raw_supervised_input_receiver_fn(tensors, tf.zeros([2]))
    serving = export.build_raw_serving_input_receiver_fn(tensors)
    path = estimator.experimental_export_all_saved_models(
        tmp_path / "out", {"train": receiver, "eval": receiver, "infer": serving}
    )
    again = kestimator.SavedModelEstimator(path, tmp_path / "again")
    for _ in range(2):
        expected, found = estimator.evaluate(data), again.evaluate(data)
        assert found["metrics/found"] == expected["found"]
        assert found["loss"] == pytest.approx(expected["loss"])
        assert list(again.predict(data)) == list(estimator.predict(data))
        for one in (estimator, again):
            one.train(data)
    assert again.get_variable_names() == estimator.get_variable_names()


class TestExports:
    def test_every_signature_again(self, path, again, tmp_path):
        second = again.export_saved_model(tmp_path / "out", serving).decode()
        first, found = exported.predicted(path, FED), exported.predicted(second, FED)
        assert sorted(found) == ["serving_default", "y"]
        for name, outputs in first.items():
            for key, values in outputs.items():
                np.testing.assert_allclose(found[name][key], values, rtol=1e-6)

    def test_every_mode_of_what_was_trained_on(self, path, tmp_path):
        again = kestimator.SavedModelEstimator(path, tmp_path / "a").train(batches(), steps=3)
        second = again.experimental_export_all_saved_models(tmp_path / "out", MODES).decode()
        third = kestimator.SavedModelEstimator(second, tmp_path / "b")
        assert third.evaluate(batches(times=2)) == pytest.approx(again.evaluate(batches(times=2)))
        for one in (again, third):
            one.train(batches(), steps=3)
        for name in again.get_variable_names():
            expected = again.get_variable_value(name)
            np.testing.assert_allclose(third.get_variable_value(name), expected, 1e-5, 1e-6)
        placeholders = [
            node.name
            for node in exported.meta_graphs(second)["eval"].graph_def.node
            if node.op == "Placeholder"
        ]
        assert len(placeholders) == 2  # of the second export; those of the first are gone

    def test_assets_go_along(self, tmp_path):
        again = kestimator.SavedModelEstimator(make_saved_model.DIRECTORY, tmp_path / "model")
        receivers = saved_models.receivers_of_words(kestimator)
        out = tmp_path / "out"
        second = again.experimental_export_all_saved_models(out, receivers).decode()
        assert os.listdir(os.path.join(second, "assets")) == ["vocabulary.txt"]
        shutil.move(second, tmp_path / "moved")
        shutil.rmtree(out)
        third = kestimator.SavedModelEstimator(tmp_path / "moved", tmp_path / "third")
        words = saved_models.words
        assert list(third.predict(words)) == list(again.predict(words))


class TestInputs:
    def exported(self, tmp_path, features, make_receiver):
        """The estimator of a model that sums up its features."""

        def model_fn(features, labels, mode):
            w = v1.get_variable("w", [], initializer=v1.ones_initializer())
            dense = [
                tf.convert_to_tensor(tf.sparse.to_dense(value))
                if isinstance(value, tf.SparseTensor)
                else value.to_tensor()
                if isinstance(value, tf.RaggedTensor)
                else value
                for value in tf.nest.flatten(features)
            ]
            y = w * tf.add_n([tf.reduce_sum(value) for value in dense])
            if mode == kestimator.ModeKeys.PREDICT:
                return kestimator.EstimatorSpec(mode, predictions={"y": y[None]})
            step = v1.assign_add(v1.train.get_global_step(), 1)
            loss = y if labels is None else y - tf.reduce_sum(labels)
            return kestimator.EstimatorSpec(mode, loss=loss, train_op=step)

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(lambda: tf.data.Dataset.from_tensors(features))
        path = estimator.experimental_export_all_saved_models(tmp_path / "out", make_receiver)
        return kestimator.SavedModelEstimator(path, tmp_path / "again")

    def test_sparse_and_ragged(self, tmp_path):
        features = {"s": tf.sparse.eye(3), "r": tf.ragged.constant([[1.0], [2.0, 3.0]])}

        def receiver():
            placeholders = {
                "s": v1.sparse_placeholder(tf.float32, [None, None]),
                "r": v1.ragged.placeholder(tf.float32, 1),
            }
            return export.ServingInputReceiver(placeholders, placeholders)

        again = self.exported(tmp_path, features, {"infer": receiver, "eval": receiver})
        data = lambda: tf.data.Dataset.from_tensors(features)  # noqa: E731
        assert [row["y"] for row in again.predict(data)] == [9.0]
        assert again.evaluate(data)["loss"] == 9.0
        second = again.export_saved_model(tmp_path / "second", receiver)
        served = kestimator.SavedModelEstimator(second, tmp_path / "third")
        assert [row["y"] for row in served.predict(data)] == [9.0]
        dense = {**features, "s": tf.eye(3)}
        with pytest.raises(ValueError, match="s of the features.*a SparseTensor of float32"):
            list(again.predict(lambda: tf.data.Dataset.from_tensors(dense)))

    def test_tensors_without_names(self, tmp_path):
        receiver = export.build_raw_supervised_input_receiver_fn(tf.zeros([1]), tf.zeros([1]))

        def serving():
            x = v1.placeholder(tf.float32, [None], name="x")
            return export.TensorServingInputReceiver(x, {"numbers": x})

        modes = {"train": receiver, "eval": receiver, "infer": serving}
        again = self.exported(tmp_path, ([1.0, 2.0], [1.0, 1.0]), modes)
        data = lambda: tf.data.Dataset.from_tensors(([1.0, 2.0], [1.0, 1.0]))  # noqa: E731
        assert again.evaluate(data)["loss"] == 1.0
        assert [row["y"] for row in again.predict(data)] == [3.0]

    def test_features_that_nobody_asks_for(self, again):
        more = batches(({"x": X, "more": X}, Y), times=1)
        assert again.evaluate(more) == again.evaluate(batches(times=1))

    @pytest.mark.parametrize(
        ("batch", "match"),
        [
            (({"z": X}, Y), r"'x' not found.*Received: \['label', 'z'\].*'label': 'a Tensor"),
            (({"x": X.astype(np.float64)}, Y), "x of the features or labels.*float32"),
            (({"x": X[:, :2]}, Y), r"x of the features or labels.*\(None, 3\)"),
            (({"x": X}, Y.astype(np.int64)), "label of the features or labels.*float32"),
            ({"x": X}, "'label' not found"),
        ],
    )
    def test_that_do_not_fit(self, path, tmp_path, batch, match):
        again = kestimator.SavedModelEstimator(path, tmp_path / "model")
        for call in (again.train, again.evaluate):
            with pytest.raises(ValueError, match=match):
                call(batches(batch))
        assert not (tmp_path / "model").exists()


class TestModes:
    @pytest.mark.parametrize("mode", ["train", "eval", "infer"])
    def test_that_were_not_exported(self, estimator, tmp_path, mode):
        others = {key: receiver for key, receiver in MODES.items() if key != mode}
        path = estimator.experimental_export_all_saved_models(tmp_path / "out", others).decode()
        again = kestimator.SavedModelEstimator(path, tmp_path / "model")
        calls = {
            "train": lambda: again.train(batches(), steps=1),
            "eval": lambda: again.evaluate(batches(times=1)),
            "infer": lambda: list(again.predict(batches(times=1))),
        }
        for refused in (
            {"infer": lambda: again.predict(batches()), **calls}[mode],
            lambda: again.export_saved_model(tmp_path, MODES[mode], experimental_mode=mode),
        ):
            with pytest.raises(RuntimeError, match=f"'{mode}' mode is not available") as raised:
                refused()
            assert isinstance(raised.value, errors.ModeNotExportedError)
        assert sorted(os.listdir(tmp_path)) == ["out"]
        for key in others:
            assert calls[key]()

    def test_receiver_that_served_nothing(self, estimator, tmp_path):
        """The graph is there, its signature is not."""

        def receiver():
            x = v1.placeholder(tf.float32, [None, 3])
            y = v1.placeholder(tf.float32, [None, 1])
            return export.SupervisedInputReceiver({"x": x}, y, {"x": x})

        path = estimator.export_saved_model(tmp_path, receiver, experimental_mode="eval")
        again = kestimator.SavedModelEstimator(path, tmp_path / "model")
        with pytest.raises(errors.ModeNotExportedError, match=r"tags \[\['eval'\]\]"):
            again.evaluate(batches())


class TestRefused:
    def test_path(self, path, tmp_path):
        with pytest.raises(TypeError, match="saved_model_dir"):
            kestimator.SavedModelEstimator(None)
        with pytest.raises(OSError, match="no readable SavedModel") as raised:
            kestimator.SavedModelEstimator(tmp_path)
        assert isinstance(raised.value, errors.SavedModelError)
        with pytest.raises(errors.SavedModelError, match=f"Did you mean '{path}'"):
            kestimator.SavedModelEstimator(os.path.dirname(path))

    def test_damaged(self, path, tmp_path):
        copy = shutil.copytree(path, tmp_path / "copy")
        (copy / "saved_model.pb").write_bytes(b"damaged")
        with pytest.raises(errors.SavedModelError, match="no readable SavedModel"):
            kestimator.SavedModelEstimator(copy)
        shutil.copy(pathlib.Path(path) / "saved_model.pb", copy)
        os.remove(copy / "variables" / "variables.index")
        with pytest.raises(errors.SavedModelError, match="has no variables"):
            kestimator.SavedModelEstimator(copy)

    def test_of_tensorflow_2(self, tmp_path):
        module = tf.Module()
        module.w = tf.Variable(1.0)
        module.call = tf.function(lambda x: module.w * x, [tf.TensorSpec([], tf.float32)])
        tf.saved_model.save(module, str(tmp_path))
        with pytest.raises(errors.SavedModelError, match="not written by an Estimator"):
            kestimator.SavedModelEstimator(tmp_path)

    def test_variables_that_are_references(self, tmp_path):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.train.create_global_step()
            x = v1.placeholder(tf.float32, [])
            y = x * v1.get_variable("w", [], use_resource=False)
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, str(tmp_path / "out"), {"x": x}, {"y": y})
        again = kestimator.SavedModelEstimator(tmp_path / "out", tmp_path / "model")
        with pytest.raises(errors.SavedModelError, match="enable_resource_variables"):
            list(again.predict(lambda: tf.data.Dataset.from_tensors({"x": 1.0})))

    def test_several_replicas(self, path, tmp_path):
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        config = kestimator.RunConfig(str(tmp_path / "model"), train_distribute=strategy)
        with pytest.raises(ValueError, match="`config`.*without a distribution strategy"):
            kestimator.SavedModelEstimator(path, config=config)

    def test_outside_of_an_estimator(self, again):
        with (
            tf.Graph().as_default(),
            pytest.raises(errors.KestimatorError, match="calls its model_fn"),
        ):
            again.model_fn({"x": tf.constant(X)}, tf.constant(Y), "eval", again.config)
