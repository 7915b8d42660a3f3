"""MetaGraphs and SavedModels as they lie in files."""

from __future__ import annotations

from typing import Any

from tensorflow.python.framework import meta_graph
from tensorflow.python.saved_model import loader_impl

IMPORTER = (meta_graph, "import_scoped_meta_graph_with_return_elements")
"""The module and the function by which all importers of MetaGraphs go: TensorFlow has no public
hook that sees a MetaGraph before it is put into a graph."""


def read_meta_graph(path: str) -> Any:
    """Reads a `MetaGraphDef` from a file, binary or text; in public, it is imported at once."""
    return meta_graph.read_meta_graph_file(path)


def read_saved_model(directory: str) -> Any:
    """Reads a `SavedModel` proto from a directory; in public, it is loaded at once.

    Raises:
        OSError: There is none that can be read.
    """
    return loader_impl.parse_saved_model(directory)


def asset_paths(directory: str, one: Any) -> dict[str, bytes]:
    """The paths of a graph's assets by the names of their tensors; public loaders feed them alone.

    Args:
        directory: That of the SavedModel.
        one: The `MetaGraphDef`.
    """
    paths: dict[str, bytes] = loader_impl.get_asset_tensors(directory, one)
    return paths
