"""TPUEstimator beside what the original's programs show: what it refuses, copies, nested runs."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, tpu
from kestimator.tpu.tpu_estimator import ExportSavedModelApiVersion
from tests.programs import tools

v1 = tf.compat.v1
X = np.linspace(0.0, 1.0, 8, dtype=np.float32)[:, None]


def model_fn(features: Any, labels: Any, mode: str, params: Any) -> Any:
    w = v1.get_variable("w", [1, 1], initializer=v1.ones_initializer())
    outputs = features["x"] @ w
    size = tf.fill([1, 1], float(params.get("batch_size", -1)))
    if mode == kestimator.ModeKeys.PREDICT:
        predictions = {"outputs": outputs, "size": tf.zeros_like(outputs) + size}
        return tpu.TPUEstimatorSpec(mode, predictions=predictions)
    loss = tf.reduce_mean((outputs - labels) ** 2)
    train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
        loss, global_step=v1.train.get_global_step()
    )
    return tpu.TPUEstimatorSpec(
        mode,
        loss=loss,
        train_op=train_op,
        eval_metrics=(lambda size: {"size": v1.metrics.mean(size)}, [size]),
    )


def input_fn(params: Any) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(({"x": X}, 2 * X)).repeat(4)
    return dataset.batch(params.get("batch_size", 3), drop_remainder=True)


def make(model_dir: Any, function: Callable[..., Any] = model_fn, **arguments: Any) -> Any:
    config = tpu.RunConfig(model_dir=str(model_dir), **arguments.pop("config", {}))
    sizes = {"train_batch_size": 4, "eval_batch_size": 2, "predict_batch_size": 8}
    return tpu.TPUEstimator(function, config=config, **{"use_tpu": False, **sizes, **arguments})


def receiver_fn() -> Any:
    features = {"x": v1.placeholder(tf.float32, [None, 1])}
    return kestimator.export.ServingInputReceiver(features, features)


class Hyperparameters:
    """As `HParams` of TensorFlow 1."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def get(self, name: str, default: Any) -> Any:
        return getattr(self, name, default)

    def add_hparam(self, name: str, value: Any) -> None:
        assert name not in self
        setattr(self, name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        assert name in self
        setattr(self, name, value)


class TestRefuses:
    @pytest.mark.parametrize("method", ["train", "evaluate", "predict"])
    def test_to_run_on_a_tpu_before_anything_is_written(self, method: str, tmp_path: Any) -> None:
        estimator = make(tmp_path / "model", use_tpu=True)
        with pytest.raises(errors.ArgumentError, match="Pass `use_tpu=False`"):
            getattr(estimator, method)(input_fn)
        assert not os.path.exists(estimator.model_dir)

    def test_train_and_evaluate_on_a_tpu(self, tmp_path: Any) -> None:
        estimator = make(tmp_path / "model", use_tpu=True)
        specs = kestimator.TrainSpec(input_fn, 2), kestimator.EvalSpec(input_fn)
        with pytest.raises(errors.ArgumentError, match="Pass `use_tpu=False`"):
            kestimator.train_and_evaluate(estimator, *specs)
        assert not os.path.exists(estimator.model_dir)

    @pytest.mark.parametrize("method", ["train", "evaluate", "predict"])
    def test_an_input_fn_without_params(self, method: str, tmp_path: Any) -> None:
        without = kestimator.inputs.numpy_input_fn({"x": X}, X, shuffle=False)
        with pytest.raises(errors.ArgumentError, match=r"params\['batch_size'\]"):
            getattr(make(tmp_path), method)(without)

    def test_a_model_fn_without_params(self, tmp_path: Any) -> None:
        with pytest.raises(errors.ArgumentError, match=r"params\['batch_size'\]"):
            make(tmp_path, lambda features, labels, mode: None)

    @pytest.mark.parametrize("method", ["evaluate", "predict"])
    def test_slices_for_cores(self, method: str, tmp_path: Any) -> None:
        sliced = tpu.TPUConfig(eval_training_input_configuration=tpu.InputPipelineConfig.SLICED)
        estimator = make(tmp_path, config={"tpu_config": sliced})
        with pytest.raises(errors.ArgumentError, match="SLICED"):
            getattr(estimator, method)(input_fn)

    @pytest.mark.parametrize("size", ["train_batch_size", "eval_batch_size", "predict_batch_size"])
    @pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError)])
    def test_sizes_that_are_none(
        self, size: str, value: Any, error: type[Exception], tmp_path: Any
    ) -> None:
        with pytest.raises(error, match=size):
            make(tmp_path, **{size: value})

    def test_an_export_for_tpus_alone(self, tmp_path: Any) -> None:
        estimator = make(tmp_path, export_to_cpu=False)
        with pytest.raises(errors.ArgumentError, match="export_to_cpu"):
            estimator.export_saved_model(tmp_path / "exported", receiver_fn)
        assert not os.path.exists(tmp_path / "exported")

    def test_embeddings_of_a_tpu(self, tmp_path: Any) -> None:
        with pytest.raises(errors.ArgumentError, match="tf.nn.embedding_lookup"):
            make(tmp_path, embedding_config_spec=object())
        with pytest.raises(errors.ArgumentError, match="tf.nn.embedding_lookup"):
            tpu.experimental.EmbeddingConfigSpec(feature_columns=[])

    def test_params_that_take_no_batch_size(self, tmp_path: Any) -> None:
        with pytest.raises(errors.ArgumentTypeError, match="add_hparam"):
            make(tmp_path, params=object())

    def test_ops_that_only_a_tpu_has(self, tmp_path: Any) -> None:
        def of_tensorflow(features: Any, labels: Any, mode: str, params: Any) -> Any:
            loss = tf.reduce_mean(features["x"] * v1.get_variable("w", []))
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            train_op = v1.tpu.CrossShardOptimizer(optimizer).minimize(
                loss, v1.train.get_global_step()
            )
            return tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)

        with pytest.raises(errors.ArgumentError, match="kestimator.tpu.CrossShardOptimizer"):
            make(tmp_path / "model", of_tensorflow).train(input_fn)
        assert not os.path.exists(tmp_path / "model")


def test_evaluation_needs_no_tpu_where_it_says_so(tmp_path: Any) -> None:
    make(tmp_path).train(input_fn, steps=1)
    estimator = make(tmp_path, use_tpu=True, eval_on_tpu=False)
    assert estimator.evaluate(input_fn, steps=1)["size"] == 2.0


def test_exports_need_no_tpu(tmp_path: Any) -> None:
    make(tmp_path).train(input_fn, steps=1)
    estimator = make(tmp_path, use_tpu=True, export_saved_model_api_version=2)
    path = os.fsdecode(estimator.export_saved_model(tmp_path / "exported", receiver_fn))
    serve = tf.saved_model.load(path).signatures["serving_default"]
    assert serve(tf.constant(X))["size"].numpy()[0] == -1.0


@pytest.mark.parametrize("version", [1, 2, *ExportSavedModelApiVersion])
def test_versions_of_exports(version: Any, tmp_path: Any) -> None:
    make(tmp_path, export_saved_model_api_version=version)


def test_is_an_estimator_whose_copies_get_the_same_sizes(tmp_path: Any) -> None:
    estimator = make(tmp_path)
    assert isinstance(estimator, kestimator.Estimator)
    estimator.train(input_fn, steps=1)
    for copied in (copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        assert copied.evaluate(input_fn, steps=1)["size"] == 2.0


def test_hyperparameters_of_tensorflow_1(tmp_path: Any) -> None:
    estimator = make(tmp_path, params=Hyperparameters(rate=1.0, use_tpu="what"))
    row = next(estimator.predict(input_fn))
    assert row["size"].tolist() == [8.0]
    assert "batch_size" not in estimator.params


def test_in_memory_evaluator(tmp_path: Any) -> None:
    estimator = make(tmp_path)
    hook = kestimator.experimental.InMemoryEvaluatorHook(estimator, input_fn, steps=1)
    estimator.train(input_fn, hooks=[hook], steps=2)
    assert tools.scalars(estimator.eval_dir(), ["size"])["size"]["values"][-1] == 2.0


def test_evaluation_during_training_leaves_its_writer_open(tmp_path: Any) -> None:
    """Writers of both graphs have the same name, and each belongs to one of them."""

    def with_host_call(features: Any, labels: Any, mode: str, params: Any) -> Any:
        spec = model_fn(features, labels, mode, params)

        def write(loss: Any) -> Any:
            writer = tf.summary.create_file_writer(str(tmp_path / mode))
            with writer.as_default(step=tf.constant(0, tf.int64)):
                tf.summary.scalar("loss", loss[0])
                return v1.summary.all_v2_summary_ops()

        return spec._replace(host_call=(write, [tf.reshape(spec.loss, [1])]))

    config = {"save_checkpoints_steps": 2}
    estimator = make(tmp_path / "model", with_host_call, config=config)
    kestimator.train_and_evaluate(
        estimator,
        kestimator.TrainSpec(input_fn, max_steps=6),
        kestimator.EvalSpec(input_fn, steps=3, throttle_secs=0),
    )
    assert len(tools.events(str(tmp_path / "train"))) == 6
    assert len(tools.events(str(tmp_path / "eval"))) == 3 * 3


def test_machines_of_a_tpu_are_no_cluster_of_this_process(tmp_path: Any) -> None:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": ["a:1", "b:2"]}), master="grpc://a:1"
    )
    estimator = make(tmp_path, config={"cluster": resolver})
    metrics, exported = kestimator.train_and_evaluate(
        estimator,
        kestimator.TrainSpec(input_fn, max_steps=2),
        kestimator.EvalSpec(
            input_fn, steps=1, exporters=kestimator.FinalExporter("final", receiver_fn)
        ),
    )
    assert metrics["global_step"] == 2
    assert os.path.exists(os.fsdecode(exported[0]))
