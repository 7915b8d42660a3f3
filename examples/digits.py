"""Recognises handwritten digits: trains, evaluates, predicts, exports and serves a classifier.

The data are the 1,797 real images of 8 x 8 pixels that come with scikit-learn; nothing is fetched
from a network. The `model_fn` is written as for TensorFlow 1, and runs on today's.

    python examples/digits.py
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import quiet_tensorflow  # noqa: F401  (before whatever else imports TensorFlow)

# isort: split
import numpy as np
import sklearn.datasets
import sklearn.model_selection
import tensorflow as tf

import kestimator

PIXELS = 64
DIGITS = 10
Data = tuple[dict[str, np.ndarray], np.ndarray]


def load_data(seed: int = 7) -> tuple[Data, Data]:
    """The images, pixels from 0 to 1, as `((features, labels), (features, labels))`.

    Returns:
        1,437 examples to train on and 360 to test with, every digit in the same share.
    """
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    pixels = (images / 16.0).astype(np.float32)
    train_x, test_x, train_y, test_y = sklearn.model_selection.train_test_split(
        pixels, labels.astype(np.int64), test_size=360, stratify=labels, random_state=seed
    )
    return ({"image": train_x}, train_y), ({"image": test_x}, test_y)


def dense(inputs: tf.Tensor, units: int, name: str) -> tf.Tensor:
    """A fully connected layer over variables called `<name>/kernel` and `<name>/bias`."""
    with tf.compat.v1.variable_scope(name):
        kernel = tf.compat.v1.get_variable(
            "kernel",
            [inputs.shape[-1], units],
            initializer=tf.compat.v1.glorot_uniform_initializer(),
        )
        bias = tf.compat.v1.get_variable(
            "bias", [units], initializer=tf.compat.v1.zeros_initializer()
        )
        return tf.matmul(inputs, kernel) + bias


def model_fn(
    features: dict[str, tf.Tensor], labels: tf.Tensor | None, mode: str, params: dict[str, Any]
) -> kestimator.EstimatorSpec:
    """Two hidden layers and a softmax over the ten digits."""
    hidden = features["image"]
    for number, units in enumerate(params["hidden_units"]):
        hidden = tf.nn.relu(dense(hidden, units, f"hidden_{number}"))
        if mode == kestimator.ModeKeys.TRAIN:
            hidden = tf.nn.dropout(hidden, rate=params["dropout"])
    logits = dense(hidden, DIGITS, "logits")
    digit = tf.argmax(logits, axis=1)

    if mode == kestimator.ModeKeys.PREDICT:
        predictions = {"digit": digit, "probabilities": tf.nn.softmax(logits)}
        return kestimator.EstimatorSpec(mode, predictions=predictions)

    loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(labels, logits)
    accuracy = tf.compat.v1.metrics.accuracy(labels, digit, name="accuracy")
    if mode == kestimator.ModeKeys.EVAL:
        return kestimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})

    hits = tf.cast(tf.equal(labels, digit), tf.float32)
    tf.compat.v1.summary.scalar("batch_accuracy", tf.reduce_mean(hits))
    optimizer = tf.compat.v1.train.AdamOptimizer(params["learning_rate"])
    train_op = optimizer.minimize(loss, global_step=tf.compat.v1.train.get_global_step())
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def batches_of(data: Data, batch_size: int, *, endless: bool = False) -> Callable[[], Any]:
    """An input_fn over `data`; an endless one shuffles anew in every pass."""

    def input_fn() -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(data)
        if endless:
            dataset = dataset.shuffle(len(data[1]), seed=7).repeat()
        return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    return input_fn


def serving_input_receiver_fn() -> Any:
    """What the exported model takes: a batch of images under the name `image`."""
    image = tf.compat.v1.placeholder(tf.float32, [None, PIXELS], name="image")
    return kestimator.export.ServingInputReceiver({"image": image}, {"image": image})


def show_predictions(estimator: kestimator.Estimator, data: Data, count: int = 5) -> np.ndarray:
    """Prints the first predictions beside the truth.

    Returns:
        The probabilities of all of `data`, of shape (examples, 10).
    """
    rows = list(estimator.predict(batches_of(data, 128)))
    print(f"\nThe first {count} test images:")
    for row, label in zip(rows[:count], data[1], strict=False):
        sure = row["probabilities"][row["digit"]]
        print(f"  written: {label}   read: {row['digit']}   probability: {sure:.3f}")
    return np.stack([row["probabilities"] for row in rows])


def serve(export_dir: str, data: Data) -> np.ndarray:
    """Loads an export as a server would, and gives its probabilities for `data`."""
    signature = tf.saved_model.load(export_dir).signatures["serving_default"]
    outputs = signature(image=tf.constant(data[0]["image"]))
    return np.asarray(outputs["probabilities"])


def run(model_dir: str, steps: int) -> float:
    """Does it all.

    Returns:
        The accuracy on the test images.
    """
    train, test = load_data()
    print(f"{len(train[1])} images to train on, {len(test[1])} to test with; model_dir {model_dir}")
    estimator = kestimator.Estimator(
        model_fn,
        config=kestimator.RunConfig(
            model_dir=model_dir, tf_random_seed=7, save_summary_steps=100, log_step_count_steps=500
        ),
        params={"hidden_units": [128, 64], "dropout": 0.2, "learning_rate": 0.002},
    )
    estimator.train(batches_of(train, 64, endless=True), steps=steps, verbose=1)
    metrics = estimator.evaluate(batches_of(test, 128))
    probabilities = show_predictions(estimator, test)

    for logger in (tf.get_logger(), logging.getLogger("absl")):
        logger.setLevel(logging.ERROR)  # writing and loading an export is chatty
    exported = estimator.export_saved_model(
        os.path.join(model_dir, "export"), serving_input_receiver_fn
    ).decode()
    served = serve(exported, test)
    np.testing.assert_allclose(served, probabilities, rtol=1e-5, atol=1e-6)
    print(f"\nExported to {exported}")
    print(f"Loaded again, it gives the same {served.shape[0]} x {served.shape[1]} probabilities.")
    return float(metrics["accuracy"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-dir", help="default: a new temporary directory")
    parser.add_argument("--steps", type=int, default=2000, help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    tf.get_logger().handlers.clear()  # the hooks log there: let their lines go the same way
    start = time.perf_counter()
    accuracy = run(options.model_dir or tempfile.mkdtemp(prefix="digits-"), options.steps)
    print(f"\nTest accuracy {accuracy:.3f}, in {time.perf_counter() - start:.0f} seconds.")


if __name__ == "__main__":
    main()
