"""kestimator: the `tf.estimator` API, on today's TensorFlow and Keras 3."""
