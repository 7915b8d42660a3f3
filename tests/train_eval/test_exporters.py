"""Exporters: which model is the best after a restart, what a kill leaves, bad input."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator.adapters.hooks import event_files
from kestimator.engine.saved_models import export_files
from kestimator.train_eval import best_result

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    w = v1.get_variable("w", [1, 1], initializer=v1.ones_initializer())
    y = features["x"] @ w
    if mode == kestimator.ModeKeys.PREDICT:
        return kestimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.reduce_mean((y - labels) ** 2)
    step = v1.train.get_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
    return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn() -> tf.data.Dataset:
    x = np.ones([4, 1], "float32")
    return tf.data.Dataset.from_tensors(({"x": x}, 2 * x)).repeat(2)


def receiver_fn() -> Any:
    x = v1.placeholder(tf.float32, [None, 1])
    return kestimator.export.ServingInputReceiver({"x": x}, {"x": x})


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: Any) -> pathlib.Path:
    path = tmp_path_factory.mktemp("trained") / "model"
    kestimator.Estimator(model_fn, path).train(input_fn)
    return path


@pytest.fixture
def estimator(trained_once: pathlib.Path, tmp_path: Any) -> kestimator.Estimator:
    return kestimator.Estimator(model_fn, shutil.copytree(trained_once, tmp_path / "model"))


@pytest.fixture
def seconds(monkeypatch: Any) -> None:
    """A clock that moves on by itself, so that no export waits for the next second."""
    now = iter(range(1_700_000_000, 1_800_000_000))
    monkeypatch.setattr(export_files.time, "time", lambda: next(now))


pytestmark = pytest.mark.usefixtures("seconds")


class Judge:
    """Asks a fresh exporter each time, as a restart does."""

    def __init__(self, estimator: kestimator.Estimator, **given: Any) -> None:
        self.estimator, self.given = estimator, given
        self.folder = os.path.join(estimator.model_dir, "export", "best_exporter")

    def __call__(self, checkpoint: str | None = None, **result: Any) -> bool:
        exporter = kestimator.BestExporter(serving_input_receiver_fn=receiver_fn, **self.given)
        path = checkpoint or self.estimator.latest_checkpoint()
        return exporter.export(self.estimator, self.folder, path, result, False) is not None

    @property
    def exports(self) -> list[str]:
        return export_files.exports_in(self.folder)

    @property
    def record(self) -> best_result.Record:
        return best_result.read(self.folder)


class TestBestAfterARestart:
    def test_by_loss(self, estimator: Any) -> None:
        judge = Judge(estimator)
        assert [judge(loss=np.float32(loss)) for loss in (2, 3, 2, 1, 1.5)] == [1, 0, 0, 1, 0]
        assert len(judge.exports) == 2
        assert judge.record == best_result.Record({"loss": np.float32(1)})

    def test_without_event_files(self, estimator: Any) -> None:
        judge = Judge(estimator, event_file_pattern=None)
        assert [judge(loss=loss) for loss in (2.0, 3.0)] == [1, 0]

    @pytest.mark.parametrize(("mode", "expected"), [("max", [1, 1, 0, 0]), ("min", [1, 0, 1, 0])])
    def test_by_a_metric(self, estimator: Any, mode: str, expected: Any) -> None:
        judge = Judge(estimator, metric="accuracy", mode=mode)
        assert [judge(loss=1.0, accuracy=a) for a in (0.5, 0.75, 0.25, 0.5)] == expected

    def test_another_metric_than_before(self, estimator: Any) -> None:
        assert Judge(estimator)(loss=1.0, accuracy=0.5)
        judge = Judge(estimator, metric="accuracy", mode="max")
        assert not judge(loss=0.5, accuracy=0.5)
        assert judge(loss=2.0, accuracy=0.75)
        assert Judge(estimator, metric="auc", mode="max")(auc=0.1)

    def test_nan_is_worse_than_a_number(self, estimator: Any) -> None:
        judge = Judge(estimator)
        losses = (np.nan, np.nan, 2.0, np.nan)
        assert [judge(loss=np.float32(loss)) for loss in losses] == [1, 0, 1, 0]

    def test_by_arrays_and_bytes(self, estimator: Any) -> None:
        def compare_fn(best_eval_result: Any, current_eval_result: Any) -> bool:
            assert best_eval_result["name"] == b"\xff\x00"
            assert best_eval_result["matrix"].dtype == np.int64
            return current_eval_result["matrix"].sum() > best_eval_result["matrix"].sum()

        judge = Judge(estimator, compare_fn=compare_fn)
        results = [np.full([2, 2], value) for value in (1, 0, 2)]
        assert [judge(matrix=result, name=b"\xff\x00") for result in results] == [1, 0, 1]

    def test_attributes_tell_the_best(self, estimator: Any) -> None:
        def ask(exporter: Any, loss: float) -> Any:
            path = os.path.join(estimator.model_dir, "export", exporter.name)
            checkpoint = estimator.latest_checkpoint()
            return exporter.export(estimator, path, checkpoint, {"loss": loss}, False)

        exporter = kestimator.BestExporter(serving_input_receiver_fn=receiver_fn)
        assert (exporter.best_result, exporter.best_path) == (None, None)
        first = ask(exporter, 2.0)
        assert (exporter.best_result, exporter.best_path) == ({"loss": 2.0}, first.decode())
        second = ask(exporter, 1.0)
        assert ask(exporter, 3.0) is None
        assert (exporter.best_result, exporter.best_path) == ({"loss": 1.0}, second.decode())
        after_restart = kestimator.BestExporter(serving_input_receiver_fn=receiver_fn)
        assert ask(after_restart, 3.0) is None
        assert after_restart.best_result == {"loss": 1.0}
        assert after_restart.best_path == second.decode()

    def test_event_files_tell_the_best_of_exports_without_a_file(self, estimator: Any) -> None:
        judge = Judge(estimator)
        for step, loss in ((1, 3.0), (2, 2.0), (3, 0.5)):
            values = {"loss": np.float32(loss), "global_step": step}
            event_files.write_evaluation(estimator.eval_dir(), values, None)
        assert judge(loss=np.float32(4.0), global_step=3)  # nothing is exported yet
        os.remove(best_result.path_of(judge.folder))
        assert not judge(loss=np.float32(2.5), global_step=3)
        assert judge(loss=np.float32(0.5), global_step=3)  # its own event does not count

    def test_an_unusable_file(self, estimator: Any, caplog: Any) -> None:
        judge = Judge(estimator)
        assert judge(loss=1.0)
        for content in ("", "{}", "[1]", '{"best": 3, "started": null}'):
            pathlib.Path(best_result.path_of(judge.folder)).write_text(content)
            caplog.clear()
            assert judge.record == best_result.Record()
            assert best_result.path_of(judge.folder) in caplog.text


class TestKilled:
    """The states of a folder that a kill leaves, made by hand."""

    def start(self, judge: Judge, **given: Any) -> None:
        assert judge(loss=3.0)
        started = {"checkpoint_path": judge.estimator.latest_checkpoint(), **given}
        record = judge.record.starts(
            started["checkpoint_path"], {"loss": np.float64(1.0)}, judge.exports
        )
        best_result.write(judge.folder, record)

    def test_before_the_export_was_whole(self, estimator: Any, caplog: Any) -> None:
        judge = Judge(estimator)
        self.start(judge)
        half = pathlib.Path(judge.folder, "temp-1699999999")
        (half / "variables").mkdir(parents=True)
        with caplog.at_level(logging.INFO, "tensorflow"):
            assert not judge(loss=2.0)
        assert "again, because it was interrupted" in caplog.text
        assert len(judge.exports) == 2
        assert not half.exists()
        assert judge.record == best_result.Record({"loss": 1.0})

    def test_after_the_export_was_whole(self, estimator: Any) -> None:
        judge = Judge(estimator)
        self.start(judge)
        shutil.copytree(
            os.path.join(judge.folder, judge.exports[0]), os.path.join(judge.folder, "1799999999")
        )
        assert not judge(loss=2.0)
        assert len(judge.exports) == 2
        assert judge.record == best_result.Record({"loss": 1.0})

    def test_and_the_checkpoint_is_gone(self, estimator: Any, caplog: Any) -> None:
        judge = Judge(estimator)
        self.start(judge, checkpoint_path=f"{estimator.model_dir}/model.ckpt-77")
        assert judge(loss=2.0)
        assert "model.ckpt-77" in caplog.text
        assert len(judge.exports) == 2
        assert judge.record == best_result.Record({"loss": 2.0})

    def test_event_files_are_read_up_to_the_damage(self, estimator: Any, caplog: Any) -> None:
        values = {"loss": np.float32(0.5), "global_step": 1}
        event_files.write_evaluation(estimator.eval_dir(), values, None)
        (file,) = pathlib.Path(estimator.eval_dir()).iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole + whole[-20:])
        assert event_files.read_scalars(estimator.eval_dir()) == {1: {"loss": 0.5}}
        assert file.name in caplog.text


class TestFailing:
    def test_nothing_is_left_of_a_first_export(self, estimator: Any) -> None:
        judge = Judge(estimator)
        with pytest.raises(ValueError, match="checkpoint_path"):
            judge(f"{estimator.model_dir}/model.ckpt-77", loss=1.0)
        assert not os.path.exists(judge.folder)

    def test_the_file_is_as_before(self, estimator: Any) -> None:
        judge = Judge(estimator)
        assert judge(loss=1.0)
        before = json.loads(pathlib.Path(best_result.path_of(judge.folder)).read_text())
        with pytest.raises(ValueError, match="checkpoint_path"):
            judge(f"{estimator.model_dir}/model.ckpt-77", loss=0.5)
        assert json.loads(pathlib.Path(best_result.path_of(judge.folder)).read_text()) == before
        assert len(judge.exports) == 1


def compare(best_eval_result: Any, current_eval_result: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"serving_input_receiver_fn": None}, ValueError, ["serving_input_receiver_fn", "build_"]),
        ({"serving_input_receiver_fn": 3}, TypeError, ["serving_input_receiver_fn", "3"]),
        ({"name": 3}, TypeError, ["name", "a string"]),
        ({"name": "../up"}, ValueError, ["name", r"\.\."]),
        ({"name": "/tmp/elsewhere"}, ValueError, ["name", "a relative path"]),
        ({"name": "gs://elsewhere"}, ValueError, ["name", "a relative path"]),
        ({"exports_to_keep": 0}, ValueError, ["exports_to_keep", "above 0"]),
        ({"exports_to_keep": "all"}, TypeError, ["exports_to_keep", "a number"]),
        ({"assets_extra": {"../a": __file__}}, ValueError, ["assets_extra", r"\.\./a"]),
        ({"event_file_pattern": 3}, TypeError, ["event_file_pattern", "a path"]),
        ({"compare_fn": None}, ValueError, ["compare_fn", "best_eval_result"]),
        ({"compare_fn": 3}, TypeError, ["a callable"]),
        ({"compare_fn": lambda a, b: a}, ValueError, ["compare_fn", r"\['a', 'b'\]"]),
        ({"metric": "auc"}, ValueError, ["mode", "None", "'min' if", "'max' if", "'auc'"]),
        ({"metric": "auc", "mode": "auto"}, ValueError, ["mode", "'auto'"]),
        ({"mode": "max"}, ValueError, ["metric", "None"]),
        ({"metric": 3, "mode": "max"}, ValueError, ["metric", "3"]),
        ({"metric": "auc", "mode": "max", "compare_fn": compare}, ValueError, ["both", "'auc'"]),
    ],
)
def test_wrong_arguments(arguments: Any, kind: Any, parts: Any) -> None:
    pattern = "(?s)^" + "".join(f"(?=.*{part})" for part in parts)
    with pytest.raises(kind, match=pattern) as caught:
        kestimator.BestExporter(**{"serving_input_receiver_fn": receiver_fn, **arguments})
    assert isinstance(caught.value, kestimator.errors.KestimatorError)


@pytest.mark.parametrize("result", [{}, {"accuracy": 1.0}, {"loss": np.ones(2)}])
def test_result_without_the_metric(estimator: Any, result: Any) -> None:
    judge = Judge(estimator)
    with pytest.raises(ValueError, match="(?s)eval_result.*'loss'.*`metric=`"):
        judge(**result)
    assert not os.path.exists(judge.folder)


def test_the_folder_of_the_best_holds_versions_only(estimator: Any) -> None:
    """Programs and servers take the last name in it for the newest version."""
    judge = Judge(estimator, exports_to_keep=1)
    assert [judge(loss=loss) for loss in (2.0, 1.0)] == [1, 1]
    (version,) = os.listdir(judge.folder)
    assert version.isdigit()


def test_assets_may_be_written_during_training(estimator: Any, tmp_path: Any) -> None:
    notes = tmp_path / "notes.txt"
    exporter = kestimator.FinalExporter("final", receiver_fn, {"notes.txt": str(notes)})
    arguments = (estimator, str(tmp_path / "final"), estimator.latest_checkpoint(), {}, True)
    with pytest.raises(ValueError, match=r"assets_extra\['notes.txt'\].*an existing file"):
        exporter.export(*arguments)
    notes.write_text("by now")
    path = pathlib.Path(exporter.export(*arguments).decode())
    assert (path / "assets.extra" / "notes.txt").read_text() == "by now"


def test_a_search_for_a_free_name_ends(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(export_files.time, "time", lambda: 1_700_000_000)
    monkeypatch.setattr(export_files.time, "sleep", lambda seconds: None)
    (tmp_path / "1700000000").mkdir()
    with pytest.raises(RuntimeError, match="No name is free.*another directory"):
        export_files.ExportDirectory(str(tmp_path)).make()
    assert os.listdir(tmp_path) == ["1700000000"]


def test_latest_keeps_some_and_what_is_not_its_own(estimator: Any, tmp_path: Any) -> None:
    folder = tmp_path / "latest"
    for name in ("notes", "12345", "temp-mine", "temp-1234567890"):
        (folder / name).mkdir(parents=True)
    exporter = kestimator.LatestExporter("latest", receiver_fn, exports_to_keep=2)
    checkpoint = estimator.latest_checkpoint()
    paths = [exporter.export(estimator, str(folder), checkpoint, {}, False) for _ in range(4)]
    names = [os.path.basename(os.fsdecode(path)) for path in paths]
    assert sorted(os.listdir(folder)) == sorted([*names[2:], "notes", "12345", "temp-mine"])


def test_interface_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        kestimator.Exporter()  # type: ignore[abstract]
