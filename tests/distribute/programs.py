"""Programs that run in the processes of a cluster.

    python -m tests.distribute.programs <program> <arguments>

They print what they found as JSON, in the last line.
"""

import json
import os
import sys

import tensorflow as tf

import kestimator as ks
from kestimator.adapters.hooks import event_files
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


@program
def train_and_evaluate(model, directory, max_steps, *options):
    """The same script on every task."""
    tf.compat.v1.logging.set_verbosity("INFO")
    # TensorFlow's strategy refuses a task that is not in the cluster, such as an evaluator.
    is_evaluator = ks.ClusterInfo.from_environment().task_type == "evaluator"
    strategy = strategy_of("workers") if "workers" in options and not is_evaluator else None
    estimator = models.estimator(
        model, directory, train_distribute=strategy, save_checkpoints_steps=10
    )
    hooks = [models.Pause(0.3)] if "slow" in options else []
    metrics, _ = ks.train_and_evaluate(
        estimator,
        ks.TrainSpec(models.batches(4), max_steps=int(max_steps), hooks=hooks),
        ks.EvalSpec(models.batches(8, 1), steps=None, start_delay_secs=0, throttle_secs=0),
    )
    evaluated = sorted(event_files.read_scalars(estimator.eval_dir()))
    return {"metrics": metrics and {k: float(v) for k, v in metrics.items()}, "steps": evaluated}


@program
def unequal(directory):
    """Each worker has a model of its own."""
    strategy = strategy_of("workers")
    config = ks.RunConfig(train_distribute=strategy)
    model = "tf1" if config.is_chief else "keras_normalized"
    try:
        models.estimator(model, directory, train_distribute=strategy).train(
            models.batches(4), steps=3
        )
    except ks.errors.ClusterError as error:
        return {"error": str(error)}
    return {"error": ""}


if __name__ == "__main__":
    if "TF_CONFIG" not in os.environ:
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        )
    name, *arguments = sys.argv[1:]
    print(json.dumps(PROGRAMS[name](*arguments)), flush=True)
