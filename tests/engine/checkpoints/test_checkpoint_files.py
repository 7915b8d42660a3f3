"""Files that cannot be opened are not damaged, and nobody is told to delete them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files


def state(folder: pathlib.Path, text: str = 'model_checkpoint_path: "model.ckpt-1"\n') -> None:
    (folder / "checkpoint").write_text(text)


def message(function: Any, *args: Any) -> str:
    with pytest.raises(errors.UnreadableCheckpointError) as caught:
        function(*args)
    return str(caught.value)


# The tests may run as root, who may read everything: nobody can read a directory as a file.
@pytest.mark.parametrize("name", ["model.ckpt-1.index", "model.ckpt-1.data-00000-of-00001"])
def test_files_that_cannot_be_opened(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "model.ckpt-1.index").write_text("not an index")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    text = message(checkpoint_files.reader, str(tmp_path / "model.ckpt-1"))
    assert f"{name} exists but cannot be opened" in text
    assert "delete" not in text.lower()


def test_a_damaged_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "model.ckpt-1.index").write_text("not an index")
    text = message(checkpoint_files.reader, str(tmp_path / "model.ckpt-1"))
    assert "truncated or damaged" in text


def test_a_state_file_that_cannot_be_opened(tmp_path: pathlib.Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    text = message(checkpoint_files.latest_checkpoint, str(tmp_path))
    assert "cannot be opened" in text
    assert "delete" not in text


def test_a_state_file_that_is_a_link_to_nowhere(tmp_path: pathlib.Path) -> None:
    (tmp_path / "checkpoint").symlink_to(tmp_path / "gone")
    text = message(checkpoint_files.latest_checkpoint, str(tmp_path))
    assert "It is a link to" in text
    assert "gone" in text


def test_a_state_file_that_is_damaged(tmp_path: pathlib.Path) -> None:
    state(tmp_path, "nonsense")
    assert "delete it to start" in message(checkpoint_files.latest_checkpoint, str(tmp_path))


def test_shards_in_a_folder_with_brackets(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "[a]"
    folder.mkdir()
    for name in ("index", "data-00000-of-00002", "data-00001-of-00002"):
        assert not checkpoint_files.is_whole(str(folder / "model.ckpt-1"))
        (folder / f"model.ckpt-1.{name}").write_text("x")
    assert checkpoint_files.is_whole(str(folder / "model.ckpt-1"))


class TestOnCorruptCheckpoint:
    """What training does if the newest checkpoint is damaged."""

    @staticmethod
    def model_fn(features: Any, labels: Any, mode: Any) -> Any:
        w = tf.compat.v1.get_variable("w", [100], initializer=tf.compat.v1.ones_initializer())
        loss = tf.reduce_mean(w * features)
        step = tf.compat.v1.train.get_global_step()
        train_op = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    @staticmethod
    def input_fn() -> Any:
        return tf.data.Dataset.from_tensors(tf.ones([1])).repeat()

    def damaged(self, directory: pathlib.Path, how: str, **config: Any) -> Any:
        estimator = kestimator.Estimator(
            self.model_fn, directory, kestimator.RunConfig(save_checkpoints_steps=2, **config)
        )
        estimator.train(self.input_fn, steps=4)
        for step in (2, 4) if how == "two" else (4,):
            file = directory / f"model.ckpt-{step}.data-00000-of-00001"
            content = file.read_bytes()
            if how == "a byte":
                file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
            else:
                file.write_bytes(content[: len(content) // 2])
        return kestimator.Estimator(self.model_fn, directory, estimator.config)

    @pytest.mark.parametrize("how", ["half", "a byte"])
    def test_error_names_the_one_before(self, tmp_path: pathlib.Path, how: str) -> None:
        estimator = self.damaged(tmp_path, how)
        match = "(?s)model.ckpt-4.*The one before it is '.*model.ckpt-2'.*on_corrupt_checkpoint"
        with pytest.raises(errors.UnreadableCheckpointError, match=match):
            estimator.train(self.input_fn, max_steps=6)

    @pytest.mark.parametrize(("how", "from_step"), [("half", 2), ("a byte", 2), ("two", 0)])
    def test_previous(self, tmp_path: pathlib.Path, how: str, from_step: int, caplog: Any) -> None:
        estimator = self.damaged(tmp_path, how, on_corrupt_checkpoint="previous")
        weights = tf.train.load_variable(str(tmp_path / f"model.ckpt-{from_step}"), "w")
        with caplog.at_level("WARNING", logger="tensorflow"):
            estimator.train(self.input_fn, max_steps=from_step + 1)
        assert f"model.ckpt-{from_step}. The checkpoint" in caplog.text
        trained = estimator.get_variable_value("w")
        np.testing.assert_allclose(trained, weights - 0.001, rtol=1e-6)
        assert estimator.get_variable_value("global_step") == from_step + 1

    def test_none_is_sound(self, tmp_path: pathlib.Path) -> None:
        estimator = self.damaged(tmp_path, "two", on_corrupt_checkpoint="previous")
        file = tmp_path / "model.ckpt-0.data-00000-of-00001"
        file.write_bytes(file.read_bytes()[:100])
        state = (tmp_path / "checkpoint").read_bytes()
        with pytest.raises(errors.UnreadableCheckpointError, match=r"model\.ckpt-0"):
            estimator.train(self.input_fn, max_steps=6)
        assert (tmp_path / "checkpoint").read_bytes() == state

    def test_choices(self) -> None:
        with pytest.raises(errors.ArgumentError, match="'error', 'previous'"):
            kestimator.RunConfig(on_corrupt_checkpoint="next")
