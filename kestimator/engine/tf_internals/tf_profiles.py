"""What the profiler of TensorFlow writes. It has a public reader in TensorBoard's plugin only."""

from __future__ import annotations

from typing import Any

from tensorflow.tsl.profiler.protobuf import xplane_pb2


def parsed(content: bytes) -> Any:
    """Returns the `XSpace` proto of a file `*.xplane.pb`: planes of lines of timed events."""
    return xplane_pb2.XSpace.FromString(content)
