"""What can be read off a SavedModel: its signatures, and what they answer in a session.

python -m tests.programs.exported DIRECTORY REQUESTS.json     # prints what TensorFlow reads
"""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.programs import tools

v1 = tf.compat.v1
MAIN_OP, TRAIN_OP = "saved_model_main_op", "saved_model_train_op"
STEPS = 10


def meta_graphs(directory: str) -> dict[str, Any]:
    """The graphs of a SavedModel by their tags."""
    found = saved_model_pb2.SavedModel()
    found.ParseFromString((pathlib.Path(directory) / "saved_model.pb").read_bytes())
    return {",".join(graph.meta_info_def.tags): graph for graph in found.meta_graphs}


def described(info: Any) -> str:
    """A tensor of a signature, but for its name."""
    shape = None if info.tensor_shape.unknown_rank else [d.size for d in info.tensor_shape.dim]
    dense = info.WhichOneof("encoding") == "name"
    return f"{tf.as_dtype(info.dtype).name} {shape}{'' if dense else ' in parts'}"


def signatures(meta_graph: Any) -> dict[str, Any]:
    """Every signature of a graph: its method, inputs and outputs."""
    return {
        name: {
            "method": signature.method_name,
            "inputs": {key: described(info) for key, info in sorted(signature.inputs.items())},
            "outputs": {key: described(info) for key, info in sorted(signature.outputs.items())},
        }
        for name, signature in sorted(meta_graph.signature_def.items())
    }


def definitions(directory: str) -> dict[str, Any]:
    """What the proto of a SavedModel says, by tag."""
    return {
        tag: {
            "signatures": signatures(graph),
            "ops": {
                key: len(graph.collection_def[key].node_list.value)
                for key in (MAIN_OP, TRAIN_OP)
                if key in graph.collection_def
            },
        }
        for tag, graph in sorted(meta_graphs(directory).items())
    }


class Loaded:
    """One graph of a SavedModel in a TF1 session.

    Args:
        directory: The SavedModel.
        tag: The tag of the graph.
    """

    def __init__(self, directory: str, tag: str) -> None:
        self._graph = tf.Graph()
        with self._graph.as_default():
            self.session = v1.Session()
            self._meta_graph = v1.saved_model.load(self.session, [tag], directory)

    def __enter__(self) -> "Loaded":
        self._context = self._graph.as_default()
        self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
        self.session.close()

    def feeds(self, signature: str, values: dict[str, Any]) -> dict[str, Any]:
        """Values for the inputs of a signature; others are left out."""
        inputs = self._meta_graph.signature_def[signature].inputs
        return {info.name: values[key] for key, info in inputs.items()}

    def answers(self, signature: str, values: dict[str, Any], only: str = "") -> dict[str, Any]:
        """What a signature answers: the outputs whose names end with `only`."""
        outputs = self._meta_graph.signature_def[signature].outputs
        fetches = {k: info.name for k, info in sorted(outputs.items()) if k.endswith(only)}
        return tools.plain(self.session.run(fetches, self.feeds(signature, values)))

    def train(self, values: dict[str, Any], steps: int = STEPS) -> list[float]:
        """The losses of some steps of the graph's train op."""
        (train_op,) = v1.get_collection(TRAIN_OP)
        loss = self._meta_graph.signature_def["train"].outputs["loss"].name
        feeds = self.feeds("train", values)
        return [tools.plain(self.session.run([loss, train_op], feeds)[0]) for _ in range(steps)]

    def global_step(self) -> int:
        """The global step."""
        return int(self.session.run(v1.train.get_global_step()))


def trained_on(directory: str, batch: dict[str, Any], steps: int = STEPS) -> dict[str, Any]:
    """What ten steps of the graph for training come to."""
    with Loaded(directory, "train") as loaded:
        start = loaded.global_step()
        losses = loaded.train(batch, steps)
        return {
            "losses": losses,
            "steps": [start, loaded.global_step()],
            "variables": {
                variable.op.name: tools.plain(np.ravel(loaded.session.run(variable)))
                for variable in v1.trainable_variables()
            },
        }


def evaluated(directory: str, batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics' values before the first batch and after each."""
    with Loaded(directory, "eval") as loaded:
        values = [loaded.answers("eval", batches[0], "/value")]
        for batch in batches:
            loaded.answers("eval", batch, "/update_op")
            values.append(loaded.answers("eval", batch, "/value"))
        return values


def predicted(directory: str, values: dict[str, Any], tag: str = "serve") -> dict[str, Any]:
    """What every signature answers."""
    with Loaded(directory, tag) as loaded:
        names = sorted(meta_graphs(directory)[tag].signature_def)
        return {name: loaded.answers(name, values) for name in names}


def from_functions(directory: str, tag: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the functions of `tf.saved_model.load` answer."""
    loaded = tf.saved_model.load(directory, tags=[tag])
    found = {}
    for name, function in sorted(loaded.signatures.items()):
        inputs = meta_graphs(directory)[tag].signature_def[name].inputs
        given = {
            key: tf.constant(values[key], tf.as_dtype(info.dtype)) for key, info in inputs.items()
        }
        answers = function(**given)
        found[name] = {key: tools.plain(value.numpy()) for key, value in sorted(answers.items())}
    return found
