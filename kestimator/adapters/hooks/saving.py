"""A `CheckpointSaverHook` that writes the graph once, and saves when a listener wants it.

Synopsis::

    hook = SaverHook(
        model_dir, save_secs=600, wanted_steps=[1000], scaffold=scaffold, listeners=listeners)

TensorFlow's writes the graph as text and into the event file whenever training starts; for a big
graph that takes as long as thousands of steps. A program's graph seldom changes between two calls.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from kestimator.adapters.hooks import _internals
from kestimator.engine.checkpoints import checkpoint_files

_v1: Any = tf.compat.v1


def wanted_steps(listeners: Sequence[Any]) -> list[int]:
    """The distances in steps at which listeners want checkpoints: their `wanted_steps`."""
    return sorted({step for one in listeners for step in getattr(one, "wanted_steps", ())})


def save_again_at_the_end(hooks: Sequence[Any]) -> None:
    """Lets hooks that save checkpoints do so when training ends, even if they have just saved.

    A hook or a callback has changed variables after the last step.
    """
    for hook in hooks:
        if isinstance(hook, _v1.train.CheckpointSaverHook):
            _internals.timer_of(hook).reset()


class AnyTimer(_v1.train.SecondOrStepTimer):
    """Triggers when one of several timers does; each timer keeps its own distance.

    Attributes:
        timers: The timers.
    """

    def __init__(self, timers: Sequence[Any]) -> None:
        self.timers = tuple(timers)
        # The base class requires a distance; only `timers` decide.
        super().__init__(every_steps=1)

    def reset(self) -> None:
        """Resets all timers."""
        for timer in self.timers:
            timer.reset()

    def should_trigger_for_step(self, step: int) -> bool:
        """Whether one triggers."""
        return any(timer.should_trigger_for_step(step) for timer in self.timers)

    def update_last_triggered_step(self, step: int) -> tuple[None, None]:
        """Tells those that trigger."""
        for timer in self.timers:
            if timer.should_trigger_for_step(step):
                timer.update_last_triggered_step(step)
        return None, None

    def last_triggered_step(self) -> int | None:
        """The step at which one triggered last."""
        steps = [timer.last_triggered_step() for timer in self.timers]
        return max((step for step in steps if step is not None), default=None)


class SaverHook(_v1.train.CheckpointSaverHook):
    """Saves checkpoints as TensorFlow's hook does, and the graph if it has not been written.

    Args:
        checkpoint_dir: The directory.
        save_secs: The seconds between two checkpoints, or None.
        save_steps: The steps between two checkpoints, or None.
        wanted_steps: More distances in steps at which to save.
        **options: Other arguments of TensorFlow's hook.
    """

    def __init__(
        self,
        checkpoint_dir: Any,
        save_secs: float | None = None,
        save_steps: int | None = None,
        wanted_steps: Iterable[int] = (),
        **options: Any,
    ) -> None:
        distances = [*wanted_steps, *([save_steps] if save_steps else [])]
        timers = [_v1.train.SecondOrStepTimer(every_steps=steps) for steps in distances]
        if save_secs:
            timers.append(_v1.train.SecondOrStepTimer(every_secs=save_secs))
        # TensorFlow's constructor takes one distance only, so its timer is replaced.
        super().__init__(checkpoint_dir, save_steps=1, **options)
        _internals.use_timer(self, timers[0] if len(timers) == 1 else AnyTimer(timers))

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Writes the graph, and the checkpoint of the step that training starts from."""
        del coord
        step, graph = session.run(_internals.global_step_of(self)), session.graph
        directory, saves_graph = _internals.directory_of(self), _internals.saves_graph(self)
        # The version grows with each op, so a graph that has changed is written again.
        state = (directory, graph.version, saves_graph)
        text = os.path.join(directory, "graph.pbtxt")
        is_there = not saves_graph or tf.io.gfile.exists(text)
        if getattr(graph, "written_to", None) != state or not is_there:
            self._write(graph, text)
            graph.written_to = state
        _internals.save(self, session, step)
        _internals.timer_of(self).update_last_triggered_step(step)

    def _write(self, graph: Any, path: str) -> None:
        graph_def = graph.as_graph_def(add_shapes=True)
        if _internals.saves_graph(self):
            # `str` makes the text in C++, `text_format` ten times slower in Python.
            checkpoint_files.write_whole(path, str(graph_def).encode())
        saver, event_file = _internals.saver_of(self), _internals.event_file_of(self)
        meta_graph = _v1.train.export_meta_graph(
            graph_def=graph_def, saver_def=saver and saver.saver_def
        )
        event_file.add_graph(graph)
        event_file.add_meta_graph(meta_graph)
