"""TF-GAN: a GANEstimator with two networks."""

import collections
import inspect
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_gan as tfgan

# TF-GAN 2.1 calls this, and Python 3.11 has no such function any more.
inspect.getargspec = lambda function: collections.namedtuple("ArgSpec", "args keywords defaults")(
    *[getattr(inspect.getfullargspec(function), name) for name in ("args", "varkw", "defaults")]
)

real = np.random.RandomState(0).normal(3.0, 0.5, [64, 1]).astype("f4")


def input_fn():
    noise = np.random.RandomState(1).normal(size=[64, 2]).astype("f4")
    return tf.data.Dataset.from_tensor_slices((noise, real)).batch(16).repeat(20)


def generator(noise, mode):
    del mode
    return tf.compat.v1.layers.dense(noise, 1, name="generated")


def discriminator(data, condition, mode):
    del condition, mode
    return tf.compat.v1.layers.dense(data, 1, name="judged")


gan = tfgan.estimator.GANEstimator(
    tempfile.mkdtemp(),
    generator_fn=generator,
    discriminator_fn=discriminator,
    generator_loss_fn=tfgan.losses.wasserstein_generator_loss,
    discriminator_loss_fn=tfgan.losses.wasserstein_discriminator_loss,
    generator_optimizer=tf.compat.v1.train.GradientDescentOptimizer(0.1),
    discriminator_optimizer=tf.compat.v1.train.GradientDescentOptimizer(0.1),
)
gan.train(input_fn, max_steps=20)
results = gan.evaluate(input_fn, steps=2)
rows = list(gan.predict(input_fn))
names = gan.get_variable_names()
assert {"Generator/generated/kernel", "Discriminator/judged/kernel"} <= {*names}, names
assert len(rows) == 1280
print({key: float(value) for key, value in results.items()})
