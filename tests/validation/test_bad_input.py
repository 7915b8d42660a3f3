"""Bad input: the exception, what its message tells, and that nothing half-written is left."""

from __future__ import annotations

import logging
import os
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors

v1 = tf.compat.v1
ModeKeys = kestimator.ModeKeys
X = np.arange(24, dtype="float32").reshape(8, 3) / 24
Y = X.sum(axis=1, keepdims=True)
HOOK = kestimator.SessionRunHook()
LISTENER = kestimator.CheckpointSaverListener()


def data(features: Any = None, labels: Any = Y, repeat: int | None = None) -> Any:
    features = {"x": X} if features is None else features
    elements = features if labels is None else (features, labels)
    return lambda: tf.data.Dataset.from_tensor_slices(elements).repeat(repeat).batch(4)


class Model:
    """A linear model_fn whose fields a test replaces by functions of the loss."""

    def __init__(self, width: int = 1, dtype: Any = tf.float32, **fields: Any) -> None:
        self.width, self.dtype, self.fields = width, dtype, fields

    def __call__(self, features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        w = v1.get_variable("w", [3, self.width], self.dtype, v1.zeros_initializer())
        y = tf.cast(features["x"], self.dtype) @ w
        if mode == ModeKeys.PREDICT:
            predictions = self.fields.get("predictions", lambda y: {"y": y})(y)
            return kestimator.EstimatorSpec(mode, predictions=predictions)
        loss = tf.reduce_mean((y - tf.cast(labels, self.dtype)) ** 2)
        step = v1.train.get_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        given = {"loss": loss, "train_op": train_op}
        changed = {name: field(loss) for name, field in self.fields.items()}
        return kestimator.EstimatorSpec(**{"mode": mode, **given, **changed})


def one_more(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
    v1.get_variable("w_more", [3, 1])
    return Model()(features, labels, mode)


def receiver() -> kestimator.export.ServingInputReceiver:
    x = v1.placeholder(tf.float32, [None, 3])
    return kestimator.export.ServingInputReceiver({"x": x}, {"x": x})


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: Any) -> pathlib.Path:
    path = tmp_path_factory.mktemp("trained") / "model"
    kestimator.Estimator(Model(), path).train(data(), steps=2)
    return path


@pytest.fixture
def trained(trained_once: pathlib.Path, tmp_path: Any) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(trained_once, tmp_path / "model"))


def contents(path: Any) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def raises(kind: type[BaseException], *parts: str) -> Any:
    lookahead = "".join(f"(?=.*{part})" for part in parts)
    return pytest.raises(kind, match=f"(?s)^{lookahead}")


class Redefines(kestimator.Estimator):
    def _checkpoint(self) -> None:  # type: ignore[override]
        pass


class TestConstructor:
    @pytest.mark.parametrize(
        ("arguments", "kind", "parts"),
        [
            ({"params": {"a": 1}}, ValueError, ["`params`", "no argument called", "Add `params`"]),
            ({"config": {}}, ValueError, ["`config`", "a RunConfig", "of type dict"]),
            ({"model_dir": 3}, TypeError, ["`model_dir`", "a path", "3 .of type int"]),
            ({"config": kestimator.RunConfig("/tmp/other")}, ValueError, ["twice", "/tmp/other"]),
            ({"warm_start_from": 3}, ValueError, ["`warm_start_from`", "WarmStartSettings"]),
            ({"warm_start_from": ""}, ValueError, ["`warm_start_from`"]),
            ({"model_fn": None}, ValueError, ["`model_fn`", "features, labels, mode"]),
            ({"model_fn": "f"}, TypeError, ["`model_fn`", "a callable", "'f'"]),
            ({"model_fn": lambda x: x}, ValueError, ["`model_fn`", "`features`", "`x`"]),
            ({"model_fn": lambda features, a: a}, ValueError, ["`model_fn`", "`a`", "partial"]),
            (
                {"model_fn": lambda features, params: 0, "params": (i for i in [])},
                TypeError,
                ["`params`", "deepcopy", "cannot pickle", "generator"],
            ),
        ],
    )
    def test_argument(self, tmp_path: Any, arguments: Any, kind: Any, parts: Any) -> None:
        with raises(kind, *parts) as caught:
            kestimator.Estimator(**{"model_fn": Model(), "model_dir": tmp_path / "m", **arguments})
        assert isinstance(caught.value, errors.KestimatorError)
        assert not (tmp_path / "m").exists()

    def test_override(self) -> None:
        with raises(ValueError, "Redefines", "_checkpoint", "other names"):
            Redefines(Model())

    def test_model_dir_as_bytes(self, tmp_path: Any) -> None:
        assert kestimator.Estimator(Model(), os.fsencode(tmp_path)).model_dir == str(tmp_path)

    def test_empty_model_dir_is_told(self, caplog: Any) -> None:
        with caplog.at_level(logging.WARNING, "tensorflow"):
            estimator = kestimator.Estimator(Model(), "")
        assert estimator.model_dir in caplog.text


NO_SAVES = kestimator.RunConfig(save_checkpoints_steps=None, save_checkpoints_secs=None)


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"steps": 1, "max_steps": 1}, ValueError, ["`steps`", "`max_steps`", "from now"]),
        *(({"steps": n}, ValueError, ["`steps`", "above 0", str(n)]) for n in (0, -1, np.nan)),
        *(({"max_steps": n}, ValueError, ["`max_steps`", "above 0", str(n)]) for n in (0, -1)),
        ({"steps": "3"}, TypeError, ["`steps`", "a number", "'3' .of type str"]),
        ({"max_steps": [3]}, TypeError, ["`max_steps`", "a number", "of type list"]),
        ({"hooks": HOOK}, TypeError, ["`hooks`", "iterable", "Put it in a list"]),
        ({"hooks": [HOOK, "a"]}, TypeError, [r"`hooks\[1\]`", "SessionRunHook", "'a'"]),
        ({"saving_listeners": LISTENER}, TypeError, ["`saving_listeners`", "in a list"]),
        ({"saving_listeners": ["a"]}, TypeError, [r"`saving_listeners\[0\]`", "'a'"]),
        ({"callbacks": keras.callbacks.Callback()}, TypeError, ["`callbacks`", "a list"]),
        ({"callbacks": ["a"]}, TypeError, ["`callbacks`", "Callback objects", "'a'"]),
        *(
            ({"verbose": v}, ValueError, ["`verbose`", "'auto', 0"])
            for v in (3, "yes", None, [1], np.array([1, 2]))
        ),
        ({"input_fn": 3}, TypeError, ["`input_fn`", "a callable", "3"]),
        ({"input_fn": lambda a: a}, TypeError, ["`input_fn`", "requires `a`", "partial"]),
    ],
)
def test_train_argument(tmp_path: Any, arguments: Any, kind: Any, parts: Any) -> None:
    estimator = kestimator.Estimator(Model(), tmp_path / "m")
    with raises(kind, *parts) as caught:
        estimator.train(**{"input_fn": data(), **arguments})
    assert isinstance(caught.value, errors.KestimatorError)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["..", "/../x", "a/../../x"])
def test_evaluations_stay_below_model_dir(tmp_path: Any, name: str) -> None:
    estimator = kestimator.Estimator(Model(), tmp_path / "m")
    with raises(ValueError, "`name`", "without '..'", repr(name)):
        estimator.evaluate(data(), name=name)
    assert not (tmp_path / "m").exists()


def test_training_amid_training(tmp_path: Any) -> None:
    class Trains(kestimator.CheckpointSaverListener):
        def after_save(self, session: Any, global_step_value: int) -> None:
            if global_step_value:
                estimator.train(data(), steps=1)

    estimator = kestimator.Estimator(Model(), tmp_path / "m")
    with raises(RuntimeError, "`train`", "is running", "`evaluate`"):
        estimator.train(data(), steps=1, saving_listeners=[Trains()])
    assert estimator.train(data(), steps=2).get_variable_value("global_step") == 3


def test_listeners_without_saver(tmp_path: Any) -> None:
    estimator = kestimator.Estimator(Model(), tmp_path / "m", NO_SAVES)
    with raises(ValueError, "`saving_listeners`", "save_checkpoints_steps", "Set one"):
        estimator.train(data(), steps=1, saving_listeners=[LISTENER])
    assert not (tmp_path / "m").exists()
    estimator.train(data(), steps=1)


@pytest.mark.parametrize(
    ("result", "kind", "parts"),
    [
        (lambda: None, ValueError, ["`input_fn` returned None", "Dataset"]),
        (lambda: (X, Y, Y), ValueError, ["`input_fn`", "tuple of 3", "dict"]),
        (lambda: [X] * 4, ValueError, ["`input_fn`", "list of 4"]),
        (lambda: tf.data.Dataset.from_tensors((X, Y, Y)), ValueError, ["`input_fn`", "of 3"]),
        (lambda: (i for i in [X]), TypeError, ["`input_fn's result`", "from_generator"]),
        (lambda: (data()(), data()()), TypeError, ["`input_fn's result`", "Dataset.zip"]),
        (lambda: ({"x": object()}, Y), TypeError, ["`input_fn's result`", "object object"]),
        (data({"z": X}), KeyError, ["'x'"]),
        (data(labels=None), ValueError, ["None values not supported"]),
    ],
)
def test_input(tmp_path: Any, result: Any, kind: Any, parts: Any) -> None:
    estimator = kestimator.Estimator(Model(), tmp_path / "m")
    for _ in range(2):
        with raises(kind, *parts):
            estimator.train(result, steps=1)
        assert not (tmp_path / "m").exists()
    estimator.train(lambda: [{"x": X}, Y], steps=1)  # a list of arrays is fine
    assert estimator.get_variable_value("global_step") == 1


class TestInputErrors:
    def test_propagate_unchanged(self, tmp_path: Any) -> None:
        mine = LookupError("mine")

        def input_fn() -> None:
            raise mine

        estimator = kestimator.Estimator(Model(), tmp_path / "m")
        for call in (
            lambda: estimator.train(input_fn, steps=1),
            lambda: estimator.evaluate(input_fn),
            lambda: list(estimator.predict(input_fn)),
        ):
            with pytest.raises(LookupError) as caught:
                call()
            assert caught.value is mine
            assert not hasattr(mine, "__notes__")
        assert not (tmp_path / "m").exists()

    def test_hidden_by_the_graph_are_noted(self, tmp_path: Any) -> None:
        def input_fn() -> None:
            raise LookupError(f"mine {int(tf.constant(1))}")  # int() only runs eagerly

        with pytest.raises(TypeError) as caught:
            kestimator.Estimator(Model(), tmp_path / "m").train(input_fn, steps=1)
        assert "LookupError('mine 1')" in caught.value.__notes__[0]

    def test_labels_without_argument(self, tmp_path: Any) -> None:
        estimator = kestimator.Estimator(lambda features, mode: None, tmp_path / "m")
        with raises(ValueError, "`model_fn` does not take labels", "Add an argument `labels`"):
            estimator.train(data(), steps=1)
        assert not (tmp_path / "m").exists()

    def test_labels_of_a_wrong_shape(self, tmp_path: Any) -> None:
        estimator = kestimator.Estimator(Model(), tmp_path)
        with raises(tf.errors.InvalidArgumentError, "Incompatible shapes"):
            estimator.train(data(labels=np.zeros((8, 5, 2), "float32")), steps=1)
        estimator.train(data(), steps=1)
        assert estimator.latest_checkpoint() == str(tmp_path / "model.ckpt-1")


@pytest.mark.parametrize(
    ("fields", "kind", "parts"),
    [
        ({"loss": lambda _: None}, ValueError, ["`loss`", "'train'"]),
        ({"train_op": lambda _: None}, ValueError, ["`train_op`", "optimizer itself"]),
        ({"loss": lambda _: 1.0}, TypeError, ["`loss`", "Tensor", "1.0"]),
        ({"loss": lambda loss: tf.stack([loss] * 2)}, ValueError, ["`loss`", "reduce_mean"]),
        ({"train_op": lambda _: print}, TypeError, ["`train_op`", "tf.group"]),
        ({"eval_metric_ops": lambda _: [1]}, TypeError, ["`eval_metric_ops`", "a dict"]),
        ({"eval_metric_ops": lambda _: {"a": 1}}, TypeError, [r"ops\['a'\]`", "update_op"]),
        ({"eval_metric_ops": lambda x: {"a": (x, x, x)}}, TypeError, [r"\['a'\]`", "update_op"]),
        ({"training_hooks": lambda _: [1]}, TypeError, [r"`training_hooks\[0\]`", "Hook"]),
        ({"scaffold": lambda _: 1}, TypeError, ["`scaffold`", "Scaffold", "1"]),
        ({"train_op": lambda _: tf.no_op()}, RuntimeError, ["never advances", "get_global_step"]),
        ({"mode": lambda _: "eval"}, ValueError, ["mode 'train'", "mode 'eval'", "`mode=mode`"]),
    ],
)
def test_spec(tmp_path: Any, fields: Any, kind: Any, parts: Any) -> None:
    model_fn = Model(**fields)
    estimator = kestimator.Estimator(model_fn, tmp_path / "m")
    with raises(kind, *parts):
        estimator.train(data(), steps=1)
    assert not (tmp_path / "m").exists()
    model_fn.fields = {}
    estimator.train(data(), steps=1)


@pytest.mark.parametrize("result", [None, (1, 2), {"loss": 1}])
def test_no_spec(tmp_path: Any, result: Any) -> None:
    estimator = kestimator.Estimator(lambda features, labels: result, tmp_path / "m")
    with raises(ValueError, "`model_fn's result`", "an EstimatorSpec", type(result).__name__):
        estimator.train(data(), steps=1)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["loss", "global_step"])
def test_reserved_metric(trained: Any, name: str) -> None:
    model_fn = Model(eval_metric_ops=lambda loss: {name: v1.metrics.mean(loss)})
    before = contents(trained)
    with raises(ValueError, "`eval_metric_ops`", repr(name), "another name"):
        kestimator.Estimator(model_fn, trained).evaluate(data(repeat=1))
    assert contents(trained) == before


def test_nan_loss(tmp_path: Any) -> None:
    model_fn = Model(loss=lambda loss: loss * np.float32("nan"))
    with raises(v1.train.NanLossDuringTrainingError, "NaN"):
        kestimator.Estimator(model_fn, tmp_path).train(data(), steps=3)
    after = kestimator.Estimator(Model(), tmp_path)
    assert after.latest_checkpoint() == str(tmp_path / "model.ckpt-0")
    after.train(data(), steps=1)


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"steps": 0}, ValueError, ["`steps`", "above 0"]),
        ({"steps": np.nan}, ValueError, ["`steps`", "above 0", "nan"]),
        ({"steps": "1"}, TypeError, ["`steps`", "a number"]),
        ({"name": 3}, TypeError, ["`name`", "a string", "3"]),
        ({"hooks": [1]}, TypeError, [r"`hooks\[0\]`"]),
        ({"callbacks": ["a"]}, TypeError, ["`callbacks`"]),
        ({"checkpoint_path": "absent"}, ValueError, ["`checkpoint_path`", "prefix", "absent"]),
        ({"checkpoint_path": "/tmp"}, ValueError, ["`checkpoint_path`", "prefix", "/tmp"]),
        ({"checkpoint_path": 3}, TypeError, ["`checkpoint_path`", "a path", "3"]),
        ({"input_fn": 3}, TypeError, ["`input_fn`", "a callable"]),
        ({"input_fn": data({"z": X})}, KeyError, ["'x'"]),
    ],
)
def test_evaluate(trained: Any, arguments: Any, kind: Any, parts: Any) -> None:
    estimator = kestimator.Estimator(Model(), trained)
    before = contents(trained)
    with raises(kind, *parts):
        estimator.evaluate(**{"input_fn": data(repeat=1), **arguments})
    if "steps" not in arguments and "name" not in arguments and "callbacks" not in arguments:
        with raises(kind, *parts):
            list(estimator.predict(**{"input_fn": data(repeat=1), **arguments}))
    assert contents(trained) == before
    assert estimator.evaluate(data(repeat=1))["global_step"] == 2


@pytest.mark.parametrize("form", [lambda path: "", os.fsencode, pathlib.Path])
def test_forms_of_checkpoint_path(trained: Any, form: Any) -> None:
    path = form(str(trained / "model.ckpt-2"))
    result = kestimator.Estimator(Model(), trained).evaluate(data(repeat=1), checkpoint_path=path)
    assert result["global_step"] == 2


def test_endless_evaluation(trained: Any, caplog: Any) -> None:
    class Stop(kestimator.SessionRunHook):
        def after_run(self, run_context: Any, run_values: Any) -> None:
            run_context.request_stop()

    estimator = kestimator.Estimator(Model(), trained)
    with raises(ValueError, "steps=None", "never ends", "Pass `steps`"):
        estimator.evaluate(data())
    assert not (trained / "eval").exists()
    assert estimator.evaluate(data(), steps=2)["global_step"] == 2
    with caplog.at_level(logging.WARNING, "tensorflow"):
        estimator.evaluate(data(), hooks=[Stop()])
    assert "only if a hook stops it" in caplog.text


@pytest.mark.parametrize(
    ("predictions", "keys", "kind", "parts"),
    [
        (None, ["q"], ValueError, ["`predict_keys`", r"\['y'\]", r"\['q'\]"]),
        (None, 3, TypeError, ["`predict_keys`", "a list of keys", "3"]),
        (lambda y: y, ["y"], ValueError, ["`predict_keys`", "not a dict"]),
        (lambda y: {"y": y, "z": y[:2]}, None, ValueError, ["Batch length", "'y': 4, 'z': 2"]),
        (lambda y: {"y": y, "z": y[0, 0]}, None, ValueError, ["Batch length", "'z': None"]),
        (lambda y: y[0, 0], None, TypeError, ["`predictions`", "first dimension"]),
        (lambda y: {"y": 3}, None, TypeError, [r"`predictions\['y'\]`", "a tf.Tensor"]),
    ],
)
def test_predictions(trained: Any, predictions: Any, keys: Any, kind: Any, parts: Any) -> None:
    model_fn = Model(**{} if predictions is None else {"predictions": predictions})
    before = contents(trained)
    with raises(kind, *parts):
        list(kestimator.Estimator(model_fn, trained).predict(data(repeat=1), predict_keys=keys))
    assert contents(trained) == before


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"serving_input_receiver_fn": None}, ValueError, ["`serving_input_receiver_fn`"]),
        ({"serving_input_receiver_fn": "a"}, TypeError, ["`serving_input_receiver_fn`", "'a'"]),
        ({"serving_input_receiver_fn": dict}, TypeError, ["fn's result`", "dict"]),
        ({"assets_extra": ["a"]}, TypeError, ["`assets_extra`", "a dict such as"]),
        ({"assets_extra": {"a": "/none"}}, ValueError, [r"`assets_extra\['a'\]`", "/none"]),
        ({"checkpoint_path": "/none"}, ValueError, ["`checkpoint_path`", "/none"]),
        ({"experimental_mode": "x"}, ValueError, ["`experimental_mode`", "'infer'", "'x'"]),
        ({"export_dir_base": None}, TypeError, ["`export_dir_base`", "a directory"]),
    ],
)
def test_export(trained: Any, tmp_path: Any, arguments: Any, kind: Any, parts: Any) -> None:
    base = tmp_path / "exports"
    given = {"export_dir_base": base, "serving_input_receiver_fn": receiver, **arguments}
    with raises(kind, *parts):
        kestimator.Estimator(Model(), trained).export_saved_model(**given)
    assert not base.exists()


class TestWithoutCheckpoint:
    def test_what_needs_one(self, tmp_path: Any) -> None:
        estimator = kestimator.Estimator(Model(), tmp_path / "m")
        for call in (
            estimator.get_variable_names,
            lambda: estimator.get_variable_value("w"),
            lambda: estimator.export_saved_model(tmp_path / "m", receiver),
        ):
            with raises(errors.CheckpointNotFoundError, "m'", "Train first"):
                call()
        assert estimator.latest_checkpoint() is None
        assert not (tmp_path / "m").exists()

    def test_training_after_evaluation(self, tmp_path: Any) -> None:
        estimator = kestimator.Estimator(Model(), tmp_path / "m")
        assert len(list(estimator.predict(data(repeat=1)))) == 8
        assert not (tmp_path / "m").exists()
        assert estimator.evaluate(data(repeat=1))["global_step"] == 0
        assert estimator.train(data(), steps=1).get_variable_value("global_step") == 1

    def test_unknown_variable(self, trained: Any) -> None:
        estimator = kestimator.Estimator(Model(), trained)
        with raises(tf.errors.NotFoundError, "'nope'", "model.ckpt-2"):
            estimator.get_variable_value("nope")
        with raises(TypeError, "`name`", "get_variable_names", "3"):
            estimator.get_variable_value(3)


def uses(path: Any, model_fn: Any) -> list[Any]:
    """What reads a checkpoint, each with a new estimator."""

    def new() -> kestimator.Estimator:
        return kestimator.Estimator(model_fn, path)

    return [
        lambda: new().train(data(), steps=1),
        lambda: new().evaluate(data(repeat=1)),
        lambda: list(new().predict(data(repeat=1))),
        lambda: new().export_saved_model(path / "export", receiver),
    ]


@pytest.mark.parametrize(
    ("model_fn", "kind", "parts"),
    [
        (one_more, errors.MissingVariableError, ["'w_more'", "warm_start_from"]),
        (Model(width=2), errors.VariableShapeError, ["'w'", r"\(3, 1\)", r"\(3, 2\)"]),
        (Model(dtype=tf.float64), errors.VariableShapeError, ["'w'", "float32", "float64"]),
    ],
)
def test_checkpoint_that_does_not_fit(trained: Any, model_fn: Any, kind: Any, parts: Any) -> None:
    before = contents(trained)
    for use in uses(trained, model_fn):
        with raises(kind, "model.ckpt-2", *parts):
            use()
    left = {name: value for name, value in contents(trained).items() if "tfevents" not in name}
    assert left == {name: value for name, value in before.items() if "tfevents" not in name}


def cut(name: str, length: int) -> Any:
    return lambda path: os.truncate(path / name, length)


def write(content: bytes) -> Any:
    return lambda path: (path / "checkpoint").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (cut("model.ckpt-2.data-00000-of-00001", 3), ["model.ckpt-2", "truncated", "older"]),
        (cut("model.ckpt-2.index", 0), ["model.ckpt-2", "truncated", "older"]),
        (cut("model.ckpt-2.index", 70), ["model.ckpt-2", "truncated", "older"]),
        (write(b""), ["checkpoint cannot be read", "to start from scratch"]),
        (write(b"@@ {"), ["checkpoint cannot be read", "to start from scratch"]),
        (write(b"\xff\xfe\x00"), ["checkpoint cannot be read", "to start from scratch"]),
        (write(b'model_checkpoint_path: "model.ckpt-9"'), ["names .*model.ckpt-9", "scratch"]),
    ],
)
def test_damaged_checkpoint_is_no_fresh_start(trained: Any, damage: Any, parts: Any) -> None:
    damage(trained)
    before = contents(trained)
    for use in uses(trained, Model()):
        with raises(errors.UnreadableCheckpointError, *parts) as caught:
            use()
        assert isinstance(caught.value, (ValueError, tf.errors.DataLossError))
    assert contents(trained) == before


@pytest.mark.parametrize("name", ["model.ckpt-2.data-00000-of-00001", "model.ckpt-2.index"])
def test_absent_checkpoint_gives_way_to_an_older_one(trained: Any, caplog: Any, name: str) -> None:
    (trained / name).unlink()
    with caplog.at_level(logging.WARNING, "tensorflow"):
        assert kestimator.Estimator(Model(), trained).latest_checkpoint() == str(
            trained / "model.ckpt-0"
        )
    assert "continuing from" in caplog.text


def test_checkpoint_that_lacks_one_of_its_data_files(trained: Any) -> None:
    data_file = trained / "model.ckpt-2.data-00000-of-00001"
    data_file.rename(trained / "model.ckpt-2.data-00000-of-00002")
    assert kestimator.Estimator(Model(), trained).latest_checkpoint() == str(
        trained / "model.ckpt-0"
    )


def test_warm_start_from_nothing(tmp_path: Any) -> None:
    with raises(tf.errors.NotFoundError, "`warm_start_from`", "absent"):  # as in tf.estimator
        kestimator.Estimator(Model(), tmp_path / "new", warm_start_from=str(tmp_path / "absent"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("source", "model_fn", "kind", "parts"),
    [
        ("empty", Model(), errors.CheckpointNotFoundError, ["no checkpoint", "warm_start_from"]),
        ("model", Model(width=2), ValueError, ["w", r"\(3, 2\)", r"\[3, 1\]"]),
        ("model", one_more, ValueError, ["w_more", "not found"]),
    ],
)
def test_warm_start(
    trained: Any, tmp_path: Any, source: str, model_fn: Any, kind: Any, parts: Any
) -> None:
    (tmp_path / "empty").mkdir()
    path = str(tmp_path / source)
    estimator = kestimator.Estimator(model_fn, tmp_path / "new", warm_start_from=path)
    for _ in range(2):
        with raises(kind, "`warm_start_from`", *parts):
            estimator.train(data(), steps=1)
    assert not (tmp_path / "new").exists()


class Raises(kestimator.SessionRunHook):
    """Raises in one of its methods, at its second step where it has one."""

    def __init__(self, place: str, error: BaseException) -> None:
        self._place, self._error, self._steps, self.ended = place, error, 0, False

    def _reach(self, place: str) -> None:
        if place == self._place:
            raise self._error

    def begin(self) -> None:
        self._reach("begin")

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._reach("after_create_session")

    def before_run(self, run_context: Any) -> Any:
        self._reach("before_run")

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._steps += 1
        if self._steps == 2:
            self._reach("after_run")

    def end(self, session: Any) -> None:
        self.ended = True


@pytest.mark.parametrize("error", [LookupError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["begin", "after_create_session", "before_run", "after_run"])
def test_exceptions_of_hooks(trained: Any, place: str, error: BaseException) -> None:
    estimator = kestimator.Estimator(Model(), trained)
    value = estimator.get_variable_value("w")
    other, hook = Raises("", error), Raises(place, error)
    for call in (
        lambda: estimator.train(data(), steps=5, hooks=[other, hook]),
        lambda: estimator.evaluate(data(), steps=5, hooks=[other, Raises(place, error)]),
        lambda: list(estimator.predict(data(), hooks=[other, Raises(place, error)])),
    ):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error
        assert not other.ended
    assert estimator.latest_checkpoint() == str(trained / "model.ckpt-2")
    np.testing.assert_array_equal(estimator.get_variable_value("w"), value)
    expected = kestimator.Estimator(Model(), trained).evaluate(data(repeat=1))
    assert estimator.evaluate(data(repeat=1)) == expected  # memory went back to the checkpoint
    assert estimator.train(data(), steps=1).get_variable_value("global_step") == 3


@pytest.mark.parametrize("has_hook", [True, False])
def test_an_optimizer_that_waits_for_other_processes(tmp_path: Any, has_hook: bool) -> None:
    """With tf.estimator 2.15 such training stands still at step 1."""

    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        w = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        loss = tf.reduce_mean((features["x"] @ w - labels) ** 2)
        optimizer = v1.train.SyncReplicasOptimizer(
            v1.train.GradientDescentOptimizer(0.1), replicas_to_aggregate=1, total_num_replicas=1
        )
        train_op = optimizer.minimize(loss, v1.train.get_global_step())
        hooks = [optimizer.make_session_run_hook(is_chief=True)] if has_hook else []
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op, training_hooks=hooks)

    estimator = kestimator.Estimator(model_fn, tmp_path / "m")
    kind = errors.ArgumentTypeError if has_hook else errors.GlobalStepError
    parts = [r"`training_hooks\[0\]`", "MirroredStrategy"] if has_hook else ["global step"]
    with raises(kind, *parts):
        estimator.train(data(), steps=1)
    assert not (tmp_path / "m").exists()


def test_a_metric_made_outside_of_the_model_fn_is_refused(trained: pathlib.Path) -> None:
    """It would count the batches of all evaluations together, or look for itself in checkpoints."""
    metric = keras.metrics.Mean()

    def metrics(loss: tf.Tensor) -> dict[str, Any]:
        metric.update_state(loss)
        return {"mean": metric}

    estimator = kestimator.Estimator(Model(eval_metric_ops=metrics), trained)
    with pytest.raises(errors.ArgumentError, match=r"eval_metric_ops\['mean'\].*in the model_fn"):
        estimator.evaluate(data(repeat=1))
