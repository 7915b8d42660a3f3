"""A head and an estimator from tensorflow_estimator's private modules, weights, add_metrics."""

import argparse
import json

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import math_ops
from tensorflow.python.training import training_util
from tensorflow_estimator.python.estimator import model_fn as model_fn_lib
from tensorflow_estimator.python.estimator import run_config as run_config_lib
from tensorflow_estimator.python.estimator.canned import head as head_lib
from tensorflow_estimator.python.estimator.canned import metric_keys, optimizers, prediction_keys
from tensorflow_estimator.python.estimator.estimator import Estimator
from tensorflow_estimator.python.estimator.export import export_output
from tensorflow_estimator.python.estimator.inputs import numpy_io
from tensorflow_estimator.python.estimator.mode_keys import ModeKeys


def _fm_logit_fn(features, feature_columns, factor_size, units):
    """Second-order interactions of the embeddings of columns."""
    embedded = []
    for column in feature_columns:
        with tf.variable_scope("fm_%s" % column.name):
            wide = tf.feature_column.input_layer(features, [column])
            kernel = tf.get_variable(
                "factors",
                [wide.shape[-1], factor_size],
                initializer=tf.random_normal_initializer(0.0, 0.3, seed=len(embedded)),
            )
            embedded.append(math_ops.matmul(wide, kernel))
    stacked = tf.stack(embedded, axis=1)
    square = math_ops.square(math_ops.reduce_sum(stacked, axis=1))
    interaction = 0.5 * (square - math_ops.reduce_sum(math_ops.square(stacked), axis=1))
    bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
    return math_ops.reduce_sum(interaction, axis=1, keepdims=True) + bias


class FMClassifier(Estimator):
    """A factorization machine."""

    def __init__(self, feature_columns, factor_size, model_dir, optimizer="Adagrad", **kwargs):
        head = head_lib._binary_logistic_head_with_sigmoid_cross_entropy_loss(
            weight_column="weight", thresholds=(0.3,)
        )
        optimizer = optimizers.get_optimizer_instance(optimizer, learning_rate=0.1)

        def _model_fn(features, labels, mode, config):
            with tf.variable_scope("fm", values=tuple(features.values())):
                logits = _fm_logit_fn(features, feature_columns, factor_size, 1)

            def _train_op_fn(loss):
                return optimizer.minimize(loss, global_step=training_util.get_global_step())

            spec = head.create_estimator_spec(
                features=features,
                mode=mode,
                labels=labels,
                train_op_fn=_train_op_fn,
                logits=logits,
            )
            if mode == ModeKeys.PREDICT:
                outputs = dict(spec.export_outputs)
                outputs["logits"] = export_output.PredictOutput({"logits": logits})
                spec = spec._replace(export_outputs=outputs)
            assert isinstance(spec, model_fn_lib.EstimatorSpec)
            return spec

        super(FMClassifier, self).__init__(model_fn=_model_fn, model_dir=model_dir, **kwargs)


def mean_probability(predictions):
    key = prediction_keys.PredictionKeys.LOGISTIC
    return {"mean_probability": tf.metrics.mean(predictions[key])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/fm")
    args = parser.parse_args()
    rng = np.random.RandomState(6)
    x = {
        "user": rng.randint(0, 5, 60),
        "item": rng.randint(0, 7, 60),
        "weight": rng.rand(60).astype(np.float32),
    }
    y = ((x["user"] + x["item"]) % 2).astype(np.int32)
    identity = tf.feature_column.categorical_column_with_identity
    columns = [tf.feature_column.indicator_column(identity(k, 8)) for k in ("item", "user")]
    config = run_config_lib.RunConfig(keep_checkpoint_max=1)
    classifier = FMClassifier(columns, 3, args.model_dir, config=config)
    classifier = tf.estimator.add_metrics(classifier, mean_probability)
    classifier.train(numpy_io.numpy_input_fn(x, y, 12, num_epochs=5, shuffle=False))
    input_fn = numpy_io.numpy_input_fn(x, y, num_epochs=1, shuffle=False)
    results = classifier.evaluate(input_fn)
    rows = list(classifier.predict(input_fn))
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer["auc"] = float(results[metric_keys.MetricKeys.AUC])
    answer["probabilities"] = rows[0][prediction_keys.PredictionKeys.PROBABILITIES].tolist()
    answer["keys"] = sorted(rows[0])
    print("RESULT", json.dumps(answer))
