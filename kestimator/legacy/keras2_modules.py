"""`tf.layers` and `rnn_cell`: they come from Keras 2, the package `tf_keras`.

Synopsis::

    name_in("layers", "dense")      # the function `tf.layers.dense`
"""

from __future__ import annotations

import importlib
from typing import Any

from kestimator import errors

PATHS = {
    "layers": "tf_keras.api._v1.keras.__internal__.legacy.layers",
    "rnn_cell": "tf_keras.api._v1.keras.__internal__.legacy.rnn_cell",
}
"""Where TensorFlow looks for them if TF_USE_LEGACY_KERAS is set. No public name leads there."""

KERAS_3 = {
    "average_pooling1d": "keras.layers.AveragePooling1D",
    "average_pooling2d": "keras.layers.AveragePooling2D",
    "average_pooling3d": "keras.layers.AveragePooling3D",
    "batch_normalization": "keras.layers.BatchNormalization",
    "conv1d": "keras.layers.Conv1D",
    "conv2d": "keras.layers.Conv2D",
    "conv2d_transpose": "keras.layers.Conv2DTranspose",
    "conv3d": "keras.layers.Conv3D",
    "conv3d_transpose": "keras.layers.Conv3DTranspose",
    "dense": "keras.layers.Dense",
    "dropout": "keras.layers.Dropout",
    "flatten": "keras.layers.Flatten",
    "max_pooling1d": "keras.layers.MaxPooling1D",
    "max_pooling2d": "keras.layers.MaxPooling2D",
    "max_pooling3d": "keras.layers.MaxPooling3D",
    "separable_conv1d": "keras.layers.SeparableConv1D",
    "separable_conv2d": "keras.layers.SeparableConv2D",
    "BasicLSTMCell": "keras.layers.LSTMCell",
    "BasicRNNCell": "keras.layers.SimpleRNNCell",
    "GRUCell": "keras.layers.GRUCell",
    "LSTMCell": "keras.layers.LSTMCell",
    "MultiRNNCell": "keras.layers.StackedRNNCells",
}
"""What takes the place of the functions and cells in Keras 3."""


def name_in(module: str, name: str) -> Any:
    """Returns a name of `tf.layers` or `rnn_cell`.

    Raises:
        errors.MissingNameError: They have no such name, or `tf_keras` is not installed.
    """
    try:
        found = importlib.import_module(PATHS[module])
    except ModuleNotFoundError as error:
        raise errors.MissingNameError(
            f"tf.compat.v1.{module}.{name} needs Keras 2, which is not installed. Run "
            "`pip install 'kestimator[legacy]'`, or use the layers of Keras 3."
        ) from error
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise errors.MissingNameError(f"module {module!r} has no attribute {name!r}") from error
