"""Runs libraries that were built on tf.estimator, with `kestimator.install()`.

    python tests/libraries/run.py                # all of them, about five minutes
    python tests/libraries/run.py deepctr hub    # some

Each library comes from PyPI, without its dependencies, into a folder that is deleted afterwards.
The environment needs kestimator with its extra `legacy`. Its program here uses the library's public
API: it trains, evaluates and predicts. The script prints a line for each, and exits with 1 if one
failed. It is not part of the test suite, because it needs the network.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).parent
LIBRARIES = {
    "deepctr": ["deepctr"],
    "ranking": ["tensorflow-ranking", "tensorflow-serving-api", "six"],
    "gan": [
        *("tensorflow-gan", "tensorflow-probability", "tensorflow-hub", "dm-tree"),
        *("decorator", "cloudpickle", "six"),
    ],
    "hub": ["tensorflow-hub==0.15.0"],
}
"""The packages that each program needs besides kestimator's."""


def run(name: str) -> bool:
    """Installs a library and runs its program."""
    with tempfile.TemporaryDirectory() as site:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
        subprocess.run([*pip, *LIBRARIES[name]], check=True)
        paths = [site, str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        program = FOLDER / f"{name}_program.py"
        result = subprocess.run(
            [sys.executable, "-m", "kestimator", "run", "--tf2", str(program)],
            env=environment,
            cwd=site,
            capture_output=True,
            text=True,
        )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    print(f"{name:10}{'passed' if result.returncode == 0 else 'FAILED'}: {lines[-1:]}")
    if result.returncode != 0:
        print(result.stderr[-3000:])
    return result.returncode == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[], metavar="NAME")
    names = parser.parse_args().names or list(LIBRARIES)
    unknown = set(names) - set(LIBRARIES)
    if unknown:
        parser.error(f"unknown: {sorted(unknown)}; there are {list(LIBRARIES)}")
    passed = [run(name) for name in names]
    sys.exit(0 if all(passed) else 1)
