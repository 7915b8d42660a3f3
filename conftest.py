"""What tests leave behind is put away; what the examples in docstrings may take for granted."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def event_files_closed() -> Iterator[None]:
    """Closes event files: TensorFlow keeps a thread for each directory, as long as it can."""
    yield
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].compat.v1.summary.FileWriterCache.clear()
    left = [path.name for path in pathlib.Path.cwd().glob("events.out.tfevents.*")]
    assert not left, f"The test, or one beside it, wrote event files where it was started: {left}"


@pytest.fixture(autouse=True)
def names_in_examples(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> None:
    """Gives doctests the libraries, an estimator, and functions that give it data."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace").update(_names(str(tmp_path)))


def _names(model_dir: str) -> dict[str, Any]:
    import numpy as np
    import tensorflow as tf

    import kestimator

    def input_fn() -> tf.data.Dataset:
        features = {"x": [[0.0], [1.0], [2.0], [3.0]]}
        return tf.data.Dataset.from_tensor_slices((features, [[0], [0], [1], [1]])).batch(2)

    def receiver_fn() -> Any:
        x = tf.compat.v1.placeholder(tf.float32, [None, 1])
        return kestimator.export.ServingInputReceiver({"x": x}, {"x": x})

    columns = [tf.feature_column.numeric_column("x")]
    return {
        "estimator": kestimator.LinearClassifier(columns, model_dir),
        "eval_input_fn": input_fn,
        "input_fn": input_fn,
        "kestimator": kestimator,
        "np": np,
        "receiver_fn": receiver_fn,
        "tf": tf,
        "train_input_fn": input_fn,
    }
