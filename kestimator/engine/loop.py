"""The loop: steps run on the device until somebody needs to look.

Synopsis::

    loop = DeviceLoop(program, loss, operations)
    result = loop.run(batches, steps=99, until_step=1000, seconds=0.5)

    hooked = HookedSession(session, hooks)
    hooked.begin(); hooked.after_create_session()
    values = hooked.step({"loss": loss, "train_op": train_op})   # one step that hooks see
    hooked.end()

One call of :meth:`DeviceLoop.run` runs as many steps as nobody needs to interrupt. The number of
steps, the global step to stop at and the deadline are tensors, so one trace serves them all.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine import inputs as _inputs
from kestimator.engine import program as _program
from kestimator.engine import session as _session

_v1_train = tf.compat.v1.train
NO_LIMIT = 2**62


@dataclasses.dataclass(frozen=True)
class LoopResult:
    """What a call of the device loop came to.

    Attributes:
        steps: How many steps ran.
        loss: The loss of the last step; None if none ran.
        data_ended: Whether the input has ended.
        not_finite: For each watched tensor, whether it stopped the loop by being NaN.
    """

    steps: int
    loss: Any
    data_ended: bool
    not_finite: tuple[bool, ...]


class DeviceLoop:
    """Runs one step of a program many times in one call.

    Args:
        program: The program.
        loss: The tensor whose last value is returned.
        operations: What a step runs besides.
        watched: Float tensors that end the loop when one of their elements is NaN.
        global_step: The eager variable that counts steps, to stop at a given one.
    """

    def __init__(
        self,
        program: _program.Program,
        loss: tf.Tensor,
        operations: Sequence[tf.Operation],
        watched: Sequence[tf.Tensor] = (),
        global_step: tf.Variable | None = None,
    ) -> None:
        self._watched = len(watched)
        self._loss = loss
        self._step = program.function([loss, *watched], operations)
        self._positions = _positions(program.inputs, self._step.inputs)
        self._global_step = global_step
        self._counted = tf.function(self._build_counted, autograph=False)
        self._until_end = tf.function(self._build_until_end, autograph=False)

    def run(
        self, batches: _inputs.Batches, *, steps: int, until_step: int, seconds: float
    ) -> LoopResult:
        """Runs steps until one of the limits, the end of the data, or a NaN.

        Args:
            batches: The input.
            steps: At most this many steps.
            until_step: No step starts at this global step or after it.
            seconds: No step starts later than this.
        """
        with _program.eager_mode():
            limits = (
                tf.constant(steps, tf.int64),
                tf.constant(until_step, tf.int64),
                tf.constant(time.time() + seconds, tf.float64),
            )
            if not self._positions:
                return self._result(self._counted(None, *limits))
            if isinstance(batches, _inputs.TensorBatches):
                return self._run_tensors(batches, limits)
            if batches.remaining is not None:
                limits = (tf.constant(min(steps, batches.remaining), tf.int64), *limits[1:])
                result = self._result(self._counted(batches.iterator, *limits))
                batches.consumed(result.steps)
                return result
            return self._result(self._until_end(batches.iterator, *limits))

    def _run_tensors(self, batches: _inputs.TensorBatches, limits: tuple[Any, ...]) -> LoopResult:
        loop = batches.loops.get(id(self))
        if loop is None:

            def counted(*args: tf.Tensor) -> Any:
                return self._build_counted(batches, *args)

            loop = batches.loops[id(self)] = tf.function(counted, autograph=False)
        return self._result(loop(*limits))

    def _result(self, outputs: Any) -> LoopResult:
        steps, loss, data_ended, not_finite = outputs
        count = int(steps)
        return LoopResult(
            count,
            loss.numpy() if count else None,
            bool(data_ended),
            tuple(bool(flag) for flag in not_finite),
        )

    def _take(self, flat: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return [flat[position] for position in self._positions]

    def _one_step(self, flat: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        loss, *watched = self._step(*self._take(flat))
        loss.set_shape(())
        return loss, [tf.reduce_any(tf.math.is_nan(tensor)) for tensor in watched]

    def _goes_on(self, done: tf.Tensor, flags: list[tf.Tensor], limits: Any) -> tf.Tensor:
        steps, until_step, deadline = limits
        conditions = [done < steps, tf.timestamp() < deadline]
        if self._global_step is not None:
            conditions.append(tf.cast(self._global_step, tf.int64) < until_step)
        if flags:
            conditions.append(tf.logical_not(tf.reduce_any(tf.stack(flags))))
        return tf.reduce_all(tf.stack(conditions))

    def _start(self) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        loss = tf.zeros((), self._loss.dtype)
        return tf.constant(0, tf.int64), loss, [tf.constant(False)] * self._watched

    def _build_counted(self, source: Any, *limits: tf.Tensor) -> Any:
        """The loop where the input holds as many batches as the steps asked for."""

        def body(done: tf.Tensor, loss: tf.Tensor, flags: list[tf.Tensor]) -> Any:
            loss, flags = self._one_step(_next_of(source))
            return done + 1, loss, flags

        done, loss, flags = tf.while_loop(
            lambda done, loss, flags: self._goes_on(done, flags, limits),
            body,
            self._start(),
            parallel_iterations=1,
        )
        return done, loss, tf.constant(False), flags

    def _build_until_end(self, iterator: Any, *limits: tf.Tensor) -> Any:
        """The loop where only the input knows when it ends: an optional says so."""

        def body(done: tf.Tensor, loss: tf.Tensor, ended: tf.Tensor, flags: Any) -> Any:
            batch = iterator.get_next_as_optional()

            def step() -> Any:
                return (done + 1, *self._one_step(batches_of(batch.get_value())))

            new_done, loss, flags = tf.cond(
                batch.has_value(), step, lambda: (done, loss, list(flags))
            )
            return new_done, loss, tf.equal(new_done, done), flags

        batches_of = iterator_flattener(iterator)
        done, loss, flags = self._start()
        done, loss, ended, flags = tf.while_loop(
            lambda done, loss, ended, flags: tf.logical_and(
                tf.logical_not(ended), self._goes_on(done, flags, limits)
            ),
            body,
            (done, loss, tf.constant(False), flags),
            parallel_iterations=1,
        )
        return done, loss, ended, flags


def _next_of(source: Any) -> list[tf.Tensor]:
    if source is None:
        return []
    if isinstance(source, _inputs.TensorBatches):
        return source.function()
    return iterator_flattener(source)(source.get_next())


def iterator_flattener(iterator: Any) -> Any:
    """How to turn an element of `iterator` into the flat tensors of `(features, labels)`."""
    del iterator  # every Dataset's elements have the same reading

    def flatten(element: Any) -> list[tf.Tensor]:
        return _program.flatten(_inputs.features_and_labels(element))

    return flatten


def _positions(inputs: Sequence[tf.Tensor], needed: Sequence[tf.Tensor]) -> list[int]:
    order = {id(tensor): position for position, tensor in enumerate(inputs)}
    return [order[id(tensor)] for tensor in needed]


class HookedSession:
    """A session whose steps a list of hooks sees, in the original's order of calls.

    Args:
        session: The session.
        hooks: The hooks, in order.
    """

    def __init__(self, session: _session.Session, hooks: Sequence[Any]) -> None:
        self._session = session
        self._hooks = list(hooks)
        self.should_stop = False

    def begin(self) -> None:
        """Tells every hook that the graph is complete but for its own ops."""
        for hook in self._hooks:
            hook.begin()

    def after_create_session(self) -> None:
        """Tells every hook that variables hold their values."""
        coordinator = tf.train.Coordinator()
        for hook in self._hooks:
            hook.after_create_session(self._session, coordinator)

    def end(self) -> None:
        """Tells every hook that the run ended without an error."""
        for hook in self._hooks:
            hook.end(self._session)

    def step(self, fetches: dict[str, Any], feed_dict: dict[Any, Any] | None = None) -> Any:
        """Runs one step that all hooks see.

        Args:
            fetches: What the loop itself wants.
            feed_dict: Feeds of the loop itself.

        Returns:
            The values of `fetches`.

        Raises:
            RuntimeError: Two hooks feed the same tensor.
            tf.errors.OutOfRangeError: The input has ended.
        """
        context = _v1_train.SessionRunContext(
            _v1_train.SessionRunArgs(fetches, feed_dict), self._session
        )
        asked: dict[Any, Any] = {"caller": fetches}
        feeds = dict(feed_dict or {})
        options = tf.compat.v1.RunOptions()
        for position, hook in enumerate(self._hooks):
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                asked[position] = request.fetches
            _merge_feeds(feeds, request.feed_dict, hook)
            _merge_options(options, request.options)
        metadata = tf.compat.v1.RunMetadata()
        values = self._session.run(asked, feeds, options, metadata)
        for position, hook in enumerate(self._hooks):
            hook.after_run(
                context, _v1_train.SessionRunValues(values.get(position), options, metadata)
            )
        self.should_stop = self.should_stop or context.stop_requested
        return values["caller"]


def _merge_feeds(feeds: dict[Any, Any], more: dict[Any, Any] | None, hook: Any) -> None:
    for key, value in (more or {}).items():
        if key in feeds:
            raise RuntimeError(
                f"Same tensor is fed by two hooks, or by a hook and the loop: {key!r} in "
                f"{type(hook).__name__}. Feed a tensor from one hook alone."
            )
        feeds[key] = value


def _merge_options(options: Any, more: Any) -> None:
    if more is not None:
        options.MergeFrom(more)
