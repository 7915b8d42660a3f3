"""`install` puts the names of tf.estimator where programs look for them; `uninstall` takes them."""

import importlib
import json
import pathlib
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

import kestimator
from kestimator.legacy import names

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "legacy_names.json").read_text()
)
v1 = tf.compat.v1


@pytest.fixture
def installed():
    kestimator.install()
    yield
    kestimator.uninstall()


@pytest.mark.usefixtures("installed")
class TestInstalled:
    def test_attributes(self):
        assert tf.estimator.DNNClassifier is kestimator.DNNClassifier
        assert tf.compat.v2.estimator.RunConfig is kestimator.RunConfig
        assert v1.estimator.DNNClassifier is importlib.import_module("kestimator.v1").DNNClassifier
        assert tf.estimator.inputs.numpy_input_fn is kestimator.inputs.numpy_input_fn
        assert tf.estimator.experimental.KMeans is kestimator.experimental.KMeans
        assert tf.keras.estimator.model_to_estimator is kestimator.model_to_estimator

    def test_modules_that_those_for_one_version_have_for_the_other(self):
        for module in (v1.compat.v1, tf.compat.v2.compat.v1):
            assert module.estimator is v1.estimator
            assert module.keras.estimator.model_to_estimator
            assert module.layers is v1.layers
            assert module.nn.rnn_cell is v1.nn.rnn_cell
        for module in (v1.compat.v2, tf.compat.v2.compat.v2):
            assert module.estimator is tf.compat.v2.estimator

    def test_imports(self):
        from tensorflow import estimator
        from tensorflow.compat.v1 import estimator as estimator_v1
        from tensorflow.estimator import BestExporter, export
        from tensorflow.python.estimator import estimator_lib
        from tensorflow.python.estimator.canned import metric_keys
        from tensorflow_estimator.python.estimator import model_fn, run_config
        from tensorflow_estimator.python.estimator.canned.dnn import DNNClassifierV2

        assert estimator is tf.estimator
        assert estimator_v1 is v1.estimator
        assert BestExporter is kestimator.BestExporter
        assert export.PredictOutput is kestimator.export.PredictOutput
        assert estimator_lib.Estimator is kestimator.Estimator
        assert metric_keys.MetricKeys.LOSS == "loss"
        assert model_fn.EstimatorSpec is kestimator.EstimatorSpec
        assert run_config.TaskType.CHIEF == "chief"
        assert DNNClassifierV2 is kestimator.DNNClassifier

    def test_modules_are_there_without_an_import_of_each(self):
        import tensorflow_estimator

        heads = tensorflow_estimator.python.estimator.head.binary_class_head
        assert heads.BinaryClassHead is kestimator.BinaryClassHead
        assert tensorflow_estimator.estimator.DNNClassifier is v1.estimator.DNNClassifier

    def test_star(self):
        namespace = {}
        exec("from tensorflow_estimator.python.estimator.exporter import *", namespace)
        assert namespace["FinalExporter"] is kestimator.FinalExporter
        assert "BestExporter" in dir(tf.estimator)

    @pytest.mark.parametrize("module", list(names.all_modules()))
    def test_every_name_leads_somewhere(self, module):
        for target in names.targets(module).values():
            owner, _, attribute = target.partition(":")
            found = importlib.import_module(owner)
            assert not attribute or hasattr(found, attribute), target

    @pytest.mark.parametrize("module", sorted(GOLDEN))
    def test_every_public_name_of_the_original_is_there_or_has_a_replacement(self, module):
        here = importlib.import_module(module)
        for name in GOLDEN[module]:
            assert hasattr(here, name) or names.replacement(name), name

    def test_a_second_call_changes_nothing(self):
        before = tf.estimator, v1.layers, list(sys.meta_path)
        kestimator.install()
        assert (tf.estimator, v1.layers, list(sys.meta_path)) == before

    def test_what_tensorflow_has_stays(self):
        assert v1.train.get_global_step.__module__.startswith("tensorflow.")
        assert importlib.import_module("tensorflow.python.training").__file__

    def test_layers_are_those_of_keras_2(self):
        import tf_keras

        assert isinstance(v1.layers.Dense(3), tf_keras.layers.Dense)
        assert issubclass(v1.nn.rnn_cell.BasicLSTMCell, tf_keras.layers.Layer)
        with pytest.raises(kestimator.errors.MissingNameError, match="no attribute 'dens'"):
            v1.layers.dens  # noqa: B018

    def test_keras_2_makes_estimators(self, tmp_path):
        import tf_keras

        model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,))])
        model.compile(tf_keras.optimizers.legacy.SGD(), "mse")
        estimator = tf_keras.estimator.model_to_estimator(model, model_dir=str(tmp_path))
        assert isinstance(estimator, kestimator.Estimator)

    def test_layers_without_keras_2(self, monkeypatch):
        path = "tf_keras.api._v1.keras.__internal__.legacy.layers"
        monkeypatch.setitem(sys.modules, path, None)
        with pytest.raises(AttributeError, match=r"pip install 'kestimator\[legacy\]'"):
            v1.layers.dense  # noqa: B018

    def test_attributes_that_do_not_exist(self):
        with pytest.raises(AttributeError, match="Decision Forests") as caught:
            tf.estimator.BoostedTreesClassifier  # noqa: B018
        assert isinstance(caught.value, kestimator.errors.MissingNameError)
        with pytest.raises(AttributeError, match="no attribute 'Estimaror'"):
            tf.estimator.Estimaror  # noqa: B018
        assert not hasattr(tf.estimator, "BoostedTreesRegressor")

    def test_modules_that_do_not_exist(self):
        with pytest.raises(ImportError, match="Decision Forests"):
            from tensorflow.estimator import BoostedTreesRegressor  # noqa: F401
        with pytest.raises(ModuleNotFoundError, match="Decision Forests"):
            import tensorflow_estimator.python.estimator.canned.boosted_trees  # noqa: F401


def served_modules():
    prefixes = ("tensorflow_estimator", "tensorflow.estimator", "tensorflow.python.estimator")
    return [name for name in sys.modules if name.startswith(prefixes)]


def test_uninstall():
    before = v1.layers, v1.nn.rnn_cell
    kestimator.install()
    import tensorflow_estimator.python.estimator.gc
    from tensorflow.estimator import Estimator

    kestimator.uninstall()
    kestimator.uninstall()
    assert served_modules() == []
    assert not hasattr(tf, "estimator")
    assert not hasattr(v1, "estimator")
    assert not hasattr(v1.compat.v1, "estimator")
    assert not hasattr(v1.compat.v2, "estimator")
    assert not hasattr(tf.python if hasattr(tf, "python") else tf, "estimator")
    assert (v1.layers, v1.nn.rnn_cell) == before
    assert Estimator is kestimator.Estimator
    with pytest.raises(ModuleNotFoundError):
        import tensorflow_estimator  # noqa: F401


def test_threads():
    def install_and_use():
        kestimator.install()
        from tensorflow_estimator.python.estimator.canned import dnn

        found.append(dnn.DNNClassifierV2)

    found = []
    threads = [threading.Thread(target=install_and_use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kestimator.uninstall()
    assert found == [kestimator.DNNClassifier] * 8


@pytest.mark.slow
def test_nothing_is_in_place_before():
    program = "import tensorflow as tf, kestimator; print(hasattr(tf, 'estimator'))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False"]
