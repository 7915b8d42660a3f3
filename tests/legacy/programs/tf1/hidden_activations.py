"""Hooks that fetch tensors inside a canned DNNClassifier by name, and write them to a file."""

import argparse
import json
import os

import numpy as np
import tensorflow as tf

parser = argparse.ArgumentParser()
parser.add_argument("--model_dir", default="/tmp/hidden_activations")


class ActivationHook(tf.train.SessionRunHook):
    """Keeps the mean of a hidden layer's activations, every few steps."""

    def __init__(self, every):
        self._every = every
        self.means, self.zero_fractions = [], []

    def begin(self):
        graph = tf.get_default_graph()
        self._step = tf.train.get_global_step()
        self._hidden = graph.get_tensor_by_name("dnn/hiddenlayer_0/Relu:0")
        self._zeros = tf.nn.zero_fraction(self._hidden)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs({"hidden": self._hidden, "zeros": self._zeros})

    def after_run(self, run_context, run_values):
        if run_context.session.run(self._step) % self._every == 0:
            self.means.append(float(run_values.results["hidden"].mean()))
            self.zero_fractions.append(float(run_values.results["zeros"]))


class SaveHiddenHook(tf.train.SessionRunHook):
    """Saves all activations of the second layer and the logits, at the end of a session."""

    def __init__(self, path):
        self._path, self._rows = path, []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(["dnn/hiddenlayer_1/Relu:0", "dnn/logits/BiasAdd:0"])

    def after_run(self, run_context, run_values):
        self._rows.append(np.concatenate(run_values.results, axis=1))

    def end(self, session):
        np.save(self._path, np.concatenate(self._rows))


def main(argv):
    args = parser.parse_args(argv[1:])
    rng = np.random.RandomState(0)
    x = rng.rand(90, 4).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1).astype(np.int32)
    columns = [tf.feature_column.numeric_column("x", shape=[4])]
    classifier = tf.estimator.DNNClassifier(
        hidden_units=[10, 6],
        feature_columns=columns,
        n_classes=3,
        model_dir=args.model_dir,
        optimizer="Adam",
        config=tf.estimator.RunConfig(tf_random_seed=42, save_checkpoints_steps=20),
    )
    train_input_fn = tf.estimator.inputs.numpy_input_fn(
        x={"x": x}, y=y, batch_size=30, num_epochs=None, shuffle=False
    )
    test_input_fn = tf.estimator.inputs.numpy_input_fn(
        x={"x": x[:20]}, y=y[:20], num_epochs=1, shuffle=False
    )
    hook = ActivationHook(every=10)
    log = tf.train.LoggingTensorHook(["dnn/head/weighted_loss/Sum"], every_n_iter=20)
    classifier.train(train_input_fn, steps=40, hooks=[hook, log])
    path = os.path.join(args.model_dir, "hidden.npy")
    results = classifier.evaluate(test_input_fn, hooks=[SaveHiddenHook(path)], name="test")
    rows = list(classifier.predict(test_input_fn))
    answer = {
        "means": hook.means,
        "zeros": hook.zero_fractions,
        "hidden": np.load(path)[:3].tolist(),
        "evaluated": {key: float(value) for key, value in results.items()},
        "class_ids": [int(row["class_ids"][0]) for row in rows],
        "classes": [row["classes"][0].decode("utf-8") for row in rows],
        "kernel": classifier.get_variable_value("dnn/hiddenlayer_1/kernel").tolist(),
    }
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    tf.logging.set_verbosity(tf.logging.INFO)
    tf.app.run(main)
