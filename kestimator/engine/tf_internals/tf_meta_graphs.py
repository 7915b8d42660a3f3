"""MetaGraphs and SavedModels in files."""

from __future__ import annotations

from typing import Any

from tensorflow.python.framework import meta_graph
from tensorflow.python.saved_model import loader_impl

IMPORTER = (meta_graph, "import_scoped_meta_graph_with_return_elements")
"""The module and the function that all importers of MetaGraphs call. TensorFlow has no public hook
that sees a MetaGraph before it is put into a graph."""


def read_meta_graph(path: str) -> Any:
    """Reads a `MetaGraphDef` from a file, binary or text. Public code also imports it."""
    return meta_graph.read_meta_graph_file(path)


def read_saved_model(directory: str) -> Any:
    """Reads a `SavedModel` proto from a directory. Public code also loads it.

    Raises:
        OSError: The directory has no readable SavedModel.
    """
    return loader_impl.parse_saved_model(directory)


def asset_paths(directory: str, graph: Any) -> dict[str, bytes]:
    """The paths of a graph's assets by the names of their tensors. Public loaders only feed them.

    Args:
        directory: The directory of the SavedModel.
        graph: The `MetaGraphDef`.
    """
    paths: dict[str, bytes] = loader_impl.get_asset_tensors(directory, graph)
    return paths
