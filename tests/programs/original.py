"""The original behind the names that the programs use; for where tf.estimator still exists."""

import importlib
import types
from typing import Any

import tensorflow as tf


def library() -> Any:
    """`tf.estimator`, and the input functions that 2.15 keeps under `tf.compat.v1` alone."""
    names = {
        name: getattr(tf.estimator, name) for name in dir(tf.estimator) if not name.startswith("_")
    }
    experimental = {
        name: getattr(tf.estimator.experimental, name)
        for name in dir(tf.estimator.experimental)
        if not name.startswith("_")
    }
    experimental["KMeans"] = tf.compat.v1.estimator.experimental.KMeans
    experimental["SequentialHeadWrapper"] = _sequential_head_wrapper()
    names["experimental"] = types.SimpleNamespace(**experimental)
    names["inputs"] = tf.compat.v1.estimator.inputs
    names["export"] = types.SimpleNamespace(**vars(tf.estimator.export), **_receivers())
    names["tpu"] = tf.compat.v1.estimator.tpu
    names["v1"] = tf.compat.v1.estimator
    names["SavedModelEstimator"] = _module("canned.saved_model_estimator").SavedModelEstimator
    return types.SimpleNamespace(**names)


def _sequential_head_wrapper() -> Any:
    """It has no public name in the original, which wraps heads of classifiers by itself."""
    return _module("head.sequential_head").SequentialHeadWrapper


def _receivers() -> dict[str, Any]:
    """The receivers for training and evaluation, which have no public names."""
    export = _module("export.export")
    return {
        name: getattr(export, name)
        for name in ("SupervisedInputReceiver", "UnsupervisedInputReceiver")
    }


def _module(path: str) -> Any:
    return importlib.import_module(f"tensorflow_estimator.python.estimator.{path}")
