"""The tracker: what it knows the variables to hold, and what it puts back."""

from __future__ import annotations

import contextlib
import pathlib

import pytest

from kestimator import errors
from kestimator.engine.checkpoints import checkpoint_files, checkpoint_tracker
from kestimator.keys import ModeKeys
from tests.engine.parts import Line, Run


class Tracked(Run):
    """A run whose variables are tracked, with the default saver."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = checkpoint_tracker.CheckpointTracker(self.store)
        graph = self.model.graph
        with graph.as_default(), graph.unlocked():
            saver = checkpoint_files.default_saver(5, None)
            graph.add_to_collection("savers", saver)
            self.model.scaffold.finalize()
        self.saver = self.model.scaffold.saver

    def save(self, path: pathlib.Path, weight: float) -> str:
        """Writes a checkpoint with a value of the weight."""
        self.store["w"].variable.assign(weight)
        with self.model.graph.as_default():
            return self.saver.save(self.session, str(path / "model.ckpt"), global_step=int(weight))

    def load(self, path: str | None) -> float:
        """Loads a checkpoint, and gives the weight."""
        with self.model.graph.as_default():
            self.tracker.load(self.model, self.session, path)
        return float(self.value("w"))


@pytest.fixture
def run() -> Tracked:
    return Tracked()


def test_reads_a_checkpoint_once(run: Tracked, tmp_path: pathlib.Path) -> None:
    first, second = run.save(tmp_path, 1), run.save(tmp_path, 2)
    assert not run.tracker.holds(first, run.saver)
    assert run.load(first) == 1
    assert run.tracker.holds(first, run.saver)
    assert run.tracker.is_at(run.model, first)
    run.store["w"].variable.assign(7.0)  # behind its back: it does not read again
    assert run.load(first) == 7
    assert run.load(second) == 2
    assert run.load(first) == 1


def test_reads_again_after_a_change(run: Tracked, tmp_path: pathlib.Path) -> None:
    path = run.save(tmp_path, 3)
    run.load(path)
    run.store["w"].variable.assign(7.0)
    run.tracker.changed()
    assert not run.tracker.was_read_from(path)
    assert run.load(path) == 3


def test_none_stands_for_the_initial_values(run: Tracked, tmp_path: pathlib.Path) -> None:
    run.load(run.save(tmp_path, 4))
    assert run.load(None) == 0
    assert run.tracker.is_at(run.model, None)
    assert not run.tracker.is_at(run.program(Line(ModeKeys.EVAL)), None)


def test_a_checkpoint_that_was_just_written_is_held(run: Tracked, tmp_path: pathlib.Path) -> None:
    path = run.save(tmp_path, 5)
    run.tracker.saved(path, run.saver)
    run.store["w"].variable.assign(7.0)
    assert run.load(path) == 7


def test_preserved_puts_values_and_knowledge_back(run: Tracked, tmp_path: pathlib.Path) -> None:
    first, second = run.save(tmp_path, 1), run.save(tmp_path, 2)
    run.load(first)
    with contextlib.suppress(KeyError), run.tracker.preserved():
        assert run.load(second) == 2
        raise KeyError
    assert run.value("w") == 1
    assert run.tracker.holds(first, run.saver)


def test_a_missing_variable_is_an_error(run: Tracked, tmp_path: pathlib.Path) -> None:
    other = Tracked()
    path = other.save(tmp_path, 1)

    class Wider(Line):
        def call(self, features, labels):
            import tensorflow as tf

            tf.compat.v1.get_variable("more", [])
            return super().call(features, labels)

    run.model = run.program(Wider())
    with run.model.graph.as_default(), run.model.graph.unlocked():
        run.model.graph.add_to_collection("savers", checkpoint_files.default_saver(5, None))
        run.model.scaffold.finalize()
    run.session = type(run.session)(run.model.program, run.batches, lambda: run.lock)
    with pytest.raises(errors.MissingVariableError, match="more"):
        run.load(path)
    assert not run.tracker.was_read_from(path)


def test_one_call_of_train_at_a_time(run: Tracked) -> None:
    assert run.tracker.claim()
    assert not run.tracker.claim()
    run.tracker.give_back()
    assert run.tracker.claim()
