"""Calls an exported model in a loop, and prints how fast it answers as one line of JSON.

    python -m benchmarks.serving /path/to/export --calls 2000

It needs TensorFlow alone. Exports of all engines are called by one interpreter, so that they are
compared in the same TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

INTERPRETER_VARIABLE = "KESTIMATOR_SERVING_PYTHON"
"""Names the interpreter that calls exports; by default that of the process that asks."""
REQUESTS = "requests.json"
BATCHES = 10


def calls_per_second(export: str, requests: list[bytes], calls: int) -> float:
    """Has another process load an export and call its default signature.

    Args:
        export: The directory of the SavedModel.
        requests: Serialized `tf.train.Example`s, the batch of every call.
        calls: How many calls to make.
    """
    path = pathlib.Path(export).parent / REQUESTS
    path.write_text(json.dumps([request.hex() for request in requests]))
    python = os.environ.get(INTERPRETER_VARIABLE, sys.executable)
    command = [
        python, "-m", "benchmarks.serving", export, "--requests", str(path), "--calls", str(calls),
    ]  # fmt: skip
    root = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1])["calls_per_second"])


def measured(export: str, requests: list[bytes], calls: int) -> float:
    """Calls per second of the default signature: the median over ten stretches."""
    import tensorflow as tf

    signature = tf.saved_model.load(export).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    batch = {name: tf.constant(requests)}
    each = max(1, calls // BATCHES)
    rates = []
    for stretch in range(BATCHES + 1):
        start = time.perf_counter()
        for _ in range(each):
            outputs = signature(**batch)
        assert outputs["scores"].shape[0] == len(requests), outputs
        if stretch:  # the first one warms up
            rates.append(each / (time.perf_counter() - start))
    return statistics.median(rates)


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export")
    parser.add_argument("--requests", required=True, type=pathlib.Path)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    requests = [bytes.fromhex(line) for line in json.loads(options.requests.read_text())]
    rate = measured(options.export, requests, options.calls)
    print(json.dumps({"calls_per_second": rate}), flush=True)


if __name__ == "__main__":
    main()
