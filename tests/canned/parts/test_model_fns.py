"""What the model_fns of canned estimators share: heads, a training step, summaries."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned.parts import model_fns
from kestimator.keys import ModeKeys
from tests.canned.parts.traced import Traced, v1

X = np.array([[1.0], [2.0]], np.float32)
Y = np.array([[3.0], [-1.0]], np.float32)


class Lines(Traced):
    """A regression on the sum of two lines, `a x` and `b x`, each trained by its own optimizer.

    Both start from zero.
    """

    def __init__(
        self,
        *optimizers: Any,
        mode: str = ModeKeys.TRAIN,
        update: bool = False,
        reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        **options: Any,
    ) -> None:
        def build(given: Any) -> Any:
            features, labels = given
            variables = [
                v1.get_variable(name, [], initializer=v1.zeros_initializer()) for name in "ab"
            ]
            updated = v1.get_variable("updated", [], trainable=False)
            parts = [
                model_fns.Training([variable], optimizer, **options)
                for variable, optimizer in zip(variables, optimizers, strict=False)
            ]
            return model_fns.spec(
                kestimator.RegressionHead(loss_reduction=reduction),
                {"x": features},
                labels,
                mode,
                tf.add_n(variables) * features,
                parts,
                [updated.assign(7.0, read_value=False)] if update else (),
            )

        super().__init__(build, (X, Y))

    def train(self) -> float:
        """Makes a step, and returns its loss."""
        return float(self.run(self.result.loss, self.result.train_op))


def gradient(slope: float) -> float:
    """That of the mean squared error of `slope x`."""
    return float((2.0 * (slope * X - Y) * X).mean())


class TestSpec:
    def test_a_step_follows_the_gradient(self) -> None:
        made = Lines("SGD", learning_rate=0.1)
        assert made.train() == pytest.approx(float((Y**2).mean()))
        expected = -0.1 * gradient(0.0)
        assert made.value("a") == pytest.approx(expected)
        assert made.value("b") == 0.0
        made.train()
        expected -= 0.1 * gradient(expected)
        assert made.value("a") == pytest.approx(expected)
        assert made.value("global_step") == 2

    def test_an_optimizer_given_by_name_has_its_own_rate_by_default(self) -> None:
        made = Lines("SGD")
        made.train()
        assert made.value("a") == pytest.approx(-0.01 * gradient(0.0))

    def test_gradients_are_clipped(self) -> None:
        made = Lines("SGD", learning_rate=0.1, clipnorm=0.25)
        made.train()
        assert abs(gradient(0.0)) > 0.25
        assert made.value("a") == pytest.approx(0.1 * 0.25 * -np.sign(gradient(0.0)))

    def test_all_parts_minimize_one_loss_and_count_one_step(self) -> None:
        made = Lines("SGD", "SGD", learning_rate=0.1)
        for _ in range(2):
            made.train()
        slope = -0.2 * gradient(0.0)
        slope -= 0.2 * gradient(slope)
        assert made.value("a") == made.value("b") == pytest.approx(slope / 2)
        assert made.value("global_step") == 2

    def test_variables_of_two_optimizers_have_different_names(self) -> None:
        made = Lines("Adagrad", "Adagrad", learning_rate=0.5)
        assert made.names("TRAINABLE_VARIABLES") == ["a", "b"]
        assert set(made.names()) == {
            "a",
            "b",
            "updated",
            "global_step",
            "training/Adagrad/a/accumulator",
            "training/Adagrad/decay",
            "training/Adagrad/learning_rate",
            "training/Adagrad_1/b/accumulator",
            "training/Adagrad_1/decay",
            "training/Adagrad_1/iter",
            "training/Adagrad_1/learning_rate",
        }
        made.train()
        assert made.value("training/Adagrad_1/iter") == 1
        accumulator = 0.1 + gradient(0.0) ** 2
        for name, optimizer in zip("ab", ("Adagrad", "Adagrad_1"), strict=True):
            assert made.value(f"training/{optimizer}/{name}/accumulator") == pytest.approx(
                accumulator
            )
            assert made.value(name) == pytest.approx(-0.5 * gradient(0.0) / np.sqrt(accumulator))

    def test_the_second_part_of_another_kind_has_no_number(self) -> None:
        names = Lines("Ftrl", "SGD").names()
        assert "training/Ftrl/a/linear" in names
        assert "training/SGD/iter" in names

    def test_update_ops_run_with_a_step(self) -> None:
        made = Lines("SGD", update=True)
        made.run(made.result.loss)
        assert made.value("updated") != 7.0
        made.train()
        assert made.value("updated") == 7.0
        assert made.value("global_step") == 1

    def test_nothing_is_trained_in_other_modes(self) -> None:
        evaluated = Lines("SGD", mode=ModeKeys.EVAL)
        assert evaluated.result.train_op is None
        assert evaluated.run(evaluated.result.loss) == pytest.approx(float((Y**2).mean()))
        assert "average_loss" in evaluated.result.eval_metric_ops
        predicted = Lines("SGD", mode=ModeKeys.PREDICT)
        assert predicted.result.loss is None
        assert predicted.result.train_op is None
        assert list(predicted.result.predictions) == ["predictions"]
        assert evaluated.names() == predicted.names() == ["a", "b", "updated"]

    @pytest.mark.parametrize(
        ("reduction", "is_sum"), [("sum", True), (model_fns.SUM_OVER_BATCH_SIZE, False)]
    )
    def test_gradients_of_replicas_are_reduced_as_losses_are(
        self, reduction: str, is_sum: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = []

        def noted(*arguments: Any, sum_over_replicas: bool, **options: Any) -> Any:
            given.append(sum_over_replicas)
            return minimize(*arguments, sum_over_replicas=sum_over_replicas, **options)

        minimize = canned_optimizers.minimize
        monkeypatch.setattr(canned_optimizers, "minimize", noted)
        made = Lines("SGD", "SGD", reduction=reduction)
        assert given == [is_sum, is_sum]
        total = float((Y**2).sum())
        assert made.train() == pytest.approx(total if is_sum else total / 2)

    @pytest.mark.parametrize("optimizer", ["Adagard", 3, lambda: None])
    def test_an_error_names_the_argument_of_the_optimizer(self, optimizer: Any) -> None:
        with pytest.raises(errors.ArgumentError, match=r"`dnn_optimizer(\(\))?`"):
            Lines(optimizer, argument="dnn_optimizer")


class TestHeads:
    @pytest.mark.parametrize(
        ("n_classes", "kind", "dimension"),
        [
            (2, kestimator.BinaryClassHead, 1),
            (3, kestimator.MultiClassHead, 3),
            (np.int64(4), kestimator.MultiClassHead, 4),
        ],
    )
    def test_of_a_classifier(self, n_classes: Any, kind: type, dimension: int) -> None:
        head = model_fns.classification_head(n_classes, None, None, "sum")
        assert type(head) is kind
        assert head.logits_dimension == dimension
        assert head.loss_reduction == "sum"

    def test_of_a_classifier_takes_weights_and_a_vocabulary(self) -> None:
        head = model_fns.classification_head(3, "weight", ["a", "b", "c"], "sum")
        loss = head.loss(
            tf.constant([["a"], ["c"]]),
            tf.zeros([2, 3]),
            {"weight": tf.constant([[1.0], [3.0]])},
            ModeKeys.TRAIN,
        )
        assert float(loss) == pytest.approx(4 * np.log(3.0))

    @pytest.mark.parametrize("n_classes", [1, 0, -2, 2.5, True, "2", None])
    def test_of_a_classifier_need_two_classes(self, n_classes: Any) -> None:
        with pytest.raises(errors.ArgumentError, match="`n_classes`"):
            model_fns.classification_head(n_classes, None, None, "sum")

    def test_of_a_regressor(self) -> None:
        head = model_fns.regression_head(2, "weight", "sum")
        assert isinstance(head, kestimator.RegressionHead)
        assert head.logits_dimension == 2
        weights = {"weight": tf.constant([[2.0]])}
        loss = head.loss(tf.constant([[1.0, 2.0]]), tf.zeros([1, 2]), weights, ModeKeys.TRAIN)
        assert float(loss) == 2 * (1 + 4)

    def test_of_a_regressor_have_a_dimension(self) -> None:
        with pytest.raises(errors.ArgumentError, match="`label_dimension`"):
            model_fns.regression_head(0, None, "sum")

    def test_check(self) -> None:
        only_what_is_used = types.SimpleNamespace(logits_dimension=1, create_estimator_spec=None)
        for head in (kestimator.BinaryClassHead(), only_what_is_used):
            model_fns.check_head(head)

    @pytest.mark.parametrize("head", [None, "head", types.SimpleNamespace(logits_dimension=1)])
    def test_check_refuses_others(self, head: Any) -> None:
        with pytest.raises(errors.ArgumentError, match="`head`"):
            model_fns.check_head(head)


@pytest.mark.parametrize("replicas", [1, 2])
def test_replicas_are_refused(replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    if replicas == 1:
        model_fns.refuse_replicas("KMeans", "it has one set of centers.")
        return
    with pytest.raises(errors.ArgumentError) as error:
        model_fns.refuse_replicas("KMeans", "it has one set of centers.")
    for part in ("KMeans", "2 replicas", "it has one set of centers.", "train_distribute"):
        assert part in str(error.value)


def test_summaries_of_a_layer() -> None:
    values = np.array([0.0, 1.0, 0.0, -3.0], np.float32)
    made = Traced(lambda value: model_fns.summarize_layer("net/layer", value), values)
    found = made.summaries()
    assert sorted(found) == ["net/layer/activation", "net/layer/fraction_of_zero_values"]
    assert found["net/layer/fraction_of_zero_values"] == 0.5
    histogram = found["net/layer/activation"]
    assert (histogram.num, histogram.min, histogram.max, histogram.sum) == (4, -3.0, 1.0, -2.0)
