"""Runs the programs as they are with the original: `python -m tests.migration.make_goldens`.

The original has no TensorFlow 1. For programs of that time, `tensorflow` is `tensorflow.compat.v1`
there, with the few names of contrib that they use.
"""

import contextlib
import io
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).parent
PROGRAMS = HERE / "programs"
GOLDEN = HERE / "golden"
OF_TF2 = ("canned_2", "heads_and_hooks")


def legacy_program_of_the_page():
    """The program of docs/migrate.md that stands there as it was."""
    text = (HERE.parents[1] / "docs/migrate.md").read_text()
    return re.search(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


def arguments(name, model_dir):
    return [f"--records_dir={model_dir}"] if name == "records" else [model_dir]


def run(name, model_dir):
    """Runs a program in this process, and returns what it printed."""
    path = str(PROGRAMS / f"{name}.py")
    if name == "page":
        path = f"{model_dir}/page.py"
        pathlib.Path(path).write_text(
            legacy_program_of_the_page().replace('"model"', f'"{model_dir}"')
        )
    sys.argv = [path, *arguments(name, model_dir)]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        runpy.run_path(path, run_name="__main__")
    return output.getvalue()


def become_tensorflow_1():
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    tf.contrib = types.SimpleNamespace(
        layers=types.SimpleNamespace(
            l2_regularizer=lambda scale: lambda weights: scale * tf.nn.l2_loss(weights)
        ),
        tpu=types.SimpleNamespace(
            **{
                name: getattr(tf.estimator.tpu, name)
                for name in ("RunConfig", "TPUConfig", "TPUEstimator", "TPUEstimatorSpec")
            },
            CrossShardOptimizer=tf.tpu.CrossShardOptimizer,
        ),
    )
    sys.modules["tensorflow"] = tf


def main(name):
    if name not in OF_TF2:
        become_tensorflow_1()
    golden = GOLDEN / name
    shutil.rmtree(golden, ignore_errors=True)
    golden.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        run(name, folder)
        patterns = ("checkpoint", "*.index", "*.data-*", "*.tfrecord")
        files = [file for pattern in patterns for file in pathlib.Path(folder).glob(pattern)]
        newest = max(int(file.stem.split("-")[1]) for file in files if file.suffix == ".index")
        for file in files:
            if "model.ckpt" not in file.name or f"model.ckpt-{newest}." in file.name:
                shutil.copy(file, golden)
        (golden / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{newest}"\n')
        (golden / "printed.txt").write_text(run(name, folder))


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1])
    else:
        for name in [*sorted(path.stem for path in PROGRAMS.glob("*.py")), "page"]:
            subprocess.run([sys.executable, __file__, name], check=True)
