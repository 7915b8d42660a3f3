"""`tf.contrib.predictor`: a SavedModel as a function of numpy arrays.

Synopsis::

    predict = from_saved_model("export/1577836800")
    predict({"x": [[1.0, 2.0]]})["probabilities"]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator.estimator import Estimator

_v1 = tf.compat.v1


class Predictor:
    """A graph with variables, from whose inputs it computes outputs.

    Args:
        session: A session of the graph.
        feed_tensors: The inputs by name.
        fetch_tensors: The outputs by name.

    Attributes:
        session: The session.
        feed_tensors: The inputs.
        fetch_tensors: The outputs.
    """

    def __init__(
        self, session: Any, feed_tensors: dict[str, Any], fetch_tensors: dict[str, Any]
    ) -> None:
        self.session = session
        self.feed_tensors = feed_tensors
        self.fetch_tensors = fetch_tensors

    @property
    def graph(self) -> tf.Graph:
        """The graph."""
        return self.session.graph

    def __call__(self, input_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs, as numpy arrays, for inputs by name.

        Raises:
            errors.ArgumentError: There are inputs of other names.
        """
        if set(input_dict) - set(self.feed_tensors):
            expected = f"a dict with keys among {sorted(self.feed_tensors)}"
            raise errors.ArgumentError(
                errors.invalid_argument("input_dict", sorted(input_dict), expected)
            )
        feeds = {self.feed_tensors[name]: value for name, value in input_dict.items()}
        outputs: dict[str, Any] = self.session.run(self.fetch_tensors, feed_dict=feeds)
        return outputs

    def __repr__(self) -> str:
        return f"Predictor with feed tensors {self.feed_tensors} and fetch tensors " + str(
            self.fetch_tensors
        )


def from_saved_model(
    export_dir: str,
    signature_def_key: str | None = None,
    signature_def: Any = None,
    input_names: Mapping[str, str] | None = None,
    output_names: Mapping[str, str] | None = None,
    tags: str | None = None,
    graph: tf.Graph | None = None,
    config: Any = None,
) -> Predictor:
    """Loads a SavedModel.

    Args:
        export_dir: Its directory.
        signature_def_key: The signature to compute; None for "serving_default".
        signature_def: A signature to use instead.
        input_names: The names of tensors by the names of inputs, instead of a signature.
        output_names: The names of tensors by the names of outputs.
        tags: The tags of the graph, with commas between; None for "serve".
        graph: The graph to load it into; None for a new one.
        config: A `ConfigProto` of the session.

    Raises:
        errors.ArgumentError: The signature does not exist, or several are given.
    """
    if (input_names is None) != (output_names is None):
        expected = "both `input_names` and `output_names`, or neither"
        raise errors.ArgumentError(errors.invalid_argument("input_names", input_names, expected))
    choices = (signature_def_key, signature_def, input_names)
    if sum(choice is not None for choice in choices) > 1:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "signature_def_key",
                signature_def_key,
                "at most one of `signature_def_key`, `signature_def` and `input_names`",
            )
        )
    graph = graph if graph is not None else tf.Graph()
    with graph.as_default():
        session = _v1.Session(config=config)
        meta_graph = _v1.saved_model.loader.load(session, (tags or "serve").split(","), export_dir)
    if input_names is None or output_names is None:
        if signature_def is None:
            signature_def = _signature(meta_graph, signature_def_key or "serving_default")
        input_names = {name: info.name for name, info in signature_def.inputs.items()}
        output_names = {name: info.name for name, info in signature_def.outputs.items()}
    return Predictor(session, _tensors(graph, input_names), _tensors(graph, output_names))


def from_estimator(
    estimator: Estimator,
    serving_input_receiver_fn: Callable[[], Any],
    output_key: str | None = None,
    graph: tf.Graph | None = None,
    config: Any = None,
) -> Predictor:
    """Loads what an Estimator has trained; see `Estimator.export_saved_model`.

    Args:
        estimator: The Estimator.
        serving_input_receiver_fn: Returns the inputs, a `ServingInputReceiver`.
        output_key: The signature to compute; None for "serving_default".
        graph: The graph to load it into; None for a new one.
        config: A `ConfigProto` of the session.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = estimator.export_saved_model(folder, serving_input_receiver_fn).decode()
        return from_saved_model(path, output_key, graph=graph, config=config)


def _signature(meta_graph: Any, key: str) -> Any:
    if key not in meta_graph.signature_def:
        expected = f"one of the signatures {sorted(meta_graph.signature_def)}"
        raise errors.ArgumentError(errors.invalid_argument("signature_def_key", key, expected))
    return meta_graph.signature_def[key]


def _tensors(graph: tf.Graph, names: Mapping[str, str]) -> dict[str, Any]:
    return {name: graph.get_tensor_by_name(tensor) for name, tensor in names.items()}
