import json
import os
import pathlib
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, export
from tests.golden import make_export
from tests.golden.compare import differences

v1 = tf.compat.v1
GOLDEN = json.loads(make_export.GOLDEN.read_text())
ORACLE = os.environ.get("KESTIMATOR_ORACLE_PYTHON")
MAKE_EXPORT = pathlib.Path(make_export.__file__)


def dense_model_fn(features, labels, mode):
    """One row of weights, from 1 up; a step adds 1 to each."""
    weights = v1.get_variable("weights", [1, 2], initializer=v1.constant_initializer([[1.0, 2.0]]))
    outputs = tf.matmul(features["x"], weights)
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"y": outputs})
    step = v1.assign_add(v1.train.get_global_step(), 1)
    train_op = tf.group(step, v1.assign_add(weights, tf.ones_like(weights)))
    return kestimator.EstimatorSpec(mode, loss=tf.reduce_sum(outputs), train_op=train_op)


def ones(batches=1):
    return tf.data.Dataset.from_tensors(({"x": [[1.0]]}, [0.0])).repeat(batches)


def raw_receiver():
    return export.build_raw_serving_input_receiver_fn({"x": tf.zeros([1, 1])})()


def outputs_of(path, **inputs):
    """What the default signature answers."""
    loaded = tf.saved_model.load(path.decode() if isinstance(path, bytes) else path)
    answers = loaded.signatures["serving_default"](
        **{key: tf.constant(value) for key, value in inputs.items()}
    )
    return {key: value.numpy().tolist() for key, value in answers.items()}


def files_below(path):
    root = pathlib.Path(path)
    return sorted(str(found.relative_to(root)) for found in root.rglob("*") if found.is_file())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An estimator whose weights are [[2, 3]], one step from [[1, 2]]."""
    model_dir = tmp_path_factory.mktemp("trained")
    return kestimator.Estimator(dense_model_fn, str(model_dir)).train(ones)


@pytest.mark.parametrize(("receiver", "outputs"), make_export.CASES)
def test_like_the_original(receiver, outputs, tmp_path):
    path = make_export.export(kestimator, receiver, outputs, str(tmp_path))
    found = json.loads(json.dumps(make_export.read(path)))
    assert differences(found, GOLDEN[f"{receiver}, {outputs}"]) == []


@pytest.mark.oracle
@pytest.mark.skipif(not ORACLE, reason="KESTIMATOR_ORACLE_PYTHON names no Python with TF 2.15")
@pytest.mark.parametrize("case", [("alternatives", "every kind"), ("raw", "every kind")])
def test_loads_in_the_tensorflow_of_the_original(case, tmp_path):
    path = make_export.export(kestimator, *case, str(tmp_path))
    done = subprocess.run(
        [ORACLE, str(MAKE_EXPORT), "--load", path],
        capture_output=True,
        text=True,
        check=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert differences(json.loads(done.stdout.splitlines()[-1]), GOLDEN[", ".join(case)]) == []


class TestDirectory:
    def test_path_is_bytes_with_ten_digits(self, trained, tmp_path):
        path = trained.export_saved_model(tmp_path / "a" / "b", raw_receiver)
        assert isinstance(path, bytes)
        base, name = os.path.split(path.decode())
        assert base == str(tmp_path / "a" / "b")
        assert len(name) == 10
        assert name.isdigit()

    def test_bytes_as_the_base(self, trained, tmp_path):
        path = trained.export_saved_model(os.fsencode(tmp_path), raw_receiver)
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}

    def test_two_in_one_second_wait(self, trained, tmp_path):
        paths = {trained.export_saved_model(str(tmp_path), raw_receiver) for _ in range(3)}
        assert len(paths) == 3
        assert sorted(os.listdir(tmp_path)) == sorted(os.path.basename(p).decode() for p in paths)

    def test_files(self, trained, tmp_path):
        path = trained.export_saved_model(str(tmp_path), raw_receiver)
        assert files_below(path.decode()) == [
            "saved_model.pb",
            "variables/variables.data-00000-of-00001",
            "variables/variables.index",
        ]

    def test_as_text(self, trained, tmp_path):
        path = trained.export_saved_model(str(tmp_path), raw_receiver, as_text=True)
        assert "saved_model.pbtxt" in files_below(path.decode())
        assert "saved_model.pb" not in files_below(path.decode())
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}

    def test_assets_extra(self, trained, tmp_path):
        source = tmp_path / "notes.txt"
        source.write_text("of the model")
        path = trained.export_saved_model(
            str(tmp_path / "out"),
            raw_receiver,
            assets_extra={"a.txt": str(source), "sub/./folder/b.txt": source},
        )
        extra = pathlib.Path(path.decode()) / "assets.extra"
        assert files_below(extra) == ["a.txt", "sub/folder/b.txt"]
        assert (extra / "sub" / "folder" / "b.txt").read_text() == "of the model"

    def test_old_name(self, trained, tmp_path):
        path = trained.export_savedmodel(str(tmp_path), raw_receiver, strip_default_attrs=True)
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}


class TestNothingIsLeftBehind:
    @pytest.mark.parametrize(
        "key", ["../out.txt", "/abs.txt", "a/../../b.txt", "..", ".", "", "a/.."]
    )
    def test_assets_extra_out_of_the_folder(self, trained, tmp_path, key):
        source = tmp_path / "source.txt"
        source.write_text("")
        with pytest.raises(ValueError, match="assets_extra"):
            trained.export_saved_model(
                str(tmp_path / "out"), raw_receiver, assets_extra={key: str(source)}
            )
        assert files_below(tmp_path) == ["source.txt"]
        assert not (tmp_path / "out").exists()

    def test_assets_extra_that_do_not_exist(self, trained, tmp_path):
        with pytest.raises(ValueError, match="assets_extra.*existing"):
            trained.export_saved_model(
                str(tmp_path / "out"), raw_receiver, assets_extra={"a": str(tmp_path / "none")}
            )
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
    @pytest.mark.parametrize("of", ["copy", "rename"])
    def test_failure_while_writing(self, trained, tmp_path, monkeypatch, failure, of):
        source = tmp_path / "source.txt"
        source.write_text("")

        def fail(*_, **__):
            raise failure

        monkeypatch.setattr(tf.io.gfile, of, fail)
        with pytest.raises(failure):
            trained.export_saved_model(
                str(tmp_path / "new" / "out"), raw_receiver, assets_extra={"a": str(source)}
            )
        assert os.listdir(tmp_path) == ["source.txt"]

    def test_other_exports_survive_a_failure(self, trained, tmp_path, monkeypatch):
        path = trained.export_saved_model(str(tmp_path), raw_receiver)

        def fail(*_, **__):
            raise RuntimeError

        monkeypatch.setattr(v1.saved_model.Builder, "save", fail)
        with pytest.raises(RuntimeError):
            trained.export_saved_model(str(tmp_path), raw_receiver)
        assert os.listdir(tmp_path) == [os.path.basename(path).decode()]

    def test_failure_in_the_model_fn(self, tmp_path):
        def model_fn(features, mode):
            if mode == kestimator.ModeKeys.PREDICT:
                raise RuntimeError("of the model_fn")
            return dense_model_fn(features, None, mode)

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(lambda: {"x": tf.constant([[1.0]])}, steps=1)
        with pytest.raises(RuntimeError, match="of the model_fn"):
            estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert not (tmp_path / "out").exists()


class TestValues:
    def test_of_a_given_checkpoint(self, tmp_path):
        config = kestimator.RunConfig(save_checkpoints_steps=1)
        estimator = kestimator.Estimator(dense_model_fn, str(tmp_path / "model"), config)
        estimator.train(lambda: ones(3))
        assert outputs_of(
            estimator.export_saved_model(str(tmp_path / "out"), raw_receiver), x=[[1.0]]
        ) == {"y": [[4.0, 5.0]]}
        path = estimator.export_saved_model(
            str(tmp_path / "out"),
            raw_receiver,
            checkpoint_path=str(tmp_path / "model" / "model.ckpt-1"),
        )
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}

    def test_no_checkpoint(self, tmp_path):
        estimator = kestimator.Estimator(dense_model_fn, str(tmp_path / "model"))
        with pytest.raises(ValueError, match="Couldn't find trained model at"):
            estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert not (tmp_path / "out").exists()

    def test_no_such_checkpoint(self, trained, tmp_path):
        with pytest.raises(ValueError, match="checkpoint_path"):
            trained.export_saved_model(
                str(tmp_path), raw_receiver, checkpoint_path=str(tmp_path / "none")
            )

    def test_of_a_warm_start(self, trained, tmp_path):
        started = kestimator.Estimator(
            dense_model_fn, str(tmp_path / "model"), warm_start_from=trained.model_dir
        )
        path = started.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}
        assert not (tmp_path / "model").exists()

    def test_of_a_warm_start_with_other_names(self, trained, tmp_path):
        def model_fn(features, labels, mode):
            with v1.variable_scope("outer"):
                return dense_model_fn(features, labels, mode)

        settings = kestimator.WarmStartSettings(
            trained.model_dir, var_name_to_prev_var_name={"outer/weights": "weights"}
        )
        started = kestimator.Estimator(model_fn, str(tmp_path / "m"), warm_start_from=settings)
        path = started.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}

    def test_warm_start_from_an_export(self, trained, tmp_path):
        path = trained.export_saved_model(str(tmp_path / "out"), raw_receiver).decode()
        started = kestimator.Estimator(
            dense_model_fn, str(tmp_path / "model"), warm_start_from=path
        )
        again = started.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert outputs_of(again, x=[[1.0]]) == {"y": [[2.0, 3.0]]}

    def test_variable_that_the_checkpoint_lacks(self, trained, tmp_path):
        def model_fn(features, labels, mode):
            spec = dense_model_fn(features, labels, mode)
            more = v1.get_variable("more", [])
            return spec._replace(predictions={"y": spec.predictions["y"] + more})

        estimator = kestimator.Estimator(model_fn, trained.model_dir)
        with pytest.raises(ValueError, match="'more'.*not in the checkpoint") as raised:
            estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert isinstance(raised.value, errors.MissingVariableError)
        assert not (tmp_path / "out").exists()

    def test_saver_of_the_scaffold(self, tmp_path):
        """An average of the weights is exported in their place, as the saver maps names."""

        def model_fn(features, labels, mode):
            spec = dense_model_fn(features, labels, mode)
            (weights,) = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
            average = tf.train.ExponentialMovingAverage(0.5)
            if mode == kestimator.ModeKeys.TRAIN:
                with tf.control_dependencies([spec.train_op]):
                    return spec._replace(train_op=average.apply([weights]))
            saver = v1.train.Saver(average.variables_to_restore([weights]))
            return spec._replace(scaffold=v1.train.Scaffold(saver=saver))

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model")).train(ones)
        averaged = estimator.get_variable_value("weights/ExponentialMovingAverage")
        assert averaged.tolist() != estimator.get_variable_value("weights").tolist()
        path = estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert outputs_of(path, x=[[1.0]]) == {"y": averaged.tolist()}

    def test_saver_of_the_scaffold_that_does_not_fit(self, trained, tmp_path):
        def model_fn(features, labels, mode):
            spec = dense_model_fn(features, labels, mode)
            (weights,) = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
            scaffold = v1.train.Scaffold(saver=v1.train.Saver({"unknown": weights}))
            return spec._replace(scaffold=scaffold)

        estimator = kestimator.Estimator(model_fn, trained.model_dir)
        with pytest.raises(ValueError, match="unknown"):
            estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert not (tmp_path / "out").exists()


class TestTrainingGoesOn:
    def test_after_an_export(self, tmp_path):
        estimator = kestimator.Estimator(dense_model_fn, str(tmp_path / "model")).train(ones)
        estimator.export_saved_model(str(tmp_path / "out"), raw_receiver)
        estimator.train(ones)
        assert estimator.get_variable_value("weights").tolist() == [[3.0, 4.0]]

    def test_after_an_export_amid_it(self, tmp_path):
        exported = []

        class Exports(kestimator.CheckpointSaverListener):
            def after_save(self, session, global_step_value):
                checkpoint = str(tmp_path / "model" / "model.ckpt-0")
                exported.append(
                    estimator.export_saved_model(
                        str(tmp_path / "out"), raw_receiver, checkpoint_path=checkpoint
                    )
                )

        config = kestimator.RunConfig(save_checkpoints_steps=2)
        estimator = kestimator.Estimator(dense_model_fn, str(tmp_path / "model"), config)
        estimator.train(lambda: ones(3), saving_listeners=[Exports()])
        assert len(exported) == 3
        assert outputs_of(exported[-1], x=[[1.0]]) == {"y": [[1.0, 2.0]]}
        assert estimator.get_variable_value("weights").tolist() == [[4.0, 5.0]]

    def test_after_the_export_of_a_partial_warm_start(self, trained, tmp_path):
        settings = kestimator.WarmStartSettings(trained.model_dir, vars_to_warm_start="weights")
        started = kestimator.Estimator(
            dense_model_fn, str(tmp_path / "model"), warm_start_from=settings
        )
        path = started.export_saved_model(str(tmp_path / "out"), raw_receiver)
        assert outputs_of(path, x=[[1.0]]) == {"y": [[2.0, 3.0]]}
        started.train(ones)
        assert started.get_variable_value("weights").tolist() == [[3.0, 4.0]]
        assert started.get_variable_value("global_step") == 1


class TestGraphs:
    @pytest.fixture
    def keras_estimator(self, tmp_path):
        lookup = keras.layers.StringLookup(vocabulary=["a", "b"])

        def model_fn(features, labels, mode):
            training = mode == kestimator.ModeKeys.TRAIN
            hidden = keras.layers.Embedding(3, 4)(lookup(features["word"]))
            hidden = keras.layers.BatchNormalization()(hidden, training=training)
            hidden = keras.layers.Dropout(0.5)(hidden, training=training)
            outputs = tf.cond(
                tf.size(hidden) > 8, lambda: hidden, lambda: keras.layers.Dense(4)(hidden)
            )
            loss = None if labels is None else tf.reduce_mean((outputs - 1.0) ** 2)
            return kestimator.EstimatorSpec(
                mode, predictions={"y": outputs}, loss=loss, train_op=keras.optimizers.Adam(0.1)
            )

        return kestimator.Estimator(model_fn, str(tmp_path / "model"))

    @staticmethod
    def words():
        words = [[word] for word in ["a", "b", "c", "a"]]
        return tf.data.Dataset.from_tensors(({"word": words}, [0.0] * 4)).repeat(3)

    def test_keras_layers_and_tables(self, keras_estimator, tmp_path):
        keras_estimator.train(self.words)
        expected = [row["y"] for row in keras_estimator.predict(self.words)][:4]
        receiver = export.build_raw_serving_input_receiver_fn({"word": tf.constant([["a"]])})
        path = keras_estimator.export_saved_model(str(tmp_path / "out"), receiver)
        answered = outputs_of(path, word=[["a"], ["b"], ["c"], ["a"]])
        np.testing.assert_allclose(answered["y"], expected, rtol=1e-6)

    def test_tables_inside_of_functions(self, tmp_path):
        """A table that only the branch of a cond and the body of a loop use."""
        initializer = tf.lookup.KeyValueTensorInitializer([1, 2], [10.0, 20.0])
        table = tf.lookup.StaticHashTable(initializer, -1.0)

        def model_fn(features, mode):
            def body(i, total):
                return i + 1, total + tf.cond(i > 0, lambda: table.lookup(features), lambda: 0.0)

            v1.get_variable("unused", [])
            _, total = tf.while_loop(lambda i, _: i < 3, body, [0, 0.0])
            step = v1.assign_add(v1.train.get_global_step(), 1)
            return kestimator.EstimatorSpec(
                mode, predictions={"y": total[None]}, loss=total, train_op=step
            )

        def receiver():
            number = v1.placeholder(tf.int32, [])
            return export.TensorServingInputReceiver(number, number)

        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(lambda: tf.constant(2), steps=1)
        path = estimator.export_saved_model(str(tmp_path / "out"), receiver)
        assert outputs_of(path, input=2) == {"y": [40.0]}
        assert outputs_of(path, input=7) == {"y": [-2.0]}

    def test_mutable_tables(self, tmp_path):
        """What training inserted is in the checkpoint, and so in the export."""

        def model_fn(features, labels, mode):
            table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
            found = table.lookup(features["word"])
            step = v1.assign_add(v1.train.get_global_step(), 1)
            train_op = tf.group(step, table.insert(features["word"], tf.range(4, dtype=tf.int64)))
            loss = tf.reduce_sum(tf.cast(found, tf.float32))
            return kestimator.EstimatorSpec(
                mode, predictions={"y": found}, loss=loss, train_op=train_op
            )

        def words():
            return tf.data.Dataset.from_tensors(({"word": ["a", "b", "c", "d"]}, [0.0]))

        receiver = export.build_raw_serving_input_receiver_fn({"word": tf.constant(["a"])})
        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model")).train(words)
        path = estimator.export_saved_model(str(tmp_path / "out"), receiver)
        assert outputs_of(path, word=["b", "d", "e"]) == {"y": [1, 3, -1]}

    def test_meta_file_of_a_checkpoint_imports(self, keras_estimator):
        keras_estimator.train(self.words)
        checkpoint = keras_estimator.latest_checkpoint()
        with tf.Graph().as_default() as graph, v1.Session() as session:
            saver = v1.train.import_meta_graph(f"{checkpoint}.meta")
            saver.restore(session, checkpoint)
            variables = v1.global_variables()
            values = session.run({variable.name[:-2]: variable for variable in variables})
            placeholders = [op for op in graph.get_operations() if op.type == "Placeholder"]
        assert sorted(values) == keras_estimator.get_variable_names()
        for name, value in values.items():
            np.testing.assert_array_equal(value, keras_estimator.get_variable_value(name))
        assert {op.outputs[0].dtype for op in placeholders} == {tf.string, tf.float32}

    def test_sliced_variables(self, tmp_path):
        def model_fn(features, labels, mode):
            weights = v1.get_variable(
                "weights",
                [4, 2],
                initializer=v1.ones_initializer(),
                partitioner=v1.fixed_size_partitioner(2),
            )
            outputs = tf.matmul(features["x"], tf.convert_to_tensor(weights))
            step = v1.assign_add(v1.train.get_global_step(), 1)
            return kestimator.EstimatorSpec(
                mode, predictions={"y": outputs}, loss=tf.reduce_sum(outputs), train_op=step
            )

        receiver = export.build_raw_serving_input_receiver_fn({"x": tf.zeros([1, 4])})
        estimator = kestimator.Estimator(model_fn, str(tmp_path / "model"))
        estimator.train(lambda: ({"x": tf.ones([1, 4])}, tf.zeros([1])), steps=1)
        path = estimator.export_saved_model(str(tmp_path / "out"), receiver)
        assert outputs_of(path, x=[[1.0, 2.0, 3.0, 4.0]]) == {"y": [[10.0, 10.0]]}


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "kind", "match"),
        [
            ({"serving_input_receiver_fn": None}, ValueError, "serving_input_receiver_fn"),
            ({"serving_input_receiver_fn": 3}, TypeError, "serving_input_receiver_fn"),
            ({"serving_input_receiver_fn": lambda: None}, TypeError, "ServingInputReceiver"),
            ({"export_dir_base": None}, TypeError, "export_dir_base"),
            ({"assets_extra": ["a"]}, TypeError, "assets_extra"),
            ({"experimental_mode": "test"}, ValueError, "experimental_mode"),
            ({"experimental_mode": None}, ValueError, "experimental_mode"),
            ({"experimental_mode": ["train"]}, ValueError, "experimental_mode"),
        ],
    )
    def test_that_cannot_be_used(self, trained, tmp_path, arguments, kind, match):
        given = {
            "export_dir_base": str(tmp_path / "out"),
            "serving_input_receiver_fn": raw_receiver,
        }
        with pytest.raises(kind, match=match):
            trained.export_saved_model(**{**given, **arguments})
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("spec", [None, {}, [tf.io.FixedLenFeature([], tf.float32)]])
    def test_feature_spec(self, spec):
        with pytest.raises(ValueError, match="feature_spec"):
            export.build_parsing_serving_input_receiver_fn(spec)

    @pytest.mark.parametrize(
        "features", [None, {}, tf.constant([1.0]), {"x": 1.0}, {"x": tf.sparse.eye(2)}]
    )
    def test_raw_features(self, features):
        with pytest.raises(ValueError, match="features"):
            export.build_raw_serving_input_receiver_fn(features)


class TestReceivers:
    tensor = tf.constant([1.0])

    def test_single_tensors_get_names(self):
        receiver = export.ServingInputReceiver(self.tensor, self.tensor, {"a": self.tensor})
        assert list(receiver.features) == ["feature"]
        assert list(receiver.receiver_tensors) == ["input"]
        assert list(receiver.receiver_tensors_alternatives["a"]) == ["input"]

    def test_given_dicts_stay_as_they_are(self):
        alternatives = {"a": self.tensor}
        export.ServingInputReceiver({"x": self.tensor}, {"x": self.tensor}, alternatives)
        assert alternatives["a"] is self.tensor

    def test_features_may_have_numbers_as_names(self):
        assert list(export.ServingInputReceiver({0: self.tensor}, self.tensor).features) == [0]

    def test_tensor_features_stay_a_tensor(self):
        receiver = export.TensorServingInputReceiver(self.tensor, self.tensor)
        assert receiver.features is self.tensor
        assert receiver.receiver_tensors_alternatives is None

    @pytest.mark.parametrize(
        "arguments",
        [
            (None, tensor),
            (tensor, None),
            ({"x": 1.0}, tensor),
            ({"x": tensor}, {"x": [1.0]}),
            ({1.5: tensor}, tensor),
            ({"x": tensor}, {0: tensor}),
            ({"x": tensor}, tensor, [tensor]),
            ({"x": tensor}, tensor, {"a": None}),
        ],
    )
    def test_that_cannot_be_used(self, arguments):
        with pytest.raises(ValueError, match="features|receiver_tensors"):
            export.ServingInputReceiver(*arguments)

    @pytest.mark.parametrize("features", [None, {"x": tensor}, 1.0])
    def test_tensor_features_that_cannot_be_used(self, features):
        with pytest.raises(ValueError, match="features"):
            export.TensorServingInputReceiver(features, self.tensor)
