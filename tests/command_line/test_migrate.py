"""`python -m kestimator migrate`, as a person sees it."""

import codecs
import os
import pathlib
import subprocess
import sys

import pytest

from kestimator import command_line, migration

OLD = "import tensorflow as tf\ntf.estimator.RunConfig()\n"
NEW = "import kestimator\nkestimator.RunConfig()\n"


@pytest.fixture
def migrate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def migrate(*arguments):
        code = command_line.main(["migrate", *arguments])
        return code, *capsys.readouterr()

    return migrate


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_files_are_written_and_reported(migrate, write):
    path = write("a.py", f"{OLD}tf.contrib.foo\n")
    code, out, err = migrate("a.py")
    assert (code, err) == (0, "")
    assert path.read_text() == "import kestimator\nimport tensorflow as tf\n" + (
        "kestimator.RunConfig()\ntf.contrib.foo\n"
    )
    assert out == (
        "a.py\n"
        "  changed\n"
        "    line 2: tf.estimator.RunConfig -> kestimator.RunConfig\n"
        "    line 3: the first name of TensorFlow 1: read as a program of its time\n"
        "  to decide\n"
        "    line 3: tf.contrib.foo is gone: TensorFlow 2 has no tf.contrib\n"
        "1 file changed, 0 unchanged, 0 with errors; 1 decision left to you\n"
    )
    code, out, _ = migrate("a.py")
    assert code == 0
    assert out.endswith("\n0 files changed, 1 unchanged, 0 with errors; 1 decision left to you\n")


def test_check_writes_nothing(migrate, write):
    path = write("a.py", OLD)
    code, out, _ = migrate("--check", "a.py")
    assert code == 1
    assert "a.py\n  would change\n    line 2: " in out
    assert "1 file would change" in out
    assert path.read_text() == OLD
    path.write_text(NEW)
    assert migrate("--check", "a.py")[0] == 0


def test_diff_writes_nothing(migrate, write):
    path = write("a.py", OLD.rstrip())
    code, out, err = migrate("--diff", "a.py")
    assert code == 0
    assert out == (
        "--- a.py\n+++ a.py (migrated)\n@@ -1,2 +1,2 @@\n-import tensorflow as tf\n"
        "-tf.estimator.RunConfig()\n\\ No newline at end of file\n+import kestimator\n"
        "+kestimator.RunConfig()\n\\ No newline at end of file\n"
    )
    assert "1 file would change" in err
    assert path.read_text() == OLD.rstrip()
    assert migrate("--diff", "--check", "a.py")[0] == 1


def test_folders(migrate, write):
    names = (
        "b/c.py",
        "b/d/e.py",
        "n.ipynb",
        ".git/x.py",
        "venv/y.py",
        "b/__pycache__/z.py",
        "t.txt",
    )
    for name in names:
        write(name, OLD)
    write("venv/pyvenv.cfg", "")
    write("n.ipynb", '{"cells": [{"cell_type": "code", "source": "tf"}]}')
    code, out, _ = migrate(".", "b")
    assert code == 0
    assert "2 files changed, 1 unchanged" in out
    texts = [pathlib.Path(name).read_text() for name in names if name != "n.ipynb"]
    assert texts == [NEW, NEW, OLD, OLD, OLD, OLD]


def test_one_bad_file_does_not_stop_the_others(migrate, write):
    path = write("a.py", OLD)
    write("b.py", "print 'a'\n")
    write("c.py", "x = = 1\n")
    write("d.py", b"# coding: utf-9\n")
    write("e.py", b"\xff\xfe\n")
    write("f.ipynb", "{")
    code, out, err = migrate("missing.py", "b.py", "c.py", "d.py", "e.py", "f.ipynb", "a.py")
    assert code == 2
    assert path.read_text() == NEW
    lines = err.splitlines()
    assert lines[0] == "missing.py: No such file or folder."
    assert lines[1].startswith("b.py: No Python 3 (line 1: ")
    assert lines[1].endswith("convert it to Python 3 first, for example with 2to3.")
    assert lines[2].startswith("c.py: No Python 3 (line 1: ")
    assert lines[3].startswith("d.py: The text cannot be decoded: unknown encoding")
    assert lines[4].startswith("e.py: The text cannot be decoded:")
    assert lines[5].startswith("f.ipynb: No notebook of version 4")
    assert "1 file changed, 0 unchanged, 6 with errors" in out


def test_one_file_that_cannot_be_written_does_not_stop_the_others(migrate, write, monkeypatch):
    path, other = write("a.py", OLD), write("b.py", OLD)
    whole = migration.write

    def fails_for_a(file):
        if file.path.name == "a.py":
            raise PermissionError(13, "Permission denied")
        whole(file)

    monkeypatch.setattr(migration, "write", fails_for_a)
    code, out, err = migrate("a.py", "b.py")
    assert code == 2
    assert err == "a.py: The file cannot be written: Permission denied.\n"
    assert "1 file changed, 0 unchanged, 1 with errors" in out
    assert [path.read_text(), other.read_text()] == [OLD, NEW]


def test_a_folder_without_programs_is_an_error(migrate, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = migrate("empty")
    assert code == 2
    assert err == "empty: The folder contains no .py and no .ipynb file.\n"


def test_without_libcst(migrate, write, monkeypatch):
    write("a.py", OLD)
    monkeypatch.setitem(sys.modules, "libcst", None)
    code, _, err = migrate("a.py")
    assert code == 2
    assert "pip install 'kestimator[legacy]'" in err


@pytest.mark.parametrize(
    ("head", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (b"# -*- coding: latin-1 -*-\n", "latin-1")],
)
def test_encodings_stay(migrate, write, head, encoding):
    path = write("a.py", head + f"{OLD}# é\n".encode(encoding))
    assert migrate("a.py")[0] == 0
    assert path.read_bytes() == head + f"{NEW}# é\n".encode(encoding)


def test_modes_and_links_stay(migrate, write, tmp_path):
    path = write("a.py", OLD)
    path.chmod(0o755)
    (tmp_path / "link.py").symlink_to("a.py")
    assert migrate("link.py", "a.py")[0] == 0
    assert (tmp_path / "link.py").is_symlink()
    assert path.read_text() == NEW
    assert path.stat().st_mode & 0o777 == 0o755
    assert sorted(os.listdir(tmp_path)) == ["a.py", "link.py"]


def test_a_failed_write_leaves_the_file(write, monkeypatch):
    path = write("a.py", OLD)
    (file,) = migration.migrate_paths([path])
    monkeypatch.setattr("shutil.copymode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        migration.write(file)
    assert path.read_text() == OLD
    assert os.listdir(path.parent) == ["a.py"]


@pytest.mark.parametrize(("options", "name"), [([], "DNN"), (["--tf1"], "v1.DNN")])
def test_tf1(migrate, write, options, name):
    path = write("a.py", "import tensorflow as tf\ntf.estimator.DNNRegressor\n")
    assert migrate(*options, "a.py")[0] == 0
    assert path.read_text() == f"import kestimator\nkestimator.{name}Regressor\n"


@pytest.mark.slow
def test_in_a_terminal(write, tmp_path):
    write("a.py", OLD)
    command = [sys.executable, "-m", "kestimator", "migrate"]
    run = subprocess.run(
        [*command, "a.py", "none.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "1 file changed" in run.stdout
    assert "none.py: No such file or folder." in run.stderr
    assert "Traceback" not in run.stderr
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "usage: python -m kestimator migrate" in run.stderr
