"""Sparse gradients: Keras' numbers at the cost of a batch's rows, and the lazy optimizers."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import optimizers
from kestimator.engine.graphs import ordering
from kestimator.estimator import state_of
from tests.selection import members

v1 = tf.compat.v1
ModeKeys = kestimator.ModeKeys
Schedule = keras.optimizers.schedules.ExponentialDecay

ROWS, SIZE = 50, 4
rng = np.random.default_rng(0)
IDS = rng.integers(0, 12, size=(24, 3))  # most rows never come, those that do come often
Y = rng.normal(size=(24, 1)).astype("float32")


def dataset(repeat: int = 3) -> Any:
    return tf.data.Dataset.from_tensor_slices(({"ids": IDS}, Y)).repeat(repeat).batch(8)


def layers(rows: int = ROWS, **options: Any) -> list[keras.layers.Layer]:
    uniform = keras.initializers.RandomUniform(-1.0, 1.0, seed=1)
    return [
        keras.layers.Embedding(rows, SIZE, uniform, name="table", **options),
        keras.layers.Flatten(),
        keras.layers.Dense(1, kernel_initializer=keras.initializers.Ones(), name="dense"),
    ]


def model_fn_with(make_train_op: Any, rows: int = ROWS, **options: Any) -> Any:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        values = features["ids"]
        for layer in layers(rows, **options):
            values = layer(values)
        if mode == ModeKeys.PREDICT:
            return kestimator.EstimatorSpec(mode, predictions=values)
        loss = tf.reduce_mean(tf.square(values - labels))
        train_op = make_train_op(loss) if mode == ModeKeys.TRAIN else None
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def trained(directory: Any, make_optimizer: Any, **options: Any) -> kestimator.Estimator:
    model_fn = model_fn_with(lambda loss: make_optimizer(), **options)
    estimator = kestimator.Estimator(model_fn, directory)
    return estimator.train(dataset, steps=None)


def fitted(make_optimizer: Any, **options: Any) -> dict[str, np.ndarray]:
    keras.utils.clear_session()  # names count from zero
    optimizer, model = make_optimizer(), keras.Sequential(layers(**options))
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(dataset().map(lambda x, y: (x["ids"], y)), verbose=0, shuffle=False)
    variables = [*model.trainable_variables, *optimizer.variables]
    return {re.sub("sequential[_/]", "", v.path): v.numpy() for v in variables}


KERAS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "sgd_with_momentum": lambda: keras.optimizers.SGD(0.1, 0.9),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1),
    "adagrad_with_clipping": lambda: keras.optimizers.Adagrad(0.1, clipnorm=0.1),
    "adagrad_with_decay": lambda: keras.optimizers.Adagrad(0.1, weight_decay=0.1),
    "ftrl": lambda: keras.optimizers.Ftrl(0.1),
    "ftrl_regularized": lambda: keras.optimizers.Ftrl(
        0.1,
        learning_rate_power=-0.7,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.02,
        beta=0.1,
    ),
    "ftrl_with_shrinkage": lambda: keras.optimizers.Ftrl(
        0.1, l2_shrinkage_regularization_strength=0.1
    ),
    "ftrl_with_schedule": lambda: keras.optimizers.Ftrl(Schedule(0.1, 3, 0.5, staircase=True)),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.1),
    "sgd_accumulating": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=3),
    "adam_averaging": lambda: keras.optimizers.Adam(0.1, use_ema=True, ema_overwrite_frequency=3),
}


FAST = [
    *("adagrad_with_clipping", "adam_averaging", "ftrl_regularized", "ftrl_with_schedule"),
    *("sgd_accumulating", "sgd_with_momentum"),
]


@pytest.mark.parametrize("name", members(KERAS, fast=FAST))
def test_numbers_are_those_of_keras(tmp_path: Any, name: str) -> None:
    estimator = trained(tmp_path, KERAS[name])
    assert_same(estimator, fitted(KERAS[name]))


def assert_same(estimator: kestimator.Estimator, expected: dict[str, np.ndarray]) -> None:
    assert {*estimator.get_variable_names()} == {*expected, "global_step"}
    for name, value in expected.items():
        found = estimator.get_variable_value(name)
        np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "name", members(["adagrad", "ftrl", "ftrl_with_schedule"], fast=["ftrl_with_schedule"])
)
def test_numbers_are_those_of_keras_over_several_calls(tmp_path: Any, name: str) -> None:
    for _ in range(2):  # the second estimator reads the checkpoint of the first
        estimator = kestimator.Estimator(model_fn_with(lambda loss: KERAS[name]()), tmp_path)
        for _ in range(2):
            step = next_step(tmp_path)
            estimator.train(lambda step=step: dataset().skip(step), steps=2)
    estimator.train(lambda: dataset().skip(8))
    assert_same(estimator, fitted(KERAS[name]))


def next_step(directory: Any) -> int:
    path = tf.train.latest_checkpoint(directory)
    return int(path.rsplit("-", 1)[1]) if path else 0


def test_regularized_table_gets_keras_dense_update(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        table, flatten, dense = layers()
        y = dense(flatten(table(features["ids"])))
        loss = tf.reduce_mean(tf.square(y - labels))
        loss += 0.01 * tf.reduce_sum(tf.square(table.embeddings))
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.Adagrad(0.1))

    estimator = kestimator.Estimator(model_fn, tmp_path).train(dataset)
    expected = fitted(KERAS["adagrad"], embeddings_regularizer=keras.regularizers.L2(0.01))
    assert_same(estimator, expected)


def step_operations(estimator: kestimator.Estimator) -> list[tf.Operation]:
    """The ops that a step of the estimator's training program runs."""
    (model,) = state_of(estimator).programs.of(ModeKeys.TRAIN)
    return list(ordering.reachable_operations([*model.operations, model.spec.loss]))


def touches_all_rows(op: tf.Operation, rows: int) -> bool:
    return any(
        tensor.shape.rank and rows in tensor.shape.as_list() and tensor.dtype != tf.resource
        for tensor in op.outputs
    )


LAZY = {
    "lazy_adam": lambda: optimizers.LazyAdam(0.1),
    "lazy_amsgrad": lambda: optimizers.LazyAdam(0.1, amsgrad=True),
    "lazy_rmsprop": lambda: optimizers.LazyRMSprop(0.1),
    "lazy_rmsprop_with_all": lambda: optimizers.LazyRMSprop(0.1, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("name", ["sgd", "adagrad", "ftrl", *LAZY])
def test_no_op_of_a_step_works_on_all_rows(tmp_path: Any, name: str) -> None:
    estimator = trained(tmp_path, (KERAS | LAZY)[name], rows=9973)
    operations = step_operations(estimator)
    assert "ResourceGather" in {op.type for op in operations}
    assert [op.name for op in operations if touches_all_rows(op, 9973)] == []


def test_the_test_above_finds_ops_on_all_rows(tmp_path: Any) -> None:
    estimator = trained(tmp_path, KERAS["adam"], rows=9973)
    assert [op for op in step_operations(estimator) if touches_all_rows(op, 9973)]


@pytest.mark.parametrize("name", LAZY)
def test_lazy_forms_leave_other_rows_alone(tmp_path: Any, name: str) -> None:
    estimator = trained(tmp_path, LAZY[name])
    kept = sorted(set(range(ROWS)) - set(IDS.flatten()))
    first = layers()[0]
    first.build(None)
    names = [n for n in estimator.get_variable_names() if "table" in n]
    assert len(names) == {"lazy_adam": 3, "lazy_rmsprop": 2}.get(name, 4)
    for variable in names:
        value = estimator.get_variable_value(variable)
        start = first.embeddings.numpy() if variable == "table/embeddings" else np.zeros_like(value)
        np.testing.assert_array_equal(value[kept], start[kept])
        assert not np.any(value[IDS[0]] == start[IDS[0]])


@pytest.mark.parametrize(
    ("lazy", "parent", "options"),
    [
        (optimizers.LazyAdam, keras.optimizers.Adam, {}),
        (optimizers.LazyAdam, keras.optimizers.Adam, {"amsgrad": True}),
        (optimizers.LazyRMSprop, keras.optimizers.RMSprop, {}),
        (optimizers.LazyRMSprop, keras.optimizers.RMSprop, {"momentum": 0.5, "centered": True}),
    ],
)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_lazy_forms_with_all_rows_are_their_parents(
    lazy: Any, parent: Any, options: dict[str, Any], is_sparse: bool
) -> None:
    start = rng.normal(size=(5, 2)).astype("float32")
    tables, made = [], []
    for kind in (lazy, parent):
        table, optimizer = keras.Variable(start, name="table"), kind(0.1, **options)
        for step in range(4):
            gradient = tf.constant(np.cos(start + step))
            if is_sparse and kind is lazy:  # every row twice, with half of its gradient
                rows = tf.range(10) % 5
                gradient = tf.IndexedSlices(tf.gather(gradient / 2, rows), rows, (5, 2))
            optimizer.apply([gradient], [table])
        tables.append(table.numpy())
        made.append([v.path.split("/", 1) for v in optimizer.variables])
    np.testing.assert_allclose(*tables, rtol=1e-6, atol=1e-6)
    assert made[0] == made[1] or [name for _, name in made[0]] == [name for _, name in made[1]]


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_lazy_forms_train_as_their_parents_if_all_rows_come(tmp_path: Any, name: str) -> None:
    lazy = {"adam": LAZY["lazy_adam"], "rmsprop": LAZY["lazy_rmsprop"]}[name]
    features = {"ids": np.tile(np.arange(6), (8, 1))}  # once each: Keras sums squares of repeats
    values = {}
    for kind, make in {"lazy": lazy, "parent": KERAS[name]}.items():
        model_fn = model_fn_with(lambda loss, make=make: make(), rows=6)
        estimator = kestimator.Estimator(model_fn, tmp_path / kind)
        estimator.train(
            lambda: tf.data.Dataset.from_tensor_slices((features, Y[:8])).batch(1).repeat(), steps=5
        )
        values[kind] = {n: estimator.get_variable_value(n) for n in estimator.get_variable_names()}
    assert values["lazy"].keys() == values["parent"].keys()
    for name, value in values["lazy"].items():
        np.testing.assert_allclose(value, values["parent"][name], rtol=1e-5, atol=1e-6)


def tf1_trained(directory: Any, make: Any, ids: np.ndarray) -> kestimator.Estimator:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        start = np.linspace(-1, 1, ROWS * SIZE, dtype="float32").reshape(ROWS, SIZE)
        table = v1.get_variable("table", initializer=start)
        loss = tf.reduce_mean(
            tf.square(tf.reduce_sum(tf.nn.embedding_lookup(table, features["ids"]), [1, 2]) - 1)
        )
        train_op = make().minimize(loss, v1.train.get_global_step())
        return kestimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = kestimator.Estimator(model_fn, directory)
    return estimator.train(lambda: tf.data.Dataset.from_tensors({"ids": ids}).repeat(), steps=4)


TF1 = {
    "adam": (optimizers.LazyAdamOptimizer, v1.train.AdamOptimizer),
    "rmsprop": (optimizers.LazyRMSPropOptimizer, v1.train.RMSPropOptimizer),
}


@pytest.mark.parametrize("name", TF1)
def test_tf1_forms_are_their_parents_if_all_rows_come(tmp_path: Any, name: str) -> None:
    ids = np.arange(2 * ROWS).reshape(4, -1) % ROWS
    lazy, parent = (
        tf1_trained(tmp_path / kind.__name__, lambda kind=kind: kind(0.1), ids)
        for kind in TF1[name]
    )
    assert lazy.get_variable_names() == parent.get_variable_names()
    for variable in lazy.get_variable_names():
        value, expected = (e.get_variable_value(variable) for e in (lazy, parent))
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TF1)
def test_tf1_forms_leave_other_rows_alone(tmp_path: Any, name: str) -> None:
    estimator = tf1_trained(tmp_path, lambda: TF1[name][0](0.1), np.array([[1, 1], [4, 1]]))
    start = np.linspace(-1, 1, ROWS * SIZE, dtype="float32").reshape(ROWS, SIZE)
    moved = np.flatnonzero(np.any(estimator.get_variable_value("table") != start, axis=1))
    assert moved.tolist() == [1, 4]
    slots = [n for n in estimator.get_variable_names() if n.startswith("table/")]
    assert len(slots) == 2
    for slot in slots:
        value = np.delete(estimator.get_variable_value(slot), [1, 4], axis=0)
        assert (value == value[0, 0]).all()


def test_rows_are_read_before_a_write_that_comes_after_them(tmp_path: Any) -> None:
    def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
        table = layers()[0]
        before = table(features["ids"])
        table.embeddings.assign_add(keras.ops.ones_like(table.embeddings))
        after = table(features["ids"])
        both = keras.ops.convert_to_tensor(table.embeddings)
        rows = tf.gather(both, features["ids"])
        loss = tf.reduce_mean(after - before) + tf.reduce_mean(rows - after)
        return kestimator.EstimatorSpec(
            mode, loss=loss, train_op=v1.assign_add(v1.train.get_global_step(), 1)
        )

    estimator = kestimator.Estimator(model_fn, tmp_path)
    estimator.train(dataset, steps=2)
    (model,) = state_of(estimator).programs
    found = [op for op in step_operations(estimator) if op.type == "ResourceGather"]
    assert len(found) == 3
    assert [op.name for op in step_operations(estimator) if op.type == "GatherV2"]
    features, _ = next(iter(dataset()))
    step = model.program.function([model.spec.loss], model.operations)
    assert float(step(features["ids"])[0]) == pytest.approx(1.0)


class TestRatesOfAGraph:
    def test_are_read_in_every_step(self, tmp_path: Any) -> None:
        def optimizer() -> Any:
            rate = v1.get_variable("rate", initializer=1.0, trainable=False)
            with tf.control_dependencies([rate.assign(rate / 2)]):
                return keras.optimizers.SGD(tf.identity(rate.read_value()))

        estimator = trained(tmp_path, optimizer)
        steps = estimator.get_variable_value("global_step")
        assert estimator.get_variable_value("rate") == pytest.approx(0.5**steps)

    def test_may_be_set_in_an_optimizer_of_ones_own(self, tmp_path: Any) -> None:
        class Own(keras.optimizers.SGD):
            def __init__(self, learning_rate: Any = 0.01, **options: Any) -> None:
                super().__init__(learning_rate=learning_rate, **options)

        def rate() -> Any:
            return tf.constant(0.01) * 2

        expected = trained(tmp_path / "number", lambda: keras.optimizers.SGD(0.02))
        found = trained(tmp_path / "tensor", lambda: Own(rate()))
        name = "dense/kernel"
        np.testing.assert_allclose(
            found.get_variable_value(name), expected.get_variable_value(name), rtol=1e-6
        )

    def test_are_refused_by_keras_outside_of_a_trace(self, tmp_path: Any) -> None:
        trained(tmp_path, lambda: keras.optimizers.SGD(tf.constant(0.1)))
        with pytest.raises(ValueError, match="`learning_rate` should be float"):
            keras.optimizers.SGD(tf.constant(0.1))


@pytest.mark.parametrize(
    "trains", members(["a model_fn", "a head", "a canned estimator"], fast=["a head"])
)
@pytest.mark.parametrize(
    "kind",
    [
        lambda: keras.optimizers.Adam(0.1),
        lambda: keras.optimizers.SGD(Schedule(0.1, 2, 0.5)),
        lambda: keras.optimizers.AdamW(0.1, clipnorm=0.5),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    ],
    ids=["Adam", "schedule", "AdamW", "LossScaleOptimizer"],
)
def test_one_made_in_a_graph_trains_as_any_other(kind: Any, trains: str) -> None:
    """So are all of a program that has called `disable_v2_behavior`."""

    def loss_with(optimizer: Any) -> float:
        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            logits = features["x"] @ v1.get_variable("w", initializer=np.ones((3, 1), np.float32))
            if trains == "a head":
                return kestimator.RegressionHead().create_estimator_spec(
                    features, mode, logits, labels, optimizer, v1.trainable_variables()
                )
            loss = tf.reduce_mean(tf.square(logits - labels))
            return kestimator.EstimatorSpec(mode, loss=loss, train_op=optimizer)

        config = kestimator.RunConfig(tf_random_seed=1)
        columns = [tf.feature_column.numeric_column("x", 3)]
        estimator = (
            kestimator.LinearRegressor(columns, optimizer=optimizer, config=config)
            if trains == "a canned estimator"
            else kestimator.Estimator(model_fn, config=config)
        )
        estimator.train(input_fn, steps=4)
        return float(estimator.evaluate(input_fn, steps=1)["loss"])

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(({"x": np.eye(3, dtype="float32")}, Y[:3])).repeat()

    with tf.Graph().as_default():
        in_a_graph = kind()
    assert loss_with(in_a_graph) == pytest.approx(loss_with(kind()), rel=1e-6)


def test_one_that_two_estimators_share_trains_each_as_alone(tmp_path: Any) -> None:
    def weight_of(optimizer: Any, name: str) -> Any:
        def model_fn(features: Any, labels: Any, mode: str) -> kestimator.EstimatorSpec:
            weight = v1.get_variable("w", initializer=np.ones(3, np.float32))
            return kestimator.EstimatorSpec(
                mode, loss=tf.reduce_sum(weight**2 * features), train_op=optimizer
            )

        estimator = kestimator.Estimator(model_fn, tmp_path / name)
        for steps in (3, 4):
            estimator.train(lambda: tf.data.Dataset.from_tensors([1.0]).repeat(), steps=steps)
        return estimator.get_variable_value("w")

    shared, own = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1)
    alone = weight_of(own, "alone")
    for name in ("first", "second"):
        np.testing.assert_array_equal(weight_of(shared, name), alone)
