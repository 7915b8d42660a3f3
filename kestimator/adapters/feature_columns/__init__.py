"""Feature columns: as layers of a program, and as Keras layers."""
