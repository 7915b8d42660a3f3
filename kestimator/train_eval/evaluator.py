"""The evaluator of a cluster: a process that evaluates the checkpoints of another one.

Synopsis::

    (evaluation,) = ContinuousEvaluator(estimator, [eval_spec], max_steps=1000).run()
    evaluation.metrics

It follows the model directory until training has ended and the last checkpoint is evaluated.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import tensorflow as tf

from kestimator import errors, logs, specs
from kestimator.adapters.hooks import event_files
from kestimator.engine.checkpoints import checkpoint_files, training_record
from kestimator.estimator import Estimator
from kestimator.train_eval import evaluations as _evaluations

SECONDS_BETWEEN_LOOKS: Final = 1.0
"""How often the evaluator looks for a new checkpoint."""
_SECONDS_BETWEEN_LINES: Final = 600.0
"""How often the log says that there is none."""


class ContinuousEvaluator:
    """Evaluates new checkpoints of a directory that another process trains in.

    A checkpoint that is deleted meanwhile is skipped. After a restart, the checkpoints from the
    last evaluated one on come first, the oldest first, as long as they exist.

    Args:
        estimator: The estimator, with the same model_dir as that of the process that trains.
        eval_specs: The evaluations.
        max_steps: The global step at which training ends, if it is known.
        clock: Returns the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        estimator: Estimator,
        eval_specs: Sequence[specs.EvalSpec],
        max_steps: int | None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._estimator = estimator
        self._model_dir = str(estimator.model_dir)
        self._max_steps = max_steps
        self._clock = clock
        self._sleep = sleep
        self._last_news = clock()
        self._record_before = training_record.read(self._model_dir)
        self._last_line = -_SECONDS_BETWEEN_LINES
        self._followers = [_Follower(estimator, spec, max_steps, clock) for spec in eval_specs]

    def run(self) -> list[_evaluations.Evaluation]:
        """Evaluates until training has ended.

        Training has ended when a checkpoint of `max_steps` is evaluated, or when the process that
        trains has said so and its last checkpoint is evaluated.

        Returns:
            The evaluations, with their latest results.

        Raises:
            errors.ClusterError: There was no new checkpoint for
                `RunConfig.checkpoint_timeout_secs`.
        """
        while not self._is_complete():
            # Asked before the look: when training has ended, its last checkpoint is there.
            has_ended = self._has_ended()
            evaluated = [follower.evaluate_next(has_ended) for follower in self._followers]
            if any(evaluated):
                self._last_news = self._clock()
            elif has_ended:
                logs.info("Training has ended, and its last checkpoint has been evaluated.")
                break
            else:
                self._check_patience()
                self._sleep(SECONDS_BETWEEN_LOOKS)
        return [follower.evaluation for follower in self._followers]

    def _is_complete(self) -> bool:
        limit = self._max_steps
        return limit is not None and all(
            follower.evaluated_step >= limit for follower in self._followers
        )

    def _has_ended(self) -> bool:
        record = training_record.read(self._model_dir)
        # The record that was there first is that of an earlier training, which may be continued. It
        # is not known by its time: the clock of another machine may differ.
        return (
            record is not None
            and record.state == training_record.ENDED
            and record != self._record_before
        )

    def _check_patience(self) -> None:
        now, timeout = self._clock(), self._estimator.config.checkpoint_timeout_secs
        waited = now - self._last_news
        if timeout is not None and waited >= timeout:
            raise errors.ClusterError(
                f"The evaluator found no new checkpoint in {self._model_dir!r} for {waited:.0f} "
                f"seconds, and training has not ended (checkpoint_timeout_secs={timeout}). Check "
                "the process that trains, and that it uses the same model_dir. An evaluator that "
                "is started again continues."
            )
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            logs.info("Waiting for a new checkpoint in %s.", self._model_dir)


class _Follower:
    """One evaluation of the evaluator.

    Args:
        estimator: The estimator.
        spec: The evaluation.
        max_steps: The global step at which training ends, if it is known.
        clock: Returns the time in seconds.

    Attributes:
        evaluation: The evaluation, with its latest results.
        evaluated_step: The global step of the checkpoint that was evaluated last; -1 before.
    """

    def __init__(
        self,
        estimator: Estimator,
        spec: specs.EvalSpec,
        max_steps: int | None,
        clock: Callable[[], float],
    ) -> None:
        self.evaluated_step = -1
        self.evaluation = _evaluations.Evaluation(estimator, spec, max_steps, clock)
        self._model_dir = str(estimator.model_dir)
        self._spec = spec
        self._last_of_training = math.inf if max_steps is None else max_steps
        self._clock = clock
        self._due = clock() + spec.start_delay_secs
        directory = estimator.eval_dir(spec.name)
        done = event_files.read_scalars(directory) if tf.io.gfile.exists(directory) else {}
        # The last one is evaluated again: its exports may be missing.
        self._last = max(done, default=0) - 1
        # After a restart it takes each checkpoint until it has caught up, then only the newest.
        self._catches_up = bool(done)

    def evaluate_next(self, has_ended: bool) -> bool:
        """Evaluates the next checkpoint if it is due; returns whether it did.

        Args:
            has_ended: Whether training has ended, so that the newest checkpoint is the last.
        """
        pending = self._pending()
        if not pending:
            self._catches_up = False
            return False
        step, path = pending[0] if self._catches_up else pending[-1]
        is_last = has_ended or step >= self._last_of_training
        if not (self._catches_up or is_last or self._is_due(step)):
            return False
        self._last, self._due = step, self._clock() + self._spec.throttle_secs
        try:
            self.evaluation.run(step, path)
        except (errors.KestimatorError, tf.errors.OpError, OSError):
            if checkpoint_files.is_whole(path):
                raise
            logs.info("Skipping the evaluation at step %d: %s was deleted meanwhile.", step, path)
            self._due = self._clock()
        else:
            self.evaluated_step = step
        return True

    def _is_due(self, step: int) -> bool:
        every = self._spec.every_steps
        if every is not None:
            return step - max(self._last, 0) >= every
        return self._clock() >= self._due

    def _pending(self) -> list[tuple[int, str]]:
        """The checkpoints after the last evaluated one, from the oldest to the newest."""
        existing = sorted(
            (step, path)
            for path in checkpoint_files.existing(self._model_dir)
            if (step := _step_of(path)) is not None
        )
        # Training began anew: the events are those of an earlier training.
        if existing and existing[-1][0] < self._last:
            self._last, self._catches_up = -1, False
        return [(step, path) for step, path in existing if step > self._last]


def _step_of(path: str) -> int | None:
    """The global step of a checkpoint; None if it was deleted meanwhile."""
    suffix = os.path.basename(path).rpartition("-")[2]
    if suffix.isdigit():
        return int(suffix)
    try:
        return checkpoint_files.global_step_of(path)
    except errors.CheckpointError:
        return None
