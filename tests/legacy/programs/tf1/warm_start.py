"""A pretrained canned model warms up another, and a model_fn: WarmStartSettings, v1 by name."""

import argparse
import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def input_fn(seed, epochs):
    rng = np.random.RandomState(seed)
    text = rng.choice(["a", "b", "c", "d"], (64, 1)).astype(object)
    x = rng.rand(64, 2).astype(np.float32)
    labels = (x[:, 0] + (text[:, 0] == "a") > 0.8).astype(np.int32)
    return tf.estimator.inputs.numpy_input_fn(
        {"text": text, "x": x}, labels, batch_size=16, num_epochs=epochs, shuffle=False
    )


def columns_of(vocabulary):
    text = tf.feature_column.categorical_column_with_vocabulary_list("text", vocabulary)
    embedding = tf.feature_column.embedding_column(
        text, 3, initializer=tf.truncated_normal_initializer(stddev=0.5, seed=8)
    )
    return [tf.feature_column.numeric_column("x", shape=(2,)), embedding]


def make_classifier(folder, warm_start_from=None):
    config = tf.estimator.RunConfig(tf_random_seed=5, save_checkpoints_secs=None)
    config = config.replace(save_checkpoints_steps=20)
    return tf.estimator.DNNClassifier(
        [6, 4],
        columns_of(["a", "b", "c", "d"]),
        model_dir=folder,
        activation_fn=tf.nn.tanh,
        optimizer=lambda: tf.train.AdamOptimizer(
            tf.train.exponential_decay(0.05, tf.train.get_global_step(), 10, 0.9)
        ),
        warm_start_from=warm_start_from,
        config=config,
    )


def model_fn(features, labels, mode, params):
    net = tf.feature_column.input_layer(features, columns_of(["a", "b", "c", "d"]))
    with tf.variable_scope("tower"):
        hidden = tf.layers.dense(net, 6, activation=tf.nn.tanh, name="hidden")
        logits = tf.layers.dense(hidden, 1, kernel_initializer=tf.ones_initializer(), name="out")
    prefix = "dnn/hiddenlayer_0/"
    tf.train.init_from_checkpoint(params["pretrained"], {prefix: "tower/hidden/"})
    labels = tf.cast(labels, tf.float32)[:, None]
    loss = tf.losses.sigmoid_cross_entropy(labels, logits)
    trainable = [v for v in tf.trainable_variables() if not v.name.startswith("tower/hidden")]
    train_op = tf.train.AdagradOptimizer(0.1).minimize(
        loss, var_list=trainable, global_step=tf.train.get_global_step()
    )
    metrics = {"auc": tf.metrics.auc(labels, tf.sigmoid(logits), num_thresholds=50)}
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/warm_start")
    args = parser.parse_args()
    pretrained = os.path.join(args.model_dir, "pretrained")
    make_classifier(pretrained).train(input_fn(0, None), steps=20)
    settings = tf.estimator.WarmStartSettings(
        ckpt_to_initialize_from=pretrained, vars_to_warm_start=".*(input_layer|hiddenlayer_0).*"
    )
    warm = make_classifier(os.path.join(args.model_dir, "warm"), settings)
    warm.train(input_fn(1, None), steps=10)
    tuned = tf.estimator.Estimator(
        model_fn, args.model_dir, params={"pretrained": tf.train.latest_checkpoint(pretrained)}
    )
    tuned.train(input_fn(1, None), steps=10)
    answer = {}
    for name, estimator in (("warm", warm), ("tuned", tuned)):
        results = estimator.evaluate(input_fn(2, 1), steps=3)
        answer[name] = {key: float(results[key]) for key in sorted(results)}
    answer["names"] = sorted(warm.get_variable_names())
    hidden = tuned.get_variable_value("tower/hidden/kernel")
    before = tf.train.load_variable(pretrained, "dnn/hiddenlayer_0/kernel")
    answer["kept"] = bool(np.array_equal(hidden, before))
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    main()
