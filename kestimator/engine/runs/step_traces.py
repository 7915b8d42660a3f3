"""Traces of steps: which op ran when, as a `tf.compat.v1.Session` records it.

Synopsis::

    metadata = tf.compat.v1.RunMetadata()
    with recorded(metadata):
        ...                            # a step
    metadata.step_stats                # which `ProfilerHook` draws as a timeline

Functions fill no `step_stats`, so these come from the profiler.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from kestimator import logs
from kestimator.engine.tf_internals import tf_execution, tf_profiles

_turn = threading.RLock()  # both recorders are those of the process
_OP = re.compile(r"(?P<name>[^:]+):(?P<kind>\w+)")
_DEVICES = "/job:localhost/replica:0/task:0"


@contextlib.contextmanager
def recorded(run_metadata: Any) -> Iterator[None]:
    """Records the graphs and the times of what runs inside into a `RunMetadata` proto."""
    with _turn, tempfile.TemporaryDirectory() as folder:
        start = time.time()
        is_profiled = _start_profiler(folder)
        tf_execution.start_recording()
        try:
            yield
            run_metadata.CopyFrom(tf_execution.recorded())
        finally:
            tf_execution.stop_recording()
            if is_profiled:
                tf.profiler.experimental.stop()
        if is_profiled:
            inputs = _inputs(run_metadata.partition_graphs)
            for path in tf.io.gfile.glob(f"{folder}/plugins/profile/*/*.xplane.pb"):
                with open(path, "rb") as file:
                    planes = tf_profiles.parsed(file.read()).planes
                _add_planes(run_metadata.step_stats, planes, start, inputs)


def _start_profiler(folder: str) -> bool:
    # All ops, those too that take no time worth mentioning; no Python functions.
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
    try:
        tf.profiler.experimental.start(folder, options)
    except tf.errors.AlreadyExistsError:
        logs.warning(
            "A step was to be traced while the profiler of TensorFlow is running, so the trace of "
            "this step has no times. Stop that profiler, or look at its own result."
        )
        return False
    return True


def _inputs(graphs: Iterable[Any]) -> dict[str, list[str]]:
    return {node.name: list(node.input) for graph in graphs for node in graph.node}


def _add_planes(
    step_stats: Any, planes: Iterable[Any], start: float, inputs: Mapping[str, list[str]]
) -> None:
    """Adds the ops of each plane: of the host, or of a device.

    Args:
        step_stats: The `StepStats` proto to add to.
        planes: What the profiler recorded.
        start: When it started, in seconds.
        inputs: The names of the inputs of each node.
    """
    for plane in planes:
        if plane.name == "/host:CPU":
            device = f"{_DEVICES}/device:CPU:0"
        elif plane.name.startswith("/device:"):
            device = f"{_DEVICES}{plane.name}"
        else:
            continue
        nodes = [
            (thread, op, line, event)
            for thread, line in enumerate(plane.lines)
            for event in line.events
            if (op := _op(plane, event)) is not None
        ]
        if not nodes:
            continue
        stats = step_stats.dev_stats.add(device=device)
        for thread, op, line, event in nodes:
            name, kind = op["name"], op["kind"]
            nanoseconds = start * 1e9 + line.timestamp_ns + event.offset_ps / 1000
            duration = event.duration_ps / 1000
            stats.node_stats.add(
                node_name=name,
                timeline_label=f"{name} = {kind}({', '.join(inputs.get(name, []))})",
                all_start_micros=int(nanoseconds / 1000),
                op_end_rel_micros=int(duration / 1000),
                all_end_rel_micros=int(duration / 1000),
                all_start_nanos=int(nanoseconds),
                op_end_rel_nanos=int(duration),
                all_end_rel_nanos=int(duration),
                thread_id=thread,
            )


def _op(plane: Any, event: Any) -> re.Match[str] | None:
    """Returns the name and the kind of the op that an event is about, None for other events."""
    kind = plane.event_metadata[event.metadata_id]
    if plane.name == "/host:CPU":
        op = _OP.fullmatch(kind.name)
        return op if op and op["kind"] == kind.display_name else None
    # The kernels of a device say which op launched them.
    for stat in event.stats:
        if plane.stat_metadata[stat.metadata_id].name == "tf_op":
            text = stat.str_value or plane.stat_metadata[stat.ref_value].name
            return _OP.fullmatch(text)
    return None
