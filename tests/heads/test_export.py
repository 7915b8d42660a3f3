"""Heads in SavedModels: the signatures, and what they answer."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator

v1 = tf.compat.v1
X = np.array([[0.0, 1.0], [2.0, -1.0], [-1.0, 0.5]], np.float32)
WORDS = ["red", "green", "blue"]


def heads():
    """Each head with the labels of a batch."""
    return {
        "binary": (kestimator.BinaryClassHead(label_vocabulary=["no", "yes"]), ["no", "yes", "no"]),
        "multi_class": (kestimator.MultiClassHead(3, label_vocabulary=WORDS), WORDS),
        "multi_label": (kestimator.MultiLabelHead(2), np.eye(3, 2, dtype=np.int64)),
        "regression": (kestimator.RegressionHead(2), X),
        "poisson": (kestimator.PoissonRegressionHead(), [1.0, 0.0, 2.0]),
        "logistic": (kestimator.LogisticRegressionHead(), [0.5, 0.0, 1.0]),
        "multi": (
            kestimator.MultiHead(
                [kestimator.BinaryClassHead(name="click"), kestimator.RegressionHead(name="price")]
            ),
            {"click": [0, 1, 0], "price": [1.0, 2.0, 3.0]},
        ),
    }


SIGNATURES = {
    "binary": {
        "serving_default": "classify",
        "classification": "classify",
        "regression": "regress",
    },
    "multi_class": {"serving_default": "classify", "classification": "classify"},
    "multi_label": {"serving_default": "classify", "classification": "classify"},
    "regression": {"serving_default": "regress", "regression": "regress"},
    "poisson": {"serving_default": "regress", "regression": "regress"},
    "logistic": {"serving_default": "regress", "regression": "regress"},
    "multi": {
        "serving_default": "classify",
        "click": "classify",
        "click/classification": "classify",
        "click/regression": "regress",
        "click/predict": "predict",
        "price": "regress",
        "price/regression": "regress",
        "price/predict": "predict",
    },
}


def trained(name, model_dir):
    head, labels = heads()[name]

    def model_fn(features, labels, mode):
        weights = v1.get_variable("w", [2, head.logits_dimension])
        return head.create_estimator_spec(
            features,
            mode,
            tf.matmul(features["x"], weights),
            labels,
            optimizer=v1.train.GradientDescentOptimizer(0.1),
            trainable_variables=[weights],
        )

    def input_fn():
        return tf.data.Dataset.from_tensor_slices(({"x": X}, labels)).batch(3)

    estimator = kestimator.Estimator(model_fn, model_dir, kestimator.RunConfig(tf_random_seed=1))
    return estimator.train(input_fn), input_fn


def examples():
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=row))}
            )
        ).SerializeToString()
        for row in X
    ]


@pytest.mark.parametrize("name", SIGNATURES)
def test_serves_what_it_predicts(name, tmp_path):
    estimator, input_fn = trained(name, tmp_path / "model")
    spec = {"x": tf.io.FixedLenFeature([2], tf.float32)}
    receiver = kestimator.export.build_parsing_serving_input_receiver_fn(spec)
    path = estimator.export_saved_model(str(tmp_path / "export"), receiver)
    with v1.Graph().as_default(), v1.Session() as session:
        signatures = v1.saved_model.load(session, ["serve"], path.decode()).signature_def
    methods = {key: signature.method_name for key, signature in signatures.items()}
    methods.pop("__saved_model_init_op", None)
    assert {key: method.rpartition("/")[2] for key, method in methods.items()} == {
        **SIGNATURES[name],
        "predict": "predict",
    }

    served = tf.saved_model.load(path.decode()).signatures["predict"](tf.constant(examples()))
    rows = list(estimator.predict(input_fn))
    for key in rows[0]:
        named = key if isinstance(key, str) else "/".join(key)
        expected = np.stack([row[key] for row in rows])
        if expected.dtype == object:
            assert served[named].numpy().tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(served[named], expected, rtol=1e-5)
