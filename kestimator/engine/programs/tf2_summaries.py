"""`tf.summary.*` of TensorFlow 2 inside a model_fn.

Synopsis::

    writer = LazyWriter("/tmp/model")
    with writer.as_default(step=step):
        spec = model_fn(...)             # may call tf.summary.scalar
    run_with_tf1_summaries()             # in the graph: they run when TF1 summaries do
    writer.flush()
"""

from __future__ import annotations

import tensorflow as tf

from kestimator.engine.tf_internals import tf_summaries
from kestimator.engine.tracing import execution_modes

_v1 = tf.compat.v1


class LazyWriter(tf_summaries.ResourceSummaryWriter):
    """A default writer that only opens its event file for the first summary.

    TensorFlow's writers open a file immediately. Only a subclass can become the default writer.

    Args:
        directory: Where the event file goes.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._opened: tf.summary.SummaryWriter | None = None
        self._closed = False

    @property
    def _resource(self) -> tf.Tensor:
        """The resource that summary ops write to."""
        if self._opened is None:
            # Summary ops ask for the resource during the trace, but the writer has to be eager.
            with execution_modes.outside():
                self._opened = tf.summary.create_file_writer(
                    self._directory, filename_suffix=".tf2"
                )
        return tf_summaries.resource_of(self._opened)

    def flush(self) -> None:
        """Writes buffered summaries to the file. Must be called eagerly."""
        if self._opened is not None:
            self._opened.flush()


def run_with_tf1_summaries() -> None:
    """Makes the TF2 summaries of the default graph part of its merged TF1 summary.

    A scaffold takes the merged summary from the collection that this function fills.
    """
    operations = _v1.summary.all_v2_summary_ops()
    # A merged summary that is there already is the model_fn's own choice.
    if operations and not _v1.get_collection(_v1.GraphKeys.SUMMARY_OP):
        with tf.control_dependencies(operations):
            merged = tf.identity(_v1.summary.merge_all())
        _v1.add_to_collection(_v1.GraphKeys.SUMMARY_OP, merged)
