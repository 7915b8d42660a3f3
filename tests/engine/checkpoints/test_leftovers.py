"""What killed processes left is cleared, and what a living process writes is not."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import tensorflow as tf

import kestimator
from kestimator.engine.checkpoints import checkpoint_files, keras_writing, leftovers
from kestimator.engine.saved_models import export_files

LEFT = [
    "model.ckpt-9_temp/part-00000-of-00001.data-00000-of-00001",
    "model.ckpt-9.data-00000-of-00001",
    "model.ckpt-8.meta",
    "graph.pbtxt.0123456789abcdef.part",
    "checkpoint.tmp0123456789abcdef0123456789abcdef",
]
KEPT = [
    "model.ckpt-7.data-00000-of-00001",
    "mine.ckpt-9.data-00000-of-00001",
    "model.ckpt-3_temp.txt",
    "notes.part",
    "export/1234567890/saved_model.pb",
]


@pytest.fixture
def no_grace(monkeypatch: Any) -> None:
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.0)


def lay(folder: pathlib.Path, names: list[str], age: float = 100.0) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        past = time.time() - age
        os.utime(path, (past, past))
        if path.parent != folder:
            os.utime(path.parent, (past, past))


def exist(folder: pathlib.Path, names: list[str]) -> list[str]:
    return [name for name in names if (folder / name).exists()]


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = tf.compat.v1.get_variable("w", [])
    step = tf.compat.v1.train.get_global_step()
    return kestimator.EstimatorSpec(mode, {"w": w}, w * 1.0, step.assign_add(1))


def input_fn() -> Any:
    return tf.data.Dataset.from_tensors({"x": 1.0}).repeat()


@pytest.mark.usefixtures("no_grace")
def test_training_clears_the_model_dir(tmp_path: pathlib.Path) -> None:
    estimator = kestimator.Estimator(model_fn, tmp_path).train(input_fn, steps=1)
    lay(tmp_path, LEFT + KEPT)
    state = tmp_path / "checkpoint"
    # A checkpoint without an index that the state file names is damaged, and not a leftover.
    state.write_text(state.read_text() + 'all_model_checkpoint_paths: "model.ckpt-7"\n')
    estimator.evaluate(input_fn, steps=1)
    assert exist(tmp_path, LEFT) == LEFT  # an evaluator clears nothing
    estimator.train(input_fn, steps=1)
    assert not exist(tmp_path, LEFT)
    assert exist(tmp_path, KEPT) == KEPT
    assert estimator.get_variable_value("global_step") == 2


@pytest.mark.usefixtures("no_grace")
def test_what_is_newer_than_the_run_stays(tmp_path: pathlib.Path) -> None:
    lay(tmp_path, LEFT, age=-100.0)
    with leftovers.writing_in(str(tmp_path)) as is_locked:
        assert is_locked
    assert exist(tmp_path, LEFT) == LEFT


def test_what_was_copied_within_the_hour_stays(tmp_path: pathlib.Path) -> None:
    lay(tmp_path, [*LEFT, "temp-1234567890/saved_model.pb"], age=1e6)  # as `cp -p` does
    with leftovers.writing_in(str(tmp_path)) as is_locked:
        assert is_locked
    leftovers.delete_abandoned(str(tmp_path), r"temp-\d{10}")
    assert exist(tmp_path, LEFT) == LEFT
    assert exist(tmp_path, ["temp-1234567890"])


@pytest.mark.usefixtures("no_grace")
def test_what_is_deep_in_a_directory_counts(tmp_path: pathlib.Path) -> None:
    names = ["temp-1234567890/variables/deep/data", "temp-1234567891/variables/deep/data"]
    lay(tmp_path, names)
    future = time.time() + 100.0
    os.utime(tmp_path / names[0], (future, future))
    leftovers.delete_abandoned(str(tmp_path), r"temp-\d{10}")
    assert os.listdir(tmp_path) == ["temp-1234567890"]


@pytest.mark.usefixtures("no_grace")
def test_each_writer_shares_the_lock(tmp_path: pathlib.Path) -> None:
    lay(tmp_path, LEFT)
    first, second = (leftovers.writing_in(str(tmp_path)) for _ in range(2))
    with first as is_locked:
        assert is_locked
        assert not exist(tmp_path, LEFT)
        lay(tmp_path, LEFT)
        second.__enter__()
    # The first writer is gone, the second one writes on.
    with leftovers.writing_in(str(tmp_path)) as is_locked:
        assert is_locked
        assert exist(tmp_path, LEFT) == LEFT
    second.__exit__(None, None, None)
    with leftovers.writing_in(str(tmp_path)):
        assert not exist(tmp_path, LEFT)


def test_a_writer_waits_for_the_one_that_deletes(tmp_path: pathlib.Path) -> None:
    with leftovers._opened(str(tmp_path)) as handle:
        assert leftovers._is_alone(handle)
        timer = threading.Timer(0.1, lambda: leftovers._shares(handle))
        timer.start()
        with leftovers.writing_in(str(tmp_path)) as is_locked:
            assert is_locked
        timer.join()


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize("name", ["temp-1234567890", "temp-12", "1234567890"])
def test_exports(tmp_path: pathlib.Path, name: str) -> None:
    lay(tmp_path, [f"{name}/saved_model.pb"])
    with export_files.ExportDirectory(str(tmp_path)) as directory:
        path = pathlib.Path(directory.make())
        past = time.time() - 100.0
        os.utime(path, (past, past))
        leftovers.delete_abandoned(str(tmp_path), r"temp-\d{10}")
        assert path.exists()  # it is being written
        assert (tmp_path / name).exists() == (name != "temp-1234567890")
        directory.finish()
    assert len(os.listdir(tmp_path)) == (1 if name == "temp-1234567890" else 2)


@pytest.mark.usefixtures("no_grace")
def test_keras_files(tmp_path: pathlib.Path) -> None:
    others = [".temp-abcdefg1", ".temp-mine", ".kestimator-temp-mine"]
    lay(tmp_path, [f"{name}/model.keras" for name in [*others, ".kestimator-temp-abcdefg1"]])
    keras_writing.write(str(tmp_path / "m.keras"), lambda part: pathlib.Path(part).write_text("m"))
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "m.keras"])


@pytest.mark.parametrize("kind", ["LOCK_EX", "LOCK_SH"])
@pytest.mark.usefixtures("no_grace")
def test_a_killed_process_gives_its_lock_back(tmp_path: pathlib.Path, kind: str) -> None:
    lay(tmp_path, ["temp-1234567890/variables"])
    program = f"""
import fcntl, os, time
fcntl.flock(os.open({str(tmp_path / "temp-1234567890")!r}, os.O_RDONLY), fcntl.{kind})
print("locked", flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        leftovers.delete_abandoned(str(tmp_path), r"temp-\d{10}")
        assert os.listdir(tmp_path) == ["temp-1234567890"]
        process.send_signal(signal.SIGKILL)
    leftovers.delete_abandoned(str(tmp_path), r"temp-\d{10}")
    assert not os.listdir(tmp_path)


def test_old_data_files_are_deleted_in_a_folder_with_brackets(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "lr[0.1]"
    config = kestimator.RunConfig(save_checkpoints_steps=1, keep_checkpoint_max=2)
    for _ in range(2):  # another process knows the checkpoints from the state file
        estimator = kestimator.Estimator(model_fn, folder, config).train(input_fn, steps=3)
    data = sorted(path.name for path in folder.iterdir() if path.name.startswith("model.ckpt"))
    endings = ("data-00000-of-00001", "index", "meta")
    assert data == [f"model.ckpt-{step}.{ending}" for step in (5, 6) for ending in endings]
    assert estimator.latest_checkpoint() == f"{folder}/model.ckpt-6"


def test_parts_have_different_names(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    parts: list[str] = []
    monkeypatch.setattr(tf.io.gfile, "rename", lambda part, path, overwrite: parts.append(part))
    for _ in range(2):
        checkpoint_files.write_whole(str(tmp_path / "graph.pbtxt"), b"content")
    assert parts[0] != parts[1]
    assert all(leftovers._FILES.fullmatch(os.path.basename(part)) for part in parts)
