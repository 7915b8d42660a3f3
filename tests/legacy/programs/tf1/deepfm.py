"""Click prediction with DeepFM: get_variable, embedding_lookup, TFRecords, an export."""

import json
import os

import numpy as np
import tensorflow as tf

FLAGS = tf.app.flags.FLAGS
tf.app.flags.DEFINE_string("model_dir", "/tmp/deepfm", "model check point dir")
tf.app.flags.DEFINE_integer("feature_size", 40, "Number of features")
tf.app.flags.DEFINE_integer("field_size", 5, "Number of fields")
tf.app.flags.DEFINE_integer("embedding_size", 4, "Embedding size")
tf.app.flags.DEFINE_string("deep_layers", "8,4", "deep layers")
tf.app.flags.DEFINE_float("l2_reg", 0.0001, "L2 regularization")


def write_records(path, count):
    rng = np.random.RandomState(5)
    with tf.python_io.TFRecordWriter(path) as writer:
        for _ in range(count):
            ids = rng.randint(0, FLAGS.feature_size, FLAGS.field_size)
            values = rng.rand(FLAGS.field_size)
            label = float(ids[0] + ids[1] > FLAGS.feature_size)
            feature = {
                "label": tf.train.Feature(float_list=tf.train.FloatList(value=[label])),
                "feat_ids": tf.train.Feature(int64_list=tf.train.Int64List(value=ids)),
                "feat_vals": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def input_fn(path, num_epochs):
    def decode(record):
        spec = {
            "label": tf.FixedLenFeature([], tf.float32),
            "feat_ids": tf.FixedLenFeature([FLAGS.field_size], tf.int64),
            "feat_vals": tf.FixedLenFeature([FLAGS.field_size], tf.float32),
        }
        parsed = tf.parse_single_example(record, spec)
        return parsed, parsed.pop("label")

    dataset = tf.data.TFRecordDataset([path]).map(decode, num_parallel_calls=2).prefetch(100)
    iterator = dataset.repeat(num_epochs).batch(16).make_one_shot_iterator()
    return iterator.get_next()


def model_fn(features, labels, mode, params):
    glorot = tf.glorot_normal_initializer(seed=11)
    bias = tf.get_variable("fm_bias", [1], initializer=tf.constant_initializer(0.0))
    weights = tf.get_variable("fm_w", [FLAGS.feature_size], initializer=glorot)
    factors = tf.get_variable(
        "fm_v", [FLAGS.feature_size, FLAGS.embedding_size], tf.float32, glorot
    )
    values = features["feat_vals"]
    with tf.variable_scope("First-order"):
        first = tf.reduce_sum(tf.nn.embedding_lookup(weights, features["feat_ids"]) * values, 1)
    with tf.variable_scope("Second-order"):
        embeddings = tf.nn.embedding_lookup(factors, features["feat_ids"]) * values[:, :, None]
        square_of_sum = tf.square(tf.reduce_sum(embeddings, 1))
        second = 0.5 * tf.reduce_sum(square_of_sum - tf.reduce_sum(embeddings**2, 1), 1)
    with tf.variable_scope("Deep-part", reuse=tf.AUTO_REUSE):
        deep = tf.reshape(embeddings, [-1, FLAGS.field_size * FLAGS.embedding_size])
        for i, units in enumerate(params["deep_layers"]):
            shape = [deep.shape[1].value, units]
            kernel = tf.get_variable("mlp%d/weights" % i, shape, initializer=glorot)
            deep = tf.nn.relu(tf.matmul(deep, kernel) + tf.get_variable("b%d" % i, [units]) * 0)
        deep = tf.reduce_sum(deep, 1)
    y = bias[0] + first + second + deep
    pred = tf.sigmoid(y, name="prob")
    if mode == tf.estimator.ModeKeys.PREDICT:
        key = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        outputs = {key: tf.estimator.export.PredictOutput({"prob": pred})}
        return tf.estimator.EstimatorSpec(mode, {"prob": pred}, export_outputs=outputs)
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=y, labels=labels))
    loss += FLAGS.l2_reg * (tf.nn.l2_loss(weights) + tf.nn.l2_loss(factors))
    optimizer = tf.train.AdagradOptimizer(0.1, initial_accumulator_value=1e-8)
    train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())
    metrics = {"auc": tf.metrics.auc(labels, pred)}
    return tf.estimator.EstimatorSpec(mode, {"prob": pred}, loss, train_op, metrics)


def main(_):
    tf.gfile.MakeDirs(FLAGS.model_dir)
    path = os.path.join(FLAGS.model_dir, "train.tfrecords")
    write_records(path, 120)
    params = {"deep_layers": list(map(int, FLAGS.deep_layers.split(",")))}
    config = tf.estimator.RunConfig(log_step_count_steps=10, save_summary_steps=10)
    model = tf.estimator.Estimator(model_fn, FLAGS.model_dir, config, params)
    train_spec = tf.estimator.TrainSpec(lambda: input_fn(path, None), max_steps=25)
    eval_spec = tf.estimator.EvalSpec(lambda: input_fn(path, 1), steps=None, throttle_secs=1)
    results, _ = tf.estimator.train_and_evaluate(model, train_spec, eval_spec)
    rows = list(model.predict(lambda: input_fn(path, 1), predict_keys="prob"))
    feature_spec = {
        "feat_ids": tf.placeholder(tf.int64, [None, FLAGS.field_size], "feat_ids"),
        "feat_vals": tf.placeholder(tf.float32, [None, FLAGS.field_size], "feat_vals"),
    }
    receiver_fn = tf.estimator.export.build_raw_serving_input_receiver_fn(feature_spec)
    export_dir = model.export_savedmodel(os.path.join(FLAGS.model_dir, "export"), receiver_fn)
    with tf.Session(graph=tf.Graph()) as sess:
        tags = [tf.saved_model.tag_constants.SERVING]
        meta = tf.saved_model.loader.load(sess, tags, export_dir)
        signature = meta.signature_def["serving_default"]
        ids = np.arange(10).reshape(2, 5)
        feed = {
            signature.inputs["feat_ids"].name: ids,
            signature.inputs["feat_vals"].name: ids / 10,
        }
        served = sess.run(signature.outputs["prob"].name, feed)
    answer = {key: float(results[key]) for key in results}
    answer["prob"] = [float(row["prob"]) for row in rows[:8]]
    answer["served"] = served.tolist()
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    tf.app.run()
