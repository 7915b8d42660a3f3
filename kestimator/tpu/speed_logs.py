"""The lines and summaries with the speed of a TPUEstimator: steps and examples per second.

Synopsis::

    cadence = LogCadence.of(config)
    hooks = cadence.hooks(model_dir, examples_per_step=32)
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from kestimator import logs
from kestimator.tpu.tpu_config import RunConfig, parsed_iterations_per_loop

_v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class LogCadence:
    """How often the speed is logged.

    Attributes:
        steps: The steps between two lines, or None.
        seconds: The seconds between two lines, or None. Both None: no lines.
    """

    steps: int | None
    seconds: int | None

    @classmethod
    def of(cls, config: RunConfig) -> LogCadence:
        """Returns the cadence of a configuration: lines come at the end of a loop."""
        number, is_time = parsed_iterations_per_loop(config.tpu_config.iterations_per_loop)
        if is_time:
            return cls(None, number)
        every = config.log_step_count_steps
        return cls(None if every is None else math.ceil(every / number), None)

    def hooks(self, directory: str | None, examples_per_step: int | None) -> list[Any]:
        """Returns a new hook, or none.

        Args:
            directory: Where summaries go; None for no summaries.
            examples_per_step: The number of examples, if it is known.
        """
        if self.steps is None and self.seconds is None:
            return []
        writer = SpeedWriter(directory, examples_per_step)
        return [
            _v1.train.StepCounterHook(
                every_n_steps=self.steps, every_n_secs=self.seconds, summary_writer=writer
            )
        ]


class SpeedWriter:
    """A writer for a `StepCounterHook`, which adds the examples per second.

    Args:
        directory: Where summaries go; None for no summaries.
        examples_per_step: The number of examples, if it is known.
    """

    def __init__(self, directory: str | None, examples_per_step: int | None) -> None:
        self._directory = directory
        self._examples_per_step = examples_per_step

    def add_summary(self, summary: Any, global_step: int | None = None) -> None:
        """Writes the steps per second of a summary, and the examples per second."""
        if self._examples_per_step is not None:
            speed = self._examples_per_step * summary.value[0].simple_value
            logs.info("examples/sec: %g", speed)
            summary.value.add(tag="examples/sec", simple_value=speed)
        if self._directory is not None:
            _v1.summary.FileWriterCache.get(self._directory).add_summary(summary, global_step)
