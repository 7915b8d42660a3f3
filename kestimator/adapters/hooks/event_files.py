"""Event files: what evaluations write, and the summaries that training adds by itself.

Synopsis::

    write_evaluation(estimator.eval_dir(), {"loss": 0.5, "global_step": 100}, "model.ckpt-100")
    read_scalars(estimator.eval_dir())       # {100: {"loss": 0.5}}

    log = EvaluationLog(model_dir)           # the same, and kept in memory besides
    log.write(estimator.eval_dir(), {"loss": 0.5, "global_step": 100}, "model.ckpt-100")
    log.scalars(estimator.eval_dir())
"""

from __future__ import annotations

import collections
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import logs
from kestimator.engine.tf_internals import tf_summaries

_v1 = tf.compat.v1
_EVENT_FILES = "*.tfevents.*"
_left_behind: collections.deque[tuple[float, set[str]]] = collections.deque()
"""The directories of event files whose estimators are gone, and the time when they went."""
_SECONDS_KEPT = 2.0
"""How long the event files of an estimator that is gone stay open.

TensorFlow names an event file by the second in which it is opened, and writes over a file of that
name. A directory's next writer must therefore not open its file in the same second.
"""
_release_lock = threading.Lock()
_logs: weakref.WeakSet[EvaluationLog] = weakref.WeakSet()


def add_loss(loss: tf.Tensor) -> None:
    """Adds the scalar summary `loss` to the graph, unless the model_fn made one itself."""
    summaries = _v1.get_collection(_v1.GraphKeys.SUMMARIES)
    if not any(summary.op.name == "loss" for summary in summaries):
        _v1.summary.scalar("loss", loss)


class EvaluationLog:
    """The evaluations of one estimator: in event files, and their scalar values in memory.

    Each event file has a thread that writes it. The threads of an estimator's files end when
    another log is made two seconds or more after the estimator is gone.

    Args:
        model_dir: The directory of the event files of training.

    Attributes:
        directories: The directories of its event files.
        latest: The scalar values of the latest evaluation, by the name of its folder.
    """

    def __init__(self, model_dir: str) -> None:
        self.directories = {model_dir}
        # Garbage collection calls the finalizer, in any thread. So it only takes a note.
        weakref.finalize(self, _leave_behind, self.directories).atexit = False
        _logs.add(self)
        _release_writers()
        self.latest: dict[str, dict[str, float]] = {}
        self._scalars: dict[str, dict[int, dict[str, float]]] = {}

    def write(self, directory: str, values: Mapping[str, Any], checkpoint_path: str | None) -> None:
        """Writes an evaluation as `write_evaluation` does, and keeps it."""
        self.directories.add(directory)
        write_evaluation(directory, values, checkpoint_path)
        step, numbers = int(values["global_step"]), [k for k in values if _is_number(values[k])]
        scalars = {key: float(values[key]) for key in numbers if key != "global_step"}
        self._scalars.setdefault(directory, {})[step] = scalars
        self.latest[os.path.basename(directory)] = scalars

    def scalars(self, directory: str) -> dict[int, dict[str, float]]:
        """The scalar values of what was written to a directory, by step and metric.

        A copy: another thread may evaluate meanwhile.
        """
        return dict(self._scalars.get(directory, {}))


def _leave_behind(directories: set[str]) -> None:
    _left_behind.append((time.monotonic(), directories))


def _release_writers() -> None:
    """Ends the threads of event files whose estimators are gone, when that is safe."""
    with _release_lock:
        while _left_behind and time.monotonic() - _left_behind[0][0] > _SECONDS_KEPT:
            for directory in _left_behind.popleft()[1]:
                # Another estimator may write to the same directory.
                if not any(directory in log.directories for log in list(_logs)):
                    tf_summaries.release_writer(directory)


def write_evaluation(
    directory: str, values: Mapping[str, Any], checkpoint_path: str | None
) -> None:
    """Writes the metrics of an evaluation as an event at their global step.

    Args:
        directory: Where the event file is.
        values: Metrics by name, and `global_step`, which is the step of the event.
        checkpoint_path: The checkpoint that was evaluated; it is written as a separate event.
    """
    step = int(values["global_step"])
    # TF1's FileWriter refuses eager execution.
    with tf.Graph().as_default():
        writer = _v1.summary.FileWriterCache.get(directory)
        writer.add_summary(_evaluation_summary(values), step)
        if checkpoint_path:
            writer.add_summary(_text_summary("checkpoint_path", checkpoint_path), step)
        writer.flush()


def read_scalars(directory: str) -> dict[int, dict[str, float]]:
    """All scalar values in the event files of a directory, by step and tag."""
    scalars_by_step: dict[int, dict[str, float]] = {}
    for step, scalars in read_results(os.path.join(directory, _EVENT_FILES)):
        scalars_by_step.setdefault(step, {}).update(scalars)
    return scalars_by_step


def read_results(pattern: str) -> list[tuple[int, dict[str, float]]]:
    """The step and the scalar values of each event that has some, in the order of writing.

    Args:
        pattern: A pattern that the paths of the event files match.
    """
    results = []
    for event in _read_files(pattern):
        values = event.summary.value
        scalars = {v.tag: v.simple_value for v in values if v.HasField("simple_value")}
        if scalars:
            results.append((int(event.step), scalars))
    return results


def read_events(directory: str) -> Iterator[Any]:
    """The events in the event files of a directory, file by file."""
    return _read_files(os.path.join(directory, _EVENT_FILES))


def _read_files(pattern: str) -> Iterator[Any]:
    for path in sorted(tf.io.gfile.glob(pattern)):
        try:
            for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
                yield _v1.Event.FromString(record)
        except tf.errors.DataLossError as error:  # its writer was killed
            logs.warning("Reading event file %s only up to its damaged part: %s", path, error)


def _evaluation_summary(values: Mapping[str, Any]) -> Any:
    summary = _v1.Summary()
    for key in sorted(values):
        if key != "global_step":
            _add_value(summary, key, values[key])
    return summary


def _add_value(summary: Any, key: str, value: Any) -> None:
    if _is_number(value):
        summary.value.add(tag=key, simple_value=float(value))
    elif isinstance(value, bytes):
        _add_serialized(summary, key, value)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        entry = summary.value.add(tag=key, node_name=key)
        entry.tensor.CopyFrom(tf.make_tensor_proto(value))
    else:
        logs.warning(
            "Skipping summary for %s: expected a number, an array or a serialized Summary, "
            "received %s.",
            key,
            type(value).__name__,
        )


def _is_number(value: Any) -> bool:
    numbers = (np.floating, float, np.integer, int)
    return isinstance(value, numbers) and not isinstance(value, bool)


def _add_serialized(summary: Any, key: str, value: bytes) -> None:
    nested = _v1.Summary()
    try:
        nested.ParseFromString(value)
    except Exception:  # each protobuf library has its own DecodeError
        logs.warning("Skipping summary for %s: the bytes are not a serialized Summary.", key)
        return
    for position, entry in enumerate(nested.value):
        copied = summary.value.add()
        copied.CopyFrom(entry)
        copied.tag = f"{key}/{position}"


def _text_summary(tag: str, text: str) -> Any:
    summary = _v1.Summary()
    entry = summary.value.add(tag=tag)
    entry.tensor.CopyFrom(tf.make_tensor_proto(text, dtype=tf.string))
    entry.metadata.plugin_data.plugin_name = "text"
    return summary
