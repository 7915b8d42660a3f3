"""What the engine has to know of Keras beyond its public API."""
