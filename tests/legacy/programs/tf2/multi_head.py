"""Two tasks with one network: MultiHead, heads with weights and class names, DNNEstimator."""

import argparse
import json

import numpy as np
import tensorflow as tf


def make_input_fn(count=48, epochs=1):
    rng = np.random.RandomState(0)
    x = rng.rand(count, 5).astype(np.float32)
    labels = {
        "clicks": x.sum(axis=1, keepdims=True) * 1.5,
        "kind": np.array(["cat", "dog", "owl"], object)[np.argmax(x[:, :3], axis=1)][:, None],
        "tags": (x[:, :2] > 0.5).astype(np.int64),
    }
    features = {"x": x, "importance": rng.rand(count, 1).astype(np.float32)}

    def input_fn():
        dataset = tf.data.Dataset.from_tensor_slices((features, labels))
        return dataset.repeat(epochs).batch(12)

    return input_fn


def make_head():
    clicks = tf.estimator.PoissonRegressionHead(name="clicks", weight_column="importance")
    kind = tf.estimator.MultiClassHead(3, name="kind", label_vocabulary=["cat", "dog", "owl"])
    tags = tf.estimator.MultiLabelHead(2, name="tags", thresholds=[0.4])
    return tf.estimator.MultiHead([clicks, kind, tags], head_weights=[1.0, 2.0, 0.5])


def my_model_fn(features, labels, mode, params):
    """A model_fn that gives its logits to a head, with a Keras network."""
    head = params["head"]
    rng = np.random.RandomState(3)
    network = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(
                7, tf.nn.relu, kernel_initializer=tf.constant_initializer(rng.normal(size=(5, 7)))
            ),
            tf.keras.layers.Dense(
                head.logits_dimension,
                kernel_initializer=tf.constant_initializer(rng.normal(size=(7, 6)) / 3),
                kernel_regularizer=tf.keras.regularizers.l2(0.01),
            ),
        ]
    )
    logits = network(features["x"], training=mode == tf.estimator.ModeKeys.TRAIN)
    optimizer = tf.keras.optimizers.legacy.Adam(0.05)
    optimizer.iterations = tf.compat.v1.train.get_or_create_global_step()
    return head.create_estimator_spec(
        features,
        mode,
        logits,
        labels,
        optimizer=optimizer,
        trainable_variables=network.trainable_variables,
        update_ops=network.updates,
        regularization_losses=network.losses,
    )


def plain(values):
    return {key: float(values[key]) for key in sorted(values)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/multi_head")
    args = parser.parse_args()
    own = tf.estimator.Estimator(my_model_fn, args.model_dir, params={"head": make_head()})
    own.train(make_input_fn(epochs=None), steps=20)
    rows = list(own.predict(make_input_fn()))
    canned = tf.estimator.DNNEstimator(
        head=make_head(),
        hidden_units=[6],
        feature_columns=[tf.feature_column.numeric_column("x", shape=(5,))],
        model_dir=args.model_dir + "/canned",
        config=tf.estimator.RunConfig(tf_random_seed=8),
    )
    canned.train(make_input_fn(epochs=5))
    answer = {
        "own": plain(own.evaluate(make_input_fn())),
        "canned": plain(canned.evaluate(make_input_fn(), steps=2)),
        "keys": sorted("/".join(key) for key in rows[0]),
        "clicks": [float(row[("clicks", "predictions")][0]) for row in rows[:5]],
        "kinds": [row[("kind", "classes")][0].decode() for row in rows],
        "names": sorted(canned.get_variable_names()),
    }
    print("RESULT", json.dumps(answer))
