"""Writers of TensorFlow 2's summaries."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops import summary_ops_v2

ResourceSummaryWriter = summary_ops_v2._ResourceSummaryWriter
"""The class that a default writer must derive from. The public base class writes nothing."""


def resource_of(writer: tf.summary.SummaryWriter) -> tf.Tensor:
    """The resource that summary ops write to. Public writers do not expose it."""
    return writer._resource
