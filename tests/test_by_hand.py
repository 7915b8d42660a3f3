"""`estimator.model_fn` called by hand, in a TF1 graph with a session of the caller's own."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from tests.contracts.estimators import FEATURES, LABELS, ROWS, public_classes

v1 = tf.compat.v1
NAMES = (
    "BaselineClassifier",
    "DNNLinearCombinedRegressor",
    "DNNRegressor",
    "LinearClassifier",
    "LinearEstimator",
    "experimental.KMeans",
)


def trained(name: str, model_dir: Any) -> Any:
    config = kestimator.RunConfig(str(model_dir), tf_random_seed=1)
    estimator = public_classes()[name](config=config, **ROWS[name].options())
    return estimator.train(batch(name), steps=2)


def batch(name: str, times: int | None = None) -> Any:
    row = ROWS[name]
    data = row.features if row.labels is None else (row.features, row.labels)
    return lambda: tf.data.Dataset.from_tensors(data).repeat(times)


class ByHand:
    """A graph in which a model_fn was called, and a session that has read the checkpoint."""

    def __init__(self, estimator: Any, features: Any, labels: Any, mode: str) -> None:
        self.graph = v1.Graph()
        with self.graph.as_default():
            v1.train.get_or_create_global_step()
            tensors = {key: tf.constant(value) for key, value in features.items()}
            given = None if labels is None or mode == "infer" else tf.constant(labels)
            self.spec = estimator.model_fn(tensors, given, mode, estimator.config)
            self.session = v1.Session()
            self.session.run([v1.local_variables_initializer(), v1.tables_initializer()])
            v1.train.Saver().restore(self.session, estimator.latest_checkpoint())

    def variables(self) -> dict[str, Any]:
        with self.graph.as_default():
            return self.session.run({view.op.name: view for view in v1.global_variables()})


@pytest.mark.parametrize("name", NAMES)
def test_a_session_does_what_the_estimator_does(name: str, tmp_path: Any) -> None:
    estimator, row = trained(name, tmp_path), ROWS[name]
    check_evaluation(estimator, row.features, row.labels, batch(name, 1))
    rows = itertools.islice(estimator.predict(batch(name, 1)), 6)
    expected = [one[row.output] for one in rows]
    found = ByHand(estimator, row.features, None, "infer")
    values = found.session.run(found.spec.predictions[row.output])
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    check_training(estimator, row.features, row.labels, batch(name))


def check_evaluation(estimator: Any, features: Any, labels: Any, input_fn: Any) -> None:
    expected = estimator.evaluate(input_fn)
    found = ByHand(estimator, features, labels, "eval")
    metrics = found.spec.eval_metric_ops
    with found.graph.as_default():
        assert found.session.run(found.spec.loss) == pytest.approx(expected["loss"], rel=1e-5)
        found.session.run([update for _, update in metrics.values()])
        values = found.session.run({key: value for key, (value, _) in metrics.items()})
    assert values == pytest.approx({key: expected[key] for key in metrics}, rel=1e-5)


def check_training(estimator: Any, features: Any, labels: Any, input_fn: Any) -> None:
    """A step of the session, and one of the estimator, from the same checkpoint."""
    found = ByHand(estimator, features, labels, "train")
    found.session.run(found.spec.train_op)
    variables = found.variables()
    estimator.train(input_fn, steps=1)
    assert sorted(variables) == estimator.get_variable_names()
    for key, value in variables.items():
        expected = estimator.get_variable_value(key)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=key)


def test_batch_normalization_moves_its_averages(tmp_path: Any) -> None:
    columns = [tf.feature_column.numeric_column("age")]
    config = kestimator.RunConfig(str(tmp_path), tf_random_seed=1)
    estimator = kestimator.DNNClassifier([3], columns, config=config, batch_norm=True)
    estimator.train(batch("DNNClassifier"), steps=2)
    check_training(estimator, FEATURES, LABELS, batch("DNNClassifier"))


def test_metrics_that_were_added_are_no_part_of_a_checkpoint(tmp_path: Any) -> None:
    def metric_fn(labels: Any, predictions: Any) -> dict[str, Any]:
        metric = keras.metrics.MeanAbsoluteError()
        metric.update_state(labels[:, None], predictions["logits"])
        return {"mae": metric}

    estimator = kestimator.add_metrics(trained("LinearClassifier", tmp_path), metric_fn)
    expected = estimator.evaluate(batch("LinearClassifier", 1))
    found = ByHand(estimator, FEATURES, LABELS, "eval")
    assert found.session.run(found.spec.loss) == pytest.approx(expected["loss"])
    local = {view.op.name for view in found.graph.get_collection(v1.GraphKeys.LOCAL_VARIABLES)}
    metrics = {view.op.name for view in found.graph.get_collection(v1.GraphKeys.METRIC_VARIABLES)}
    assert local == metrics
    assert len(local) == 4


def test_an_estimator_goes_on_after_its_model_fn_was_called_by_hand(tmp_path: Any) -> None:
    estimator = trained("LinearClassifier", tmp_path)
    before = estimator.evaluate(batch("LinearClassifier", 1))
    ByHand(estimator, FEATURES, LABELS, "eval")
    assert estimator.evaluate(batch("LinearClassifier", 1)) == before


@pytest.mark.parametrize("name", ["experimental.RNNClassifier", "DNNRegressor"])
def test_keras_layers_say_that_they_need_an_estimator(name: str, tmp_path: Any) -> None:
    layer = keras.layers.Rescaling(0.1, name="age")
    options = {} if name.startswith("exp") else {"feature_columns": [layer], "hidden_units": [2]}
    config = kestimator.RunConfig(str(tmp_path))
    row = ROWS[name]
    estimator = public_classes()[name](config=config, **{**row.options(), **options})
    features = {key: tf.constant(value) for key, value in row.features.items()}
    with (
        tf.Graph().as_default(),
        pytest.raises(kestimator.errors.ArgumentError, match="outside of an Estimator.*layer"),
    ):
        estimator.model_fn(features, tf.constant(LABELS), "eval", estimator.config)
