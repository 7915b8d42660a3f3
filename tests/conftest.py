"""Settings of the whole test session."""

import gc

import kestimator  # noqa: F401 - imports TensorFlow and Keras

# Programs, which are run in processes of their own.
collect_ignore = ["legacy/programs"]


def pytest_collection_finish() -> None:
    """Takes what is alive by now, mostly TensorFlow's modules, out of garbage collection.

    A full collection walks through all objects. A module of tests took a fifth less processor time
    with collections turned off.
    """
    gc.collect()
    gc.freeze()
