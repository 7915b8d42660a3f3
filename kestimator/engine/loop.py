"""The loop: steps run on the device until somebody needs to look.

Synopsis::

    loop = DeviceLoop(program, loss, operations)
    result = loop.run(batches, steps=99, until_step=1000)

    hooked = HookedSession(session, hooks)
    hooked.begin(); hooked.after_create_session()
    values = hooked.step({"loss": loss, "train_op": train_op})   # one step that hooks see
    hooked.end()

One call of :meth:`DeviceLoop.run` runs as many steps as nobody needs to interrupt. The number of
steps and the global step to stop at are tensors, so one trace serves them all.
"""

from __future__ import annotations

import dataclasses
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
        not_finite: For the loss and each watched tensor, whether it is NaN.
    """

    steps: int
    loss: Any
    data_ended: bool
    not_finite: tuple[bool, ...]


class DeviceLoop:
    """Runs one step of a program many times in one call.

    What a step adds to the model's own ops is three: whether it was the last one wanted, whether
    the loss is still a number, and the count. The clock is left to the caller, who asks for as
    many steps as fit.

    Args:
        program: The program.
        loss: A scalar whose last value is returned; it ends the loop by becoming NaN.
        operations: What a step runs besides.
        watched: Other float tensors that end the loop when one of their elements is NaN.
        global_step: The eager variable that counts steps, where one step may move it by another
            number than 1.
    """

    def __init__(
        self,
        program: _program.Program,
        loss: tf.Tensor,
        operations: Sequence[tf.Operation],
        watched: Sequence[tf.Tensor] = (),
        global_step: tf.Variable | None = None,
    ) -> None:
        self._loss = loss
        self._watched = len(watched)
        self._step = program.function([loss, *watched], operations)
        self._inputs = program.inputs
        self._per_step = program.batches_per_step
        self._positions = _positions(program.inputs, self._step.inputs)
        self._looks: dict[int, Any] = {}
        self._global_step = global_step
        self._counted = tf.function(self._build_counted, autograph=False)
        self._until_end = tf.function(self._build_until_end, autograph=False)

    def run(self, batches: _inputs.Batches, *, steps: int, until_step: int) -> LoopResult:
        """Runs steps until one of the limits, the end of the data, or a NaN.

        Args:
            batches: The input.
            steps: At most this many steps.
            until_step: No step starts at this global step or after it.
        """
        with _program.eager_mode():
            until = tf.constant(until_step, tf.int64)
            if not self._positions:
                return self._result(self._counted(None, _count(steps), until))
            if isinstance(batches, _inputs.TensorBatches):
                return self._run_tensors(batches, _count(steps), until)
            assert isinstance(batches, _inputs.DatasetBatches)
            if batches.remaining is not None:
                steps = min(steps, batches.remaining)
                result = self._result(self._counted(batches.iterator, _count(steps), until))
                batches.consumed(result.steps)
                return result
            return self._result(self._until_end(batches.iterator, _count(steps), until))

    def run_and_look(
        self, batches: _inputs.DatasetBatches, steps: int, look: _program.PrunedFunction
    ) -> tuple[LoopResult, list[tf.Tensor]]:
        """Runs steps, and one more that somebody looks at, in the same call.

        Args:
            batches: The input; it holds batches for `steps + 1` steps.
            steps: The steps to run before.
            look: What the last step computes.

        Returns:
            What the steps before came to, and the tensors that `look` gives.
        """
        call = self._looks.get(id(look))
        if call is None:
            positions = _positions(self._inputs, look.inputs)

            def run(iterator: Any, *limits: tf.Tensor) -> Any:
                result = self._build_counted(iterator, *limits)
                with tf.control_dependencies([result[0]]):
                    flat = self._next_of(iterator) if positions else []
                    return result, look(*(flat[position] for position in positions))

            call = self._looks[id(look)] = tf.function(run, autograph=False)
        with _program.eager_mode():
            outputs, values = call(batches.iterator, _count(steps), tf.constant(NO_LIMIT))
        result = self._result(outputs)
        batches.consumed(result.steps + 1)
        return result, values

    def _run_tensors(self, batches: _inputs.TensorBatches, *limits: tf.Tensor) -> LoopResult:
        loop = batches.loops.get(id(self))
        if loop is None:

            def counted(*args: tf.Tensor) -> Any:
                return self._build_counted(batches, *args)

            loop = batches.loops[id(self)] = tf.function(counted, autograph=False)
        return self._result(loop(*limits))

    def _result(self, outputs: Any) -> LoopResult:
        steps, loss, data_ended, flags = outputs
        count, last = int(steps), loss.numpy()
        is_nan = count > 0 and bool(last != last)
        return LoopResult(
            count,
            last if count else None,
            bool(data_ended),
            (is_nan, *(bool(flag) for flag in flags)),
        )

    def _one_step(self, flat: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        loss, *watched = self._step(*(flat[position] for position in self._positions))
        loss.set_shape(())
        return loss, [tf.reduce_any(tf.math.is_nan(tensor)) for tensor in watched]

    def _next_of(self, source: Any) -> list[tf.Tensor]:
        return [tensor for _ in range(self._per_step) for tensor in _next_batch(source)]

    def _goes_on(
        self, done: tf.Tensor, loss: tf.Tensor, flags: list[tf.Tensor], limits: Any
    ) -> tf.Tensor:
        steps, until_step = limits
        goes_on = tf.logical_and(done < steps, tf.equal(loss, loss))
        if self._global_step is not None:
            step = tf.cast(self._global_step, tf.int64)
            goes_on = tf.logical_and(goes_on, step < until_step)
        for flag in flags:
            goes_on = tf.logical_and(goes_on, tf.logical_not(flag))
        return goes_on

    def _start(self) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        loss = tf.zeros((), self._loss.dtype)
        return tf.constant(0), loss, [tf.constant(False)] * self._watched

    def _build_counted(self, source: Any, *limits: tf.Tensor) -> Any:
        """The loop where the input holds as many batches as the steps asked for."""

        def body(done: tf.Tensor, loss: tf.Tensor, flags: list[tf.Tensor]) -> Any:
            loss, flags = self._one_step(self._next_of(source))
            return done + 1, loss, flags

        done, loss, flags = tf.while_loop(
            lambda done, loss, flags: self._goes_on(done, loss, flags, limits),
            body,
            self._start(),
            parallel_iterations=1,
        )
        return done, loss, tf.constant(False), flags

    def _build_until_end(self, iterator: Any, *limits: tf.Tensor) -> Any:
        """The loop where only the input knows when it ends: an optional says so."""

        def body(done: tf.Tensor, loss: tf.Tensor, ended: tf.Tensor, flags: Any) -> Any:
            batches = [iterator.get_next_as_optional() for _ in range(self._per_step)]

            def step() -> Any:
                flat = [tensor for batch in batches for tensor in _flat(batch.get_value())]
                return (done + 1, *self._one_step(flat))

            new_done, loss, flags = tf.cond(
                batches[-1].has_value(), step, lambda: (done, loss, list(flags))
            )
            return new_done, loss, tf.equal(new_done, done), flags

        done, loss, flags = self._start()
        done, loss, ended, flags = tf.while_loop(
            lambda done, loss, ended, flags: tf.logical_and(
                tf.logical_not(ended), self._goes_on(done, loss, flags, limits)
            ),
            body,
            (done, loss, tf.constant(False), flags),
            parallel_iterations=1,
        )
        return done, loss, ended, flags


def _count(steps: int) -> tf.Tensor:
    return tf.constant(min(steps, 2**31 - 1), tf.int32)


def _next_batch(source: Any) -> list[tf.Tensor]:
    if source is None:
        return []
    if isinstance(source, _inputs.TensorBatches):
        return source.function()
    return _flat(source.get_next())


def _flat(element: Any) -> list[tf.Tensor]:
    return _program.flatten(_inputs.features_and_labels(element))


def _positions(inputs: Sequence[tf.Tensor], needed: Sequence[tf.Tensor]) -> list[int]:
    order = {id(tensor): position for position, tensor in enumerate(inputs)}
    return [order[id(tensor)] for tensor in needed]


@dataclasses.dataclass(frozen=True)
class Look:
    """What hooks want of one step.

    Attributes:
        context: The `SessionRunContext` that they share.
        fetches: Their fetches by position, and the loop's own under 'caller'.
        feeds: Their feeds.
        options: Their `RunOptions`, merged.
    """

    context: Any
    fetches: dict[Any, Any]
    feeds: dict[Any, Any]
    options: Any


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

    def step(self, fetches: dict[str, Any]) -> Any:
        """Runs one step that all hooks see.

        Args:
            fetches: What the loop itself wants.

        Returns:
            The values of `fetches`.

        Raises:
            RuntimeError: Two hooks feed the same tensor.
            tf.errors.OutOfRangeError: The input has ended.
        """
        look = self.ask(fetches)
        metadata = tf.compat.v1.RunMetadata()
        values = self._session.run_step(look.fetches, look.feeds, look.options, metadata)
        return self.tell(look, values, metadata)

    def ask(self, fetches: dict[str, Any]) -> Look:
        """Asks every hook what it wants of the next step.

        Args:
            fetches: What the loop itself wants.

        Raises:
            RuntimeError: Two hooks feed the same tensor.
        """
        context = _v1_train.SessionRunContext(_v1_train.SessionRunArgs(fetches), self._session)
        asked: dict[Any, Any] = {"caller": fetches}
        feeds: dict[Any, Any] = {}
        options = tf.compat.v1.RunOptions()
        for position, hook in enumerate(self._hooks):
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                asked[position] = request.fetches
            _merge_feeds(feeds, request.feed_dict, hook)
            _merge_options(options, request.options)
        return Look(context, asked, feeds, options)

    def tell(self, look: Look, values: dict[Any, Any], metadata: Any) -> Any:
        """Tells every hook what the step came to.

        Args:
            look: What was asked.
            values: The values of its fetches.
            metadata: The `RunMetadata` of the step.

        Returns:
            The values that the loop itself wanted.
        """
        context, options = look.context, look.options
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
