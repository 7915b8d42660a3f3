"""`tf.layers` and `rnn_cell`: they come from Keras 2, the package `tf_keras`.

`names` has them among its tables; programs that import them need the package.
"""

from __future__ import annotations

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
