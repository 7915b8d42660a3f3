"""The network of recurrent estimators: its numbers, its variables, its cells, its arguments."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_features
from kestimator.canned.parts.recurrent import RecurrentPart
from kestimator.keys import ModeKeys
from tests.canned.parts.traced import Traced, names

fc = tf.feature_column
NUMBERS = fc.sequence_numeric_column("x")
CONTEXT = fc.numeric_column("age")
# Two sequences: of two steps, and of one.
X = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [0.5, -2.0, 1.5], [2, 2])
DENSE = np.array([[[0.5], [-2.0]], [[1.5], [0.0]]])
AGES = np.array([[3.0], [4.0]])
CELL = "rnn_model/simple_rnn/simple_rnn_cell"


def checked(**given: Any) -> RecurrentPart:
    defaults = {
        "columns": [NUMBERS],
        "context": None,
        "units": 3,
        "cell_type": "simple_rnn",
        "rnn_cell_fn": None,
        "return_sequences": False,
    }
    return RecurrentPart.checked(**{**defaults, **given})


def built(
    part: RecurrentPart, units: int = 2, mode: str | None = ModeKeys.EVAL, store: Any = None
) -> Traced:
    """The part; its result is what was built, and the mask."""

    def build(features: Any) -> Any:
        return part.build(column_features.Features(features), units=units, mode=mode)

    return Traced(build, {"x": X, "age": AGES.astype(np.float32)}, store)


def states(inputs: np.ndarray, values: Any, cell: str = CELL) -> np.ndarray:
    """The states of a simple recurrent cell after each step: (batch, time, n)."""
    kernel, recurrent, bias = (
        values[f"{cell}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
    )
    state, found = np.zeros([len(inputs), len(bias)]), []
    for step in range(inputs.shape[1]):
        state = np.tanh(inputs[:, step] @ kernel + state @ recurrent + bias)
        found.append(state)
    return np.stack(found, 1)


def dense(net: np.ndarray, values: Any) -> np.ndarray:
    return net @ values["rnn_model/logits/kernel"] + values["rnn_model/logits/bias"]


@pytest.fixture(scope="module")
def simple() -> Traced:
    """A simple recurrent network of three units."""
    return built(checked())


class TestBuild:
    def test_logits_follow_from_the_last_step_of_each_sequence(self, simple: Traced) -> None:
        made = simple
        values = made.randomized()
        logits, mask = made.run([made.result[0].logits, made.result[1]])
        assert mask.tolist() == [[True, True], [True, False]]
        found = states(DENSE, values)
        np.testing.assert_allclose(
            logits, dense(np.stack([found[0, 1], found[1, 0]]), values), rtol=1e-5
        )

    def test_logits_of_each_step(self) -> None:
        made = built(checked(return_sequences=True))
        values = made.randomized()
        logits, mask = made.run([made.result[0].logits, made.result[1]])
        assert logits.shape == (2, 2, 2)
        np.testing.assert_allclose(
            logits[mask], dense(states(DENSE, values), values)[mask], rtol=1e-5
        )

    def test_context_is_the_same_at_every_step(self) -> None:
        made = built(checked(context=[CONTEXT]))
        values = made.randomized()
        inputs = np.concatenate([DENSE, np.repeat(AGES[:, None], 2, 1)], 2)
        found = states(inputs, values)
        np.testing.assert_allclose(
            made.run(made.result[0].logits),
            dense(np.stack([found[0, 1], found[1, 0]]), values),
            rtol=1e-5,
        )

    def test_layers_on_each_other(self) -> None:
        made = built(checked(units=[3, 2]))
        values, net = made.randomized(), DENSE
        for name in ("simple_rnn_cell", "simple_rnn_cell_1"):
            net = states(net, values, f"rnn_model/rnn/stacked_rnn_cells/{name}")
        np.testing.assert_allclose(
            made.run(made.result[0].logits),
            dense(np.stack([net[0, 1], net[1, 0]]), values),
            rtol=1e-5,
        )

    def test_lengths_are_summarized(self, simple: Traced) -> None:
        found = simple.summaries()["rnn_model/sequence_input_layer/sequence_length"]
        assert (found.num, found.min, found.max) == (2, 1.0, 2.0)


class TestVariables:
    @pytest.mark.parametrize(
        ("given", "prefix"),
        [
            ({"cell_type": "gru"}, "gru/gru_cell"),
            ({"cell_type": "simple_rnn", "units": [3]}, "rnn/simple_rnn_cell"),
        ],
    )
    def test_names(self, given: Any, prefix: str) -> None:
        made = built(checked(**given))
        expected = [
            *(f"rnn_model/{prefix}/{name}" for name in ("kernel", "recurrent_kernel", "bias")),
            *("rnn_model/logits/kernel", "rnn_model/logits/bias"),
        ]
        assert names(made.result[0].variables) == expected
        # Keras 3 gives each cell seeds, which the original's checkpoints do not have.
        assert made.names() == expected

    def test_of_the_columns_come_first(self) -> None:
        ids = fc.sequence_categorical_column_with_identity("ids", 4)
        part = checked(columns=[fc.embedding_column(ids, 2)], context=[CONTEXT])

        def build(features: Any) -> Any:
            return part.build(column_features.Features(features), units=1, mode=ModeKeys.TRAIN)

        indices = tf.SparseTensor(X.indices, tf.constant([1, 2, 3], tf.int64), X.dense_shape)
        made = Traced(build, {"ids": indices, "age": AGES.astype(np.float32)})
        found = names(made.result[0].variables)
        assert found[:2] == ["sequence_features/ids_embedding/embedding_weights", f"{CELL}/kernel"]
        assert made.value(found[1]).shape == (3, 3)

    def test_are_shared_by_the_programs_of_a_store(self, simple: Traced) -> None:
        values = simple.randomized()
        second = built(checked(), mode=ModeKeys.TRAIN, store=simple.store)
        assert second.names() == simple.names() == list(values)
        np.testing.assert_array_equal(
            second.run(second.result[0].logits), simple.run(simple.result[0].logits)
        )

    def test_of_a_cell_with_dropout_are_seeded(self) -> None:
        made = built(
            checked(
                units=None,
                cell_type=None,
                rnn_cell_fn=lambda: keras.layers.SimpleRNNCell(3, dropout=0.5),
            ),
            mode=ModeKeys.TRAIN,
        )
        assert any(name.endswith("seed_generator_state") for name in made.names())
        assert not any("seed" in name for name in names(made.result[0].variables))


@pytest.mark.parametrize("mode", [ModeKeys.TRAIN, ModeKeys.EVAL])
def test_dropout_only_in_training(mode: str) -> None:
    """A step drops an input, which has one number, for a whole sequence or not at all."""

    def cell() -> Any:
        return keras.layers.SimpleRNNCell(1, activation=None, dropout=0.5, bias_initializer="ones")

    part = checked(units=None, cell_type=None, rnn_cell_fn=cell, return_sequences=True)

    def build(features: Any) -> Any:
        return part.build(column_features.Features(features), units=1, mode=mode)

    rows = 64
    indices = [[row, 0] for row in range(rows)]
    made = Traced(build, {"x": tf.SparseTensor(indices, [1.0] * rows, [rows, 1])})
    for name in ("rnn/simple_rnn_cell", "logits"):
        made.assign({f"rnn_model/{name}/kernel": [[1.0]]})
    logits = made.run(made.result[0].logits)[:, 0, 0]
    expected = [1.0, 3.0] if mode == ModeKeys.TRAIN else [2.0]
    assert sorted(set(logits.round(5).tolist())) == expected


class TestChecked:
    def test_columns_are_ordered_by_name(self) -> None:
        columns = [fc.sequence_numeric_column("b"), fc.sequence_numeric_column("a")]
        context = [fc.numeric_column("d"), fc.numeric_column("c")]
        part = checked(columns=columns, context=context)
        assert [column.name for column in part.columns] == ["a", "b"]
        assert [column.name for column in part.context] == ["c", "d"]

    @pytest.mark.parametrize("context", [None, []])
    def test_context_may_be_absent(self, context: Any) -> None:
        assert checked(context=context).context == ()

    @pytest.mark.parametrize(
        ("given", "name", "cell"),
        [
            ({"cell_type": "simple_rnn"}, "simple_rnn", keras.layers.SimpleRNNCell),
            ({"cell_type": "lstm"}, "lstm", keras.layers.LSTMCell),
            ({"cell_type": "gru"}, "gru", keras.layers.GRUCell),
            ({"cell_type": None}, "rnn", keras.layers.SimpleRNNCell),
            ({"cell_type": "gru", "units": [3]}, "rnn", keras.layers.GRUCell),
            ({"cell_type": keras.layers.LSTMCell}, "rnn", keras.layers.LSTMCell),
            ({"rnn_cell_fn": lambda: keras.layers.GRUCell(3)}, "rnn", keras.layers.GRUCell),
            ({"rnn_cell_fn": lambda: [keras.layers.GRUCell(3)]}, "rnn", keras.layers.GRUCell),
        ],
    )
    def test_the_kind_of_cell(self, given: Any, name: str, cell: type) -> None:
        if "rnn_cell_fn" in given:
            given = {**given, "units": None, "cell_type": None}
        layer = checked(**given).make_layer()
        assert (layer.name, type(layer.cell), layer.cell.units) == (name, cell, 3)

    @pytest.mark.parametrize("return_sequences", [True, False])
    @pytest.mark.parametrize("units", [2, np.int64(2), [2], np.array([2, 3])])
    def test_the_sizes_of_layers(self, units: Any, return_sequences: bool) -> None:
        layer = checked(units=units, return_sequences=return_sequences).make_layer()
        sizes = np.ravel(units).tolist()
        cells = getattr(layer.cell, "cells", [layer.cell])
        assert [cell.units for cell in cells] == sizes
        assert layer.return_sequences is return_sequences

    def test_each_layer_has_its_own_cells(self) -> None:
        part = checked(units=[2, 2])
        first, second = part.make_layer(), part.make_layer()
        assert first.cell is not second.cell
        assert not {id(cell) for cell in first.cell.cells} & {id(c) for c in second.cell.cells}

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("units", 0),
            ("units", None),
            ("units", 2.5),
            ("units", True),
            ("units", "8"),
            ("units", []),
            ("units", [3, 0]),
            ("units", [2.5]),
            ("cell_type", "rnn"),
            ("cell_type", 3),
            ("sequence_feature_columns", []),
            ("sequence_feature_columns", None),
            ("sequence_feature_columns", [NUMBERS, NUMBERS]),
            ("context_feature_columns", 3),
            ("context_feature_columns", {}),
        ],
    )
    def test_an_error_names_the_argument(self, argument: str, value: Any) -> None:
        short = {"sequence_feature_columns": "columns", "context_feature_columns": "context"}
        with pytest.raises(errors.ArgumentError, match=f"`{argument}`"):
            checked(**{short.get(argument, argument): value})

    @pytest.mark.parametrize(
        ("columns", "context", "name"),
        [
            ([NUMBERS, CONTEXT], None, r"`sequence_feature_columns\[1\]`"),
            ([NUMBERS], [CONTEXT, NUMBERS], r"`context_feature_columns\[1\]`"),
        ],
    )
    def test_an_error_names_a_column_in_the_wrong_place(
        self, columns: Any, context: Any, name: str
    ) -> None:
        with pytest.raises(errors.ArgumentError, match=name):
            checked(columns=columns, context=context)

    @pytest.mark.parametrize("given", [{"units": 3}, {"cell_type": "gru"}])
    def test_cells_have_one_source(self, given: Any) -> None:
        both = {"units": None, "cell_type": None, **given}
        with pytest.raises(errors.ArgumentError, match="`rnn_cell_fn`"):
            checked(**both, rnn_cell_fn=lambda: keras.layers.GRUCell(3))

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({"rnn_cell_fn": 3}, r"`rnn_cell_fn`"),
            ({"rnn_cell_fn": lambda: keras.layers.Dense(3)}, r"`rnn_cell_fn\(\)`"),
            ({"rnn_cell_fn": lambda: [keras.layers.GRUCell(3), None]}, r"`rnn_cell_fn\(\)`"),
            ({"units": 3, "cell_type": keras.layers.Dense}, r"`cell_type\(units=…\)`"),
        ],
    )
    def test_other_objects_are_not_cells(self, given: Any, name: str) -> None:
        with pytest.raises(errors.ArgumentError, match=name):
            checked(**{"units": None, "cell_type": None, **given}).make_layer()
