"""Files that cannot be opened are not damaged, and nobody is told to delete them."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

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
