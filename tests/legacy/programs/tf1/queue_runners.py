"""CSV files through queue runners: string_input_producer, TextLineReader, tf.train.batch."""

import argparse
import json
import os

import numpy as np
import tensorflow as tf


def write_files(folder, seed=0):
    rng = np.random.RandomState(seed)
    paths = []
    tf.gfile.MakeDirs(folder)
    for shard in range(2):
        paths.append(os.path.join(folder, "part-%05d.csv" % shard))
        with open(paths[-1], "w") as output:
            output.write("a,b,label\n")
            for _ in range(24):
                a, b = rng.rand(2).round(3)
                output.write("%.3f,%.3f,%d\n" % (a, b, a > b))
    return paths


def read_csv(paths, batch_size, num_epochs):
    filename_queue = tf.train.string_input_producer(paths, num_epochs=num_epochs, shuffle=False)
    reader = tf.TextLineReader(skip_header_lines=1)
    _, rows = reader.read_up_to(filename_queue, num_records=batch_size)
    a, b, label = tf.decode_csv(tf.expand_dims(rows, -1), record_defaults=[[0.0], [0.0], [0]])
    features, label = tf.train.batch(
        [tf.concat([a, b], axis=1), label],
        batch_size,
        num_threads=1,
        capacity=4 * batch_size,
        enqueue_many=True,
        allow_smaller_final_batch=True,
    )
    return {"x": features}, label


def model_fn(features, labels, mode):
    kernel = tf.get_variable("kernel", [2, 1], initializer=tf.constant_initializer(0.3))
    bias = tf.Variable(0.0, name="bias")
    logits = tf.matmul(features["x"], kernel) + bias
    loss, train_op, metrics = None, None, None
    if mode != tf.estimator.ModeKeys.PREDICT:
        loss = tf.losses.sigmoid_cross_entropy(labels, logits)
        train_op = tf.train.GradientDescentOptimizer(0.5).minimize(
            loss, tf.train.get_or_create_global_step()
        )
        with tf.name_scope("metrics"):
            predicted = tf.to_int32(logits > 0)
            metrics = {
                "accuracy": tf.metrics.accuracy(labels, predicted),
                "precision": tf.metrics.precision(labels, predicted),
                "mean/loss": tf.metrics.mean(loss),
            }
    return tf.estimator.EstimatorSpec(
        mode=mode,
        predictions=tf.sigmoid(logits),
        loss=loss,
        train_op=train_op,
        eval_metric_ops=metrics,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/queue_runners")
    args, _ = parser.parse_known_args()
    paths = write_files(os.path.join(args.model_dir, "data"))
    estimator = tf.estimator.Estimator(model_fn, model_dir=args.model_dir)
    estimator.train(lambda: read_csv(paths, 8, num_epochs=None), max_steps=20)
    estimator.train(lambda: read_csv(paths, 8, num_epochs=2))
    results = estimator.evaluate(lambda: read_csv(paths, 8, num_epochs=1))
    answer = {key: float(value) for key, value in sorted(results.items())}
    rows = estimator.predict(lambda: read_csv(paths, 8, num_epochs=1))
    answer["probabilities"] = [float(row[0]) for row in rows]
    answer["bias"] = float(estimator.get_variable_value("bias"))
    print("RESULT", json.dumps(answer))


if __name__ == "__main__":
    main()
