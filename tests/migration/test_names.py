"""What old names become: the tables agree with kestimator, the rest comes from TensorFlow."""

import operator

import pytest
import tensorflow as tf

import kestimator
from kestimator.migration import estimator_names, tensorflow_names


def here(name):
    return operator.attrgetter(name.removeprefix("kestimator."))(kestimator)


NAMES = [
    f"{module}.{name}".removeprefix(".")
    for module, names in estimator_names.NAMES.items()
    for name in sorted(names)
]


class TestNamesOfTheEstimator:
    @pytest.mark.parametrize("name", NAMES)
    def test_kestimator_has_them(self, name):
        new = estimator_names.estimator_name(f"tensorflow.estimator.{name}", is_tf1=False)
        assert new == f"kestimator.{name}"
        assert here(new) is not None

    @pytest.mark.parametrize("name", sorted(estimator_names.NAMES[""]))
    def test_those_of_v1_differ_where_the_table_says_so(self, name):
        new = estimator_names.estimator_name(f"tensorflow.compat.v1.estimator.{name}", is_tf1=False)
        is_different = here(f"v1.{name}") is not here(name)
        assert new == (f"kestimator.v1.{name}" if is_different else f"kestimator.{name}")
        assert new == estimator_names.estimator_name(f"tensorflow.estimator.{name}", is_tf1=True)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("tensorflow.estimator", "kestimator"),
            ("tensorflow.estimator.inputs", "kestimator.inputs"),
            ("tensorflow_estimator.estimator.RunConfig", "kestimator.RunConfig"),
            (
                "tensorflow_estimator.python.estimator.canned.dnn.DNNClassifierV2",
                "kestimator.DNNClassifier",
            ),
            ("tensorflow.python.estimator.canned.dnn.DNNRegressor", "kestimator.v1.DNNRegressor"),
            ("tensorflow.python.estimator.run_config.RunConfig", "kestimator.RunConfig"),
            (
                "tensorflow_estimator.python.estimator.tpu.tpu_config.RunConfig",
                "kestimator.tpu.RunConfig",
            ),
            (
                "tensorflow.python.estimator.export.export.ServingInputReceiver",
                "kestimator.export.ServingInputReceiver",
            ),
            ("tensorflow.contrib.estimator.multi_class_head", "kestimator.MultiClassHead"),
            ("tensorflow.contrib.tpu.TPUConfig", "kestimator.tpu.TPUConfig"),
            ("tensorflow.keras.estimator.model_to_estimator", "kestimator.model_to_estimator"),
            ("tensorflow.estimator.BoostedTreesClassifier", None),
            ("tensorflow.contrib.estimator.clip_gradients_by_norm", None),
            ("tensorflow_estimator.python.estimator.canned.head._binary", None),
        ],
    )
    def test_other_places(self, old, new):
        assert estimator_names.is_estimator_name(old)
        assert estimator_names.estimator_name(old, is_tf1=False) == new
        assert new is None or here(new) if new != "kestimator" else kestimator

    def test_names_of_contrib_exist(self):
        for name in estimator_names.CONTRIB.values():
            assert here(name) is not None

    @pytest.mark.parametrize("name", ["tensorflow.tpu.shard", "tensorflow.estimators", "estimator"])
    def test_others_are_none(self, name):
        assert not estimator_names.is_estimator_name(name)


class TestNamesOfTensorFlow:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("get_variable", "compat.v1.get_variable"),
            ("train.AdamOptimizer", "compat.v1.train.AdamOptimizer"),
            ("metrics.accuracy", "compat.v1.metrics.accuracy"),
            ("losses.mean_squared_error", "compat.v1.losses.mean_squared_error"),
            ("summary.scalar", "compat.v1.summary.scalar"),
            ("logging.INFO", "compat.v1.logging.INFO"),
            ("to_float", "compat.v1.to_float"),
            ("parse_example", "compat.v1.parse_example"),
            ("zeros_initializer", "compat.v1.zeros_initializer"),
            ("where", "compat.v1.where"),
            ("log", "math.log"),
            ("random_normal", "random.normal"),
            ("FixedLenFeature", "io.FixedLenFeature"),
            ("gfile.GFile", "io.gfile.GFile"),
            ("reduce_sum", None),
            ("nn.relu", None),
            ("data.Dataset", None),
            ("train.latest_checkpoint", None),
            ("metrics.Accuracy", None),
            ("keras.layers.Dense", None),
        ],
    )
    def test_new_names(self, old, new):
        symbol = tensorflow_names.symbol(old)
        assert symbol == old or new is None
        assert (tensorflow_names.new_name(old) if symbol else None) == new

    def test_every_name_of_v1_has_one_in_the_installed_tensorflow(self):
        names = [name for name in dir(tf.compat.v1) if not name.startswith("_")]
        new_names = {name: tensorflow_names.new_name(name) for name in names}
        gone = [n for n in new_names.values() if n is not None and not tensorflow_names.exists(n)]
        assert gone == []

    @pytest.mark.parametrize(
        ("name", "positional", "keywords", "fits"),
        [
            ("reduce_sum", 2, [], True),
            ("reduce_sum", 1, ["keepdims"], True),
            ("reduce_sum", 1, ["keep_dims"], False),
            ("math.in_top_k", 3, [], False),
            ("name_scope", 1, [], True),
            ("name_scope", 2, [], False),
            ("argmax", 2, [], True),
            ("argmax", 3, [], False),
            ("nn.relu", 5, [], True),
        ],
    )
    def test_calls_fit_both_signatures(self, name, positional, keywords, fits):
        assert tensorflow_names.fits_both(name, positional, keywords) is fits

    @pytest.mark.parametrize(
        ("name", "is_only"),
        [("placeholder", True), ("layers.dense", True), ("contrib.x", True), ("reduce_sum", False)],
    )
    def test_names_only_of_tensorflow_1(self, name, is_only):
        assert tensorflow_names.is_only_in_tf1(name) is is_only

    @pytest.mark.parametrize(
        ("name", "new"),
        [
            ("data.AUTOTUNE", "data.AUTOTUNE"),
            ("data.map_and_batch", "data.experimental.map_and_batch"),
            ("framework.get_global_step", "compat.v1.train.get_global_step"),
            ("training.HParams", None),
        ],
    )
    def test_contrib(self, name, new):
        assert tensorflow_names.contrib_name(name) == new
        assert new is None or tensorflow_names.exists(new)
        assert tensorflow_names.contrib_advice(name)
