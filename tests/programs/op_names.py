"""The tensors inside of canned models that programs ask for by name, in every mode and in exports.

Each case sets all weights to numbers that depend only on their names and shapes, and fetches every
tensor whose name fits `NAMES`.
"""

import functools
import re
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

CASES = tools.Cases()
v1, fc = tf.compat.v1, tf.feature_column

NAMES = re.compile(
    r"dnn/input_from_feature_columns/input_layer/concat"
    r"|dnn/(hiddenlayer_\d|logits)/(MatMul|BiasAdd|Relu|Tanh)"
    r"|dnn/hiddenlayer_\d/batchnorm_\d/batchnorm/add_1"
    r"|linear/linear_model/[a-z_/]*weighted_sum(_no_bias)?"
    r"|(dnn/|linear/)?head/("
    r"predictions/(logistic|two_class_logits|probabilities|class_ids|str_classes|Tile(_1)?"
    r"|hash_table_Lookup/LookupTableFindV2)"
    r"|(losses/)?(labels|weights|logistic_loss|weighted_loss/(Mul|Sum|value)"
    r"|sparse_softmax_cross_entropy_loss/xentropy/xentropy|mean_squared_error/SquaredDifference)"
    r"|truediv|Tile)"
)
# Class ids end in one of these; in some graphs one of them is something else.
SUM_OF_PARTS = "add"
CLASS_IDS = re.compile(r"(dnn/|linear/)?head/predictions/ExpandDims(_2)?")

ROWS: dict[str, Any] = {
    "x": np.array([[1.0, 2.0], [3.0, 4.0], [0.0, -1.0]], np.float32),
    "y": np.array([[0.0], [1.0], [2.0]], np.float32),
    "w": np.array([["a"], ["b"], ["z"]], "S1"),
    "weight": np.array([[1.0], [2.0], [0.5]], np.float32),
}
LABELS: dict[str, Any] = {
    "two": np.array([[0], [1], [1]]),
    "three": np.array([[0], [2], [1]]),
    "words": np.array([["p"], ["q"], ["q"]], "S1"),
    "more_words": np.array([["p"], ["r"], ["q"]], "S1"),
    "number": np.array([[0.0], [1.0], [3.0]], np.float32),
}
CLASSES: dict[str, dict[str, Any]] = {
    "two": {},
    "three": {"n_classes": 3},
    "words": {"label_vocabulary": ["p", "q"]},
    "more_words": {"n_classes": 3, "label_vocabulary": ["p", "q", "r"]},
    "number": {},
}


def _columns(deep: bool) -> list[Any]:
    word = fc.categorical_column_with_vocabulary_list("w", ["a", "b", "c"])
    number = fc.numeric_column("y")
    columns = [fc.numeric_column("x", shape=[2]), number, fc.bucketized_column(number, [0.5, 1.5])]
    return [*columns, fc.embedding_column(word, 2) if deep else word]


def estimator(
    library: Any, est: Any, model: str, labels: str, model_dir: str, **options: Any
) -> Any:
    """A canned estimator of one of the two generations of the original."""
    network: dict[str, Any] = {"feature_columns": _columns(True), "hidden_units": [3, 2]}
    arguments: dict[str, Any] = {
        "DNN": network,
        "Linear": {"feature_columns": _columns(False)},
        "DNNLinearCombined": {
            "linear_feature_columns": _columns(False),
            **{f"dnn_{key}": value for key, value in network.items()},
        },
    }[model]
    task = "Regressor" if labels == "number" else "Classifier"
    config = est.RunConfig(model_dir, tf_random_seed=1, save_summary_steps=1)
    return getattr(library, model + task)(**arguments, **CLASSES[labels], config=config, **options)


def _input_fn(labels: str) -> Any:
    return lambda: tf.data.Dataset.from_tensors((ROWS, LABELS[labels]))


def _number_of(name: str, shape: Any) -> np.ndarray:
    """Numbers between -1 and 1 that depend on a variable's name and shape alone."""
    seed = zlib.crc32(re.sub(r"(/part_\d+)?:0$", "", name).encode())
    return np.random.RandomState(seed).uniform(-1.0, 1.0, shape).astype(np.float32)


def _fixed_weights() -> list[Any]:
    """Ops that set the weights of a model."""
    return [
        variable.assign(_number_of(variable.name, variable.shape.as_list()))
        for variable in v1.trainable_variables()
    ]


def recorder(est: Any, into: dict[str, Any]) -> Any:
    """A hook that sets the weights, and keeps the values of the tensors with `NAMES`."""

    class Recorder(est.SessionRunHook):
        def begin(self) -> None:
            self.weights = _fixed_weights()

        def after_create_session(self, session: Any, coord: Any) -> None:
            session.run(self.weights)
            self.tensors = named(session.graph)

        def before_run(self, run_context: Any) -> Any:
            return est.SessionRunArgs(self.tensors)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            into.update(tools.plain(run_values.results))

    return Recorder()


def named(graph: Any) -> dict[str, Any]:
    """The tensors of a graph that programs ask for."""
    outputs = {op.name: op.outputs[0] for op in graph.get_operations() if op.outputs}
    # Without two parts to add, something else may have the name.
    has_parts = "linear/linear_model/bias_weights" in outputs and "dnn/logits/kernel" in outputs
    return {
        name: tensor
        for name, tensor in sorted(outputs.items())
        if NAMES.fullmatch(name)
        or (CLASS_IDS.fullmatch(name) and tensor.dtype == tf.int64)
        or (name == SUM_OF_PARTS and has_parts)
    }


def listener(est: Any) -> Any:
    """A listener that sets the weights before they are saved."""

    class Listener(est.CheckpointSaverListener):
        def begin(self) -> None:
            self.weights = _fixed_weights()

        def before_save(self, session: Any, global_step: int) -> None:
            session.run(self.weights)

    return Listener()


def _exported(est: Any, estimator: Any, folder: str) -> dict[str, Any]:
    def receive() -> Any:
        features = {
            key: v1.placeholder(tf.as_dtype(value.dtype), [None, value.shape[1]], key)
            for key, value in ROWS.items()
        }
        return est.export.ServingInputReceiver(features, features)

    path = estimator.export_saved_model(folder, receive)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], path.decode())
        tensors = named(graph)
        values = session.run(tensors, {f"{key}:0": value for key, value in ROWS.items()})
    return tools.plain(values)


def tensors(
    est: Any, model_dir: str, generation: str, model: str, labels: str, **options: Any
) -> Any:
    """The named tensors of each mode, and of an export."""
    library = est.v1 if generation == "v1" else est
    canned = estimator(library, est, model, labels, model_dir, **options)
    result: dict[str, Any] = {mode: {} for mode in ("train", "eval", "infer")}
    canned.train(
        _input_fn(labels),
        hooks=[recorder(est, result["train"])],
        steps=1,
        saving_listeners=[listener(est)],
    )
    canned.evaluate(_input_fn(labels), hooks=[recorder(est, result["eval"])], steps=1)
    next(canned.predict(_input_fn(labels), hooks=[recorder(est, result["infer"])]))
    result["export"] = _exported(est, canned, f"{model_dir}/export")
    return short(result)


def short(value: Any) -> Any:
    """A nest with no more digits than are compared."""
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


KINDS = {
    "DNN": ("two", "three", "words", "more_words", "number"),
    "Linear": ("two", "three", "number"),
    "DNNLinearCombined": ("two", "more_words", "number"),
}
for _generation in ("v1", "v2"):
    for _model, _kinds in KINDS.items():
        for _labels in _kinds:
            CASES[f"{_generation}_{_model.lower()}_{_labels}"] = functools.partial(
                tensors,
                generation=_generation,
                model=_model,
                labels=_labels,
                **({} if _labels == "three" else {"weight_column": "weight"}),
            )
    CASES[f"{_generation}_dnn_of_normalized_layers"] = functools.partial(
        tensors,
        generation=_generation,
        model="DNN",
        labels="two",
        batch_norm=True,
        activation_fn=tf.nn.tanh,
    )
