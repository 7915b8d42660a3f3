"""Writes SavedModels: TF1 graphs and the values of a checkpoint, as tf.estimator did.

Synopsis::

    path = write(
        "/tmp/exports", [graph], checkpoint, assets_extra={}, as_text=False, session_config=None)

Each graph is imported into a real TF1 graph and saved from a real session. So loading it only needs
TensorFlow, of this version or of an older one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.checkpoints.literal_paths import literal
from kestimator.engine.saved_models import export_files
from kestimator.engine.saved_models.servable_graph import ServableGraph

_v1 = tf.compat.v1
_GraphKeys = _v1.GraphKeys
TRAIN_OP = "saved_model_train_op"
"""The collection in which a SavedModel keeps its train op. TensorFlow has no public name for it."""


def write(
    base: str,
    graphs: Sequence[ServableGraph],
    checkpoint: str,
    *,
    assets_extra: Mapping[str, str],
    as_text: bool,
    session_config: Any,
) -> bytes:
    """Writes a SavedModel of several graphs that share their variables.

    It is written into a temporary directory, which is renamed when it is complete.

    Args:
        base: The parent of the directory of the export.
        graphs: The graphs; the first one's saver writes the variables.
        checkpoint: The path of the values.
        assets_extra: Files to add: from paths below `assets.extra` to paths of the sources.
        as_text: Whether to write `saved_model.pbtxt`.
        session_config: A `ConfigProto`, or None.

    Returns:
        The path of the export.

    Raises:
        errors.MissingVariableError: The checkpoint lacks a variable.
    """
    builder: Any = None
    with export_files.ExportDirectory(base) as directory:
        for graph in graphs:
            with _restored(graph, checkpoint, session_config) as (session, saver):
                arguments = {**_described(graph, session.graph), "saver": saver}
                # Only the first graph writes the variables: all graphs share them.
                if builder is None:
                    # Not earlier: a checkpoint that does not fit leaves no directory.
                    builder = _v1.saved_model.Builder(directory.make())
                    builder.add_meta_graph_and_variables(session, **arguments)
                else:
                    builder.add_meta_graph(**arguments)
        builder.save(as_text)
        export_files.copy_assets(assets_extra, directory.path)
        return directory.finish()


def _described(graph: ServableGraph, imported: tf.Graph) -> dict[str, Any]:
    """What the builder of a SavedModel wants to know of a graph, which is the default graph."""
    if graph.train_op is not None:
        _v1.add_to_collection(TRAIN_OP, imported.as_graph_element(graph.train_op))
    return {
        "tags": list(graph.tags),
        "signature_def_map": dict(graph.signatures),
        "assets_collection": _v1.get_collection(_GraphKeys.ASSET_FILEPATHS),
        "main_op": imported.get_operation_by_name(graph.main_op),
        # An older TensorFlow does not know attributes that were added later.
        "strip_default_attrs": True,
    }


@contextlib.contextmanager
def _restored(
    graph: ServableGraph, checkpoint: str, session_config: Any
) -> Iterator[tuple[Any, Any]]:
    """Yields a TF1 session over a graph with the values of a checkpoint, and its saver."""
    with (
        tf.Graph().as_default(),
        _v1.Session(config=_on_cpu(session_config)) as session,
    ):
        saver = _v1.train.import_meta_graph(graph.meta_graph)
        try:
            with checkpoint_files.unreadable_as_error(checkpoint):
                saver.restore(session, literal(checkpoint))
        except tf.errors.NotFoundError as error:
            raise errors.MissingVariableError(
                f"The saver of the model's Scaffold cannot restore the checkpoint {checkpoint!r}: "
                f"{error.message} Export a checkpoint that contains everything the saver reads."
            ) from error
        yield session, saver


def _on_cpu(session_config: Any) -> Any:
    """Returns a session config for the CPU: the session only reads and writes variables."""
    config = _v1.ConfigProto(allow_soft_placement=True)
    if session_config is not None:
        config.MergeFrom(session_config)
    config.allow_soft_placement = True
    config.device_count["GPU"] = 0
    return config
