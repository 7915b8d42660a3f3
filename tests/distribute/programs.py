"""Programs that run in the processes of a cluster.

    python -m tests.distribute.programs <program> <arguments>

They print what they found as JSON, in the last line.
"""

import json
import os
import sys

import tensorflow as tf

from tests.distribute import models

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def strategy_of(kind):
    """A strategy by its name."""
    if kind == "one_device":
        return None
    if kind == "mirrored":
        return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    return tf.distribute.MultiWorkerMirroredStrategy()


@program
def first_step(model, directory):
    """Writes a checkpoint from which others can start with the same values."""
    models.estimator(model, directory, tf_random_seed=1).train(models.batches(8), steps=1)


@program
def trajectory(model, kind, directory):
    """Losses of 50 steps and the last weights; under any strategy, of the same batches."""
    strategy = strategy_of(kind)
    size = 8 if strategy is None else 8 // strategy.num_replicas_in_sync
    losses = models.Losses()
    estimator = models.estimator(model, directory, train_distribute=strategy)
    estimator.train(models.batches(size), callbacks=[losses], steps=50, verbose=0)
    is_chief = estimator.config.is_chief
    weights = models.weights(estimator) if is_chief else {}
    evaluation = {}
    if is_chief:
        evaluation = {k: float(v) for k, v in estimator.evaluate(models.batches(8, 1)).items()}
    return {"losses": losses.values, "weights": weights, "evaluation": evaluation}


if __name__ == "__main__":
    if "TF_CONFIG" not in os.environ:
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        )
    name, *arguments = sys.argv[1:]
    print(json.dumps(PROGRAMS[name](*arguments)), flush=True)
