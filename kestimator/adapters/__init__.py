"""The legacy and Keras worlds, each in a separate room. Not public."""
