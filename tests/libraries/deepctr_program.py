"""DeepCTR: a DeepFMEstimator over feature columns."""

import tempfile

import numpy as np
import tensorflow as tf
from deepctr.estimator import DeepFMEstimator
from tensorflow.python.ops.parsing_ops import FixedLenFeature  # noqa: F401, as its users do

draw = np.random.RandomState(0)
features = {
    "price": draw.rand(64).astype("f4"),
    "shop": draw.randint(0, 10, 64),
    "user": draw.randint(0, 20, 64),
}
labels = (features["shop"] > 4).astype("f4")

shop = tf.feature_column.categorical_column_with_identity("shop", 10)
user = tf.feature_column.categorical_column_with_identity("user", 20)
price = tf.feature_column.numeric_column("price")
linear = [shop, user, price]
deep = [*(tf.feature_column.embedding_column(column, 4) for column in (shop, user)), price]


def input_fn():
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(16).repeat(10)


model = DeepFMEstimator(linear, deep, task="binary", model_dir=tempfile.mkdtemp())
model.train(input_fn)
results = model.evaluate(input_fn)
assert results["AUC"] > 0.8, results
assert results["global_step"] == 40
print({key: float(value) for key, value in results.items()})
