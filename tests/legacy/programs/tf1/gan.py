"""A GAN: a subclass of Estimator, and two optimizers in branches of tf.cond."""

import argparse
import json

import numpy as np
import tensorflow as tf

NOISE, SIZE, BATCH = 3, 4, 8


def dense(net, units, name, activation=None):
    rng = np.random.RandomState(len(name) + units)
    start = rng.normal(0, 0.3, (int(net.shape[-1]), units)).astype(np.float32)
    kernel = tf.get_variable(name + "/kernel", initializer=start)
    bias = tf.get_variable(name + "/bias", [units], initializer=tf.zeros_initializer())
    net = tf.nn.xw_plus_b(net, kernel, bias)
    return activation(net) if activation else net


def generator(noise):
    with tf.variable_scope("generator", reuse=tf.AUTO_REUSE):
        return dense(dense(noise, 6, "hidden", tf.nn.leaky_relu), SIZE, "out", tf.tanh)


def discriminator(data):
    with tf.variable_scope("discriminator", reuse=tf.AUTO_REUSE):
        return dense(dense(data, 6, "hidden", tf.nn.leaky_relu), 1, "logit")


class GAN(tf.estimator.Estimator):
    """An estimator with its own model_fn, and a method that draws samples."""

    def __init__(self, model_dir, disc_steps=2, config=None):
        def _model_fn(features, labels, mode):
            return self._gan_model_fn(features, mode)

        self.disc_steps = disc_steps
        super(GAN, self).__init__(_model_fn, model_dir=model_dir, config=config)

    def _gan_model_fn(self, features, mode):
        fake = generator(features["noise"])
        if mode == tf.estimator.ModeKeys.PREDICT:
            return tf.estimator.EstimatorSpec(mode, predictions={"sample": fake})
        real_logit, fake_logit = discriminator(features["data"]), discriminator(fake)
        ones, zeros = tf.ones_like(real_logit), tf.zeros_like(fake_logit)
        d_loss = tf.losses.sigmoid_cross_entropy(ones, real_logit)
        d_loss += tf.losses.sigmoid_cross_entropy(zeros, fake_logit)
        g_loss = tf.losses.sigmoid_cross_entropy(ones, fake_logit)
        g_vars = tf.trainable_variables("generator")
        d_vars = tf.trainable_variables("discriminator")
        g_optimizer = tf.train.AdamOptimizer(0.01, beta1=0.5)
        d_optimizer = tf.train.RMSPropOptimizer(0.01)
        step = tf.train.get_or_create_global_step()
        g_grads = g_optimizer.compute_gradients(g_loss, g_vars)
        d_grads = d_optimizer.compute_gradients(d_loss, d_vars)

        def train_discriminator():
            with tf.control_dependencies([d_optimizer.apply_gradients(d_grads, global_step=step)]):
                return tf.identity(d_loss)

        def train_generator():
            with tf.control_dependencies([g_optimizer.apply_gradients(g_grads, global_step=step)]):
                return tf.identity(g_loss)

        is_generator = tf.equal(step % (self.disc_steps + 1), self.disc_steps)
        loss = tf.cond(is_generator, train_generator, train_discriminator)
        metrics = {"d_loss": tf.metrics.mean(d_loss), "g_loss": tf.metrics.mean(g_loss)}
        if mode == tf.estimator.ModeKeys.EVAL:
            return tf.estimator.EstimatorSpec(mode, loss=g_loss, eval_metric_ops=metrics)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=loss)

    def sample(self, noise):
        input_fn = tf.estimator.inputs.numpy_input_fn({"noise": noise}, shuffle=False)
        return np.stack([row["sample"] for row in self.predict(input_fn)])


def input_fn(epochs):
    rng = np.random.RandomState(0)
    features = {
        "data": rng.normal(0.5, 0.1, (64, SIZE)).astype(np.float32),
        "noise": rng.normal(size=(64, NOISE)).astype(np.float32),
    }
    return tf.data.Dataset.from_tensor_slices(features).repeat(epochs).batch(BATCH)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/gan")
    args = parser.parse_args()
    gan = GAN(args.model_dir)
    gan.train(lambda: input_fn(None), steps=18)
    results = gan.evaluate(lambda: input_fn(1))
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer["samples"] = gan.sample(np.eye(NOISE, dtype=np.float32)).tolist()
    answer["variables"] = sorted(gan.get_variable_names())
    print("RESULT", json.dumps(answer))
