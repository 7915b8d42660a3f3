"""Compiled Keras models as the source of an estimator's programs."""
