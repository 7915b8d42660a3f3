"""Canned estimators of TensorFlow 2, imported in several ways."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow import estimator
from tensorflow.estimator import (
    DNNClassifier,  # deep
    EvalSpec,
    TrainSpec,
)

est = tf.estimator
tf.get_logger().setLevel("ERROR")

WORDS = ["low", "high"]


def input_fn():
    random = np.random.RandomState(4)
    x = random.rand(32, 2).astype(np.float32)
    labels = np.where(x.sum(axis=1) > 1, "high", "low")
    return tf.data.Dataset.from_tensor_slices(({"a": x[:, :1], "b": x[:, 1:]}, labels)).batch(8)


def main(model_dir):
    columns = [tf.feature_column.numeric_column(name) for name in ("a", "b")]
    classifier = DNNClassifier(
        [4],
        columns,
        model_dir=model_dir,
        label_vocabulary=WORDS,
        optimizer="Adagrad",
        config=estimator.RunConfig(tf_random_seed=1),
    )
    hook = est.experimental.stop_if_no_decrease_hook(classifier, "loss", 1000)
    start = 0 if classifier.latest_checkpoint() is None else 20
    results, _ = est.train_and_evaluate(
        classifier,
        TrainSpec(lambda: input_fn().repeat(), max_steps=start + 20, hooks=[hook]),
        EvalSpec(input_fn, throttle_secs=0),
    )
    for name in ("accuracy", "auc", "average_loss", "global_step"):
        print("%s %.5g" % (name, results[name]))
    rows = classifier.predict(input_fn)
    print([next(rows)["classes"][0].decode() for _ in range(6)])


if __name__ == "__main__":
    main(sys.argv[1])
