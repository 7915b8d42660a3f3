"""Compares the speed of kestimator with that of tf.estimator 2.15, Keras' fit and a bare loop.

    KESTIMATOR_ORACLE_PYTHON=.venv-oracle/bin/python python benchmarks/run.py

Every engine runs in a process of its own, one at a time and in turns; numbers are medians.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import serving, table  # noqa: E402
from benchmarks.rows import ROWS  # noqa: E402

ORACLE_VARIABLE = "KESTIMATOR_ORACLE_PYTHON"


class Workers:
    """Starts the workers.

    Args:
        oracle: The interpreter of the environment of tf.estimator 2.15, or None without one.

    Attributes:
        versions: TensorFlow's version, by engine.
    """

    def __init__(self, oracle: str | None) -> None:
        self._oracle = oracle
        self.versions: dict[str, str] = {}

    def __call__(self, measure: str, task: str, engine: str, scale: float) -> dict[str, float]:
        """Measures in a new process; nothing comes back where that fails."""
        python = self._oracle if engine == "tf_estimator" else sys.executable
        if python is None:
            return {}
        start = time.perf_counter()
        command = [
            python, "-m", "benchmarks.worker", "--measure", measure, "--task", task,
            "--engine", engine, "--scale", str(scale),
        ]  # fmt: skip
        # Exports of every engine are called in one TensorFlow.
        environment = {**os.environ, serving.INTERPRETER_VARIABLE: sys.executable}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            _say(f"{measure} {task} {engine}: FAILED after {seconds:.0f} s: {reason}")
            return {}
        found = json.loads(done.stdout.strip().splitlines()[-1])
        self.versions[engine] = found["versions"]["tensorflow"]
        numbers = "  ".join(f"{k} {table.number(v)}" for k, v in found["measurement"].items())
        _say(f"{measure} {task} {engine} ({seconds:.0f} s): {numbers}")
        return dict(found["measurement"])


def report(rows: Sequence[table.Row], results: table.Results, versions: dict[str, str]) -> str:
    """The table, with what it was measured on."""
    named = ", ".join(
        f"{table.ENGINE_TITLES[engine]}: TensorFlow {version}"
        for engine, version in versions.items()
        if engine in ("kestimator", "tf_estimator")
    )
    machine = (
        f"{datetime.datetime.now(tz=datetime.UTC).date()}, {os.cpu_count()} cores "
        f"({_processor()}), Python {platform.python_version()}. {named}."
    )
    missed = [f"- {line}" for line in table.missed(rows, results)] or ["- nothing"]
    parts = [machine, table.markdown(rows, results), "Missed:", "\n".join(missed)]
    return "\n\n".join(parts)


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="words of the rows to run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one run of a tenth of the work")
    parser.add_argument(
        "--oracle",
        default=os.environ.get(ORACLE_VARIABLE),
        help=f"the interpreter with tf.estimator 2.15; default: ${ORACLE_VARIABLE}",
    )
    parser.add_argument("--output", type=pathlib.Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    workers = Workers(options.oracle and os.path.abspath(options.oracle))
    if options.oracle is None:
        _say(f"No interpreter for tf.estimator 2.15: pass --oracle, or set {ORACLE_VARIABLE}.")
    rows = table.selected(ROWS, options.only)
    repeats, scale = (1, 0.1) if options.quick else (options.repeats, 1.0)
    text = report(rows, table.run(rows, workers, repeats, scale), workers.versions)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
