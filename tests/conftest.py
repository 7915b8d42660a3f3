"""Settings of the whole test session."""

import gc

import kestimator  # noqa: F401 - imports TensorFlow and Keras


def pytest_collection_finish() -> None:
    """Takes what is alive by now, mostly TensorFlow's modules, out of garbage collection.

    A full collection walks through all objects. Without this, collections took about a fifth of the
    time of the tests.
    """
    gc.collect()
    gc.freeze()
