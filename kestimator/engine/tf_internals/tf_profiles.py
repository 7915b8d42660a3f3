"""What the profiler of TensorFlow writes. It has a public reader in TensorBoard's plugin only."""

from __future__ import annotations

from typing import Any


def parsed(content: bytes) -> Any:
    """Returns the `XSpace` proto of a file `*.xplane.pb`: planes of lines of timed events."""
    # Not at the top: the import adds the name `tsl` to the module `tensorflow`.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    return xplane_pb2.XSpace.FromString(content)
