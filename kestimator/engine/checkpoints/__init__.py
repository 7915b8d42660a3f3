"""Checkpoints: their files, what the variables hold, and weights that Keras reads."""
