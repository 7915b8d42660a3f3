"""`python -m kestimator run` runs programs as `python` does, with the names of tf.estimator."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

import kestimator
from kestimator import command_line, errors
from kestimator.command_line import programs, reports, run, sources, tf1_imports

ROOT = str(pathlib.Path(__file__).parents[2])


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.fixture
def restored(monkeypatch):
    """What running a program changes in this process is as before, afterwards."""
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


class TestArguments:
    @pytest.mark.parametrize(
        ("line", "own", "of_program"),
        [
            ("run a.py --steps 3", "run a.py", "--steps 3"),
            ("run --report a.py --report", "run --report a.py", "--report"),
            ("run --tf1 -m pkg.train -x", "run --tf1 -m pkg.train", "-x"),
            ("run", "run", ""),
            ("run --tf2", "run --tf2", ""),
            ("migrate a.py --diff", "migrate a.py --diff", ""),
        ],
    )
    def test_split(self, line, own, of_program):
        assert run.split(line.split()) == (own.split(), of_program.split())

    @pytest.mark.parametrize("line", ["", "run", "run --tf1 --tf2 a.py", "runn a.py", "run -m"])
    def test_errors(self, line, capsys):
        with pytest.raises(SystemExit) as caught:
            command_line.main(line.split())
        assert caught.value.code == 2
        assert "usage: python -m kestimator" in capsys.readouterr().err


@pytest.mark.usefixtures("restored")
class TestPrograms:
    def run(self, path, *arguments):
        return programs.run(programs.script(path, arguments))

    def test_as_python_does(self, write, capsys):
        write("beside.py", "VALUE = 7")
        path = write(
            "train.py",
            """
            import sys, beside
            from pickle import dumps, loads
            class Own: pass
            if __name__ == "__main__":
                print(sys.argv[1:], beside.VALUE, __file__ == sys.argv[0], __spec__, __package__)
                print(type(loads(dumps(Own()))) is Own)
            """,
        )
        assert self.run(path, "--steps", "3") == 0
        assert capsys.readouterr().out == "['--steps', '3'] 7 True None None\nTrue\n"

    @pytest.mark.slow
    def test_module_of_the_program_is_as_pythons(self, write, tmp_path, monkeypatch):
        """Relative paths, links and `__builtins__`: the values are those that `python` shows."""
        write("code/beside.py", "VALUE = 7")
        write(
            "code/train.py",
            """
            import beside, inspect, os, sys
            os.chdir("/")
            def function(): return 1
            print(__file__, sys.argv, sys.path[0], type(__builtins__), type(__loader__))
            print(inspect.getsource(function), function.__code__.co_filename)
            raise KeyError("a key")
            """,
        )
        write("code/__main__.py", "import train")
        (tmp_path / "link.py").symlink_to("code/train.py")
        monkeypatch.chdir(tmp_path)
        code = (
            "import sys; from kestimator.command_line import programs\n"
            "sys.exit(programs.run(programs.script(sys.argv[1], [])))"
        )
        for script in ("link.py", "code"):
            here, by_python = (
                subprocess.run(
                    [sys.executable, *options, script],
                    capture_output=True,
                    text=True,
                    env={**os.environ, "PYTHONPATH": ROOT, "TF_CPP_MIN_LOG_LEVEL": "3"},
                )
                for options in (("-c", code), ())
            )
            assert here.stdout == by_python.stdout
            assert here.returncode == by_python.returncode == 1
            if script == "link.py":
                assert here.stderr.endswith(by_python.stderr)

    def test_traceback_begins_in_the_program(self, write, capsys):
        path = write("train.py", "def f():\n    return 1 / 0\nf()\n")
        assert self.run(path) == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[1] == f'  File "{path}", line 3, in <module>'
        assert lines[-1] == "ZeroDivisionError: division by zero"

    @pytest.mark.parametrize(("code", "expected"), [("3", 3), ("'text'", "text"), ("", None)])
    def test_exit(self, write, code, expected):
        with pytest.raises(SystemExit) as caught:
            self.run(write("train.py", f"import sys; sys.exit({code})"))
        assert caught.value.code == expected

    def test_python_2(self, write, capsys):
        path = write("train.py", 'print "hello"\n')
        assert self.run(path) == 1
        text = capsys.readouterr().err
        assert "SyntaxError: Missing parentheses in call to 'print'" in text
        assert f"{path} is written in Python 2." in text

    def test_syntax_error(self, write, capsys):
        assert self.run(write("train.py", "x = (\n")) == 1
        text = capsys.readouterr().err
        assert "SyntaxError: '(' was never closed" in text
        assert "Python 2" not in text

    def test_module(self, write, monkeypatch, capsys, tmp_path):
        write("pkg/__init__.py", "")
        write("pkg/names.py", "NAME = 'relative'")
        write(
            "pkg/__main__.py",
            "import sys\nfrom .names import NAME\nprint(NAME, sys.argv[1:], __package__)",
        )
        monkeypatch.chdir(tmp_path)
        assert programs.run(programs.module("pkg", ["-x"])) == 0
        assert capsys.readouterr().out == "relative ['-x'] pkg\n"

    def test_packages_of_a_module_wait_for_the_run(self, write, monkeypatch, capsys, tmp_path):
        write("waits/__init__.py", "import sys\n\nsys.waits = 'imported'")
        write("waits/below/__init__.py", "import tensorflow as tf\n\ntf.logging")
        write("waits/below/task.py", "import sys\n\nprint(sys.waits, __package__)")
        monkeypatch.chdir(tmp_path)
        program = programs.module("waits.below.task", [])
        assert not {name for name in sys.modules if name.startswith("waits")}
        path = os.path.join("waits", "below", "__init__.py")
        assert f"{path} uses tf.logging (line 3)" in sources.needs_tf1(program)
        monkeypatch.setattr(tf, "logging", None, raising=False)
        monkeypatch.setattr(sys, "waits", None, raising=False)
        assert programs.run(program) == 0
        assert capsys.readouterr().out == "imported waits.below\n"

    def test_a_package_that_fails(self, write, monkeypatch, capsys, tmp_path):
        write("fails/__init__.py", "1 / 0")
        write("fails/task.py", "print('never')")
        monkeypatch.chdir(tmp_path)
        assert programs.run(programs.module("fails.task", [])) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "ZeroDivisionError" in err

    def test_notebook(self, write, capsys):
        cells = [
            {"cell_type": "markdown", "source": ["# Title"]},
            {
                "cell_type": "code",
                "source": ["%matplotlib inline\n", "x = 3\n", "!pip \\\n", "list"],
            },
            {"cell_type": "code", "source": ["%%bash\n", "ls"]},
            {"cell_type": "code", "source": ["if x:\n", "    %time\n", "print(x)"]},
            {"cell_type": "code", "source": "x / 0"},
        ]
        path = write("train.ipynb", json.dumps({"cells": cells}))
        assert self.run(path) == 1
        out, err = capsys.readouterr()
        assert out == "3\n"
        assert f'File "{path}[cell 4]", line 1, in <module>\n    x / 0\n' in err

    def test_magics_of_notebooks_that_measure_python_run_it(self, write, capsys):
        sources = [
            "%%time\nx = 3",
            "\n%%capture output\ny = x + 1",
            "if y:\n    %time y += 1\n    %timeit y\nprint(x, y)",
            "%%writefile other.py\nz = 1",
        ]
        cells = [{"cell_type": "code", "source": source} for source in sources]
        path = write("train.ipynb", json.dumps({"cells": cells}))
        assert self.run(path) == 0
        out, err = capsys.readouterr()
        assert out == "3 5\n"
        assert err == f"kestimator: {path}[cell 4] is left out: its %%writefile is no Python.\n"

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("absent.py", None, r"can't open file '.*absent.py': No such file or directory"),
            ("folder/absent.py", None, "can't open file"),
            ("a.ipynb", "no json", "is no notebook"),
            ("a.ipynb", "{}", "is no notebook"),
            ("a.py", b"\xff\xfe", "as Python source"),
        ],
    )
    def test_what_cannot_be_read(self, name, text, message, tmp_path):
        path = tmp_path / name
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(errors.ProgramError, match=message):
            programs.script(str(path), [])

    @pytest.mark.parametrize("name", ["absent_module", "absent.below", "sys", "json.absent"])
    def test_what_is_no_module(self, name):
        with pytest.raises(errors.ProgramError, match=f"no module named '{name}'"):
            programs.module(name, [])


class TestVersionOfTensorFlow:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("import tensorflow as tf\ntf.placeholder", "tf.placeholder (line 2)"),
            ("import tensorflow as tf\ntf.layers.dense(x, 3)", "tf.layers.dense (line 2)"),
            ("import tensorflow\ntensorflow.app.run()", "tf.app.run (line 2)"),
            (
                "import tensorflow as tf\n\ntf.train.AdamOptimizer()",
                "tf.train.AdamOptimizer (line 3)",
            ),
            ("import tensorflow as tf\ntf.contrib.layers.flatten", "tf.contrib.layers.flatten"),
            ("from tensorflow.contrib import slim", "tf.contrib.slim (line 1)"),
            ("import tensorflow.contrib.slim as slim", "tf.contrib.slim (line 1)"),
            ("from tensorflow import placeholder", "tf.placeholder (line 1)"),
            ("from tensorflow.train import AdamOptimizer", "tf.train.AdamOptimizer (line 1)"),
            ("from tensorflow.layers import dense", "tf.layers.dense (line 1)"),
            ("import tensorflow.layers as layers", "tf.layers (line 1)"),
        ],
    )
    def test_tf1(self, write, text, reason):
        assert reason in sources.needs_tf1(programs.script(write("train.py", text), []))

    @pytest.mark.parametrize(
        "text",
        [
            "import tensorflow as tf\ntf.estimator.Estimator, tf.data.Dataset, tf.keras.Model",
            "import tensorflow.compat.v1 as tf\ntf.placeholder, tf.layers.dense",
            "import tensorflow as tf\ntf.compat.v1.placeholder, tf.a_name_that_nothing_has",
            "from tensorflow import estimator, keras",
            "from tensorflow.compat.v1 import placeholder",
            "from tensorflow.keras.layers import LSTM",
            "from tensorflow.python.framework import ops",
            "import tensorflow.data as data",
            "from tensorflow.train import *",
            "import numpy as tf\ntf.placeholder",
            "not Python",
        ],
    )
    def test_tf2(self, write, text):
        assert sources.needs_tf1(programs.script(write("train.py", text), [])) is None

    def test_modules_of_the_program_count(self, write):
        write("models/__init__.py", "")
        write("models/net.py", "import tensorflow as tf\n\ntf.get_variable('x', [])")
        path = write("train.py", "from models import net")
        assert "net.py uses tf.get_variable (line 3)" in sources.needs_tf1(
            programs.script(path, [])
        )

    @pytest.mark.usefixtures("restored")
    def test_tf1_is_for_the_program_alone(self, write, capsys, monkeypatch):
        monkeypatch.setattr(tf.compat.v1, "disable_v2_behavior", lambda: None)
        monkeypatch.setattr(tf.compat.v1.compat, "v1", tf.compat.v1.compat.v1)
        write("beside_tf1.py", "import tensorflow as tf; NAME = tf.placeholder.__name__")
        path = write(
            "train.py",
            """
            import tensorflow as tf, tensorflow.compat.v1 as v1, beside_tf1, tensorflow.data, keras
            from tensorflow import placeholder
            print(tf is v1, tensorflow is tf, beside_tf1.NAME, placeholder is tf.placeholder)
            import tensorflow.python.framework.ops as ops
            print(ops.__name__, hasattr(tf, "Session"))
            """,
        )
        program = programs.script(path, [])
        tf1_imports.turn_on(program)
        monkeypatch.delitem(sys.modules, "beside_tf1", raising=False)
        assert programs.run(program) == 0
        assert capsys.readouterr().out == (
            "True True placeholder True\ntensorflow.python.framework.ops True\n"
        )
        assert not hasattr(tf, "placeholder")
        assert sys.modules["tensorflow"] is tf

    @pytest.mark.usefixtures("restored")
    def test_modules_below_tensorflow_are_those_of_tf1(self, write, capsys, monkeypatch):
        monkeypatch.setattr(tf.compat.v1, "disable_v2_behavior", lambda: None)
        monkeypatch.setattr(tf.compat.v1.compat, "v1", tf.compat.v1.compat.v1)
        path = write(
            "train.py",
            """
            import tensorflow as tf
            import tensorflow.keras.backend
            import tensorflow.keras.layers as layers
            import tensorflow.layers as tf_layers
            from tensorflow.data import Dataset
            from tensorflow.estimator import DNNClassifier
            from tensorflow.estimator.inputs import numpy_input_fn
            from tensorflow.keras import initializers
            from tensorflow.keras.layers import LSTM, BatchNormalization
            from tensorflow.losses import mean_squared_error
            from tensorflow.metrics import accuracy
            from tensorflow.nn.rnn_cell import LSTMCell
            from tensorflow.summary import *
            from tensorflow.train import AdamOptimizer

            print(tensorflow is tf, layers is tf.keras.layers, LSTM is tf.keras.layers.LSTM)
            print(tf_layers is tf.layers, LSTMCell is tf.nn.rnn_cell.LSTMCell)
            print(BatchNormalization is tf.keras.layers.BatchNormalization)
            print(initializers is tf.keras.initializers, Dataset is tf.data.Dataset)
            print(DNNClassifier is tf.estimator.DNNClassifier)
            print(numpy_input_fn is tf.estimator.inputs.numpy_input_fn)
            print(mean_squared_error is tf.losses.mean_squared_error)
            print(accuracy is tf.metrics.accuracy, FileWriter is tf.summary.FileWriter)
            print(AdamOptimizer is tf.train.AdamOptimizer)
            try:
                from tensorflow.estimator import BoostedTreesClassifier
            except ImportError as error:
                print(error)
            import tensorflow.absent
            """,
        )
        kestimator.install()
        try:
            program = programs.script(path, [])
            tf1_imports.turn_on(program)
            assert programs.run(program) == 1
        finally:
            kestimator.uninstall()
        out, err = capsys.readouterr()
        assert "False" not in out
        assert out.count("True") == 14
        assert "Decision Forests" in out
        assert "No module named 'tensorflow.absent'" in err

    def test_libraries_are_not_of_the_program(self, tmp_path):
        assert tf1_imports.is_of_program(str(tmp_path / "a.py"), str(tmp_path))
        assert not tf1_imports.is_of_program(str(tmp_path / "a.py"), str(tmp_path / "b"))
        assert not tf1_imports.is_of_program(os.__file__, os.path.dirname(os.__file__))
        assert not tf1_imports.is_of_program(tf.__file__, "/")


def test_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "train.py")
    uses = {
        ("tensorflow.estimator.Estimator", path, 12): "kestimator:Estimator",
        ("tensorflow.compat.v1.layers.dense", path, 7): "tf_keras:dense",
        ("tensorflow_estimator.python.estimator.gc.Path", path, 1): (
            "kestimator.legacy.export_versions:Path"
        ),
    }
    assert reports.report(uses).splitlines() == [
        "legacy name                                    where        replacement",
        "tf.compat.v1.layers.dense                      train.py:7   keras.layers.Dense",
        "tf.estimator.Estimator                         train.py:12  kestimator.Estimator",
        "tensorflow_estimator.python.estimator.gc.Path  train.py:1   none: it was below the public "
        "API (Path)",
    ]
    assert reports.report({}) == "kestimator: the program used no legacy names."


def in_terminal(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "kestimator", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()},
    )


@pytest.mark.slow
class TestTerminal:
    def test_a_program_of_tf1(self, write, tmp_path):
        write(
            "train.py",
            """
            import sys
            import tensorflow as tf

            def model_fn(features, labels, mode):
                logits = tf.layers.dense(features["x"], 1)
                loss = tf.losses.mean_squared_error(labels, logits)
                step = tf.train.get_global_step()
                train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
                return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

            def input_fn():
                return {"x": tf.ones([4, 2])}, tf.ones([4, 1])

            def main(_):
                estimator = tf.estimator.Estimator(model_fn, "model")
                estimator.train(input_fn, steps=tf.flags.FLAGS.steps)
                print(estimator.get_variable_names(), tf.executing_eagerly())
                sys.exit(3)

            tf.flags.DEFINE_integer("steps", 1, "")
            tf.app.run()
            """,
        )
        result = in_terminal("run", "--report", "train.py", "--steps=2", cwd=tmp_path)
        assert result.returncode == 3, result.stderr
        assert result.stdout == "['dense/bias', 'dense/kernel', 'global_step'] False\n"
        assert "train.py uses tf.layers.dense (line 6), so it runs as a program for TF 1" in (
            result.stderr
        )
        assert "tf.compat.v1.layers.dense" in result.stderr
        assert "train.py:6   keras.layers.Dense" in result.stderr
        assert (tmp_path / "model" / "model.ckpt-2.index").exists()

    def test_a_program_of_tf2(self, write, tmp_path):
        write(
            "train.py",
            """
            import tensorflow as tf
            from tensorflow.keras.layers import Dense
            print(tf.executing_eagerly(), tf.estimator.ModeKeys.TRAIN)
            print(Dense is tf.keras.layers.Dense)
            print(Dense.__module__.split(".")[0])
            """,
        )
        result = in_terminal("run", "train.py", cwd=tmp_path)
        assert result.stdout == "True train\nTrue\ntf_keras\n", result.stderr

    def test_errors(self, write, tmp_path):
        result = in_terminal("run", "absent.py", cwd=tmp_path)
        assert result.returncode == 2
        assert "python -m kestimator run: can't open file 'absent.py'" in result.stderr
