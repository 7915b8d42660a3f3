"""The original behind the names that the programs use; for where tf.estimator still exists."""

import types
from typing import Any

import tensorflow as tf


def library() -> Any:
    """`tf.estimator`, and the input functions that 2.15 keeps under `tf.compat.v1` alone."""
    names = {
        name: getattr(tf.estimator, name) for name in dir(tf.estimator) if not name.startswith("_")
    }
    return types.SimpleNamespace(**names, inputs=tf.compat.v1.estimator.inputs)
