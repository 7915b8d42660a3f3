"""Numbers that callers pass: which are taken, what becomes of them; settings without effect."""

import fractions
import logging
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors, experimental, inputs
from kestimator.adapters.hooks import progress
from kestimator.runtime import arguments
from kestimator.validation import checks

INTEGER_TYPES = [np.int8, np.int32, np.int64, np.uint8, np.uint64, np.array]
NO_INTEGERS = [True, np.bool_(True), 2.0, 2.5, np.float32(2), "2", b"2", [2], np.array([2]), None]


class TestInt:
    @pytest.mark.parametrize("kind", [int, *INTEGER_TYPES])
    def test_becomes_an_int(self, kind):
        checked = checks.checked_int("count", kind(3), 1)
        assert (type(checked), checked) == (int, 3)

    @pytest.mark.parametrize("value", NO_INTEGERS)
    def test_refuses(self, value):
        with pytest.raises(
            errors.ArgumentTypeError, match=r"`count`.*an integer of at least 1\. Rec"
        ):
            checks.checked_int("count", value, 1)

    @pytest.mark.parametrize("value", [0, -1, np.int64(0), np.array(-3)])
    def test_too_small(self, value):
        with pytest.raises(errors.ArgumentError) as caught:
            checks.checked_int("count", value, 1, remedy="Leave it out.")
        assert str(caught.value) == errors.invalid_argument(
            "count", value, "an integer of at least 1", "Leave it out."
        )

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            ({}, "an integer"),
            ({"minimum": 2}, "an integer of at least 2"),
            ({"maximum": 5}, "an integer of at most 5"),
            ({"minimum": 2, "maximum": 5}, "an integer from 2 to 5"),
            ({"minimum": 2, "expected": "a few"}, "a few"),
        ],
    )
    def test_says_what_it_expects(self, limits, expected):
        with pytest.raises(TypeError, match=rf"Expected: {expected}\. Received: '3'"):
            checks.checked_int("count", "3", **limits)

    def test_too_large(self):
        assert checks.checked_int("count", 5, maximum=5) == 5
        with pytest.raises(errors.ArgumentError, match="at most 5"):
            checks.checked_int("count", 6, maximum=5)

    def test_bools_where_they_are_allowed(self):
        for value in (True, np.bool_(True)):
            checked = checks.checked_int("count", value, 1, takes_bools=True)
            assert (type(checked), checked) == (int, 1)

    def test_other_error(self):
        with pytest.raises(errors.ArgumentError):
            checks.checked_int("count", "3", type_error=errors.ArgumentError)


class TestNumber:
    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (3, 3),
            (0.5, 0.5),
            (True, 1),
            (np.uint8(3), 3),
            (np.array(3), 3),
            (np.float32(0.5), 0.5),
            (np.float16(0.5), 0.5),
            (np.longdouble(0.5), 0.5),
            (np.array(0.5), 0.5),
            (fractions.Fraction(1, 2), 0.5),
        ],
    )
    def test_becomes_plain(self, value, plain):
        checked = checks.checked_number("rate", value)
        assert (type(checked), checked) == (type(plain), plain)

    @pytest.mark.parametrize("value", ["1", b"1", None, 1j, [1], np.array([1]), np.str_("1")])
    def test_refuses(self, value):
        with pytest.raises(errors.ArgumentTypeError, match=r"`rate`.*Expected: a number\. Rec"):
            checks.checked_number("rate", value)

    def test_that_does_not_fit(self):
        with pytest.raises(errors.ArgumentError, match=r"Expected: half\. Received: 3 "):
            checks.checked_number("rate", 3, "half", lambda number: number == 0.5)

    def test_positive(self):
        assert checks.checked_positive("rate", None) is None
        assert type(checks.checked_positive("rate", np.int64(3))) is int
        for value in (0, -1, float("nan"), np.float32(0)):
            with pytest.raises(errors.ArgumentError, match="above 0, or None"):
                checks.checked_positive("rate", value)

    def test_not_negative(self):
        assert checks.checked_not_negative("rate", None, optional=True) is None
        assert checks.checked_not_negative("rate", np.array(0)) == 0
        with pytest.raises(errors.ArgumentTypeError, match=r"non-negative number\."):
            checks.checked_not_negative("rate", None)
        for value in (-1, float("nan")):
            with pytest.raises(errors.ArgumentError, match="non-negative number, or None"):
                checks.checked_not_negative("rate", value, optional=True)


class TestSizes:
    def test_become_ints(self):
        sizes = checks.checked_sizes("units", (kind(3) for kind in INTEGER_TYPES), "sizes", "")
        assert [*map(type, sizes)] == [int] * len(INTEGER_TYPES)
        assert set(sizes) == {3}

    @pytest.mark.parametrize("value", [*NO_INTEGERS, 0, -1, np.int64(0)])
    def test_refuses(self, value):
        with pytest.raises(errors.ArgumentError, match=r"`units`\. Expected: sizes\. Received: \["):
            checks.checked_sizes("units", [2, value], "sizes", "")

    def test_refuses_none_at_all(self):
        with pytest.raises(errors.ArgumentError, match="sizes"):
            checks.checked_sizes("units", [], "sizes", "")


def columns():
    return [tf.feature_column.numeric_column("x")]


def sequences():
    return [tf.feature_column.sequence_numeric_column("x")]


def input_fn():
    return tf.data.Dataset.from_tensors(({"x": [[1.0]]}, [[1.0]]))


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    return kestimator.LinearRegressor(columns(), model_dir=str(tmp_path_factory.mktemp("model")))


# What numpy's numbers were refused for, or went wrong with, is among these: an argument's name,
# the least integer for it, and what to call with it and an estimator.
INTEGERS = {
    "DNNClassifier": (
        "n_classes",
        2,
        lambda n, _: kestimator.DNNClassifier([2], columns(), n_classes=n),
    ),
    "LinearClassifier": (
        "n_classes",
        2,
        lambda n, _: kestimator.LinearClassifier(columns(), n_classes=n),
    ),
    "BaselineClassifier": ("n_classes", 2, lambda n, _: kestimator.BaselineClassifier(n_classes=n)),
    "combined": (
        "n_classes",
        2,
        lambda n, _: kestimator.DNNLinearCombinedClassifier(None, columns(), n_classes=n),
    ),
    "RNNClassifier": (
        "n_classes",
        2,
        lambda n, _: experimental.RNNClassifier(sequences(), units=2, n_classes=n),
    ),
    "DNNRegressor": (
        "label_dimension",
        1,
        lambda n, _: kestimator.DNNRegressor([2], columns(), label_dimension=n),
    ),
    "hidden_units": ("hidden_units", 1, lambda n, _: kestimator.DNNRegressor([n], columns())),
    "RNN units": ("units", 1, lambda n, _: experimental.RNNClassifier(sequences(), units=n)),
    "several RNN units": (
        "units",
        1,
        lambda n, _: experimental.RNNClassifier(sequences(), units=[n, 3]),
    ),
    "dnn_logit_fn": (
        "units",
        1,
        lambda n, _: experimental.dnn_logit_fn_builder(
            n, [2], columns(), "relu", None, None, False
        ),
    ),
    "linear_logit_fn": (
        "units",
        1,
        lambda n, _: experimental.linear_logit_fn_builder(n, columns()),
    ),
    "MultiClassHead": ("n_classes", 3, lambda n, _: kestimator.MultiClassHead(n)),
    "MultiLabelHead": ("n_classes", 2, lambda n, _: kestimator.MultiLabelHead(n)),
    "RegressionHead": ("label_dimension", 1, lambda n, _: kestimator.RegressionHead(n)),
    "KMeans": ("num_clusters", 1, lambda n, _: experimental.KMeans(n)),
    "KMeans steps": (
        "mini_batch_steps_per_iteration",
        1,
        lambda n, _: experimental.KMeans(2, mini_batch_steps_per_iteration=n),
    ),
    "numpy_input_fn": (
        "batch_size",
        1,
        lambda n, _: inputs.numpy_input_fn(np.zeros(2), batch_size=n, shuffle=False),
    ),
}
NUMBERS = {
    "TrainSpec": ("max_steps", lambda n, _: kestimator.TrainSpec(input_fn, max_steps=n)),
    "EvalSpec": ("steps", lambda n, _: kestimator.EvalSpec(input_fn, steps=n)),
    "EvalSpec every": ("every_steps", lambda n, _: kestimator.EvalSpec(input_fn, every_steps=n)),
    "train": ("steps", lambda n, _: arguments.checked_steps(n, None)),
    "train up to": ("max_steps", lambda n, _: arguments.checked_steps(None, n)),
    "RunConfig log": (
        "log_step_count_steps",
        lambda n, _: kestimator.RunConfig(log_step_count_steps=n),
    ),
    "RunConfig keep": (
        "keep_checkpoint_every_n_hours",
        lambda n, _: kestimator.RunConfig(keep_checkpoint_every_n_hours=n),
    ),
    "LatestExporter": (
        "exports_to_keep",
        lambda n, _: kestimator.LatestExporter("latest", input_fn, exports_to_keep=n),
    ),
    "LinearSDCA": (
        "symmetric_l2_regularization",
        lambda n, _: experimental.LinearSDCA("key", symmetric_l2_regularization=n),
    ),
    "in memory": (
        "every_n_iter",
        lambda n, one: experimental.InMemoryEvaluatorHook(one, input_fn, every_n_iter=n),
    ),
    "in memory steps": (
        "steps",
        lambda n, one: experimental.InMemoryEvaluatorHook(one, input_fn, steps=n),
    ),
    "run_every_steps": (
        "run_every_steps",
        lambda n, one: experimental.stop_if_higher_hook(
            one, "loss", 1, run_every_secs=None, run_every_steps=n
        ),
    ),
    "patience": (
        "patience",
        lambda n, one: experimental.stop_if_no_decrease_hook(one, "loss", None, patience=n),
    ),
    "last_step": (
        "last_step",
        lambda n, one: experimental.make_stop_at_checkpoint_step_hook(one, n),
    ),
}


class TestPublicArguments:
    @pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, np.array])
    @pytest.mark.parametrize("case", INTEGERS)
    def test_integers(self, case, kind, estimator):
        _, least, make = INTEGERS[case]
        make(kind(least), estimator)

    @pytest.mark.parametrize("case", INTEGERS)
    def test_no_integers(self, case, estimator):
        name, least, make = INTEGERS[case]
        # A batch of True examples is one of 1, as it is in tf.estimator.
        bools = [] if case == "numpy_input_fn" else [True, np.bool_(True)]
        for value in [*bools, float(least), np.float32(least), least + 0.5, str(least)]:
            with pytest.raises((ValueError, TypeError), match=f"`{name}`") as caught:
                make(value, estimator)
            assert isinstance(caught.value, errors.KestimatorError)
        for value in (least - 1, np.int64(least - 1), -1):
            with pytest.raises(errors.ArgumentError, match=f"`{name}`"):
                make(value, estimator)

    @pytest.mark.parametrize("kind", [np.int32, np.uint8, np.float32, np.array])
    @pytest.mark.parametrize("case", NUMBERS)
    def test_numbers(self, case, kind, estimator):
        NUMBERS[case][1](kind(2), estimator)

    @pytest.mark.parametrize("case", NUMBERS)
    def test_no_numbers(self, case, estimator):
        name, make = NUMBERS[case]
        with pytest.raises(errors.ArgumentTypeError, match=f"`{name}`"):
            make("2", estimator)
        for value in (0, -1, float("nan"), np.int64(0)):
            with pytest.raises(errors.ArgumentError, match=f"`{name}`"):
                make(value, estimator)

    def test_fields_are_plain(self):
        config = kestimator.RunConfig(
            tf_random_seed=np.int64(3),
            save_summary_steps=np.array(5),
            save_checkpoints_steps=np.uint8(7),
            keep_checkpoint_max=np.int32(2),
            keep_checkpoint_every_n_hours=np.float32(0.5),
        )
        config = config.replace(log_step_count_steps=np.int64(9))
        fields = [
            config.tf_random_seed,
            config.save_summary_steps,
            config.save_checkpoints_steps,
            config.keep_checkpoint_max,
            config.keep_checkpoint_every_n_hours,
            config.log_step_count_steps,
        ]
        assert fields == [3, 5, 7, 2, 0.5, 9]
        assert [*map(type, fields)] == [int, int, int, int, float, int]
        spec = kestimator.EvalSpec(input_fn, np.int64(2), throttle_secs=np.float32(0.5))
        assert (type(spec.steps), type(spec.throttle_secs)) == (int, float)
        assert type(kestimator.TrainSpec(input_fn, np.uint8(200)).max_steps) is int

    @pytest.mark.parametrize("dropout", [np.float32(0.5), np.array(0.5), np.float16(0.5), 0])
    def test_dropout(self, dropout):
        kestimator.DNNRegressor([2], columns(), dropout=dropout)

    @pytest.mark.parametrize("dropout", [True, False, 1, np.float32(1), -0.1, "0.5", float("nan")])
    def test_no_dropout(self, dropout):
        with pytest.raises(errors.ArgumentError, match=r"`dropout`.*a number in \[0, 1\)"):
            kestimator.DNNRegressor([2], columns(), dropout=dropout)

    def test_hidden_units_are_several(self):
        for units in (np.array(2), np.int64(2)):
            with pytest.raises(
                errors.ArgumentTypeError, match="`hidden_units`.*a list of positive"
            ):
                kestimator.DNNRegressor(units, columns())

    def test_seed_of_clusters(self, tmp_path):
        model = experimental.KMeans(1, str(tmp_path), seed=np.uint8(2))  # TensorFlow would overflow
        model.train(lambda: tf.data.Dataset.from_tensors([[1.0]]), steps=1)
        with pytest.raises(errors.ArgumentTypeError, match="`seed`"):
            experimental.KMeans(1, seed="2")

    def test_lists_of_numbers(self):
        kestimator.BinaryClassHead(thresholds=[np.array(0.5), np.float32(0.25)])
        kestimator.MultiLabelHead(3, classes_for_class_based_metrics=[np.array(2), np.uint8(1)])
        heads = [kestimator.RegressionHead(name=name) for name in "ab"]
        kestimator.MultiHead(heads, [np.array(0.5), np.int64(2)])
        with pytest.raises(errors.ArgumentTypeError, match=r"`head_weights`.*'2'"):
            kestimator.MultiHead(heads, [1, "2"])
        with pytest.raises(errors.ArgumentTypeError, match=r"`thresholds`.*'0\.5'"):
            kestimator.BinaryClassHead(thresholds=["0.5"])

    @pytest.mark.parametrize("verbose", ["auto", 0, 2, True, np.int64(1)])
    def test_verbose(self, verbose):
        progress.check_verbose(verbose)

    @pytest.mark.parametrize("verbose", ["loud", 3, -1, 1.0, None, [1]])
    def test_not_verbose(self, verbose):
        with pytest.raises(errors.ArgumentError, match="`verbose`.*'auto', 0"):
            progress.check_verbose(verbose)

    def test_trains(self, tmp_path):
        config = kestimator.RunConfig(
            str(tmp_path), tf_random_seed=np.int64(3), keep_checkpoint_max=np.int64(2)
        )
        model = kestimator.DNNClassifier(
            [np.int32(2)], columns(), n_classes=np.int64(3), dropout=np.float32(0.5), config=config
        )
        data = {"x": np.zeros([4, 1], np.float32)}
        labels = np.array([0, 1, 2, 0])
        repeated = inputs.numpy_input_fn(data, labels, np.int64(2), num_epochs=None, shuffle=False)
        model.train(repeated, max_steps=np.uint8(200))
        model.train(repeated, steps=np.uint8(100))
        assert model.evaluate(repeated, steps=np.array(1))["global_step"] == 300


@pytest.fixture
def warnings(caplog):
    """What was warned of since this was called last, as if the process had just begun."""
    checks.warn_without_effect.cache_clear()

    def since():
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        yield since
    checks.warn_without_effect.cache_clear()


class TestWithoutEffect:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("device_fn", lambda op: "/cpu:0"),
            ("protocol", "grpc"),
            ("eval_distribute", tf.distribute.OneDeviceStrategy("/cpu:0")),
            ("experimental_max_worker_delay_secs", 5),
            ("session_creation_timeout_secs", 60),
            ("session_creation_timeout_secs", None),
        ],
    )
    def test_settings_of_a_config(self, name, value, warnings):
        config = kestimator.RunConfig(**{name: value})
        (text,) = warnings()
        assert text.startswith(f"The setting `RunConfig.{name}` has no effect. ")
        kestimator.RunConfig(**{name: value})
        config.replace(model_dir="d")
        assert not warnings()

    def test_replaced(self, warnings):
        config = kestimator.RunConfig()
        config.replace(protocol="grpc+verbs")
        assert "`RunConfig.protocol`" in warnings()[0]

    def test_fields_of_a_session_config(self, warnings):
        session_config = tf.compat.v1.ConfigProto(
            allow_soft_placement=True, intra_op_parallelism_threads=1
        )
        session_config.gpu_options.allow_growth = True
        kestimator.RunConfig(session_config=session_config)
        threads, growth = sorted(warnings(), key=lambda text: "gpu" in text)
        assert "`RunConfig.session_config.intra_op_parallelism_threads`" in threads
        assert "tf.config.threading.set_intra_op_parallelism_threads" in threads
        assert "`RunConfig.session_config.gpu_options.allow_growth`" in growth
        assert "set_memory_growth" in growth

    def test_defaults(self, warnings, monkeypatch):
        kestimator.RunConfig()
        default = kestimator.config.default_session_config()
        kestimator.RunConfig(session_config=default, session_creation_timeout_secs=7200.0)
        cluster = '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}'
        monkeypatch.setenv("TF_CONFIG", cluster)
        kestimator.RunConfig().replace(model_dir="d")  # with the session_config of a cluster
        assert not warnings()


@pytest.mark.parametrize("below", ["", "/below"])
def test_links_to_nowhere(tmp_path: Any, below: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    path = f"{tmp_path}/link{below}"
    with pytest.raises(errors.ArgumentError, match="`model_dir`.*is a link to .*gone"):
        kestimator.Estimator(lambda features: None, path)
    (tmp_path / "gone").mkdir()
    assert kestimator.Estimator(lambda features: None, path).model_dir == path


class TestSteps:
    """Numbers of steps that no run reaches, as in tf.estimator."""

    @pytest.mark.parametrize("steps", [float("inf"), 2**70, np.float64("inf")])
    def test_no_limit(self, tmp_path: Any, steps: Any) -> None:
        settings = ("save_checkpoints_steps", "save_summary_steps", "log_step_count_steps")
        config = kestimator.RunConfig(tmp_path, **dict.fromkeys(settings, steps))
        estimator = kestimator.Estimator(_counting, config=config).train(_three, steps=steps)
        assert estimator.get_variable_value("global_step") == 3
        estimator.train(_three, max_steps=steps)
        assert estimator.get_variable_value("global_step") == 6
        assert estimator.evaluate(_three, steps=steps)["global_step"] == 6

    @pytest.mark.parametrize(("steps", "taken"), [(1.5, 2), (np.float32(2.0), 2), (True, 1)])
    def test_fractions(self, tmp_path: Any, steps: Any, taken: int) -> None:
        estimator = kestimator.Estimator(_counting, tmp_path).train(_three, steps=steps)
        assert estimator.get_variable_value("global_step") == taken


def _counting(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    step = tf.compat.v1.train.get_global_step()
    with tf.control_dependencies([features["x"]]):  # else the data has no end
        return kestimator.EstimatorSpec(mode, loss=features["x"], train_op=step.assign_add(1))


def _three() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors({"x": 1.0}).repeat(3)
