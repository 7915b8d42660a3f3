"""Compares the speed of kestimator in two checkouts: before a change, and after it.

    python benchmarks/compare.py ../before . --only linear start --repeats 5

The checkouts take turns, each run in a process of its own. A row is slower if it is slower by more
than the runs of one checkout differ among themselves; the exit status says whether one is. Workers
are those of each checkout, so both have to know the rows that are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import serving, table  # noqa: E402
from benchmarks.rows import ROWS  # noqa: E402

_ENGINE = "kestimator"


def measured(checkout: pathlib.Path, measure: str, task: str, scale: float) -> dict[str, float]:
    """Measures kestimator of a checkout in a new process; nothing comes back where that fails."""
    command = [
        sys.executable, "-m", "benchmarks.worker", "--measure", measure, "--task", task,
        "--engine", _ENGINE, "--scale", str(scale),
    ]  # fmt: skip
    environment = {
        **os.environ,
        # Before an editable install of another checkout in this interpreter.
        "PYTHONPATH": str(checkout),
        serving.INTERPRETER_VARIABLE: sys.executable,
    }
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{checkout}: {measure} {task} FAILED: {reason}", file=sys.stderr, flush=True)
        return {}
    return dict(json.loads(done.stdout.strip().splitlines()[-1])["measurement"])


def run(
    rows: Sequence[table.Row], checkouts: Sequence[pathlib.Path], repeats: int, scale: float
) -> list[table.Results]:
    """The results of each checkout; which one comes first changes with every turn."""
    results = [table.Results() for _ in checkouts]
    for (measure, task), row in table.jobs(rows).items():
        for turn in range(1 if row.once else repeats):
            pairs = list(zip(checkouts, results, strict=True))
            for checkout, collected in pairs if turn % 2 == 0 else reversed(pairs):
                found = measured(checkout, measure, task, scale)
                collected.add(measure, task, _ENGINE, found)
                print(f"{checkout} {measure} {task} {found}", file=sys.stderr, flush=True)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, runs and prints the table; 1 if a row is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=pathlib.Path, help="the checkout before the change")
    parser.add_argument("after", type=pathlib.Path, help="the checkout after it")
    parser.add_argument("--only", nargs="*", default=[], help="words of the rows to run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one run of a tenth of the work")
    options = parser.parse_args(arguments)
    rows = [row for row in table.selected(ROWS, options.only) if _ENGINE in row.engines]
    checkouts = [options.before.resolve(), options.after.resolve()]
    repeats, scale = (1, 0.1) if options.quick else (options.repeats, 1.0)
    before, after = run(rows, checkouts, repeats, scale)
    comparisons = [table.compared(row, before, after, _ENGINE) for row in rows]
    print(table.comparison_markdown(comparisons))
    return int(any(comparison.is_slower for comparison in comparisons))


if __name__ == "__main__":
    sys.exit(main())
