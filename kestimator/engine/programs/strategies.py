"""The distribution for a `tf.distribute.Strategy`.

Synopsis::

    distribution = of(config.train_distribute)
    distribution.check()          # raises an error if the library cannot train under the strategy
"""

from __future__ import annotations

import tensorflow as tf

from kestimator import errors
from kestimator.engine.programs import distribution, mirrored, multi_worker
from kestimator.engine.tf_internals import tf_distribution

_v1 = tf.compat.v1
_MIRRORED = (tf.distribute.MirroredStrategy, _v1.distribute.MirroredStrategy)
_MULTI_WORKER = (
    tf.distribute.MultiWorkerMirroredStrategy,
    _v1.distribute.experimental.MultiWorkerMirroredStrategy,
)


class UnsupportedDistribution(distribution.Distribution):
    """The distribution of a strategy under which nothing can train."""

    def check(self) -> None:
        """Refuses the strategy.

        Raises:
            errors.ArgumentError: Always.
        """
        replicas = self._strategy.num_replicas_in_sync if self._strategy else 1
        raise errors.ArgumentError(
            errors.invalid_argument(
                "train_distribute",
                self._strategy,
                "a MirroredStrategy, a MultiWorkerMirroredStrategy or a OneDeviceStrategy of "
                "tf.distribute, or None",
                f"A {type(self._strategy).__name__} with {replicas} replicas is not "
                "supported. Mirror the model on the devices of one machine, or of several workers.",
            )
        )


def of(strategy: tf.distribute.Strategy | None) -> distribution.Distribution:
    """The distribution for the value of `RunConfig.train_distribute`."""
    if strategy is None:
        return distribution.Distribution()
    if isinstance(strategy, _MULTI_WORKER) and tf_distribution.workers_of(strategy)[0] > 1:
        return multi_worker.MultiWorkerDistribution(strategy)
    if strategy.num_replicas_in_sync > 1:
        is_local = isinstance(strategy, (*_MIRRORED, *_MULTI_WORKER))
        kind = mirrored.MirroredDistribution if is_local else UnsupportedDistribution
        return kind(strategy)
    return distribution.Distribution(
        strategy if len(strategy.extended.worker_devices) == 1 else None
    )
