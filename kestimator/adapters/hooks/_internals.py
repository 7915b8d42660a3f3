"""The private state of TensorFlow's stock hooks and their timers that the hooks' adapter uses.

The hooks have no public state at all. `tests/adapters/test_internals.py` calls each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def timer_of(hook: Any) -> Any:
    """The timer of a hook that acts now and then: hooks do not say when they act next."""
    return hook._timer


def use_timer(hook: Any, timer: Any) -> None:
    """Gives a hook another timer: its constructor makes one of a single distance."""
    hook._timer = timer


def every_steps(timer: Any) -> int | None:
    """The steps between two triggers of a timer, if it counts steps: there is no getter."""
    return getattr(timer, "_every_steps", None)


def every_secs(timer: Any) -> float | None:
    """The seconds between two triggers of a timer, if it looks at the clock: there is no getter."""
    return getattr(timer, "_every_secs", None)


def last_triggered_time(timer: Any) -> float | None:
    """When a timer triggered last: `last_triggered_step` only gives the step."""
    return getattr(timer, "_last_triggered_time", None)


def move_next_step(hook: Any, step: int) -> None:
    """Tells a `SummarySaverHook` or a `ProfilerHook` the next step, where it knows one.

    Before a step, it decides by the last step that it saw. It has no public setter.
    """
    if hook._next_step is not None:
        hook._next_step = step


def counted_steps(hook: Any) -> int:
    """The steps that a `LoggingTensorHook` has counted: it does not ask for the global step."""
    count: int = hook._iter_count
    return count


def count_steps(hook: Any, steps: int) -> None:
    """Adds steps to those that a `LoggingTensorHook` has counted: it only counts what it sees."""
    hook._iter_count += steps


def last_step(hook: Any) -> int:
    """The step at which a `StopAtStepHook` stops: it knows it after its begin, and keeps it."""
    return int(min(hook._last_step, 2**62))  # infinity, too, is a number of steps


def guarded_tensor(hook: Any) -> tf.Tensor:
    """The tensor that a `NanTensorHook` guards: there is no getter."""
    return hook._loss_tensor


def has_seen_its_step(hook: Any) -> bool:
    """Whether a `GlobalStepWaiterHook` has seen the step that it waits for: there is no getter."""
    return bool(hook._worker_is_started)


def listeners_of(hook: Any) -> Sequence[Any]:
    """The listeners of a `CheckpointSaverHook`: its constructor takes them; no getter."""
    listeners: Sequence[Any] = hook._listeners
    return listeners


def use_listeners(hook: Any, listeners: list[Any]) -> None:
    """Gives a `CheckpointSaverHook` other listeners: only its constructor takes any."""
    hook._listeners = listeners


def directory_of(hook: Any) -> str:
    """The directory of a `CheckpointSaverHook`: there is no getter."""
    directory: str = hook._checkpoint_dir
    return directory


def saves_graph(hook: Any) -> bool:
    """Whether a `CheckpointSaverHook` was told to write the graph: there is no getter."""
    return bool(hook._save_graph_def)


def global_step_of(hook: Any) -> Any:
    """The global step that a `CheckpointSaverHook` reads: set in its `begin`, with no getter."""
    return hook._global_step_tensor


def saver_of(hook: Any) -> Any:
    """The saver that a `CheckpointSaverHook` uses, its own or one that it finds: no getter."""
    return hook._get_saver()


def event_file_of(hook: Any) -> Any:
    """The event file that a `CheckpointSaverHook` opened in its begin: there is no getter."""
    return hook._summary_writer


def save(hook: Any, session: Any, step: int) -> None:
    """Lets a `CheckpointSaverHook` save now and tell its listeners: in public its timer decides."""
    hook._save(session, step)
