"""Records what the original's `model_to_estimator` gives for Keras models.

    python -m tests.golden.make_keras_models

Needs an environment with tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0.
`tests/adapters/keras_models/test_keras_models.py` makes the same models with Keras 3, and compares.
"""

import inspect
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

GOLDEN = pathlib.Path(__file__).resolve().parent / "keras_models.json"
MODEL_DIR = GOLDEN.parent / "model_dirs" / "keras_functional"
"""The directory that the case "functional" leaves, but for graphs and events."""
A = np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(8, 3)
B = np.linspace(2.0, -1.0, 16, dtype=np.float32).reshape(8, 2)
Y = (A[:, :1] - B[:, 1:]).astype(np.float32)
WEIGHTS = np.linspace(0.5, 2.0, 8, dtype=np.float32)


def with_weights(model: Any) -> Any:
    """Gives a model weights that are the same everywhere.

    Moving statistics keep their first values: with others, the original would not start.
    """
    for weight in model.trainable_weights:
        size = int(np.prod(weight.shape))
        weight.assign(np.linspace(-0.5, 0.7, size, dtype=np.float32).reshape(weight.shape))
    return model


def functional(keras: Any, sgd: Callable[[], Any]) -> Any:
    given = [keras.Input([3], name="a"), keras.Input([2], name="b")]
    values = keras.layers.Dense(4, "tanh", name="h")(keras.layers.Concatenate()(given))
    outputs = [keras.layers.Dense(1, name=name)(values) for name in ("p", "q")]
    model = with_weights(keras.Model(given, outputs))
    metrics = {"p": ["mae"], "q": ["mae", "mse"]}
    weights = {"p": 1.0, "q": 0.5}
    model.compile(sgd(), {"p": "mse", "q": "mae"}, metrics=metrics, loss_weights=weights)
    return model


def sequential(keras: Any, sgd: Callable[[], Any]) -> Any:
    layers = [
        keras.layers.Dense(4, "tanh", name="h", kernel_regularizer=keras.regularizers.L2(0.01)),
        keras.layers.BatchNormalization(momentum=0.5, name="n"),
        keras.layers.Dense(1, name="out"),
    ]
    model = with_weights(keras.Sequential([keras.Input([3], name="a"), *layers]))
    model.compile(sgd(), "mse", metrics=["mae"])
    return model


CASES = {
    "functional": (functional, {"a": A, "b": B}, {"p": Y, "q": 2 * Y}),
    "sequential": (sequential, A, Y),
    "sample_weights": (sequential, {"features": A, "sample_weights": WEIGHTS}, Y),
    "more_features": (functional, {"a": A, "b": B, "c": A}, {"p": Y, "q": 2 * Y}),
}
MISSING = {"a": A, "z": B}


def answers(
    convert: Callable[..., Any],
    keras: Any,
    sgd: Callable[[], Any],
    name: str,
    keep: Callable[[str, str], None] = lambda name, model_dir: None,
) -> dict[str, Any]:
    """What a case gives: results, predictions and names."""
    make, features, labels = CASES[name]
    input_fn = tools.batches(features, labels, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        model_dir = os.path.join(folder, "model")
        model = make(keras, sgd)
        estimator = convert(model, model_dir=model_dir, checkpoint_format="saver")
        found = {"untrained": tools.typed(estimator.evaluate(input_fn))}
        estimator.train(input_fn, steps=2).train(input_fn, steps=1)
        names = estimator.get_variable_names()
        predicted = features["features"] if name == "sample_weights" else features
        rows = estimator.predict(tools.batches(predicted, epochs=1))
        keep(name, model_dir)
        return {
            **found,
            "trained": tools.typed(estimator.evaluate(input_fn)),
            "predictions": tools.plain(list(rows)[:2]),
            "weights": [name for name in names if name.count("/") == 1],
            "checkpoints": tools.checkpoint_files(model_dir),
        }


def raised(
    convert: Callable[..., Any], keras: Any, sgd: Callable[[], Any]
) -> dict[str, str | None]:
    """The kinds of errors."""

    def missing() -> None:
        convert(functional(keras, sgd), checkpoint_format="saver").train(
            tools.batches(MISSING, {"p": Y, "q": Y})
        )

    calls = {
        "neither": lambda: convert(),
        "both": lambda: convert(sequential(keras, sgd), "model.h5"),
        "not compiled": lambda: convert(keras.Sequential([keras.Input([1])])),
        "format": lambda: convert(sequential(keras, sgd), checkpoint_format="zip"),
        "no file": lambda: convert(keras_model_path="/no/such/model.h5"),
        "missing feature": missing,
    }
    kinds = (KeyError, OSError, ValueError, TypeError)
    return {name: tools.error(call, *kinds) for name, call in calls.items()}


def signature(convert: Callable[..., Any]) -> list[list[str]]:
    """The arguments with their defaults."""
    found = inspect.signature(convert).parameters.values()
    return [[parameter.name, repr(parameter.default)] for parameter in found]


def keep(name: str, model_dir: str) -> None:
    """Stores the last checkpoint of one case."""
    if name != "functional":
        return
    shutil.rmtree(MODEL_DIR, ignore_errors=True)
    MODEL_DIR.mkdir(parents=True)
    for file in pathlib.Path(model_dir).iterdir():
        if file.name == "checkpoint" or (
            file.name.startswith("model.ckpt-3.") and file.suffix != ".meta"
        ):
            shutil.copy(file, MODEL_DIR / file.name)


def main() -> None:
    arguments = (
        tf.keras.estimator.model_to_estimator,
        tf.keras,
        lambda: tf.keras.optimizers.legacy.SGD(0.05, momentum=0.9),
    )
    found = {name: answers(*arguments, name, keep) for name in CASES}
    found["errors"] = raised(*arguments)
    found["signature"] = signature(arguments[0])
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
