"""`tf.contrib` has the names in its tables, and errors that say what to use instead of others."""

import functools
import importlib
import sys

import pytest
import tensorflow as tf

import kestimator
from kestimator.command_line import reports
from kestimator.legacy import contrib, names, usage
from kestimator.legacy.contrib import tables

v1 = tf.compat.v1
MODULES = tables.TABLES.modules


@pytest.mark.parametrize("module", [module for module in MODULES if MODULES[module]])
def test_every_name_leads_somewhere(module):
    for target in MODULES[module].values():
        owner, _, attribute = target.partition(":")
        path = attribute.split(".") if attribute else []
        functools.reduce(getattr, path, importlib.import_module(owner))


@pytest.mark.parametrize("old", tables.TABLES.aliases)
def test_every_module_can_be_imported(old):
    if old.startswith("tensorflow."):
        importlib.import_module(old)


def test_imports():
    import tensorflow.contrib.slim as slim
    import tf_slim
    from tensorflow.contrib import layers, rnn
    from tensorflow.contrib.layers.python.layers import initializers, utils
    from tensorflow.contrib.slim.nets import resnet_v1
    from tensorflow.contrib.tpu.python.tpu import tpu_estimator
    from tensorflow.contrib.training.python.training.hparam import HParams

    assert slim.conv2d is tf_slim.conv2d
    assert slim.nets.resnet_v1.resnet_v1_50 is resnet_v1.resnet_v1_50
    assert layers.fully_connected is tf_slim.fully_connected
    assert initializers.xavier_initializer is tf_slim.xavier_initializer
    assert utils.last_dimension is tf_slim.layers.utils.last_dimension
    assert rnn.BasicLSTMCell is v1.nn.rnn_cell.BasicLSTMCell
    assert tpu_estimator.TPUEstimator is kestimator.tpu.TPUEstimator
    assert HParams is v1.contrib.training.HParams
    assert v1.contrib.framework.nest.is_sequence([1])
    assert v1.contrib.distribute.OneDeviceStrategy is v1.distribute.OneDeviceStrategy
    resolvers = tf.distribute.cluster_resolver
    assert v1.contrib.cluster_resolver.TPUClusterResolver is resolvers.TPUClusterResolver
    assert v1.contrib.data.AUTOTUNE == tf.data.AUTOTUNE
    assert v1.contrib.learn.ModeKeys.INFER == kestimator.ModeKeys.PREDICT
    assert v1.contrib.learn.ModeKeys.TRAIN == kestimator.ModeKeys.TRAIN
    assert "conv2d" in dir(slim)


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("", "seq2seq", "tensorflow_addons.seq2seq"),
        ("", "crf", "tensorflow_addons.text"),
        ("", "a_name_that_nothing_had", "tf.contrib ended with TF 1.15"),
        ("learn", "Experiment", "kestimator.train_and_evaluate"),
        ("learn", "RunConfig", "kestimator.RunConfig"),
        ("learn", "MetricSpec", "eval_metric_ops"),
        ("learn", "metric_spec", "eval_metric_ops"),
        ("learn", "run_n", "MonitoredTrainingSession"),
        ("learn", "monitors", "kestimator.hooks"),
        ("learn", "SKCompat", "numpy_input_fn"),
        ("learn", "DNNClassifier", "canned estimators"),
        ("learn python learn", "learn_runner", "kestimator.train_and_evaluate"),
        ("learn python learn", "preprocessing", "TextVectorization"),
        ("learn python learn", "datasets", "keras.datasets"),
        ("learn python learn estimators", "run_config", "kestimator.RunConfig"),
        ("layers", "crossed_column", "Its hash differs"),
        ("rnn", "LSTMBlockCell", "rnn_cell"),
        ("slim", "a_name", "tf_slim"),
        ("estimator", "TowerOptimizer", "MirroredStrategy"),
    ],
)
def test_names_that_are_not_here(path, name, message):
    module = v1.contrib
    for part in path.split():
        module = getattr(module, part)
    with pytest.raises(kestimator.errors.MissingNameError, match=message):
        getattr(module, name)
    full_name = ".".join(["tensorflow", "contrib", *path.split(), name])
    with pytest.raises(ModuleNotFoundError, match=message):
        importlib.import_module(full_name)


def test_without_tf_slim(monkeypatch):
    import tensorflow.contrib.slim as slim
    from tensorflow.contrib import framework

    monkeypatch.setitem(sys.modules, "tf_slim", None)
    for module in ("variables", "arg_scope"):
        monkeypatch.setitem(sys.modules, f"tf_slim.ops.{module}", None)
    with pytest.raises(AttributeError, match=r"pip install 'kestimator\[legacy\]'"):
        slim.conv2d  # noqa: B018
    with pytest.raises(AttributeError, match="arg_scope needs the package tf_slim"):
        framework.arg_scope  # noqa: B018
    assert framework.get_global_step is v1.train.get_global_step


def test_uninstall():
    tensors = importlib.import_module("tensorflow.python.framework.ops")
    assert tensors.Tensor is tf.Tensor
    contrib.install()
    kestimator.uninstall()
    assert not hasattr(v1, "contrib")
    assert not hasattr(tf, "contrib")
    assert not hasattr(tensors, "Tensor")
    assert names.table_name("tensorflow.contrib.slim") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tensorflow.contrib")
    kestimator.install()
    assert not hasattr(v1, "contrib")


def test_report():
    with usage.recorded() as uses:
        v1.contrib.slim.conv2d  # noqa: B018
        v1.contrib.training.HParams  # noqa: B018
        v1.contrib.data.map_and_batch  # noqa: B018
        v1.contrib.estimator.RNNClassifier  # noqa: B018
        v1.contrib.rnn.GRUCell  # noqa: B018
        v1.contrib.tpu.TPUEstimator  # noqa: B018
    rows = [line.split(maxsplit=2) for line in reports.report(uses).splitlines()[1:]]
    assert [(name, replacement) for name, _, replacement in rows] == [
        ("tf.contrib.data.map_and_batch", "tf.compat.v1.data.experimental.map_and_batch"),
        ("tf.contrib.estimator.RNNClassifier", "Use kestimator.experimental.RNNClassifier."),
        ("tf.contrib.rnn.GRUCell", "keras.layers.GRUCell"),
        ("tf.contrib.slim.conv2d", "tf_slim.conv2d"),
        ("tf.contrib.tpu.TPUEstimator", "kestimator.tpu.TPUEstimator"),
        ("tf.contrib.training.HParams", "Use a dict or a dataclass as `params`."),
    ]
