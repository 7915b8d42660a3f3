"""Keras models as estimators: one with two inputs, and a Sequential one on MirroredStrategy."""

import argparse
import json
import os

import numpy as np
import tensorflow as tf


def start(seed, *shape):
    values = np.random.RandomState(seed).normal(0, 0.4, shape)
    return tf.constant_initializer(values.astype(np.float32))


def build_model():
    wide = tf.keras.Input(shape=(3,), name="wide")
    deep = tf.keras.Input(shape=(4,), name="deep")
    net = tf.keras.layers.Dense(6, use_bias=False, kernel_initializer=start(0, 4, 6))(deep)
    net = tf.keras.layers.Activation("relu")(tf.keras.layers.BatchNormalization()(net))
    net = tf.keras.layers.concatenate([net, wide])
    output = tf.keras.layers.Dense(
        1, activation="sigmoid", kernel_initializer=start(1, 9, 1), name="click"
    )(net)
    model = tf.keras.Model(inputs=[wide, deep], outputs=output)
    model.compile(
        optimizer=tf.keras.optimizers.legacy.Adam(0.02),
        loss="binary_crossentropy",
        metrics=["accuracy", tf.keras.metrics.AUC(name="auc", num_thresholds=20)],
    )
    return model


def build_sequential():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(2, 2), name="image"),
            tf.keras.layers.Dense(5, activation="tanh", kernel_initializer=start(2, 4, 5)),
            tf.keras.layers.Dense(2, kernel_initializer=start(3, 5, 2)),
        ]
    )
    model.compile(
        optimizer=tf.keras.optimizers.legacy.SGD(0.1, momentum=0.9),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tf.keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


def input_fn(epochs=1):
    rng = np.random.RandomState(5)
    features = {
        "wide": rng.rand(40, 3).astype(np.float32),
        "deep": rng.rand(40, 4).astype(np.float32),
    }
    labels = (features["wide"][:, :1] + features["deep"][:, :1] > 1).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((features, labels)).repeat(epochs).batch(10)


def image_input_fn(epochs=1):
    rng = np.random.RandomState(6)
    images = rng.rand(40, 2, 2).astype(np.float32)
    labels = (images[:, 0, 0] > images[:, 1, 1]).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices((images, labels)).repeat(epochs).batch(10)


def plain(results):
    return {key: float(results[key]) for key in sorted(results)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/model_to_estimator")
    args = parser.parse_args()
    estimator = tf.keras.estimator.model_to_estimator(
        keras_model=build_model(), model_dir=args.model_dir
    )
    estimator.train(lambda: input_fn(None), steps=20)
    rows = list(estimator.predict(input_fn))
    by_name = tf.keras.estimator.model_to_estimator(
        build_sequential(),
        model_dir=os.path.join(args.model_dir, "images"),
        checkpoint_format="saver",
        config=tf.estimator.RunConfig(train_distribute=tf.distribute.MirroredStrategy(["/cpu:0"])),
    )
    train_spec = tf.estimator.TrainSpec(lambda: image_input_fn(None), max_steps=15)
    eval_spec = tf.estimator.EvalSpec(image_input_fn, steps=None)
    results, _ = tf.estimator.train_and_evaluate(by_name, train_spec, eval_spec)
    answer = {
        "evaluated": plain(estimator.evaluate(input_fn)),
        "clicks": [float(row["click"][0]) for row in rows],
        "images": plain(results),
        "names": sorted(by_name.get_variable_names()),
    }
    print("RESULT", json.dumps(answer))
