"""The distribution of training over replicas; this module has that of one replica.

Synopsis::

    distribution = strategies.of(config.train_distribute)
    distribution.check()
    # n placeholders for each input, n calls of the model_fn
    mirrored = program.trace(..., distribution=distribution)
    distribution.broadcast(mirrored.graph)       # replicas start from the first one's values
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from kestimator import specs
from kestimator.engine.programs import program
from kestimator.engine.tf_internals import tf_distribution
from kestimator.engine.variables import variable_creator, variable_store

Replica = Callable[[Any, Any], specs.EstimatorSpec]
"""Builds the model and its train op for one replica, from features and labels."""


class Distribution:
    """The distribution of training over replicas. This base class has one replica.

    Args:
        strategy: The strategy of one replica, or None.

    Attributes:
        replicas: The number of replicas that a step of this process runs, and of batches that it
            takes.
        workers: The number of processes that take each step together.
        is_chief: Whether this process writes checkpoints and summaries.
    """

    replicas = 1
    workers = 1
    is_chief = True

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self._strategy = strategy

    def check(self) -> None:
        """Raises an error if the strategy is not supported."""

    def element_spec(self, element_spec: Any) -> Any:
        """The spec of the input of one step."""
        return element_spec

    def creator(
        self,
        graph: program.ProgramGraph,
        store: variable_store.VariableStore,
        local: variable_store.VariableStore,
    ) -> variable_creator.VariableCreator:
        """The creator of a trace's variables."""
        return variable_creator.VariableCreator(graph, store, local)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """The scope of a trace: the device of the one replica."""
        if self._strategy is None:
            yield
            return
        (device,) = self._strategy.extended.worker_devices
        with tf.device(device):
            yield

    def run(self, replica: Replica, inputs: Any) -> specs.EstimatorSpec:
        """Calls `replica` for every replica, and combines their specs into one.

        Args:
            replica: Builds the model and its train op from features and labels.
            inputs: Placeholders in the structure of `element_spec`.
        """
        features, labels = inputs
        return replica(features, labels)

    def broadcast(self, graph: tf.Graph) -> None:
        """Copies the values of the first replica to all others."""

    @property
    def input_context(self) -> tf.distribute.InputContext:
        """The context for an input_fn: one pipeline, whose batches go to the replicas in turn."""
        return tf.distribute.InputContext(
            num_input_pipelines=1, input_pipeline_id=0, num_replicas_in_sync=self.replicas
        )

    def agreed(self, number: int) -> int:
        """The smallest number of all processes that take steps together."""
        return number

    def all_have(self, flag: tf.Tensor) -> tf.Tensor:
        """Whether a boolean scalar is true in all these processes."""
        return flag

    def of_chief(self, number: int) -> int:
        """The number that the chief has."""
        return number


def components(variable: Any) -> Sequence[variable_store.ProgramVariable]:
    """The components of a mirrored variable; any other variable is its only component."""
    if isinstance(variable, tf_distribution.DistributedVariable):
        return tuple(variable.values)
    return (variable,)
