"""TensorFlow's private names: the one place in the engine that knows them.

What belongs here: what TensorFlow does not offer in public and the engine cannot do without. Each
name stands behind one small function, or behind an alias where TensorFlow wants a class to derive
from or an object whose function is replaced. What is done with them belongs to the rooms above.

`tests/engine/tf_internals` calls each of them: a TensorFlow that moves one fails there first.
"""
