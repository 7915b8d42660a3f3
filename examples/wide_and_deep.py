"""Predicts the course of diabetes with a wide and deep model, and takes it along to Keras.

Trains, evaluates, predicts, exports and serves a canned estimator over feature columns, then
leaves with the trained weights as a Keras model. The table of patients is in `diabetes.csv`.

    python examples/wide_and_deep.py
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import quiet_tensorflow  # noqa: F401  (before whatever else imports TensorFlow)

# isort: split
import diabetes
import keras
import numpy as np
import tensorflow as tf

import kestimator


def make_estimator(model_dir: str) -> kestimator.DNNLinearCombinedClassifier:
    """A linear model of buckets and crosses, and a network of numbers and embeddings."""
    return kestimator.DNNLinearCombinedClassifier(
        linear_feature_columns=diabetes.linear_columns(),
        dnn_feature_columns=diabetes.deep_columns(),
        dnn_hidden_units=diabetes.HIDDEN_UNITS,
        linear_optimizer=lambda: keras.optimizers.Ftrl(0.02, l2_regularization_strength=0.5),
        dnn_optimizer=lambda: keras.optimizers.Adagrad(0.02),
        config=kestimator.RunConfig(
            model_dir=model_dir, tf_random_seed=7, log_step_count_steps=200
        ),
    )


def show_predictions(estimator: Any, data: diabetes.Data, count: int = 5) -> np.ndarray:
    """Prints the first predictions beside the truth.

    Returns:
        The probabilities of all of `data`, of shape (examples, 2).
    """
    rows = list(estimator.predict(diabetes.batches_of(data, diabetes.BATCH)))
    print(f"\nThe first {count} patients of the test:")
    for row, label in zip(rows[:count], data[1], strict=False):
        print(f"  progressed: {label}   probability of it: {row['probabilities'][1]:.3f}")
    return np.stack([row["probabilities"] for row in rows])


def serialized(data: diabetes.Data) -> list[bytes]:
    """Each example as a `tf.train.Example`, which is what servers are asked about."""
    return [
        example({name: values[row] for name, values in data[0].items()})
        for row in range(len(data[1]))
    ]


def example(features: dict[str, Any]) -> bytes:
    """The features of one example, serialized."""
    made = {}
    for name, value in features.items():
        if isinstance(value, bytes):
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        else:
            made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def export_and_serve(estimator: Any, data: diabetes.Data) -> np.ndarray:
    """Exports the model, loads it as a server would, and asks it about `data`."""
    columns = [*diabetes.linear_columns(), *diabetes.deep_columns()]
    receiver = kestimator.export.build_parsing_serving_input_receiver_fn(
        tf.feature_column.make_parse_example_spec(columns)
    )
    base = os.path.join(estimator.model_dir, "export")
    exported = estimator.export_saved_model(base, receiver).decode()
    print(f"\nExported to {exported}")
    signature = tf.saved_model.load(exported).signatures["predict"]
    return np.asarray(signature(examples=tf.constant(serialized(data)))["probabilities"])


def leave_for_keras(estimator: Any, data: diabetes.Data) -> np.ndarray:
    """Saves a Keras model with the trained weights, loads it, and asks it about `data`."""
    path = os.path.join(estimator.model_dir, "model.keras")
    estimator.to_keras().save(path)
    model = keras.models.load_model(path)
    print(f"Saved as {path}: a Keras model of {model.count_params():,} weights")
    features = {name: tf.constant(data[0][name]) for name in model.input}
    return np.asarray(model(features)["probabilities"])


def run(model_dir: str, steps: int) -> dict[str, Any]:
    """Does it all.

    Returns:
        The metrics on the patients of the test.
    """
    train, test = diabetes.load_data()
    print(f"{len(train[1])} patients to train on, {len(test[1])} to test with; {model_dir}")
    estimator = make_estimator(model_dir)
    estimator.train(
        diabetes.batches_of(train, diabetes.BATCH, endless=True), steps=steps, verbose=1
    )
    metrics = estimator.evaluate(diabetes.batches_of(test, diabetes.BATCH))
    probabilities = show_predictions(estimator, test)

    for logger in (tf.get_logger(), logging.getLogger("absl")):
        logger.setLevel(logging.ERROR)  # writing and loading an export is chatty
    served = export_and_serve(estimator, test)
    np.testing.assert_allclose(served, probabilities, rtol=1e-5, atol=1e-6)
    print(f"Loaded again, it gives the same {len(served)} probabilities.\n")
    left = leave_for_keras(estimator, test)
    np.testing.assert_allclose(left, probabilities, rtol=1e-5, atol=1e-6)
    print(f"Loaded again, it gives the same {len(left)} probabilities.\n")
    return metrics


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-dir", help="default: a new temporary directory")
    parser.add_argument("--steps", type=int, default=600, help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    tf.get_logger().handlers.clear()  # the hooks log there: let their lines go the same way
    start = time.perf_counter()
    metrics = run(options.model_dir or tempfile.mkdtemp(prefix="diabetes-"), options.steps)
    shown = ", ".join(f"{name} {metrics[name]:.3f}" for name in ("accuracy", "auc", "precision"))
    print(f"On the test: {shown}; {time.perf_counter() - start:.0f} seconds.")


if __name__ == "__main__":
    main()
