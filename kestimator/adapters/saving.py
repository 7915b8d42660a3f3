"""A `CheckpointSaverHook` that writes the graph once.

Synopsis::

    hook = SaverHook(model_dir, save_secs=600, scaffold=scaffold, listeners=listeners)

TensorFlow's writes the graph as text and into the event file whenever training starts; for a big
graph that takes as long as thousands of steps. A program's graph seldom changes between two calls.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import meta_graph as _meta_graph

from kestimator.engine import checkpoints as _checkpoints

_v1: Any = tf.compat.v1


class SaverHook(_v1.train.CheckpointSaverHook):
    """Saves checkpoints as TensorFlow's hook does, and the graph where it is not there yet."""

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Writes the graph, and the checkpoint of the step that training starts from."""
        del coord
        step, graph = session.run(self._global_step_tensor), session.graph
        state = (self._checkpoint_dir, graph.version, self._save_graph_def)
        text = os.path.join(self._checkpoint_dir, "graph.pbtxt")
        is_there = not self._save_graph_def or tf.io.gfile.exists(text)
        if getattr(graph, "written_to", None) != state or not is_there:
            self._write(graph, text)
            graph.written_to = state
        self._save(session, step)
        self._timer.update_last_triggered_step(step)

    def _write(self, graph: Any, path: str) -> None:
        graph_def = graph.as_graph_def(add_shapes=True)
        if self._save_graph_def:
            # `str` makes the text in C++, `text_format` ten times slower in Python.
            _checkpoints.write_whole(path, str(graph_def).encode())
        saver = self._get_saver()
        meta_graph = _meta_graph.create_meta_graph_def(
            graph_def=graph_def, saver_def=saver and saver.saver_def
        )
        self._summary_writer.add_graph(graph)
        self._summary_writer.add_meta_graph(meta_graph)
