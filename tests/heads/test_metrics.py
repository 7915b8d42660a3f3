"""Metrics that are counted together."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.engine.graphs import ordering
from kestimator.estimator import state_of
from kestimator.heads.parts import areas

v1 = tf.compat.v1

RANDOM = np.random.RandomState(7)
LOGITS = RANDOM.normal(size=(200, 1)).astype(np.float32)
LABELS = (LOGITS[:, 0] + RANDOM.normal(size=200) > 0).astype(np.int64)
WEIGHTS = RANDOM.uniform(0.0, 2.0, 200).astype(np.float32)


def counted(head, features=None, logits=LOGITS, labels=LABELS):
    return head.update_metrics(head.metrics(), features or {}, logits, labels)


def values(metrics):
    return {name: float(metric.result()) for name, metric in metrics.items()}


class TestAreas:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize(("name", "curve"), [("auc", "ROC"), ("auc_precision_recall", "PR")])
    def test_interpolation_is_that_of_keras(self, name, curve, weighted):
        head = kestimator.BinaryClassHead(weight_column="w" if weighted else None)
        keras_metric = tf.keras.metrics.AUC(num_thresholds=200, curve=curve)
        weights = WEIGHTS if weighted else None
        keras_metric.update_state(LABELS, tf.sigmoid(LOGITS)[:, 0], weights)
        found = values(counted(head, {"w": WEIGHTS}))[name]
        assert found == pytest.approx(float(keras_metric.result()), rel=1e-5)

    @pytest.mark.parametrize(("name", "curve"), [("auc", "ROC"), ("auc_precision_recall", "PR")])
    def test_trapezoids_are_those_of_tf1(self, name, curve):
        with tf.Graph().as_default(), v1.Session() as session:
            value, update = v1.metrics.auc(
                LABELS, tf.sigmoid(LOGITS)[:, 0], WEIGHTS, num_thresholds=200, curve=curve
            )
            session.run(v1.local_variables_initializer())
            session.run(update)
            expected = session.run(value)
        head = kestimator.BinaryClassHead(weight_column="w", areas="trapezoidal")
        found = values(counted(head, {"w": WEIGHTS}))[name]
        assert found == pytest.approx(expected, rel=1e-5)

    def test_constant_predictions(self):
        logits, labels = np.zeros([4, 1], np.float32), np.array([0, 1, 0, 1])
        interpolated = values(counted(kestimator.BinaryClassHead(), None, logits, labels))
        trapezoidal = values(
            counted(kestimator.BinaryClassHead(areas="trapezoidal"), None, logits, labels)
        )
        assert interpolated["auc_precision_recall"] == pytest.approx(0.5)
        assert trapezoidal["auc_precision_recall"] == pytest.approx(0.75)

    def test_every_prediction_lands_in_a_bucket(self):
        probabilities = tf.constant([0.0, 1e-9, 1.0 / 199, 0.5, 1.0, np.nan])
        counts = areas.histogram(probabilities, tf.ones([6]), None).numpy()
        assert counts.sum() == 6
        assert counts[0, 0] >= 3
        assert counts[198, 0] == 1
        assert counts[199].tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("head", [kestimator.BinaryClassHead, kestimator.MultiLabelHead])
    def test_refuses_another_method(self, head):
        arguments = [] if head is kestimator.BinaryClassHead else [3]
        with pytest.raises(errors.ArgumentError, match="areas"):
            head(*arguments, areas="rectangles")


class TestUpdates:
    def test_batches_add_up(self):
        head = kestimator.BinaryClassHead(weight_column="w", thresholds=[0.3])
        metrics = head.metrics()
        for rows in (slice(0, 150), slice(150, 200)):
            head.update_metrics(metrics, {"w": WEIGHTS[rows]}, LOGITS[rows], LABELS[rows])
        expected = values(counted(head, {"w": WEIGHTS}))
        assert values(metrics) == pytest.approx(expected, rel=1e-5)

    def test_nothing_counted_is_zero(self):
        assert set(values(kestimator.BinaryClassHead(thresholds=[0.5]).metrics()).values()) == {0.0}

    def test_a_reset_forgets(self):
        metrics = counted(kestimator.BinaryClassHead())
        for metric in metrics.values():
            metric.reset_state()
        assert set(values(metrics).values()) == {0.0}

    def test_metrics_of_two_calls_are_independent(self):
        head = kestimator.RegressionHead()
        one, other = head.metrics(), head.metrics()
        head.update_metrics(one, {}, [[1.0]], [1.0])
        assert values(one)["label/mean"] == 1.0
        assert values(other)["label/mean"] == 0.0

    def test_a_metric_alone_says_who_updates_it(self):
        metric = kestimator.RegressionHead().metrics()["average_loss"]
        with pytest.raises(errors.KestimatorError, match="update_metrics"):
            metric.update_state([1.0])

    def test_refuses_metrics_of_another_head(self):
        head = kestimator.RegressionHead(name="price")
        metrics = kestimator.RegressionHead(name="size").metrics()
        with pytest.raises(errors.ArgumentError, match="eval_metrics"):
            head.update_metrics(metrics, {}, [[1.0]], [1.0])

    def test_in_a_tf_function(self):
        head = kestimator.BinaryClassHead()
        metrics = head.metrics()

        @tf.function(input_signature=[tf.TensorSpec([None, 1]), tf.TensorSpec([None], tf.int64)])
        def step(logits, labels):
            head.update_metrics(metrics, {}, logits, labels)
            return head.loss(labels, logits)

        loss = float(step(LOGITS, LABELS))
        assert values(metrics) == pytest.approx(values(counted(head)), rel=1e-5)
        assert values(metrics)["average_loss"] == pytest.approx(loss, rel=1e-5)

    def test_negative_weights_are_refused(self):
        head = kestimator.BinaryClassHead(weight_column="w")
        with pytest.raises(errors.ArgumentError, match="negative weights"):
            counted(head, {"w": -WEIGHTS})

    def test_negative_weights_may_train(self):
        head = kestimator.RegressionHead(weight_column="w")
        loss = head.loss([1.0, 1.0], [[2.0], [3.0]], {"w": [1.0, -1.0]})
        assert float(loss) == pytest.approx((1.0 - 4.0) / 2)


class TestCost:
    """How many ops a step of an evaluation runs: all metrics share what they count."""

    @staticmethod
    def operations(head, tmp_path):
        def model_fn(features, labels, mode):
            return head.create_estimator_spec(features, mode, features["logits"], labels)

        def input_fn():
            rows = ({"logits": LOGITS, "w": WEIGHTS}, LABELS)
            return tf.data.Dataset.from_tensor_slices(rows).batch(64)

        estimator = kestimator.Estimator(model_fn, tmp_path)
        estimator.evaluate(input_fn)
        (program,) = state_of(estimator).programs
        reached = ordering.reachable_operations(program.operations)
        return [op for op in reached if op.type not in ("Const", "Placeholder", "NoOp")]

    def test_binary(self, tmp_path):
        operations = self.operations(kestimator.BinaryClassHead(), tmp_path)
        assert len(operations) < 80
        assert sum(op.type == "UnsortedSegmentSum" for op in operations) == 1

    def test_weighted_with_thresholds(self, tmp_path):
        head = kestimator.BinaryClassHead(weight_column="w", thresholds=[0.2, 0.4, 0.6])
        assert len(self.operations(head, tmp_path)) < 120
