"""The device loop: runs steps on the device until a hook is due.

Synopsis::

    loop = DeviceLoop(program, loss, operations)
    result = loop.run(batches, steps=99, until_step=1000)

    hooked = HookedSession(session, hooks)
    hooked.begin(); hooked.after_create_session()
    values = hooked.step({"loss": loss, "train_op": train_op})   # one step that hooks see
    hooked.end()

One call of :meth:`DeviceLoop.run` runs all steps up to the next interruption. The number of steps
and the global step to stop at are tensors, so one trace serves all calls.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import compiled, elements
from kestimator.engine.runs import session as _session

_v1_train = tf.compat.v1.train
NO_LIMIT = 2**62
_LIMITS = (tf.int32, tf.int64)  # the dtypes of the number of steps and of the global step


@dataclasses.dataclass(frozen=True)
class LoopResult:
    """The result of one call of the device loop.

    Attributes:
        steps: How many steps ran.
        loss: The loss of the last step; None if none ran.
        data_ended: Whether the input has ended.
        not_finite: For the loss and each watched tensor, whether it is NaN.
        loss_sum: The sum of the losses of all steps; 0 where nobody asked for it.
    """

    steps: int
    loss: Any
    data_ended: bool
    not_finite: tuple[bool, ...]
    loss_sum: float = 0.0


class DeviceLoop:
    """Runs the step of a program many times in one call.

    A step adds three things to the ops of the model: the count, a check of the count against the
    limit, and a check of the loss for NaN. The loop does not read the clock: the caller asks for
    as many steps as fit.

    Args:
        program: The program.
        loss: A scalar whose last value is returned; it ends the loop by becoming NaN.
        operations: The other ops of a step.
        watched: Other float tensors that end the loop when one of their elements is NaN.
        global_step: The eager variable that counts steps, if a step may add another number
            than 1 to it. None otherwise.
        sums_losses: Whether to sum the losses of the steps, which is one more op for each.
        all_have: Tells for a boolean scalar whether it is true in all processes that take the
            steps together.

    Attributes:
        was_built: Whether the last call built a function first. Its duration then says nothing
            about the steps.
    """

    def __init__(
        self,
        program: _program.Program,
        loss: tf.Tensor,
        operations: Sequence[tf.Operation],
        watched: Sequence[tf.Tensor] = (),
        global_step: tf.Variable | None = None,
        *,
        sums_losses: bool = False,
        all_have: Callable[[tf.Tensor], tf.Tensor] = lambda has_batches: has_batches,
    ) -> None:
        self._loss = loss
        self._all_have = all_have
        self._sums = int(sums_losses)
        self._watched = len(watched)
        self._step = program.function([loss, *watched], operations)
        self._inputs = program.inputs
        self._per_step = program.batches_per_step
        self._observing: dict[Any, compiled.Compiled] = {}
        self.was_built = True
        self._global_step = global_step
        self._counted = compiled.Compiled(self._build_counted, [self._step], _LIMITS)
        self._until_end = compiled.Compiled(self._build_until_end, [self._step], _LIMITS)

    def run(
        self,
        batches: _batches.Batches,
        *,
        steps: int,
        until_step: int,
        on_one_thread: bool = False,
    ) -> LoopResult:
        """Runs steps until one of the limits, the end of the data, or a NaN.

        Args:
            batches: The input.
            steps: At most this many steps.
            until_step: No step starts at this global step or after it.
            on_one_thread: Whether to run op by op on the calling thread, where that is possible.
        """
        # Only what is fetched runs: a step that reads nothing of the batch takes none.
        takes_from_iterator = batches.has_iterator and bool(self._step.inputs)
        if not takes_from_iterator:
            loop, iterator = self._loop_without_iterator(batches), None
        elif batches.remaining is None:
            loop, iterator = self._until_end, batches.iterator
        else:
            steps = min(steps, batches.remaining)
            loop, iterator = self._counted, batches.iterator
        outputs = loop(iterator, _count(steps), until_step, on_one_thread=on_one_thread)
        self.was_built = loop.is_new
        result = self._result(outputs)
        if takes_from_iterator:
            batches.consumed(result.steps)
        return result

    def run_and_observe(
        self,
        batches: _batches.Batches,
        steps: int,
        observed: _program.PrunedFunction,
        *,
        on_one_thread: bool = False,
    ) -> tuple[LoopResult, list[tf.Tensor] | None]:
        """Runs unobserved steps and one observed step in the same call.

        Args:
            batches: The input; it holds batches for `steps + 1` steps.
            steps: The number of unobserved steps.
            observed: The function of the observed step.
            on_one_thread: Whether to run op by op on the calling thread, where that is possible.

        Returns:
            The result of the unobserved steps, and the tensors that `observed` returns. These are
            None if a NaN ended the unobserved steps.
        """
        # Built for each observed function: an op that chose among them would run at every call.
        call = self._observing.get(observed)
        if call is None:

            def run(iterator: Any, *limits: tf.Tensor) -> list[tf.Tensor]:
                result = self._build_counted(iterator, *limits)
                flat = functools.partial(self._next_of, iterator if observed.inputs else None)
                # A NaN among the steps before ends the call: no step may run after it.
                values = compiled.once(
                    tf.logical_not(tf.reduce_any(self._nan_flags(result))),
                    lambda: compiled.inlined(observed, self._inputs, flat()),
                    _nothing(observed.outputs),
                    [tensor.shape for tensor in observed.outputs],
                )
                return [*result, *values]

            call = self._observing[observed] = compiled.Compiled(
                run, [self._step, observed], _LIMITS
            )
        # No `until_step`: callers use this only if a step adds 1 at most to the global step.
        outputs = call(batches.iterator, _count(steps), NO_LIMIT, on_one_thread=on_one_thread)
        self.was_built = call.is_new
        split = len(outputs) - len(observed.outputs)
        result = self._result(outputs[:split])
        was_observed = not any(result.not_finite)
        batches.consumed(result.steps + was_observed)
        return result, outputs[split:] if was_observed else None

    def observe(
        self,
        batches: _batches.Batches,
        observed: _program.PrunedFunction,
        *,
        on_one_thread: bool = False,
    ) -> list[tf.Tensor]:
        """Runs one observed step and takes its batch on the device.

        Args:
            batches: The input.
            observed: The function of the step.
            on_one_thread: Whether to run op by op on the calling thread, where that is possible.

        Raises:
            tf.errors.OutOfRangeError: The input has ended.
        """
        if batches.remaining == 0:
            raise _batches.end_of_input()
        # `run_and_observe` keeps its calls in the same dict, under the bare function.
        key = ("alone", observed)
        if key not in self._observing:

            def run(iterator: Any) -> list[tf.Tensor]:
                def make(flat: Sequence[tf.Tensor]) -> list[tf.Tensor]:
                    return compiled.inlined(observed, self._inputs, flat)

                shapes = [tensor.shape for tensor in observed.outputs]
                has_batches, values = self._step_if_any(
                    iterator, make, _nothing(observed.outputs), shapes
                )
                return [has_batches, *values]

            self._observing[key] = compiled.Compiled(run, [observed], ())
        has_batches, *values = self._observing[key](batches.iterator, on_one_thread=on_one_thread)
        self.was_built = self._observing[key].is_new
        if not has_batches:
            raise _batches.end_of_input()
        batches.consumed(1)
        return values

    def _step_if_any(
        self,
        iterator: Any,
        make: Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]],
        otherwise: Sequence[tf.Tensor],
        shapes: Sequence[tf.TensorShape] | None = None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns whether there are batches for a step, and the results of `make` for them."""
        # An optional says whether there is a batch; an exception would end the loop, and lose the
        # count of the steps that have run.
        batches: list[Any] = []
        for _ in range(self._per_step):
            # Ops of a graph run in any order: without this, replicas could swap their batches.
            with tf.control_dependencies([batch.has_value() for batch in batches]):
                batches.append(iterator.get_next_as_optional())

        def step() -> Sequence[tf.Tensor]:
            return make([tensor for batch in batches for tensor in _flat(batch.get_value())])

        # A step needs a batch for each replica; a remainder too small for a step is dropped.
        has_batches = self._all_have(batches[-1].has_value())
        return has_batches, compiled.once(has_batches, step, otherwise, shapes)

    def _loop_without_iterator(self, batches: _batches.Batches) -> compiled.Compiled:
        """Returns the loop for an input that a graph computes in each step, or for no input."""
        function = batches.function
        if function is None or not self._step.inputs:
            return self._counted
        if self not in batches.loops:

            def counted(_: None, *limits: tf.Tensor) -> list[tf.Tensor]:
                return self._build_counted(function, *limits)

            batches.loops[self] = compiled.Compiled(counted, [self._step, function], _LIMITS)
        loop: compiled.Compiled = batches.loops[self]
        return loop

    def _result(self, outputs: Sequence[tf.Tensor]) -> LoopResult:
        steps, loss, data_ended, *others = outputs
        sums, flags = others[: self._sums], others[self._sums :]
        count, last = int(steps), loss.numpy()
        # NaN is the only value that differs from itself, in bfloat16 and float16, too.
        is_nan = count > 0 and bool(last != last)
        return LoopResult(
            count,
            last if count else None,
            bool(data_ended),
            (is_nan, *(bool(flag) for flag in flags)),
            sum(map(float, sums)),
        )

    def _one_step(
        self, state: Sequence[tf.Tensor], flat: Sequence[tf.Tensor], *, waits: bool = False
    ) -> list[tf.Tensor]:
        """Runs a step; returns the count of steps, the loss, its sum, and NaN flags.

        Args:
            state: What the step before returned, or `_start`.
            flat: The batches of the step.
            waits: As for `PrunedFunction.inlined`.
        """
        done, sums = state[0], state[2 : 2 + self._sums]
        loss, *watched = compiled.inlined(self._step, self._inputs, flat, waits=waits)
        flags = [tf.reduce_any(tf.math.is_nan(tensor)) for tensor in watched]
        # The count waits for the loss, and the loss for the step's operations: the next turn of
        # the loop starts when this one has written its variables.
        with tf.control_dependencies([loss]):
            last = tf.reshape(loss, ())
            sums = [total + tf.cast(last, total.dtype) for total in sums]
            return [done + 1, last, *sums, *flags]

    def _next_of(self, source: Any) -> list[tf.Tensor]:
        """Returns the batches of a step, taken one after the other."""
        flat: list[tf.Tensor] = []
        for _ in range(self._per_step):
            with tf.control_dependencies(flat):
                flat.extend(_next_batch(source, waits=self._per_step > 1))
        return flat

    def _goes_on(
        self, limits: Sequence[tf.Tensor], done: tf.Tensor, loss: tf.Tensor, *others: tf.Tensor
    ) -> tf.Tensor:
        steps, until_step = limits
        # A NaN differs from itself: `is_nan` and `not` would be two more ops per iteration.
        goes_on = tf.logical_and(done < steps, tf.equal(loss, loss))
        # None means that a step adds 1 at most, so that the count is enough to end the loop.
        if self._global_step is not None:
            step = tf.cast(self._global_step, tf.int64)
            goes_on = tf.logical_and(goes_on, step < until_step)
        for flag in others[self._sums :]:
            goes_on = tf.logical_and(goes_on, tf.logical_not(flag))
        return goes_on

    def _start(self) -> list[tf.Tensor]:
        # Not NaN, so that the first step starts.
        loss = tf.zeros((), self._loss.dtype)
        sums = [tf.constant(0.0)] * self._sums
        return [tf.constant(0), loss, *sums, *[tf.constant(False)] * self._watched]

    def _build_counted(self, source: Any, *limits: tf.Tensor) -> list[tf.Tensor]:
        """Builds the loop for an input that is known to hold enough batches."""
        waits = isinstance(source, _program.PrunedFunction)  # such an input ends by an exception
        # One iteration at a time: a step must see the variables that the step before wrote.
        done, loss, *others = tf.while_loop(
            functools.partial(self._goes_on, limits),
            lambda *state: self._one_step(state, self._next_of(source), waits=waits),
            self._start(),
            parallel_iterations=1,
        )
        return [done, loss, tf.constant(False), *others]

    def _build_until_end(self, iterator: Any, *limits: tf.Tensor) -> list[tf.Tensor]:
        """Builds the loop for an input of unknown length, which ends by an empty optional."""

        def body(_: tf.Tensor, *state: tf.Tensor) -> list[tf.Tensor]:
            step = functools.partial(self._one_step, state)
            has_batches, state_after = self._step_if_any(iterator, step, state)
            return [tf.logical_not(has_batches), *state_after]

        ended, done, loss, *others = tf.while_loop(
            lambda ended, *state: tf.logical_and(
                tf.logical_not(ended), self._goes_on(limits, *state)
            ),
            body,
            [tf.constant(False), *self._start()],
            parallel_iterations=1,
        )
        return [done, loss, ended, *others]

    def _nan_flags(self, outputs: Sequence[tf.Tensor]) -> tf.Tensor:
        _, loss, _, *others = outputs
        return tf.stack([tf.not_equal(loss, loss), *others[self._sums :]])


def _nothing(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns zeros in place of `tensors`, with unknown dimensions empty."""
    return [
        tf.zeros([size or 0 for size in tensor.shape] if tensor.shape.rank else [], tensor.dtype)
        for tensor in tensors
    ]


def _count(steps: int) -> int:
    # The loop counts in int32, see `_LIMITS`.
    return min(steps, 2**31 - 1)


def _next_batch(source: Any, *, waits: bool) -> list[tf.Tensor]:
    if source is None:
        return []
    if isinstance(source, _program.PrunedFunction):
        # A call can wait for the batch before; ops that are copied wait for nothing new.
        return source() if waits else source.inlined()[0]
    return _flat(source.get_next())


def _flat(element: Any) -> list[tf.Tensor]:
    return _program.flatten(elements.features_and_labels(element))


@dataclasses.dataclass(frozen=True)
class StepRequest:
    """What hooks request for one step.

    Attributes:
        context: The `SessionRunContext` that the hooks share.
        fetches: The fetches of hooks by their position, and those of the loop under 'caller'.
        feeds: The feeds of all hooks.
        options: The `RunOptions` of all hooks, merged.
    """

    context: Any
    fetches: dict[Any, Any]
    feeds: dict[Any, Any]
    options: Any


class HookedSession:
    """A session with hooks, which are called in the order of tf.estimator.

    Args:
        session: The session.
        hooks: The hooks, in order.
    """

    def __init__(self, session: _session.Session, hooks: Sequence[Any]) -> None:
        self._session = session
        self._hooks = list(hooks)
        self.should_stop = False

    def begin(self) -> None:
        """Calls `begin` of every hook: the graph is complete except for the ops of hooks."""
        for hook in self._hooks:
            hook.begin()

    def after_create_session(self) -> None:
        """Calls `after_create_session` of every hook: variables hold their values."""
        coordinator = tf.train.Coordinator()
        for hook in self._hooks:
            hook.after_create_session(self._session, coordinator)

    def end(self) -> None:
        """Calls `end` of every hook: the run ended without an error."""
        for hook in self._hooks:
            hook.end(self._session)

    def step(self, fetches: dict[str, Any]) -> Any:
        """Runs one step that all hooks observe.

        Args:
            fetches: The fetches of the loop itself.

        Returns:
            The values of `fetches`.

        Raises:
            RuntimeError: Two hooks feed the same tensor.
            tf.errors.OutOfRangeError: The input has ended.
        """
        request = self.ask(fetches)
        metadata = tf.compat.v1.RunMetadata()
        values = self._session.run_step(request.fetches, request.feeds, request.options, metadata)
        return self.tell(request, values, metadata)

    def ask(self, fetches: dict[str, Any]) -> StepRequest:
        """Calls `before_run` of every hook.

        Args:
            fetches: The fetches of the loop itself.

        Raises:
            RuntimeError: Two hooks feed the same tensor.
        """
        context = _v1_train.SessionRunContext(_v1_train.SessionRunArgs(fetches), self._session)
        requested: dict[Any, Any] = {"caller": fetches}
        feeds: dict[Any, Any] = {}
        options = tf.compat.v1.RunOptions()
        for position, hook in enumerate(self._hooks):
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                requested[position] = request.fetches
            _merge_feeds(feeds, request.feed_dict, hook)
            _merge_options(options, request.options)
        return StepRequest(context, requested, feeds, options)

    def tell(self, request: StepRequest, values: dict[Any, Any], metadata: Any) -> Any:
        """Calls `after_run` of every hook.

        Args:
            request: The request of the hooks.
            values: The values of its fetches.
            metadata: The `RunMetadata` of the step.

        Returns:
            The values of the fetches of the loop itself.
        """
        context, options = request.context, request.options
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
                f"{type(hook).__name__}. Feed the tensor from only one hook."
            )
        feeds[key] = value


def _merge_options(options: Any, more: Any) -> None:
    if more is not None:
        options.MergeFrom(more)
