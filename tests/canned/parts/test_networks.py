"""The network of deep estimators: its variables, its numbers, its updates, its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.adapters.feature_columns import column_features
from kestimator.canned.parts.networks import NetworkPart
from kestimator.keys import ModeKeys
from tests.canned.parts.traced import Traced, names, v1

fc = tf.feature_column
X = np.array([[1.0, -2.0], [0.5, 4.0], [-3.0, 0.25]], np.float32)
NUMBERS = [fc.numeric_column("x", shape=[2])]
FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


def built(
    part: NetworkPart,
    features: Any = None,
    *,
    units: int = 2,
    mode: str | None = ModeKeys.EVAL,
    **options: Any,
) -> Traced:
    """The part below the scope `dnn`, as deep estimators build it."""

    def build(features: Any) -> Any:
        with v1.variable_scope("dnn", auxiliary_name_scope=False):
            features = column_features.Features(features)
            return part.build(features, units=units, mode=mode, **options)

    return Traced(build, {"x": X} if features is None else features)


def checked(**given: Any) -> NetworkPart:
    defaults = {
        "columns": NUMBERS,
        "hidden_units": [3],
        "activation_fn": "relu",
        "dropout": None,
        "batch_norm": False,
    }
    return NetworkPart.checked(**{**defaults, **given})


class TestBuild:
    @pytest.mark.parametrize(
        ("activation", "expected"),
        [("relu", "relu"), (tf.nn.tanh, "tanh"), ("tanh", "tanh"), (None, "identity")],
    )
    def test_logits_follow_from_the_weights(self, activation: Any, expected: str) -> None:
        made = built(checked(hidden_units=[4, 3], activation_fn=activation))
        values, net = made.randomized(), X
        for name in ("hiddenlayer_0", "hiddenlayer_1"):
            kernel, bias = values[f"dnn/{name}/kernel"], values[f"dnn/{name}/bias"]
            net = FUNCTIONS[expected](net @ kernel + bias)
        expected_logits = net @ values["dnn/logits/kernel"] + values["dnn/logits/bias"]
        np.testing.assert_allclose(made.run(made.result.logits), expected_logits, rtol=1e-5)

    def test_variables_have_the_names_and_order_of_the_original(self) -> None:
        made = built(checked(hidden_units=[4, 3]))
        expected = [
            f"dnn/{layer}/{name}"
            for layer in ("hiddenlayer_0", "hiddenlayer_1", "logits")
            for name in ("kernel", "bias")
        ]
        assert names(made.result.variables) == made.names("TRAINABLE_VARIABLES") == expected
        assert made.result.update_ops == []
        shapes = [variable.shape.as_list() for variable in made.result.variables]
        assert shapes == [[2, 4], [4], [4, 3], [3], [3, 2], [2]]
        for name in expected:
            value = made.value(name)
            limit = np.sqrt(6.0 / sum(value.shape))  # of Glorot's uniform initializer
            assert not value.any() if value.ndim == 1 else 0 < np.abs(value).max() <= limit

    def test_rows_of_the_kernel_follow_the_names_of_columns(self) -> None:
        part = checked(columns=[fc.numeric_column("b"), fc.numeric_column("a")], hidden_units=[1])
        made = built(part, {"a": X[:, :1], "b": X[:, 1:]}, units=1)
        assert [column.name for column in part.columns] == ["a", "b"]
        made.assign(
            {
                "dnn/hiddenlayer_0/kernel": [[10.0], [1.0]],
                "dnn/hiddenlayer_0/bias": [100.0],
                "dnn/logits/kernel": [[1.0]],
            }
        )
        np.testing.assert_allclose(
            made.run(made.result.logits)[:, 0], 10 * X[:, 0] + X[:, 1] + 100, rtol=1e-6
        )

    def test_an_embedding_comes_first_and_is_trained(self) -> None:
        city = fc.embedding_column(fc.categorical_column_with_identity("city", 3), 2)
        made = built(
            checked(columns=[city], activation_fn=None), {"city": np.array([[2], [0], [-1]])}
        )
        table = "dnn/input_from_feature_columns/input_layer/city_embedding/embedding_weights"
        assert names(made.result.variables)[:2] == [table, "dnn/hiddenlayer_0/kernel"]
        values = made.randomized()
        rows = np.array([values[table][2], values[table][0], [0.0, 0.0]])  # -1 is not an id
        hidden = rows @ values["dnn/hiddenlayer_0/kernel"] + values["dnn/hiddenlayer_0/bias"]
        expected = hidden @ values["dnn/logits/kernel"] + values["dnn/logits/bias"]
        np.testing.assert_allclose(made.run(made.result.logits), expected, rtol=1e-5)

    def test_without_a_scope(self) -> None:
        made = Traced(
            lambda features: checked().build(
                column_features.Features(features), units=1, mode=ModeKeys.TRAIN
            ),
            {"x": X},
        )
        assert made.names()[0] == "hiddenlayer_0/kernel"
        assert "logits/fraction_of_zero_values" in made.summaries()

    def test_summaries(self) -> None:
        made = built(checked(hidden_units=[2], activation_fn="relu"), units=1)
        made.assign({"dnn/hiddenlayer_0/kernel": np.eye(2), "dnn/logits/kernel": [[1.0], [1.0]]})
        found = made.summaries()
        assert sorted(found) == [
            f"dnn/{layer}/{what}"
            for layer in ("hiddenlayer_0", "logits")
            for what in ("activation", "fraction_of_zero_values")
        ]
        # Only the second row of X has no negative number.
        assert found["dnn/hiddenlayer_0/fraction_of_zero_values"] == pytest.approx(2 / 6)
        assert found["dnn/logits/fraction_of_zero_values"] == 0.0
        assert found["dnn/logits/activation"].sum == pytest.approx(1.0 + 4.5 + 0.25)


class TestDropout:
    @staticmethod
    def _part(mode: str | None) -> tuple[np.ndarray, np.ndarray]:
        """The logits, and those expected without dropout: both kernels are identities."""
        part = checked(hidden_units=[2], activation_fn=None, dropout=0.25)
        x = np.random.RandomState(1).uniform(1.0, 2.0, (200, 2)).astype(np.float32)
        made = built(part, {"x": x}, mode=mode)
        made.assign({f"dnn/{name}/kernel": np.eye(2) for name in ("hiddenlayer_0", "logits")})
        return made.run(made.result.logits), x

    def test_scales_what_it_keeps_in_training(self) -> None:
        found, x = self._part(ModeKeys.TRAIN)
        kept = found != 0.0
        np.testing.assert_allclose(found[kept], x[kept] / 0.75, rtol=1e-6)
        assert 0.65 < kept.mean() < 0.85

    @pytest.mark.parametrize("mode", [ModeKeys.EVAL, ModeKeys.PREDICT, None])
    def test_does_nothing_elsewhere(self, mode: str | None) -> None:
        found, x = self._part(mode)
        np.testing.assert_allclose(found, x, rtol=1e-6)


class TestBatchNormalization:
    STATE = ("gamma", "beta", "moving_mean", "moving_variance")

    def _made(self, mode: str) -> Traced:
        made = built(checked(hidden_units=[2], batch_norm=True), mode=mode)
        made.assign({"dnn/hiddenlayer_0/kernel": np.eye(2), "dnn/logits/kernel": np.eye(2)})
        return made

    def _names(self) -> list[str]:
        return [f"dnn/hiddenlayer_0/batchnorm_0/{name}" for name in self.STATE]

    def test_variables(self) -> None:
        made = self._made(ModeKeys.TRAIN)
        assert made.names()[2:6] == self._names()
        assert [made.value(name).tolist() for name in self._names()] == [
            [1.0, 1.0],
            [0.0, 0.0],
            [0.0, 0.0],
            [1.0, 1.0],
        ]
        trained = names(made.result.variables)
        assert trained == made.names("TRAINABLE_VARIABLES")
        assert [name in trained for name in self._names()] == [True, True, False, False]

    def test_normalizes_over_the_batch_after_the_activation_in_training(self) -> None:
        made = self._made(ModeKeys.TRAIN)
        gamma, beta, *_ = self._names()
        made.assign({gamma: [2.0, 3.0], beta: [1.0, -1.0]})
        hidden = np.maximum(X, 0.0)
        mean, variance = hidden.mean(0), hidden.var(0)
        expected = (hidden - mean) / np.sqrt(variance + 0.001) * [2.0, 3.0] + [1.0, -1.0]
        np.testing.assert_allclose(made.run(made.result.logits), expected, rtol=1e-4)

    def test_the_update_ops_move_the_statistics_by_a_thousandth(self) -> None:
        made = self._made(ModeKeys.TRAIN)
        *_, moving_mean, moving_variance = self._names()
        made.assign({moving_mean: [10.0, -10.0], moving_variance: [2.0, 3.0]})
        made.run(made.result.logits)
        assert made.value(moving_mean).tolist() == [10.0, -10.0]
        made.run([], *made.result.update_ops)
        hidden = np.maximum(X, 0.0)
        np.testing.assert_allclose(
            made.value(moving_mean), 0.999 * np.array([10.0, -10.0]) + 0.001 * hidden.mean(0)
        )
        np.testing.assert_allclose(
            made.value(moving_variance),
            0.999 * np.array([2.0, 3.0]) + 0.001 * hidden.var(0),
            rtol=1e-6,
        )

    @pytest.mark.parametrize("mode", [ModeKeys.EVAL, ModeKeys.PREDICT])
    def test_normalizes_by_the_moving_statistics_elsewhere(self, mode: str) -> None:
        made = self._made(mode)
        values = {name: [0.5, 2.0 + place] for place, name in enumerate(self._names())}
        made.assign(values)
        gamma, beta, mean, variance = map(np.array, values.values())
        expected = (np.maximum(X, 0.0) - mean) / np.sqrt(variance + 0.001) * gamma + beta
        np.testing.assert_allclose(made.run(made.result.logits), expected, rtol=1e-5)
        assert made.result.update_ops == []


class TestChecked:
    def test_arguments_become_attributes(self) -> None:
        part = checked(hidden_units=np.array([4, 2]), activation_fn=tf.nn.elu, dropout=0)
        assert part == NetworkPart(tuple(NUMBERS), (4, 2), tf.nn.elu, 0, False)
        assert checked(columns=NUMBERS[0]).columns == tuple(NUMBERS)

    @pytest.mark.parametrize("prefix", ["", "dnn_"])
    @pytest.mark.parametrize(
        ("argument", "value", "kind"),
        [
            ("hidden_units", None, errors.ArgumentTypeError),
            ("hidden_units", 8, errors.ArgumentTypeError),
            ("hidden_units", np.array(8), errors.ArgumentTypeError),
            ("hidden_units", [], errors.ArgumentError),
            ("hidden_units", [4, 0], errors.ArgumentError),
            ("hidden_units", [2.5], errors.ArgumentError),
            ("hidden_units", [True], errors.ArgumentError),
            ("hidden_units", "8", errors.ArgumentError),
            ("activation_fn", "nonsense", errors.ArgumentError),
            ("activation_fn", 3, errors.ArgumentError),
            ("dropout", 1.0, errors.ArgumentError),
            ("dropout", -0.1, errors.ArgumentError),
            ("dropout", float("nan"), errors.ArgumentError),
            ("dropout", True, errors.ArgumentError),
            ("dropout", "0.5", errors.ArgumentError),
            ("feature_columns", [], errors.ArgumentError),
            ("feature_columns", None, errors.ArgumentError),
            ("feature_columns", NUMBERS * 2, errors.ArgumentError),
        ],
    )
    def test_an_error_names_the_argument(
        self, argument: str, value: Any, kind: type[Exception], prefix: str
    ) -> None:
        given = {argument.removeprefix("feature_"): value}
        with pytest.raises(kind, match=f"`{prefix}{argument}`"):
            checked(**given, prefix=prefix)

    @pytest.mark.parametrize(
        "column",
        [
            fc.categorical_column_with_identity("c", 3),
            fc.sequence_numeric_column("s"),
            "x",
        ],
    )
    def test_only_dense_columns(self, column: Any) -> None:
        with pytest.raises(errors.ArgumentError, match=r"`feature_columns\[1\]`"):
            checked(columns=[*NUMBERS, column])
