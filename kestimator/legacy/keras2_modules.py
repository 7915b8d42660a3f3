"""`tf.layers` and `rnn_cell`: they come from Keras 2, the package `tf_keras`.

`names` has them among its tables; programs that import them need the package.
"""

from __future__ import annotations

PATHS = {
    "layers": "tf_keras.api._v1.keras.__internal__.legacy.layers",
    "rnn_cell": "tf_keras.api._v1.keras.__internal__.legacy.rnn_cell",
}
"""Where TensorFlow looks for them if TF_USE_LEGACY_KERAS is set. No public name leads there."""
