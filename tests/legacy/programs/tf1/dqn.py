"""Two networks and a hook that copies one to the other: a feeding hook, two minimize in a step."""

import argparse
import json

import numpy as np
import tensorflow as tf


class IteratorInitializerHook(tf.train.SessionRunHook):
    """Feeds arrays to an initializable iterator, when the session has been created."""

    def __init__(self):
        self.iterator_initializer_func = None

    def after_create_session(self, session, coord):
        self.iterator_initializer_func(session)


class CopyHook(tf.train.SessionRunHook):
    """Copies the online network to the target network every few steps."""

    def __init__(self, every_steps):
        self._timer = tf.train.SecondOrStepTimer(every_steps=every_steps)
        self.copied = []

    def begin(self):
        online = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="online")
        target = tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, scope="target")
        self._copy = tf.group(*[t.assign(o) for t, o in zip(target, online)])
        self._step = tf.train.get_global_step()

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        step = int(run_context.session.run(self._step))
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            run_context.session.run(self._copy)
            self.copied.append(step)


def network(states, scope, trainable=True):
    with tf.variable_scope(scope):
        rng = np.random.RandomState(1)
        start = rng.uniform(-0.5, 0.5, (4, 3)).astype(np.float32)
        kernel = tf.get_variable("kernel", initializer=start, trainable=trainable)
        bias = tf.get_variable("bias", [3], trainable=trainable, initializer=tf.zeros_initializer())
        return tf.matmul(states, kernel) + bias


def model_fn(features, labels, mode):
    q = network(features["state"], "online")
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"q": q, "action": tf.argmax(q, 1)})
    next_q = network(features["next_state"], "target", trainable=False)
    target = features["reward"] + 0.9 * tf.reduce_max(next_q, axis=1)
    chosen = tf.reduce_sum(q * tf.one_hot(features["action"], 3), axis=1)
    loss = tf.losses.huber_loss(tf.stop_gradient(target), chosen)
    penalty = tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
    step = tf.train.get_global_step()
    adam = tf.train.AdamOptimizer(0.02, name="Q")
    gradients = adam.compute_gradients(loss)
    with tf.control_dependencies([gradient for gradient, _ in gradients if gradient is not None]):
        decay = tf.train.GradientDescentOptimizer(0.01)
        first = decay.minimize(tf.identity(penalty), global_step=step)
    with tf.control_dependencies([first]):
        second = adam.apply_gradients(gradients, global_step=step)
    metrics = {"mean_q": tf.metrics.mean(q), "p90": tf.metrics.percentage_below(chosen, 0.9)}
    return tf.estimator.EstimatorSpec(
        mode, loss=loss, train_op=tf.group(first, second), eval_metric_ops=metrics
    )


def get_inputs(data, batch_size, epochs):
    hook = IteratorInitializerHook()

    def input_fn():
        with tf.name_scope("data"):
            placeholders = {k: tf.placeholder(v.dtype, v.shape, k) for k, v in data.items()}
            dataset = tf.data.Dataset.from_tensor_slices(placeholders)
            dataset = dataset.repeat(epochs).batch(batch_size)
            iterator = tf.data.make_initializable_iterator(dataset)
            feed = {placeholders[k]: data[k] for k in data}
            hook.iterator_initializer_func = lambda sess: sess.run(iterator.initializer, feed)
            return iterator.get_next(), None

    return input_fn, hook


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/dqn")
    args = parser.parse_args()
    rng = np.random.RandomState(0)
    data = {
        "state": rng.rand(40, 4).astype(np.float32),
        "next_state": rng.rand(40, 4).astype(np.float32),
        "reward": rng.rand(40).astype(np.float32),
        "action": rng.randint(0, 3, 40).astype(np.int64),
    }
    agent = tf.estimator.Estimator(model_fn, args.model_dir)
    input_fn, hook = get_inputs(data, 8, None)
    copy_hook = CopyHook(6)
    agent.train(input_fn, hooks=[hook, copy_hook], steps=30)
    input_fn, hook = get_inputs(data, 20, 1)
    results = agent.evaluate(input_fn, hooks=[hook])
    rows = list(agent.predict(input_fn, hooks=[hook]))
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer.update(copied=copy_hook.copied, actions=[int(row["action"]) for row in rows])
    answer["q"] = rows[0]["q"].tolist()
    print("RESULT", json.dumps(answer))
