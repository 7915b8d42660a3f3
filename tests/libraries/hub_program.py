"""TF-Hub: text embeddings as a feature column, and an exporter of modules."""

import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

texts = np.array(["good film", "bad film", "very good", "very bad"] * 8)
labels = np.array([1, 0, 1, 0] * 8)


class Embedding(tf.Module):
    """Two numbers for a text: how many "good", how many "bad"."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, text):
        words = [".*good.*", ".*bad.*"]
        found = [tf.strings.regex_full_match(text, word) for word in words]
        return tf.cast(tf.stack(found, axis=1), tf.float32)


path = tempfile.mkdtemp()
tf.saved_model.save(Embedding(), path)


def input_fn():
    return tf.data.Dataset.from_tensor_slices(({"text": texts}, labels)).batch(8).repeat(10)


column = hub.text_embedding_column_v2("text", path)
classifier = tf.estimator.DNNClassifier(
    [4], [column], model_dir=tempfile.mkdtemp(), optimizer=lambda: tf.keras.optimizers.Adam(0.1)
)
classifier.train(input_fn)
results = classifier.evaluate(input_fn, steps=4)
assert results["accuracy"] == 1.0, results
print({key: float(value) for key, value in results.items()})
