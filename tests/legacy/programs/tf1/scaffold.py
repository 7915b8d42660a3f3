"""Moving averages: a Scaffold with a saver and an init_fn of its own, a listener of checkpoints."""

import json
import os

import numpy as np
import tensorflow as tf

FLAGS = tf.flags.FLAGS
tf.flags.DEFINE_string("model_dir", "/tmp/scaffold", "")
tf.flags.DEFINE_float("decay", 0.9, "Decay of the moving averages.")


class ListenToCheckpoints(tf.train.CheckpointSaverListener):
    def __init__(self):
        self.steps = []

    def after_save(self, session, global_step_value):
        self.steps.append(int(global_step_value))


def model_fn(features, labels, mode, params, config):
    with tf.variable_scope("net", initializer=tf.zeros_initializer()):
        pretrained = tf.get_variable("pretrained", [3, 4], trainable=False)
        head = tf.get_variable("head", [4, 1], initializer=tf.constant_initializer(0.5))
    outputs = tf.matmul(tf.nn.relu(tf.matmul(features["x"], pretrained)), head)
    averages = tf.train.ExponentialMovingAverage(params.decay, tf.train.get_global_step())
    if mode == tf.estimator.ModeKeys.TRAIN:
        loss = tf.losses.mean_squared_error(labels, outputs)
        rate = tf.train.piecewise_constant(tf.train.get_global_step(), [10, 20], [0.1, 0.05, 0.01])
        apply_op = tf.train.MomentumOptimizer(rate, 0.8, use_nesterov=True).minimize(
            loss, global_step=tf.train.get_global_step()
        )
        with tf.control_dependencies([apply_op]):
            train_op = averages.apply(tf.trainable_variables())
        weights = tf.placeholder(tf.float32, pretrained.shape)
        assign = pretrained.assign(weights)

        def init_fn(scaffold, session):
            session.run(assign, {weights: np.load(os.path.join(FLAGS.model_dir, "weights.npy"))})

        saver = tf.train.Saver(max_to_keep=config.keep_checkpoint_max, save_relative_paths=True)
        scaffold = tf.train.Scaffold(saver=saver, init_fn=init_fn)
        summary_hook = tf.train.SummarySaverHook(
            save_steps=10,
            output_dir=os.path.join(FLAGS.model_dir, "extra"),
            summary_op=tf.summary.scalar("rate", rate),
        )
        return tf.estimator.EstimatorSpec(
            mode, loss=loss, train_op=train_op, scaffold=scaffold, training_hooks=[summary_hook]
        )
    scaffold = tf.train.Scaffold(saver=tf.train.Saver(averages.variables_to_restore()))
    predictions = {"y": outputs}
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=predictions, scaffold=scaffold)
    loss = tf.losses.absolute_difference(labels, outputs)
    return tf.estimator.EstimatorSpec(
        mode,
        loss=loss,
        scaffold=scaffold,
        eval_metric_ops={"rmse": tf.metrics.root_mean_squared_error(labels, outputs)},
        evaluation_hooks=[tf.train.LoggingTensorHook({"y": outputs}, every_n_iter=2)],
    )


def main(argv):
    del argv
    rng = np.random.RandomState(4)
    tf.gfile.MakeDirs(FLAGS.model_dir)
    np.save(os.path.join(FLAGS.model_dir, "weights.npy"), rng.rand(3, 4).astype(np.float32))
    x = rng.rand(40, 3).astype(np.float32)
    y = x.sum(axis=1, keepdims=True) * 2

    def input_fn(epochs=1):
        def generate():
            for _ in range(epochs):
                yield from zip(x, y)

        dataset = tf.data.Dataset.from_generator(generate, (tf.float32, tf.float32), ([3], [1]))
        return dataset.map(lambda a, b: ({"x": a}, b)).batch(10)

    run_config = tf.estimator.RunConfig(
        FLAGS.model_dir, save_checkpoints_steps=10, keep_checkpoint_max=2
    )
    params = tf.flags.FLAGS
    estimator = tf.estimator.Estimator(model_fn, config=run_config, params=vars_of(params))
    listener = ListenToCheckpoints()
    estimator.train(lambda: input_fn(8), saving_listeners=[listener])
    results = estimator.evaluate(input_fn)
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer["y"] = [float(row["y"][0]) for row in estimator.predict(input_fn)][:10]
    answer["saved"] = listener.steps
    state = tf.train.get_checkpoint_state(FLAGS.model_dir)
    answer["kept"] = [os.path.basename(p) for p in state.all_model_checkpoint_paths]
    print("RESULT " + json.dumps(answer))


def vars_of(flags):
    class Namespace(object):
        decay = flags.decay

    return Namespace()


if __name__ == "__main__":
    tf.app.run(main)
