"""A canned estimator of TensorFlow 1: its loss is a sum over the batch."""

import sys

import numpy as np
import tensorflow as tf

tf.logging.set_verbosity(tf.logging.ERROR)


def main(model_dir):
    random = np.random.RandomState(5)
    x = random.rand(32).astype(np.float32)
    color = np.where(x > 0.7, "red", "blue")
    features, labels = {"x": x, "color": color}, (x > 0.4).astype(np.int32)
    colors = tf.feature_column.categorical_column_with_vocabulary_list("color", ["red", "blue"])
    estimator = tf.estimator.DNNLinearCombinedClassifier(
        model_dir=model_dir,
        linear_feature_columns=[colors],
        linear_optimizer="Ftrl",
        dnn_feature_columns=[tf.feature_column.numeric_column("x")],
        dnn_hidden_units=[4],
        dnn_optimizer=tf.train.ProximalAdagradOptimizer(0.1, l1_regularization_strength=0.001),
        config=tf.estimator.RunConfig(tf_random_seed=1),
    )
    inputs = tf.estimator.inputs
    estimator.train(
        inputs.numpy_input_fn(features, labels, batch_size=8, num_epochs=None, shuffle=False),
        steps=20,
    )
    results = estimator.evaluate(inputs.numpy_input_fn(features, labels, 8, shuffle=False))
    for name in ("accuracy", "auc", "average_loss", "global_step", "loss"):
        print("%s %.5g" % (name, results[name]))


if __name__ == "__main__":
    main(sys.argv[1])
