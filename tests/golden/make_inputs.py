"""Records the batches that the original's numpy_input_fn and pandas_input_fn give.

Run it with the Python that has tensorflow 2.15 and tensorflow-estimator 2.15:

    python tests/golden/make_inputs.py

`tests/test_inputs.py` puts the same cases to kestimator's functions and compares.
"""

import json
import pathlib

import numpy as np

MOST_BATCHES = 7

NUMPY_CASES = [
    {"x": x, "y": y, "batch_size": batch_size, "num_epochs": num_epochs}
    for x in ("array", "dict", "strings")
    for y in (None, "array", "dict")
    for batch_size, num_epochs in [(2, 2), (3, 1), (5, 2), (7, 2), (4, None), (20, 3), (2, 0)]
]
PANDAS_CASES = [
    {"x": "frame", "y": y, "batch_size": batch_size, "num_epochs": num_epochs}
    for y in (None, "series", "frame")
    for batch_size, num_epochs in [(2, 2), (3, 1), (4, None), (20, 1)]
]
ERROR_CASES = [
    {"x": "list", "y": None},
    {"x": "empty dict", "y": None},
    {"x": "empty array", "y": None},
    {"x": "array", "y": "empty dict"},
    {"x": "array", "y": "short array"},
    {"x": "uneven dict", "y": None},
    {"x": "dict", "y": "dict with a name of x"},
    {"x": "frame", "y": "series of another index"},
    {"x": "frame", "y": "series", "target_column": "a"},
    {"x": "frame", "y": "series", "target_column": 3},
    {"x": "array", "y": None, "shuffle": None},
    {"x": "array", "y": None, "shuffle": 1},
    {"x": "frame", "y": None, "shuffle": None},
    {"x": "frame of dates", "y": None},
]


def data(name):
    """Makes the data that a case names."""
    import pandas as pd

    index = [10, 11, 12, 13, 14]
    frame = pd.DataFrame({"b": [1.0, 2.0, 3.0, 4.0, 5.0], "a": list("vwxyz")}, index=index)
    frame = frame.astype({"a": object})
    return {
        None: lambda: None,
        "list": lambda: [1, 2],
        "array": lambda: np.arange(5),
        "dict": lambda: {"b": np.arange(5) * 2.0, "a": np.ones((5, 2), np.float32)},
        "strings": lambda: {"s": np.array(list("vwxyz")), "o": np.array(list("vwxyz"), object)},
        "empty dict": dict,
        "empty array": lambda: np.zeros([0]),
        "short array": lambda: np.arange(4),
        "uneven dict": lambda: {"a": np.arange(5), "b": np.arange(3)},
        "dict with a name of x": lambda: {"a": np.arange(5)},
        "frame": lambda: frame,
        "series": lambda: pd.Series([0, 1, 0, 1, 0], index=index),
        "series of another index": lambda: pd.Series([0, 1, 0, 1, 0]),
        "frame of dates": lambda: pd.DataFrame({"d": pd.to_datetime(["2020-01-01"])}),
    }[name]()


def labels(case):
    """Makes the labels of a case: dicts and frames need other names than the features."""
    if case["y"] == "dict":
        return {"m": np.arange(5), "l": np.arange(5) * 0.5}
    if case["y"] == "frame":
        return data("frame").rename(columns={"a": "p", "b": "q"})
    return data(case["y"])


def make_input_fn(case, numpy_input_fn, pandas_input_fn):
    """Calls the function that a case is for."""
    function = pandas_input_fn if str(case["x"]).startswith("frame") else numpy_input_fn
    options = {name: value for name, value in case.items() if name not in ("x", "y")}
    return function(data(case["x"]), labels(case), **{"shuffle": False, **options})


def plain(batch):
    """Turns a batch of arrays into what JSON can hold."""
    if isinstance(batch, dict):
        return {name: plain(value) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return [plain(part) for part in batch]
    values = batch.astype(str) if batch.dtype == object else batch
    return {"dtype": str(batch.dtype), "values": values.tolist()}


def original_batches(case):
    import tensorflow as tf

    inputs = tf.compat.v1.estimator.inputs
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = make_input_fn(case, inputs.numpy_input_fn, inputs.pandas_input_fn)()
        coordinator = tf.train.Coordinator()
        tf.compat.v1.train.start_queue_runners(session, coordinator)
        batches = []
        try:
            while len(batches) < MOST_BATCHES:
                batches.append(plain(session.run(tensors)))
        except tf.errors.OutOfRangeError:
            pass
        coordinator.request_stop()
    return batches


def record(case):
    try:
        return {"case": case, "batches": original_batches(case)}
    except Exception as error:
        return {"case": case, "error": type(error).__name__}


def main():
    records = [record(case) for case in NUMPY_CASES + PANDAS_CASES + ERROR_CASES]
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in records)
    pathlib.Path(__file__).with_name("input_functions.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
