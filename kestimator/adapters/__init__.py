"""The legacy and Keras worlds, each in a room of its own. Not public."""
