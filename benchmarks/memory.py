"""The memory that a long-lived process gives back: what is left of each estimator, batch, cycle.

    python benchmarks/memory.py              # 300 of each, a few minutes
    python benchmarks/memory.py --times 60

Each row runs in a process of its own. It counts the resident memory that the last two thirds of
the repetitions add, after a collection of garbage, in MB each. Without kestimator, tf.estimator of
the same environment is measured.
"""

from __future__ import annotations

import argparse
import functools
import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

try:
    import kestimator as estimator
except ImportError:
    estimator = tf.estimator

v1 = tf.compat.v1


def dataset(size: int = 8) -> Any:
    features = {"a": np.ones((size, 4), "f4"), "c": np.array([["x"]] * size)}
    return tf.data.Dataset.from_tensors((features, np.arange(size) % 2)).repeat(2)


def canned(directory: str) -> Any:
    column = tf.feature_column
    names = column.categorical_column_with_hash_bucket("c", 50)
    columns = [column.numeric_column("a", [4]), column.embedding_column(names, 8)]
    return estimator.DNNClassifier([16], columns, directory)


def tf1_model_fn(features: Any, labels: Any, mode: str) -> Any:
    weights = v1.get_variable("weights", [4, 1])
    logits = tf.squeeze(tf.matmul(features["a"], weights), axis=1)
    if mode == "infer":
        return estimator.EstimatorSpec(mode, {"logits": logits})
    loss = v1.losses.sigmoid_cross_entropy(labels, logits)
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.AdamOptimizer().minimize(loss, step)
    return estimator.EstimatorSpec(mode, {"logits": logits}, loss, train_op)


def keras_model_fn(features: Any, labels: Any, mode: str) -> Any:
    import keras

    x = keras.layers.Dense(16, "relu")(features["a"])
    x = keras.layers.BatchNormalization()(x, training=mode == "train")
    logits = keras.ops.squeeze(keras.layers.Dense(1)(x), 1)
    if mode == "infer":
        return estimator.EstimatorSpec(mode, {"logits": logits})
    loss = keras.losses.binary_crossentropy(labels, logits, from_logits=True)
    return estimator.EstimatorSpec(
        mode, {"logits": logits}, keras.ops.mean(loss), keras.optimizers.Adam()
    )


def with_model_fn(model_fn: Callable[..., Any]) -> Callable[[str], Any]:
    return lambda directory: estimator.Estimator(model_fn, directory)


def dropped(make: Callable[[str], Any]) -> Iterator[None]:
    """Estimators that are made, trained and dropped."""
    while True:
        make(tempfile.mkdtemp()).train(dataset, steps=1)
        yield


def batch_sizes(make: Callable[[str], Any]) -> Iterator[None]:
    """One estimator that predicts batches of every size."""
    trained, size = make(tempfile.mkdtemp()).train(dataset, steps=1), 0
    while True:
        size += 1
        list(trained.predict(functools.partial(dataset, size)))
        yield


def cycles(make: Callable[[str], Any]) -> Iterator[None]:
    """One estimator that trains, evaluates, predicts and exports again and again."""
    one, folder = make(tempfile.mkdtemp()), tempfile.mkdtemp()
    spec = {
        "a": tf.io.FixedLenFeature([4], tf.float32),
        "c": tf.io.FixedLenFeature([1], tf.string),
    }
    receiver = estimator.export.build_parsing_serving_input_receiver_fn(spec)
    while True:
        one.train(dataset, steps=1)
        one.evaluate(dataset)
        list(one.predict(dataset))
        one.export_saved_model(folder, receiver)
        yield


MODELS = {
    "canned": canned,
    "tf1": with_model_fn(tf1_model_fn),
    "keras": with_model_fn(keras_model_fn),
}
WORK = {"dropped estimators": dropped, "batch sizes": batch_sizes, "cycles": cycles}


def resident_mb() -> float:
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def measure(work: str, model: str, times: int) -> float:
    """The MB that each repetition adds, after the first third."""
    repetitions = WORK[work](MODELS[model])
    first = times // 3
    for _ in range(first):
        next(repetitions)
    before = resident_mb()
    for _ in range(times - first):
        next(repetitions)
    return (resident_mb() - before) / (times - first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--only", nargs=2, metavar=("WORK", "MODEL"))
    arguments = parser.parse_args()
    if arguments.only:
        print(f"{measure(*arguments.only, arguments.times):.3f}")
        return
    print("| work | model | MB each |\n| --- | --- | ---: |")
    for work in WORK:
        for model in MODELS:
            command = [sys.executable, __file__, "--times", str(arguments.times)]
            command += ["--only", work, model]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"| {work} | {model} | {ran.stdout.split()[-1]} |", flush=True)


if __name__ == "__main__":
    main()
