"""The legacy and Keras worlds, each in one file."""
