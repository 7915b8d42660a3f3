"""How fast kestimator is beside tf.estimator 2.15, Keras' fit and a bare loop: see README.md."""
