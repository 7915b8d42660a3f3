"""The linear model of linear estimators: its variables, its logits, its summaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_features
from kestimator.canned.parts.linear_models import LinearPart
from kestimator.keys import ModeKeys
from tests.canned.parts.traced import Traced, names, v1

fc = tf.feature_column
X = np.array([[1.0, -2.0], [0.5, 4.0], [-3.0, 0.25]], np.float32)
NUMBERS = fc.numeric_column("x", shape=[2])
IDS = fc.categorical_column_with_identity("c", 3)
VARIABLES = ["linear_model/c/weights", "linear_model/x/weights", "linear_model/bias_weights"]


def built(
    part: LinearPart, features: Any, *, units: int = 1, mode: str | None = ModeKeys.TRAIN
) -> Traced:
    """The part, with what `build_model` returns."""

    def build(features: Any) -> Any:
        return part.build_model(column_features.Features(features), units=units, mode=mode)

    return Traced(build, features)


def made_of_both(units: int = 1, mode: str | None = ModeKeys.TRAIN) -> Traced:
    part = LinearPart.checked("feature_columns", [NUMBERS, IDS], "sum")
    return built(part, {"x": X, "c": np.array([[2], [-1], [0]])}, units=units, mode=mode)


class TestBuild:
    @pytest.mark.parametrize("units", [1, 3])
    def test_variables_have_the_names_and_order_of_the_original(self, units: int) -> None:
        made = made_of_both(units)
        model, variables = made.result
        assert names(variables) == made.names("TRAINABLE_VARIABLES") == VARIABLES
        assert names(model.weights) == VARIABLES[:2]
        assert names([model.bias]) == VARIABLES[2:]
        shapes = [variable.shape.as_list() for variable in variables]
        assert shapes == [[3, units], [2, units], [units]]
        assert not any(made.value(name).any() for name in VARIABLES)
        assert made.run(model.logits).tolist() == [[0.0] * units] * 3

    @pytest.mark.parametrize("mode", [ModeKeys.TRAIN, ModeKeys.EVAL, None])
    @pytest.mark.parametrize("units", [1, 3])
    def test_logits_follow_from_the_weights(self, units: int, mode: str | None) -> None:
        made = made_of_both(units, mode)
        table, weights, bias = map(made.randomized().get, VARIABLES)
        rows = np.array([table[2], np.zeros(units), table[0]])  # -1 is not an id
        np.testing.assert_allclose(
            made.run(made.result[0].logits), X @ weights + rows + bias, rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("combiner", "divisors"), [("sum", [1, 1]), ("mean", [2, 1]), ("sqrtn", [2**0.5, 1])]
    )
    def test_several_ids_of_an_example_are_combined(
        self, combiner: str, divisors: list[float]
    ) -> None:
        ids = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], tf.constant([0, 2, 1], tf.int64), [3, 2])
        made = built(LinearPart.checked("columns", IDS, combiner), {"c": ids})
        made.assign({VARIABLES[0]: [[1.0], [10.0], [100.0]], VARIABLES[2]: [1000.0]})
        expected = [101.0 / divisors[0] + 1000.0, 10.0 / divisors[1] + 1000.0, 1000.0]
        np.testing.assert_allclose(made.run(made.result[0].logits)[:, 0], expected, rtol=1e-6)

    def test_gives_logits_and_all_that_training_changes(self) -> None:
        def build(features: Any) -> Any:
            with v1.variable_scope("linear"):
                features = column_features.Features(features)
                return LinearPart((NUMBERS,)).build(features, units=2, mode=ModeKeys.TRAIN)

        made = Traced(build, {"x": X})
        assert names(made.result.variables) == [f"linear/{name}" for name in VARIABLES[1:]]
        assert made.result.update_ops == []
        made.assign({"linear/linear_model/bias_weights": [1.0, 2.0]})
        assert made.run(made.result.logits).tolist() == [[1.0, 2.0]] * 3


class TestSummaries:
    def test_of_one_logit_show_the_bias(self) -> None:
        made = made_of_both()
        made.assign({VARIABLES[2]: [0.5]})
        assert made.summaries() == {"bias": 0.5, "fraction_of_zero_weights": 1.0}

    def test_of_several_logits_show_a_histogram_of_biases(self) -> None:
        made = made_of_both(units=2)
        made.assign({VARIABLES[2]: [0.5, 2.0]})
        found = made.summaries()["bias"]
        assert (found.num, found.min, found.max) == (2, 0.5, 2.0)

    def test_the_fraction_of_zeros_counts_all_weights_alike(self) -> None:
        made = made_of_both()
        made.assign({VARIABLES[0]: [[0.0], [7.0], [0.0]], VARIABLES[1]: [[0.0], [0.0]]})
        assert made.summaries()["fraction_of_zero_weights"] == pytest.approx(4 / 5)


class TestChecked:
    def test_columns_are_ordered_by_name(self) -> None:
        part = LinearPart.checked("feature_columns", [NUMBERS, IDS], "mean")
        assert part == LinearPart((IDS, NUMBERS), "mean")

    @pytest.mark.parametrize("prefix", ["", "linear_"])
    def test_an_error_names_the_combiner(self, prefix: str) -> None:
        with pytest.raises(errors.ArgumentError, match=f"`{prefix}sparse_combiner`.*'max'"):
            LinearPart.checked("feature_columns", [NUMBERS], "max", prefix=prefix)

    @pytest.mark.parametrize(
        ("columns", "name"),
        [
            ([], "given"),
            ({"x": NUMBERS}, "given"),
            ([NUMBERS, NUMBERS], "given"),
            ([NUMBERS, fc.sequence_numeric_column("s")], r"given\[1\]"),
            (["x"], r"given\[0\]"),
        ],
    )
    def test_an_error_names_the_columns(self, columns: Any, name: str) -> None:
        with pytest.raises(errors.ArgumentError, match=f"`{name}`"):
            LinearPart.checked("given", columns, "sum")
