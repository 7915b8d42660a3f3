"""Training on several workers: processes that take the same steps, and reduce their gradients.

Synopsis::

    distribution = MultiWorkerDistribution(tf.distribute.MultiWorkerMirroredStrategy())
    distribution.agreed(7)         # the smallest number that a worker asks for
    distribution.of_chief(3)       # the number of the chief

Every worker calls `train` with the same model. It traces the same program and runs the same steps;
the collective ops of a step wait until every worker has reached them. So a worker must never run a
step alone: before each call of the device loop, the workers agree on the number of steps. Values
come from the chief, which alone reads and writes the model directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Sequence
from typing import Any, Final

import tensorflow as tf

from kestimator import errors, specs
from kestimator.engine.programs import mirrored
from kestimator.engine.tf_internals import tf_distribution
from kestimator.engine.tracing import execution_modes

_GraphKeys = tf.compat.v1.GraphKeys

# TensorFlow counts the groups and instances of its strategies from 1.
_GROUP: Final = 2_000_000_000
_AGREEMENT: Final = 2_000_000_000
_LOSS: Final = 2_000_000_100  # and the number of the dtype
_BROADCAST: Final = 2_000_001_000  # and a count


class Workers:
    """The workers of a cluster, as one of them sees them.

    A collective op waits for the same op of all other workers. Everything here must therefore be
    called by all workers, in the same order.

    Args:
        strategy: The strategy, which has connected the workers.
    """

    def __init__(self, strategy: tf.distribute.MultiWorkerMirroredStrategy) -> None:
        self.count, self.position = tf_distribution.workers_of(strategy)
        (self._device, *_) = strategy.extended.worker_devices
        self._broadcasts = itertools.count(_BROADCAST)

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the chief: the first one, if no task is called so."""
        return self.position == 0

    def smallest(self, value: tf.Tensor) -> tf.Tensor:
        """The smallest of all workers' values, an integer; in a graph or eagerly."""
        return self._reduced(tf.cast(value, tf.int64), _AGREEMENT, "Min")

    def mean(self, loss: tf.Tensor) -> tf.Tensor:
        """The mean of all workers' values, a float scalar; in a graph or eagerly."""
        total = self._reduced(loss, _LOSS + loss.dtype.as_datatype_enum, "Add")
        return total / tf.cast(self.count, loss.dtype)

    def of_chief(self, value: tf.Tensor) -> tf.Tensor:
        """The chief's value, eagerly. It has the same shape and dtype on every worker."""
        sent = value if value.dtype.is_floating else tf.cast(value, tf.int64)
        if not self.is_chief:
            sent = tf.zeros_like(sent)
        return tf.cast(self._reduced(sent, next(self._broadcasts), "Add"), value.dtype)

    def _reduced(self, value: tf.Tensor, instance: int, operation: str) -> tf.Tensor:
        with tf.device(self._device):
            return tf.raw_ops.CollectiveReduceV2(
                input=value,
                group_size=self.count,
                group_key=_GROUP,
                instance_key=instance,
                ordering_token=[],
                merge_op=operation,
                final_op="Id",
            )


class MultiWorkerDistribution(mirrored.MirroredDistribution):
    """Training on several workers, each with one or more replicas.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: tf.distribute.MultiWorkerMirroredStrategy) -> None:
        super().__init__(strategy)
        self._workers = Workers(strategy)
        self.workers = self._workers.count
        self.is_chief = self._workers.is_chief

    @property
    def input_context(self) -> tf.distribute.InputContext:
        """One pipeline per worker, which may read its own share of the files."""
        return tf.distribute.InputContext(
            num_input_pipelines=self._workers.count,
            input_pipeline_id=self._workers.position,
            num_replicas_in_sync=self._strategy.num_replicas_in_sync,
        )

    def agreed(self, number: int) -> int:
        """The smallest number of all workers."""
        with execution_modes.eager_mode():
            return int(self._workers.smallest(tf.constant(number, tf.int64)))

    def all_have(self, flag: tf.Tensor) -> tf.Tensor:
        """Whether the flag is true on all workers."""
        return self._workers.smallest(flag) > 0

    def of_chief(self, number: int) -> int:
        """The number that the chief has."""
        with execution_modes.eager_mode():
            return int(self._workers.of_chief(tf.constant(number, tf.int64)))

    def reduction(self) -> contextlib.AbstractContextManager[None]:
        """Leaves the strategy as it is: its collective ops reach the other workers."""
        return contextlib.nullcontext()

    def combined(self, replicas: Sequence[specs.EstimatorSpec]) -> specs.EstimatorSpec:
        """As for one worker; the loss is the mean over the replicas of all workers."""
        spec = super().combined(replicas)
        return spec._replace(loss=self._workers.mean(spec.loss))

    def broadcast(self, graph: tf.Graph) -> None:
        """Copies the values of the chief's first replica to all replicas of all workers.

        Raises:
            errors.ClusterError: The workers have different programs.
        """
        variables = graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
        with execution_modes.eager_mode():
            self._check_equal_programs(graph, variables)
            for variable in variables:
                memory = variable.memory
                if mirrored.has_value(memory):
                    memory.assign(self._workers.of_chief(memory.read_value()))
        super().broadcast(graph)

    def _check_equal_programs(self, graph: tf.Graph, variables: Sequence[Any]) -> None:
        collectives = sum(op.type.startswith("Collective") for op in graph.get_operations())
        described = [
            (v.name, v.shape, v.dtype.name, mirrored.has_value(v.memory)) for v in variables
        ]
        digest = hashlib.sha256(repr((described, collectives)).encode()).digest()
        number = int.from_bytes(digest[:7], "big")
        # All numbers are equal if the smallest is the largest. Both are asked for before the error:
        # a worker that raised it earlier would leave the others waiting.
        smallest, largest = self.agreed(number), -self.agreed(-number)
        if smallest != largest:
            raise errors.ClusterError(
                f"Worker {self._workers.position} of {self._workers.count} has another model than "
                "other workers: the variables or the operations that reduce over workers differ. "
                "Run the same script, with the same model_fn, hooks and params, on every worker. "
                f"The variables here: {[name for name, *_ in described]}."
            )
