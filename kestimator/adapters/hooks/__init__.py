"""Hooks: those that training adds, TensorFlow's own, Keras callbacks, event files."""
