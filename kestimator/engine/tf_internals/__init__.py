"""TensorFlow's private names: the one place in the engine that knows them.

This room holds what the engine needs and TensorFlow has no public API for. Each name has one small
function. It has an alias where TensorFlow needs a class to derive from, or an object whose function
is replaced. The rooms above decide what to do with these names.

`tests/engine/tf_internals` calls each of them. A TensorFlow version that moves one fails there.
"""
