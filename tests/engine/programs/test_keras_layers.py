"""Keras 3 layers in a model_fn: their losses where TF1 code looks, their names in its scopes."""

import gc
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import kestimator as ks
from tests.selection import members

v1 = tf.compat.v1
L = keras.layers
X = np.linspace(-1, 1, 24).reshape(8, 3).astype(np.float32)
Y = X.sum(axis=1, keepdims=True).astype(np.float32) + 0.5


def input_fn():
    return tf.data.Dataset.from_tensors(({"x": X}, Y)).repeat()


def one_batch():
    return input_fn().take(1)


def dense(units=1, **arguments):
    return L.Dense(units, kernel_initializer="ones", **arguments)


class Adding(keras.Layer):
    """Adds a loss of its own."""

    def call(self, x):
        self.add_loss(0.1 * tf.reduce_mean(tf.square(x)))
        return x


def traced(build):
    """What `build` returns when it is called in a model_fn, and the names of its variables."""
    found = []

    def model_fn(features, mode):
        found.append(build(features["x"]))
        variables = [v.name.split(":")[0] for v in v1.global_variables()]
        found.append([name for name in variables if name != "global_step"])
        return ks.EstimatorSpec(mode, predictions=features["x"])

    list(ks.Estimator(model_fn).predict(lambda: tf.data.Dataset.from_tensors({"x": X})))
    return found


class TestLosses:
    def test_are_in_the_collection_of_regularization_losses(self):
        def build(x):
            layer = dense(2, kernel_regularizer="l2", activity_regularizer="l1")
            layer(x)
            layer(x)
            Adding()(x)
            collected = v1.losses.get_regularization_losses()
            again = v1.losses.get_regularization_losses()
            assert [id(t) for t in collected] == [id(t) for t in again]
            assert v1.losses.get_losses() == []
            assert v1.losses.get_regularization_losses("dense/kernel") == [collected[-1]]
            return len(collected), v1.losses.get_total_loss().dtype

        # Two calls' activities, one added loss, one weight.
        assert traced(build)[0] == (4, tf.float32)

    def test_of_layers_that_are_not_trained_are_none(self):
        def build(x):
            layer = dense(2, kernel_regularizer="l2")
            layer(x)
            layer.trainable = False
            return v1.losses.get_regularization_losses()

        assert traced(build)[0] == []

    def test_of_a_functional_model_made_in_the_model_fn_count_once(self):
        def build(x):
            inputs = keras.Input([3])
            outputs = Adding()(dense(2, kernel_regularizer="l2", activity_regularizer="l2")(inputs))
            keras.Model(inputs, outputs)(x)
            return len(v1.losses.get_regularization_losses())

        assert traced(build)[0] == 3

    def test_of_get_variable_are_there_too(self):
        def build(x):
            v1.get_variable("w", [], regularizer=tf.nn.l2_loss)
            dense(kernel_regularizer="l2")(x)
            return len(v1.losses.get_regularization_losses())

        assert traced(build)[0] == 2


def network(layers):
    def call(x):
        for layer in layers:
            x = layer(x)
        return x

    return call


def layers():
    return [
        dense(4, kernel_regularizer=keras.regularizers.L2(0.1), activity_regularizer="l2"),
        Adding(),
        dense(1, bias_regularizer=keras.regularizers.L1(0.1)),
    ]


def fitted():
    """The weights and the losses of Keras' `fit`, and what `evaluate` says then."""
    keras.backend.clear_session()
    model = keras.Sequential(layers())
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = model.fit(X, Y, batch_size=8, epochs=20, verbose=0, shuffle=False)
    evaluated = model.evaluate(X, Y, batch_size=8, verbose=0)
    return model.get_weights(), history.history["loss"], evaluated


WAYS = {
    "nothing_said": lambda loss, layers: loss,
    "total_loss": lambda loss, layers: loss + v1.losses.get_regularization_loss(),
    "losses_of_layers": lambda loss, layers: loss + sum(sum(layer.losses) for layer in layers),
    "some_of_them": lambda loss, layers: loss + sum(layers[0].losses),
    "collected_loss": lambda loss, layers: v1.losses.add_loss(loss) or v1.losses.get_total_loss(),
}


class TestAKerasOptimizerAsTrainOp:
    @pytest.mark.parametrize("way", members(WAYS, fast=["nothing_said", "some_of_them"]))
    def test_trains_as_fit_does(self, way, tmp_path):
        def model_fn(features, labels, mode):
            used = layers()
            y = network(used)(features["x"])
            loss = WAYS[way](tf.reduce_mean(tf.square(y - labels)), used)
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.05))

        weights, _, evaluated = fitted()
        estimator = ks.Estimator(model_fn, tmp_path)
        estimator.train(input_fn, steps=20)
        names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
        for name, expected in zip(names, weights, strict=True):
            np.testing.assert_allclose(
                estimator.get_variable_value(name), expected, atol=1e-5, rtol=0
            )
        result = estimator.evaluate(one_batch)
        assert result["loss"] == pytest.approx(evaluated, abs=1e-5)

    def test_reports_the_loss_that_it_minimises(self, tmp_path):
        def model_fn(features, labels, mode):
            y = network(layers())(features["x"])
            loss = tf.reduce_mean(tf.square(y - labels))
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.05))

        class Seen(keras.callbacks.Callback):
            losses: list[float] = []

            def on_train_batch_end(self, batch, logs=None):
                self.losses.append(float(logs["loss"]))

        _, losses, _ = fitted()
        estimator = ks.Estimator(model_fn, tmp_path)
        estimator.train(input_fn, steps=20, callbacks=[Seen()])
        # As under fit, the loss in the logs is the mean of the epoch so far.
        means = np.cumsum(losses) / np.arange(1, 21)
        np.testing.assert_allclose(Seen.losses, means, atol=1e-5)

    def test_takes_a_model_that_was_made_outside(self, tmp_path):
        weights, _, evaluated = fitted()
        model = keras.Sequential(layers())
        model.build([None, 3])

        def model_fn(features, labels, mode):
            loss = tf.reduce_mean(tf.square(model(features["x"]) - labels))
            loss += sum(model.losses)
            assert len(v1.losses.get_regularization_losses()) == 4
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.05))

        estimator = ks.Estimator(model_fn, tmp_path)
        estimator.train(input_fn, steps=20)
        assert estimator.evaluate(one_batch)["loss"] == pytest.approx(evaluated, abs=1e-5)
        for variable, expected in zip(model.weights, weights, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5, rtol=0)

    def test_refuses_a_loss_out_of_reach(self, tmp_path):
        def model_fn(features, labels, mode):
            y = tf.function(network(layers()))(features["x"])
            loss = tf.reduce_mean(tf.square(y - labels))
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.05))

        with pytest.raises(ks.errors.ArgumentError, match="lacks a loss of the layer 'dense'"):
            ks.Estimator(model_fn, tmp_path).train(input_fn, steps=1)

    def test_minimises_what_a_compiled_model_counts(self, tmp_path):
        class OwnLoss(keras.Sequential):
            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                return tf.reduce_mean(tf.square(y_pred - y))

        model = OwnLoss([keras.Input([3]), *layers()])
        model.compile(keras.optimizers.SGD(0.05), "mse")
        estimator = ks.model_to_estimator(model, model_dir=tmp_path)
        estimator.train(lambda: input_fn().map(lambda x, y: (x["x"], y)), steps=3)
        bare = keras.Sequential([keras.Input([3]), dense(4), dense(1)])
        bare.compile(keras.optimizers.SGD(0.05), "mse")
        bare.fit(X, Y, batch_size=8, epochs=3, verbose=0, shuffle=False)
        for variable, expected in zip(
            estimator.to_keras().get_weights(), bare.get_weights(), strict=True
        ):
            np.testing.assert_allclose(variable, expected, atol=1e-5)


def _tf1_train_op(loss):
    return v1.train.GradientDescentOptimizer(0.1).minimize(loss, v1.train.get_global_step())


class TestAnotherTrainOp:
    def run(self, tmp_path, caplog, add):
        def model_fn(features, labels, mode):
            y = dense(kernel_regularizer="l2")(features["x"])
            loss = tf.reduce_mean(tf.square(y - labels))
            if add:
                loss += v1.losses.get_regularization_loss()
            return ks.EstimatorSpec(mode, loss=loss, train_op=_tf1_train_op(loss))

        estimator = ks.Estimator(model_fn, tmp_path)
        with caplog.at_level(logging.WARNING, "tensorflow"):
            estimator.train(input_fn, steps=2)
        return [r.getMessage() for r in caplog.records if "does not contain" in r.getMessage()]

    def test_without_the_losses_is_said(self, tmp_path, caplog):
        (message,) = self.run(tmp_path, caplog, add=False)
        assert "the regularizer of 'dense/kernel'" in message
        assert "get_regularization_loss()" in message

    def test_of_an_optimizer_that_was_applied_is_what_it_was(self, tmp_path, caplog):
        def model_fn(features, labels, mode):
            layer = dense(kernel_regularizer="l2", use_bias=False)
            loss = tf.reduce_mean(tf.square(layer(features["x"]) - labels))
            optimizer = keras.optimizers.SGD(0.1)
            (gradient,) = tf.gradients(loss, [layer.kernel.value])
            optimizer.apply_gradients([(gradient, layer.kernel)])
            return ks.EstimatorSpec(mode, loss=loss, train_op=optimizer)

        estimator = ks.Estimator(model_fn, tmp_path)
        with caplog.at_level(logging.WARNING, "tensorflow"):
            estimator.train(input_fn, steps=1)
        assert sum("does not contain" in r.getMessage() for r in caplog.records) == 1
        ones = np.ones([3, 1], np.float32)
        expected = ones - 0.1 * 2 / len(X) * X.T @ (X @ ones - Y)
        np.testing.assert_allclose(
            estimator.get_variable_value("dense/kernel"), expected, atol=1e-6
        )
        assert estimator.get_variable_value("sgd/iteration") == 1

    def test_with_them_is_not(self, tmp_path, caplog):
        assert self.run(tmp_path, caplog, add=True) == []


class TestNames:
    def test_count_in_each_variable_scope(self):
        def build(x):
            dense()(x)
            with v1.variable_scope("net"):
                dense()(x)
                dense()(x)
                with v1.variable_scope("inner"):
                    dense()(x)
            with v1.variable_scope("net2"):
                dense()(x)
            with v1.variable_scope("net"):
                dense()(x)
            dense()(x)

        kernels = [name for name in traced(build)[1] if name.endswith("kernel")]
        assert kernels == [
            "dense/kernel",
            "net/dense/kernel",
            "net/dense_1/kernel",
            "net/inner/dense/kernel",
            "net2/dense/kernel",
            "net/dense_2/kernel",
            "dense_1/kernel",
        ]

    @pytest.mark.parametrize("reuse", [None, v1.AUTO_REUSE])
    def test_of_a_layer_made_elsewhere_are_its_own(self, reuse):
        def build(x):
            elsewhere = dense(3, use_bias=False)
            for _ in range(1 if reuse is None else 2):
                with v1.variable_scope("net", reuse=reuse):
                    hidden = elsewhere(x)
                    dense(3, use_bias=False)(hidden)

        assert traced(build)[1] == ["net/dense/kernel", "net/dense_1/kernel"]

    def test_are_made_unique_without_reuse(self):
        def build(x):
            with v1.variable_scope("net"):
                first, other = dense(name="q", use_bias=False), dense(name="q", use_bias=False)
                first(x)
                other(x)
            return first.kernel.value is other.kernel.value

        assert traced(build) == [False, ["net/q/kernel", "net/q/kernel_1"]]


def tower(x):
    hidden = dense(2, use_bias=False)(x)
    return dense(1, use_bias=False)(hidden)


TOWER = ["net/dense/kernel", "net/dense_1/kernel"]


def _input(units):
    return keras.Sequential([keras.Input([3]), L.Dense(units, use_bias=False)])


def _plain(units):
    return keras.Sequential([L.Dense(units, use_bias=False)])


def _functional(units):
    inputs = keras.Input([3])
    return keras.Model(inputs, L.Dense(units, use_bias=False)(inputs))


def _added():
    model = keras.Sequential(name="tower")
    model.add(keras.Input([3]))
    model.add(L.Dense(2, use_bias=False))
    return model


def _built():
    model = _plain(2)
    model.build((None, 3))
    return model


def _added_later():
    model = _plain(2)
    model(tf.zeros([1, 3]))
    model.add(L.Dense(1, use_bias=False))
    return model


class Nesting(keras.Layer):
    def build(self, shape):
        self.model = _plain(2)
        self.model.build(shape)
        self.built = True

    def call(self, x):
        return self.model(x)


# What the variables are called in tf.estimator.
SEQUENTIAL = {
    "input": (lambda: _input(2), ["dense/kernel"]),
    "none": (lambda: _plain(2), ["sequential/dense/kernel"]),
    "added": (_added, ["dense/kernel"]),
    "built": (_built, ["dense/kernel"]),
    "added_later": (_added_later, ["sequential/dense/kernel", "dense_1/kernel"]),
    "in_one": (
        lambda: keras.Sequential([_input(2), L.Dense(1, use_bias=False)]),
        ["dense/kernel", "sequential_1/dense_1/kernel"],
    ),
    "in_one_with_input": (
        lambda: keras.Sequential([keras.Input([3]), _input(2), L.Dense(1, use_bias=False)]),
        ["dense/kernel", "dense_1/kernel"],
    ),
    "without_input_in_one": (
        lambda: keras.Sequential([keras.Input([3]), _plain(2), L.Dense(1, use_bias=False)]),
        ["sequential/dense/kernel", "dense_1/kernel"],
    ),
    "after_a_functional_model": (
        lambda: keras.Sequential([_functional(2), L.Dense(1, use_bias=False)]),
        ["dense/kernel", "dense_1/kernel"],
    ),
    "in_a_layer": (Nesting, ["nesting/dense/kernel"]),
}


class TestNamesInSequentialModels:
    @pytest.mark.parametrize("kind", SEQUENTIAL)
    def test_are_those_of_the_original(self, kind):
        model, names = SEQUENTIAL[kind]
        assert traced(lambda x: model()(x))[1] == names

    def test_follow_variable_scopes(self):
        def build(x):
            with v1.variable_scope("a"):
                model = _input(2)
            model(x)
            return [variable.path for variable in model.variables]

        assert traced(build) == [["dense/kernel"], ["a/dense/kernel"]]

    def test_of_slots_begin_with_those_of_values(self, tmp_path):
        def model_fn(features, labels, mode):
            model = _plain(1)
            loss = tf.reduce_mean(tf.square(model(features["x"]) - labels))
            values = [weight.value for weight in model.trainable_weights]
            optimizer = v1.train.MomentumOptimizer(0.1, 0.9)
            step = v1.train.get_global_step()
            return ks.EstimatorSpec(
                mode, loss=loss, train_op=optimizer.minimize(loss, step, values)
            )

        estimator = ks.Estimator(model_fn, str(tmp_path)).train(input_fn, steps=1)
        kernel = "sequential/dense/kernel"
        names = estimator.get_variable_names()
        assert names == ["global_step", kernel, f"{kernel}/Momentum"]

    @pytest.mark.parametrize("optimizer", ["keras", "tf1"])
    def test_were_longer_in_earlier_versions(self, optimizer, tmp_path):
        def model_fn(features, labels, mode):
            out = keras.Sequential([keras.Input([3]), dense(2), dense()])(features["x"])
            serving = {"serving_default": ks.export.PredictOutput({"out": out})}
            if mode == ks.ModeKeys.PREDICT:
                return ks.EstimatorSpec(mode, out, export_outputs=serving)
            loss = tf.reduce_mean(tf.square(out - labels))
            train_op = keras.optimizers.SGD(0.01, momentum=0.9)
            if optimizer == "tf1":
                tf1 = v1.train.MomentumOptimizer(0.01, 0.9)
                train_op = tf1.minimize(loss, v1.train.get_global_step())
            return ks.EstimatorSpec(mode, out, loss, train_op)

        def longer(name):
            name = re.sub("^sgd/dense", "sgd/sequential_dense", name)
            return re.sub("^dense", "sequential/dense", name)

        def estimator(directory):
            return ks.Estimator(model_fn, str(tmp_path / directory))

        current = estimator("current").train(input_fn, steps=2)
        names = current.get_variable_names()
        (tmp_path / "earlier").mkdir()
        with tf.device("cpu"):
            tf.raw_ops.SaveV2(
                prefix=str(tmp_path / "earlier" / "model.ckpt-2"),
                tensor_names=[longer(name) for name in names],
                shape_and_slices=[""] * len(names),
                tensors=[current.get_variable_value(name) for name in names],
            )
        state = 'model_checkpoint_path: "model.ckpt-2"'
        (tmp_path / "earlier" / "checkpoint").write_text(state)
        earlier = estimator("earlier")
        assert "sequential/dense/kernel" in earlier.get_variable_names()
        assert earlier.evaluate(one_batch) == current.evaluate(one_batch)
        receiver = ks.export.build_raw_serving_input_receiver_fn({"x": tf.constant(X)})
        served = tf.saved_model.load(earlier.export_saved_model(str(tmp_path / "e"), receiver))
        np.testing.assert_allclose(
            served.signatures["serving_default"](tf.constant(X))["out"],
            list(current.predict(one_batch)),
            rtol=1e-6,
        )
        for one in (earlier, current):
            one.train(input_fn, steps=2)
        assert earlier.get_variable_names() == names
        for name in names:
            np.testing.assert_array_equal(
                earlier.get_variable_value(name), current.get_variable_value(name), name
            )


class TestShapes:
    def test_of_one_variable_are_the_same_in_every_mode(self):
        """A broken model would go on with the wide layer, and broadcast its outputs."""

        def model_fn(features, labels, mode):
            y = dense(4 if mode == ks.ModeKeys.TRAIN else 1)(features["x"])
            loss = tf.reduce_mean((y - labels) ** 2)
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD())

        estimator = ks.Estimator(model_fn).train(input_fn, steps=1)
        with pytest.raises(ks.errors.CheckpointMismatchError, match=r"'dense/kernel'.*\(3, 4\)"):
            estimator.evaluate(one_batch)


class TestVariablesMadeOutside:
    def test_have_their_paths_while_another_thread_collects_garbage(self):
        """The look-up by `gc.get_referrers` crashed now and then in a whole run of the tests."""
        ended = threading.Event()

        def collect():
            while not ended.is_set():
                gc.collect(0)

        def build(x):
            return [model(x) for model in models]

        models = [keras.Sequential([dense(), L.BatchNormalization()]) for _ in range(8)]
        for model in models:
            model(X)
        paths = [variable.path for model in models for variable in model.variables]
        thread = threading.Thread(target=collect)
        thread.start()
        try:
            for _ in range(3):
                assert sorted(traced(build)[1]) == sorted(paths)
        finally:
            ended.set()
            thread.join()

    def test_have_their_paths_where_a_branch_uses_them_first(self):
        layer = dense(name="outer")
        layer.build(X.shape)

        def build(x):
            return tf.cond(tf.reduce_sum(x) > 0, lambda: layer.kernel.value * 1.0, lambda: 0.0)

        assert traced(build)[1] == ["outer/kernel"]

    def test_are_found_when_they_are_made_after_others_were_looked_for(self):
        for name in ("first", "second"):
            layer = dense(name=name)
            layer.build(X.shape)
            assert traced(layer)[1] == [f"{name}/kernel", f"{name}/bias"]


class TestReuse:
    def test_of_a_name(self):
        def build(x):
            with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
                first, other = dense(name="q"), dense(name="q", kernel_regularizer="l2")
                first(x)
                other(x)
            assert first.kernel.value is other.kernel.value
            return len(v1.trainable_variables())

        assert traced(build) == [2, ["net/q/kernel", "net/q/bias"]]

    @pytest.mark.parametrize("reuses", [(None, True), (v1.AUTO_REUSE, v1.AUTO_REUSE)])
    def test_of_names_given_automatically(self, reuses):
        def build(x):
            for reuse in reuses:
                with v1.variable_scope("net", reuse=reuse):
                    tower(x)

        assert traced(build)[1] == TOWER

    def test_of_a_scope_object_and_of_one_entered_within(self):
        def build(x):
            with v1.variable_scope("net") as scope:
                tower(x)
            with v1.variable_scope(scope, reuse=True):
                tower(x)
            with v1.variable_scope("net", reuse=v1.AUTO_REUSE), v1.variable_scope("inner"):
                tower(x)

        expected = [*TOWER, "net/inner/dense/kernel", "net/inner/dense_1/kernel"]
        assert traced(build)[1] == expected

    def test_of_the_root_scope(self):
        def build(x):
            for _ in range(2):
                with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
                    tower(x)

        assert traced(build)[1] == ["dense/kernel", "dense_1/kernel"]

    def test_needs_a_variable(self):
        def build(x):
            with v1.variable_scope("net", reuse=True):
                dense(name="q")(x)

        with pytest.raises(ValueError, match="'net/q/kernel' does not exist.*AUTO_REUSE"):
            traced(build)

    def test_needs_the_same_shape(self):
        def build(x):
            with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
                dense(2, name="q")(x)
                dense(3, name="q")(x)

        with pytest.raises(ValueError, match=r"shape \(3, 2\).*shape \(3, 3\)"):
            traced(build)

    def test_leaves_optimizers_metrics_and_seeds_their_own_state(self, tmp_path):
        def model_fn(features, labels, mode):
            with v1.variable_scope("net"):
                y = dense(name="q")(features["x"])
            with v1.variable_scope("net", reuse=True):
                y += dense(name="q")(L.Dropout(0.5)(features["x"], training=True))
                y = L.Dropout(0.5)(y, training=False)
                metric = keras.metrics.MeanAbsoluteError()
                metric.update_state(labels, y)
                loss = tf.reduce_mean(tf.square(y - labels))
                optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
                if mode == ks.ModeKeys.TRAIN:
                    weights = v1.trainable_variables()
                    assert len(weights) == 2
            return ks.EstimatorSpec(
                mode, loss=loss, train_op=optimizer, eval_metric_ops={"error": metric}
            )

        estimator = ks.Estimator(model_fn, tmp_path)
        estimator.train(input_fn, steps=2)
        assert "error" in estimator.evaluate(one_batch)

    def test_trains_one_variable_whichever_mode_is_traced_first(self, tmp_path):
        def model_fn(features, labels, mode):
            y = 0
            for scale in (1.0, 2.0):
                with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
                    y += dense(1, kernel_regularizer="l2")(features["x"] * scale)
            if mode == ks.ModeKeys.PREDICT:
                return ks.EstimatorSpec(mode, predictions=y)
            loss = tf.reduce_mean(tf.square(y - labels))
            return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.02))

        keras.backend.clear_session()
        inputs = keras.Input([3])
        layer = dense(1, kernel_regularizer="l2")
        model = keras.Model(inputs, layer(inputs) + layer(inputs * 2.0))
        model.compile(keras.optimizers.SGD(0.02), "mse")
        model.fit(X, Y, batch_size=8, epochs=20, verbose=0)

        trained = ks.Estimator(model_fn, tmp_path / "trained")
        trained.train(input_fn, steps=20)
        np.testing.assert_allclose(
            trained.get_variable_value("net/dense/kernel"), layer.kernel.numpy(), atol=1e-5
        )
        again = ks.Estimator(model_fn, tmp_path / "trained")
        list(again.predict(one_batch))
        again.train(input_fn, steps=1)
        names = [name for name in again.get_variable_names() if name.startswith("net")]
        assert names == ["net/dense/bias", "net/dense/kernel"]


class TestKeras2:
    """Layers of `tf_keras`, as tf.estimator 2.15 on TF 2.15.1 ran them."""

    @pytest.mark.parametrize(
        ("kind", "mean", "variance", "loss"),
        [
            # Its updates are in UPDATE_OPS, and the train op waits for them.
            ("tf.layers", [-0.03561, 0.0, 0.03561], 0.736799, 0.265799),
            # Those of tf.keras were not there either, and nobody ran them.
            pytest.param("tf_keras", [0.0, 0.0, 0.0], 1.0, 0.480424, marks=pytest.mark.slow),
        ],
    )
    def test_batch_normalization(self, kind, mean, variance, loss, tmp_path):
        pytest.importorskip("tf_keras")
        environment = {
            **os.environ,
            "TF_USE_LEGACY_KERAS": "1",
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.keras2_programs", kind, str(tmp_path)],
            cwd=pathlib.Path(__file__).parents[3],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        np.testing.assert_allclose(found["moving_mean"], mean, atol=1e-5)
        np.testing.assert_allclose(found["moving_variance"], [variance] * 3, atol=1e-5)
        assert found["loss"] == pytest.approx(loss, abs=1e-5)
