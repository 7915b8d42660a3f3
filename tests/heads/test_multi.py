"""Several heads on one model."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.heads import multi

LOGITS = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]], np.float32)
LABELS = {"click": np.array([1, 0]), "price": np.array([[1.0, 2.0], [3.0, 4.0]])}


def heads():
    return [kestimator.BinaryClassHead(name="click"), kestimator.RegressionHead(2, name="price")]


def test_is_the_weighted_sum_of_its_heads():
    click, price = heads()
    head = kestimator.MultiHead([click, price], head_weights=[2, 0.5])
    expected = 2 * click.loss(LABELS["click"], LOGITS[:, :1]) + 0.5 * price.loss(
        LABELS["price"], LOGITS[:, 1:]
    )
    split = {"click": LOGITS[:, :1], "price": LOGITS[:, 1:]}
    assert float(head.loss(LABELS, LOGITS)) == pytest.approx(float(expected))
    assert float(head.loss(LABELS, split)) == pytest.approx(float(expected))


def test_counts_in_the_metrics_of_its_heads():
    """The original forgets, outside of an Estimator, all batches but the last."""
    head = kestimator.MultiHead(heads())
    metrics = head.metrics()
    for row in (slice(0, 1), slice(1, 2)):
        labels = {name: values[row] for name, values in LABELS.items()}
        head.update_metrics(metrics, {}, LOGITS[row], labels)
    found = {name: float(metric.result()) for name, metric in metrics.items()}
    click, price = heads()
    for one, logits in ((click, LOGITS[:, :1]), (price, LOGITS[:, 1:])):
        own = one.update_metrics(one.metrics(), {}, logits, LABELS[one.name])
        for name, metric in own.items():
            assert found[name] == pytest.approx(float(metric.result()))
    assert found["loss/price"] == pytest.approx(found["average_loss/price"])


def test_some_predictions():
    head = kestimator.MultiHead(heads())
    wanted = [("price", "predictions"), ("click", "class_ids")]
    assert list(head.predictions(LOGITS, wanted)) == wanted[::-1]
    with pytest.raises(errors.ArgumentError, match="keys"):
        head.predictions(LOGITS, ["class_ids"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Head"),
        (None, "Head"),
        ([kestimator.RegressionHead()], "names"),
        ([*heads(), *heads()], "unique names"),
        ([*heads(), kestimator.RegressionHead(name="a", loss_reduction="sum")], "loss_reduction"),
        ([kestimator.RegressionHead], "Head"),
    ],
)
def test_refuses_heads(given, message):
    with pytest.raises(errors.ArgumentError, match=message):
        kestimator.MultiHead(given)


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([1.0], errors.ArgumentError),
        (2.0, errors.ArgumentError),
        (["1", "2"], errors.ArgumentTypeError),
    ],
)
def test_refuses_head_weights(weights, error):
    with pytest.raises(error, match="head_weights"):
        kestimator.MultiHead(heads(), head_weights=weights)


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        (LABELS["click"], LOGITS, "dict"),
        (None, LOGITS, "dict"),
        ({"click": LABELS["click"]}, LOGITS, r"Missing: \['price'\]"),
        (LABELS, LOGITS[:, :2], r"\(batch, 3\)"),
        (LABELS, {"price": LOGITS[:, 1:]}, r"Missing: \['click'\]"),
    ],
)
def test_refuses_batches(labels, logits, message):
    with pytest.raises(errors.ArgumentError, match=message):
        kestimator.MultiHead(heads()).loss(labels, logits)


class Distance(kestimator.Head):
    """A head of one's own: only the abstract members."""

    name, logits_dimension, loss_reduction = "distance", 1, "sum_over_batch_size"

    def loss(self, labels, logits, features=None, mode=None, regularization_losses=None):
        return tf.reduce_mean(tf.abs(tf.cast(labels, tf.float32) - logits))

    def predictions(self, logits, keys=None):
        return {"predictions": logits}

    def metrics(self, regularization_losses=None):
        return {"distance": tf.keras.metrics.MeanAbsoluteError()}

    def update_metrics(
        self, eval_metrics, features, logits, labels, mode=None, regularization_losses=None
    ):
        eval_metrics["distance"].update_state(labels, logits)
        return eval_metrics


@pytest.mark.parametrize("among_others", [False, True])
def test_a_head_of_ones_own(among_others, tmp_path):
    head = kestimator.MultiHead([Distance(), heads()[0]]) if among_others else Distance()
    v1 = tf.compat.v1

    def model_fn(features, labels, mode):
        weights = v1.get_variable(
            "w", [3, head.logits_dimension], initializer=v1.zeros_initializer()
        )
        if labels is not None and not among_others:
            labels = labels["distance"]
        return head.create_estimator_spec(
            features,
            mode,
            tf.matmul(features["x"], weights),
            labels,
            optimizer=v1.train.GradientDescentOptimizer(0.1),
            trainable_variables=[weights],
        )

    def input_fn():
        x = np.ones([4, 3], np.float32)
        labels = {"distance": np.full([4, 1], 2.0, np.float32), "click": np.array([0, 1, 0, 1])}
        return tf.data.Dataset.from_tensor_slices(({"x": x}, labels)).batch(2)

    estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn)
    assert estimator.evaluate(input_fn)["distance"] == pytest.approx(1.4, abs=1e-5)
    key = ("distance", "predictions") if among_others else "predictions"
    assert next(estimator.predict(input_fn))[key] == pytest.approx(0.6, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_the_names_of_the_optimizers_state_are_the_originals(count, tmp_path):
    """There, each head makes a train op, which opens a scope."""

    def input_fn():
        x = np.ones([4, 1], np.float32)
        return tf.data.Dataset.from_tensors(({"x": x}, {f"h{place}": x for place in range(count)}))

    def estimator():
        parts = [kestimator.RegressionHead(name=f"h{place}") for place in range(count)]
        columns = [tf.feature_column.numeric_column("x")]
        return kestimator.LinearEstimator(
            kestimator.MultiHead(parts), columns, str(tmp_path), optimizer="SGD"
        )

    names = estimator().train(input_fn).get_variable_names()
    state = [name for name in names if name.startswith("training")]
    scope = f"training_{count}/SGD"
    assert state == [f"{scope}/decay", f"{scope}/learning_rate", f"{scope}/momentum"]
    assert estimator().train(input_fn).get_variable_value("global_step") == 2


def test_a_multi_head_in_a_multi_head_opens_the_scopes_of_all():
    parts = [kestimator.RegressionHead(name=name) for name in "abc"]
    inner = kestimator.MultiHead(parts[:2])
    with tf.Graph().as_default():
        multi.pass_training_scopes(kestimator.MultiHead([inner, parts[2]]))
        with tf.name_scope("training") as scope:
            assert scope == "training_5/"
