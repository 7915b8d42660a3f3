"""What the engine needs to know about Keras beyond its public API."""
