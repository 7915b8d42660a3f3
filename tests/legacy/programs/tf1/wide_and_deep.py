"""Income from a CSV file: wide and deep, string labels, a log of head/truediv, an export."""

import argparse
import json
import os
import sys

import numpy as np
import tensorflow as tf

_COLUMNS = ["age", "education", "occupation", "hours_per_week", "income_bracket"]
_DEFAULTS = [[0], [""], [""], [0.0], [""]]
_EDUCATION = ["Bachelors", "HS-grad", "Masters"]
_OCCUPATION = ["Sales", "Tech-support", "Craft-repair", "Other"]

parser = argparse.ArgumentParser()
parser.add_argument("--model_dir", type=str, default="/tmp/census_model")
parser.add_argument("--model_type", type=str, default="wide_deep")
parser.add_argument("--train_epochs", type=int, default=4)
parser.add_argument("--batch_size", type=int, default=20)


def write_csv(path, count, seed):
    rng = np.random.RandomState(seed)
    with tf.gfile.GFile(path, "w") as output:
        for _ in range(count):
            age, hours = rng.randint(18, 80), rng.randint(10, 60)
            education, occupation = rng.choice(_EDUCATION), rng.choice(_OCCUPATION)
            rich = age + hours + 20 * (education == "Masters") > 95
            row = [str(age), education, occupation, str(hours), ">50K" if rich else "<=50K"]
            output.write(",".join(row) + "\n")


def build_model_columns():
    age = tf.feature_column.numeric_column("age")
    hours = tf.feature_column.numeric_column("hours_per_week")
    education = tf.feature_column.categorical_column_with_vocabulary_list("education", _EDUCATION)
    occupation = tf.feature_column.categorical_column_with_hash_bucket("occupation", 50)
    buckets = tf.feature_column.bucketized_column(age, boundaries=[25, 35, 45, 55, 65])
    wide = [
        education,
        occupation,
        buckets,
        tf.feature_column.crossed_column(["education", "occupation"], hash_bucket_size=100),
        tf.feature_column.crossed_column([buckets, "education"], hash_bucket_size=100),
    ]
    deep = [
        age,
        hours,
        tf.feature_column.indicator_column(education),
        tf.feature_column.embedding_column(occupation, dimension=4),
    ]
    return wide, deep


def build_estimator(model_dir, model_type):
    wide, deep = build_model_columns()
    run_config = tf.estimator.RunConfig(tf_random_seed=3).replace(
        session_config=tf.ConfigProto(device_count={"GPU": 0})
    )
    if model_type == "wide":
        return tf.estimator.LinearClassifier(wide, model_dir, config=run_config)
    return tf.estimator.DNNLinearCombinedClassifier(
        model_dir=model_dir,
        linear_feature_columns=wide,
        dnn_feature_columns=deep,
        dnn_hidden_units=[10, 5],
        dnn_optimizer=tf.train.ProximalAdagradOptimizer(0.05, l2_regularization_strength=0.001),
        label_vocabulary=["<=50K", ">50K"],
        config=run_config,
    )


def input_fn(data_file, num_epochs, batch_size):
    def parse_csv(value):
        features = dict(zip(_COLUMNS, tf.decode_csv(value, record_defaults=_DEFAULTS)))
        return features, features.pop("income_bracket")

    dataset = tf.data.TextLineDataset(data_file).map(parse_csv, num_parallel_calls=2)
    return dataset.repeat(num_epochs).batch(batch_size)


def main(_):
    train_file = os.path.join(FLAGS.model_dir, "adult.data")
    test_file = os.path.join(FLAGS.model_dir, "adult.test")
    tf.gfile.MakeDirs(FLAGS.model_dir)
    write_csv(train_file, 200, 0)
    write_csv(test_file, 50, 1)
    model = build_estimator(FLAGS.model_dir, FLAGS.model_type)
    hook = tf.train.LoggingTensorHook({"average_loss": "head/truediv"}, every_n_iter=10)
    answer = {"accuracy": []}
    for _n in range(FLAGS.train_epochs // 2):
        model.train(lambda: input_fn(train_file, 2, FLAGS.batch_size), hooks=[hook])
        results = model.evaluate(lambda: input_fn(test_file, 1, FLAGS.batch_size))
        answer["accuracy"].append(float(results["accuracy"]))
    answer["evaluated"] = {key: float(results[key]) for key in sorted(results)}
    rows = list(model.predict(lambda: input_fn(test_file, 1, FLAGS.batch_size)))
    answer["classes"] = [row["classes"][0].decode() for row in rows[:10]]
    answer["logistic"] = [float(row["logistic"][0]) for row in rows[:10]]
    answer["weights"] = model.get_variable_value("linear/linear_model/education/weights").tolist()
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    tf.logging.set_verbosity(tf.logging.INFO)
    FLAGS, unparsed = parser.parse_known_args()
    tf.app.run(main=main, argv=[sys.argv[0]] + unparsed)
