"""Runs every program with tf.estimator 2.15 and stores what it answers.

    python tests/golden/make.py                    # all idioms
    python tests/golden/make.py inputs hooks       # these
    python tests/golden/make.py --check inputs     # run again and compare with what is stored

Needs an environment with tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0.
"""

import argparse
import json
import logging
import pathlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
IDIOMS = HERE / "idioms"
MODEL_DIRS = HERE / "model_dirs"
sys.path.insert(0, str(HERE.parent.parent))

from tests import programs  # noqa: E402
from tests.golden.compare import differences  # noqa: E402
from tests.programs import original  # noqa: E402


def answers(module: str, failed: list[str]) -> dict[str, Any]:
    """What the original answers to each case of one idiom; adds to `failed` where it raises."""
    found = {}
    for name, program in programs.cases(module).items():
        started = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as model_dir:
                found[name] = program(original.library(), model_dir)
        except Exception:
            traceback.print_exc()
            failed.append(f"{module}.{name} failed")
        print(f"{module}.{name}: {time.perf_counter() - started:.1f} s", flush=True)
    return found


def store(module: str, found: dict[str, Any]) -> None:
    """Writes one idiom's golden file."""
    IDIOMS.mkdir(exist_ok=True)
    (IDIOMS / f"{module}.json").write_text(pretty(found) + "\n", encoding="utf-8")


def pretty(value: Any, indent: int = 0, width: int = 110) -> str:
    """JSON with one line for whatever fits on one."""
    line = json.dumps(value)
    if len(line) + indent <= width or not isinstance(value, (dict, list)):
        return line
    inner, outer = " " * (indent + 1), " " * indent
    if isinstance(value, dict):
        items = [
            f"{inner}{json.dumps(key)}: {pretty(item, indent + 1)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(items) + f"\n{outer}}}"
    if all(isinstance(item, (int, float, str)) for item in value):
        return _wrapped(value, indent + 1, width)
    return "[\n" + ",\n".join(inner + pretty(item, indent + 1) for item in value) + f"\n{outer}]"


def _wrapped(values: list[Any], indent: int, width: int) -> str:
    lines, line = [], ""
    for value in values:
        text = json.dumps(value)
        if line and indent + len(line) + len(text) + 3 > width:
            lines.append(line)
            line = ""
        line += (", " if line else "") + text
    inner = " " * indent
    return "[\n" + ",\n".join(inner + line for line in [*lines, line]) + f"\n{' ' * (indent - 1)}]"


def check(module: str, found: dict[str, Any]) -> list[str]:
    """How a fresh run differs from the golden file."""
    golden = json.loads((IDIOMS / f"{module}.json").read_text(encoding="utf-8"))
    return [f"{module}.{line}" for line in differences(json.loads(json.dumps(found)), golden)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", default=programs.MODULES)
    parser.add_argument(
        "--check", action="store_true", help="compare with the stored files, write nothing"
    )
    options = parser.parse_args()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    wrong = []
    for module in options.modules:
        if not options.check:
            _store_model_dirs(programs.model_dirs(module))
        found = answers(module, wrong)
        if options.check:
            wrong += check(module, found)
        else:
            store(module, found)
    print("\n".join(wrong))
    return 1 if wrong else 0


def _store_model_dirs(writers: dict[str, Callable[[Any, str], Any]]) -> None:
    for name, write in writers.items():
        with tempfile.TemporaryDirectory() as scratch:
            write(original.library(), scratch)
            kept = MODEL_DIRS / name
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            for file in pathlib.Path(scratch).iterdir():
                if file.name == "checkpoint" or file.suffix == ".index" or ".data-" in file.name:
                    shutil.copy(file, kept / file.name)


if __name__ == "__main__":
    sys.exit(main())
