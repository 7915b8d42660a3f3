"""A head, hooks and a warm start, under names of tf.compat.v1 and of private modules."""

import sys

import numpy as np

try:
    import tensorflow.compat.v1 as tf
except ImportError:
    import tensorflow as tf
from tensorflow_estimator.python.estimator import model_fn as model_fn_lib, run_config
from tensorflow_estimator.python.estimator.estimator import Estimator
from tensorflow_estimator.python.estimator.export import export as export_lib

tf.logging.set_verbosity(tf.logging.ERROR)


class LastLoss(tf.estimator.SessionRunHook):
    """Remembers the loss of the last step."""

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(tf.get_collection(tf.GraphKeys.LOSSES)[0])

    def after_run(self, run_context, run_values):
        self.loss = run_values.results


def model_fn(features, labels, mode, config):
    head = tf.estimator.MultiClassHead(3)
    with tf.variable_scope("net"):
        hidden = tf.get_variable(
            "hidden", [2, 4], initializer=tf.glorot_uniform_initializer(seed=1)
        )
        output = tf.get_variable(
            "output", [4, 3], initializer=tf.glorot_uniform_initializer(seed=2)
        )
    logits = tf.matmul(tf.nn.relu(tf.matmul(features["x"], hidden)), output)
    if mode != model_fn_lib.ModeKeys.PREDICT:
        tf.losses.sparse_softmax_cross_entropy(labels, logits, weights=2.0)

    def train_op_fn(loss):
        optimizer = tf.train.AdagradOptimizer(0.1)
        return optimizer.minimize(loss, global_step=tf.train.get_global_step())

    return head.create_estimator_spec(
        features=features, mode=mode, logits=logits, labels=labels, train_op_fn=train_op_fn
    )


def receiver_fn():
    x = tf.placeholder(tf.float32, [None, 2])
    return export_lib.ServingInputReceiver({"x": x}, {"x": x})


def input_fn():
    random = np.random.RandomState(2)
    x = random.randn(30, 2).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)
    return tf.data.Dataset.from_tensor_slices(({"x": x}, labels[:, None])).batch(10)


def main(model_dir):
    config = run_config.RunConfig(tf_random_seed=1)
    classifier = Estimator(model_fn, model_dir, config)
    hook = LastLoss()
    classifier.train(lambda: input_fn().repeat(), hooks=[hook], steps=20)
    print("%.5g" % hook.loss)
    for name, value in sorted(classifier.evaluate(input_fn).items()):
        print("%s %.5g" % (name, value))
    path = classifier.export_saved_model(model_dir + "/export", receiver_fn)
    print(tf.gfile.Exists(path))


if __name__ == "__main__":
    main(sys.argv[1])
