"""The session: fetches of every kind, feeds, names, errors."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import tensorflow as tf

from tests.engine.parts import Run

Pair = collections.namedtuple("Pair", ["first", "second"])


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_structures_of_fetches_come_back_filled(run: Run) -> None:
    step = run.model.global_step
    with run.model.graph.as_default():
        views = {view.op.name: view for view in tf.compat.v1.global_variables()}
    fetches = {"pair": Pair(views["w"], [step, (step,)]), "empty": [], "name": "w:0"}
    values = run.session.run(fetches)
    assert values == {"pair": Pair(0.0, [0, (0,)]), "empty": [], "name": 0}
    assert type(values["pair"]) is Pair


def test_an_operation_gives_none(run: Run) -> None:
    assert run.session.run(run.model.spec.loss.op) is None


def test_feeds_take_the_place_of_tensors(run: Run) -> None:
    loss, features = run.model.spec.loss, run.model.program.inputs
    values = {tensor: np.array([3.0], np.float32) for tensor in features}
    assert run.session.run(loss, values) == pytest.approx(9.0)  # w is 0, the label 3


@pytest.mark.parametrize(
    ("fetches", "error", "words"),
    [
        (None, TypeError, "None"),
        ("absent:0", KeyError, "absent"),
        (tf.Graph().as_default, TypeError, "fetch"),
    ],
)
def test_errors_name_what_cannot_be_fetched(run: Run, fetches, error, words) -> None:
    with pytest.raises((error, ValueError), match=words):
        run.session.run(fetches)


def test_a_tensor_of_another_graph_is_refused(run: Run) -> None:
    with tf.Graph().as_default():
        foreign = tf.constant(1.0)
    with pytest.raises(ValueError, match="graph"):
        run.session.run(foreign)
