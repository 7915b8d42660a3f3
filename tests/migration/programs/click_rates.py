"""Click rates from columns and variables of one's own, evaluated during training."""

import numpy as np
from tensorflow import estimator as tf_estimator
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)

CITIES = ["Rome", "Oslo", "Lima"]


def columns():
    city = tf.feature_column.categorical_column_with_vocabulary_list("city", CITIES)
    return [
        tf.feature_column.numeric_column("age"),
        tf.feature_column.embedding_column(city, 2, initializer=tf.ones_initializer()),
    ]


def model_fn(features, labels, mode, params):
    estimator = params["step"]  # not the module of this name
    net = tf.feature_column.input_layer(features, columns())
    with tf.variable_scope("linear"):
        weights = tf.get_variable(
            "weights", [3, 1], initializer=tf.random_normal_initializer(stddev=0.1, seed=3)
        )
        bias = tf.get_variable("bias", [1], initializer=tf.zeros_initializer())
        logits = tf.nn.xw_plus_b(net, weights, bias)
    # Pairs, as factorization machines have them.
    square = tf.square(tf.reduce_sum(net, reduction_indices=1, keep_dims=True))
    logits += 0.5 * (square - tf.reduce_sum(tf.square(net), 1, keepdims=True))
    probabilities = tf.nn.sigmoid(logits)
    if mode == tf_estimator.ModeKeys.PREDICT:
        outputs = {"serving_default": tf_estimator.export.PredictOutput({"p": probabilities})}
        return tf_estimator.EstimatorSpec(
            mode, predictions={"p": probabilities}, export_outputs=outputs
        )
    loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.to_float(labels), logits=logits)
    )
    loss += 0.01 * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
    metrics = {
        "auc": tf.metrics.auc(labels, probabilities),
        "accuracy": tf.metrics.accuracy(labels, tf.round(probabilities)),
    }
    tf.summary.histogram("probabilities", probabilities)
    optimizer = tf.train.FtrlOptimizer(estimator, l1_regularization_strength=0.001)
    train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())
    return tf_estimator.EstimatorSpec(
        mode=mode, loss=loss, train_op=train_op, eval_metric_ops=metrics
    )


def input_fn(epochs=None):
    random = np.random.RandomState(1)
    data = {"age": random.rand(40, 1).astype(np.float32), "city": random.choice(CITIES, (40, 1))}
    labels = (data["age"] > 0.5).astype(np.int64)
    dataset = tf.data.Dataset.from_tensor_slices((data, labels)).repeat(epochs).batch(8)
    iterator = dataset.make_one_shot_iterator()
    features, labels = iterator.get_next()
    return features, labels


def main(argv):
    config = tf_estimator.RunConfig(argv[1], save_checkpoints_steps=10, tf_random_seed=1)
    model = tf_estimator.Estimator(model_fn, config=config, params={"step": 0.1})
    spec = tf.feature_column.make_parse_example_spec(columns())
    receiver_fn = tf_estimator.export.build_parsing_serving_input_receiver_fn(spec)
    start = 0 if tf.train.latest_checkpoint(argv[1]) is None else 20
    results, _ = tf_estimator.train_and_evaluate(
        model,
        tf_estimator.TrainSpec(input_fn, max_steps=start + 20),
        tf_estimator.EvalSpec(
            lambda: input_fn(1),
            steps=None,
            throttle_secs=0,
            exporters=[tf_estimator.LatestExporter("latest", receiver_fn)],
        ),
    )
    for name, value in sorted(results.items()):
        print("%s %.5g" % (name, value))
    rows = model.predict(lambda: input_fn(1))
    print(["%.5f" % next(rows)["p"][0] for _ in range(5)])


if __name__ == "__main__":
    tf.app.run()
