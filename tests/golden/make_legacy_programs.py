"""Records what the programs of `tests/legacy/programs` print with tf.estimator 2.15.

Run it with the Python that has tensorflow 2.15 and tensorflow-estimator 2.15:

    python -m tests.golden.make_legacy_programs                 # all programs
    python -m tests.golden.make_legacy_programs gan conv_net    # these

The programs in `tf1` were written for TF 1: `import tensorflow` gives them `tf.compat.v1`.
`tests/legacy/test_programs.py` compares.
"""

import argparse
import builtins
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAMS = HERE.parent / "legacy" / "programs"
STORED = HERE / "legacy_programs.json"
_MARK = "RESULT "


def program_names():
    """The programs, such as "tf1/gan"."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in PROGRAMS.glob("tf*/*.py"))


def answer(command, name, model_dir, path=None):
    """What a program prints as its result, and the variables in its last checkpoint.

    Args:
        command: The module that runs it, with its arguments, or nothing if Python does.
        name: The name of the program.
        model_dir: Its directory.
        path: Another program to run in its place.
    """
    import tensorflow as tf

    path = str(path or PROGRAMS / f"{name}.py")
    options = ["-m", *command] if command else []
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *options, path, "--model_dir", model_dir],
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or len(lines) != 1:
        raise RuntimeError(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return {
        "result": json.loads(lines[0][len(_MARK) :]),
        "variables": dict(tf.train.list_variables(model_dir)),
    }


def run(path, arguments):
    """Runs a program in this process, as `__main__`."""
    main = types.ModuleType("__main__")
    main.__file__ = path
    if pathlib.Path(path).parent.name == "tf1":
        main.__dict__["__builtins__"] = _builtins_of_tf1()
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *arguments]
    exec(compile(pathlib.Path(path).read_text(), path, "exec"), main.__dict__)


def _builtins_of_tf1():
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_v2_behavior()
    v1.compat.v1 = v1
    copied = types.ModuleType("builtins")
    copied.__dict__.update(vars(builtins))

    def import_tf1(name, importer=None, names=None, fromlist=(), level=0):
        module = builtins.__import__(name, importer, names, fromlist, level)
        return v1 if module is tf else module

    copied.__dict__["__import__"] = import_tf1
    return copied


def main(names):
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    for name in program_names():
        if not names or name in names or name.partition("/")[2] in names:
            with tempfile.TemporaryDirectory() as model_dir:
                this = ["tests.golden.make_legacy_programs", "--run"]
                stored[name] = answer(this, name, model_dir)
            print(name, flush=True)
    stored = {name: stored[name] for name in program_names() if name in stored}
    STORED.write_text(json.dumps(stored, indent=None, separators=(", ", ": ")) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], sys.argv[3:])
    else:
        parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
        parser.add_argument("names", nargs="*")
        main(parser.parse_args().names)
