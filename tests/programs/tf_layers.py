"""Every function of `tf.layers`, and the cells of `tf.nn.rnn_cell`, in a model_fn."""

import functools
import importlib
import os
import random
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools
from tests.programs.resume import STORED

v1 = tf.compat.v1
CASES = tools.Cases()
MODEL_DIRS: dict[str, Callable[[Any, str], Any]] = {}
STEPS = 3


def legacy(est: Any, name: str) -> Any:
    """`tf.layers` or `tf.nn.rnn_cell`: the package `tf_keras` has what TensorFlow had then."""
    if hasattr(est, "errors"):
        return importlib.import_module(f"tf_keras.api._v1.keras.__internal__.legacy.{name}")
    return v1.layers if name == "layers" else v1.nn.rnn_cell


def _l2(weights: Any) -> Any:
    return 0.01 * tf.reduce_sum(weights * weights)


def _data(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.RandomState(2)
    x = generator.uniform(-1, 1, (6, *shape)).astype(np.float32)
    return x, generator.uniform(-1, 1, (6, 1)).astype(np.float32)


def _outputs(hidden: Any) -> Any:
    """One number for each example, which counts every value with another weight."""
    size = int(np.prod(hidden.shape[1:]))
    flat = tf.reshape(hidden, [tf.shape(hidden)[0], size])
    return tf.matmul(flat, np.linspace(-1, 1, size, dtype=np.float32)[:, None] + np.float32(0.1))


def model_fn_of(est: Any, build: Callable[..., Any], depend: bool = True) -> Callable[..., Any]:
    """A regression on the outputs of `build(features, training)`."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        random.seed(7)  # Keras 2 seeds its initializers by it
        scale = v1.get_variable("scale", [], initializer=v1.ones_initializer())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf.layers says that it is deprecated
            hidden = build(features * scale, mode == est.ModeKeys.TRAIN)
        outputs = _outputs(hidden)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"hidden": hidden, "outputs": outputs})
        penalties = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        loss = tf.add_n([tf.reduce_mean((outputs - labels) ** 2), *penalties])
        loss = tf.identity(loss, name="the_loss")
        if mode == est.ModeKeys.EVAL:
            return est.EstimatorSpec(mode, loss=loss)
        optimizer = v1.train.GradientDescentOptimizer(0.05)
        pairs = optimizer.compute_gradients(loss)
        flat = [tf.reshape(tf.convert_to_tensor(gradient), [-1]) for gradient, _ in pairs]
        tf.identity(tf.concat(flat, 0), name="the_gradients")
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        with tf.control_dependencies(updates if depend else []):
            train_op = optimizer.apply_gradients(pairs, v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def _run(
    est: Any,
    model_dir: str,
    build: Callable[[Any, Any, bool], Any],
    shape: tuple[int, ...],
    depend: bool = True,
    steps: int = STEPS,
) -> dict[str, Any]:
    losses: list[float] = []
    gradients: list[Any] = []
    model_fn = model_fn_of(est, functools.partial(build, legacy(est, "layers")), depend)
    estimator = est.Estimator(model_fn, model_dir, est.RunConfig(tf_random_seed=5))
    x, y = _data(*shape)
    hooks = [
        tools.losses_hook(est, losses),
        tools.losses_hook(est, gradients, "the_gradients:0"),
    ]
    estimator.train(tools.batches(x, y, 6), hooks=hooks, steps=steps)
    (*_, row) = estimator.predict(tools.batches(x, batch_size=6, epochs=1))
    return {
        "losses": losses[:3],
        "gradients": gradients[0],
        "evaluated": tools.plain(estimator.evaluate(tools.batches(x, y, 4, epochs=1))),
        "row": tools.plain(row),
        "variables": tools.checkpoint(model_dir),
    }


def _case(name: str, shape: tuple[int, ...], build: Callable[..., Any], **options: Any) -> None:
    CASES[name] = functools.partial(_run, build=build, shape=shape, **options)


# Layers with weights ------------------------------------------------------------------------------

_case("dense", (3,), lambda tl, x, _: tl.dense(x, 2, tf.nn.tanh))
_case("dense_of_sequences", (2, 3), lambda tl, x, _: tl.dense(x, 2, use_bias=False, name="d"))
_case(
    "dense_regularized",
    (3,),
    lambda tl, x, _: tl.dense(
        tl.dense(x, 3, kernel_regularizer=_l2, bias_regularizer=_l2, activity_regularizer=_l2),
        2,
        kernel_initializer=v1.truncated_normal_initializer(stddev=0.3),
        bias_initializer=v1.constant_initializer(0.2),
        kernel_constraint=lambda weights: tf.clip_by_value(weights, -0.2, 0.2),
    ),
)
_case("conv1d", (5, 2), lambda tl, x, _: tl.conv1d(x, 2, 3, padding="same"))
_case(
    "conv2d",
    (5, 5, 2),
    lambda tl, x, _: tl.conv2d(
        tl.conv2d(x, 2, 3, activation=tf.nn.relu, kernel_regularizer=_l2),
        2,
        [2, 2],
        strides=(2, 1),
        padding="same",
        name="second",
    ),
)
_case("conv2d_dilated", (5, 5, 1), lambda tl, x, _: tl.conv2d(x, 2, 2, dilation_rate=2))
_case("conv3d", (3, 3, 3, 1), lambda tl, x, _: tl.conv3d(x, 2, 2))
_case(
    "conv2d_transpose",
    (2, 2, 2),
    lambda tl, x, _: tl.conv2d_transpose(x, 2, 3, strides=2, padding="same"),
)
_case("conv3d_transpose", (2, 2, 2, 1), lambda tl, x, _: tl.conv3d_transpose(x, 2, 2, strides=2))
_case("separable_conv1d", (4, 2), lambda tl, x, _: tl.separable_conv1d(x, 3, 2))
_case(
    "separable_conv2d",
    (4, 4, 2),
    lambda tl, x, _: tl.separable_conv2d(x, 3, 2, depth_multiplier=2, depthwise_regularizer=_l2),
)

# Layers without weights ---------------------------------------------------------------------------

for _kind in ("max", "average"):
    for _rank in (1, 2, 3):

        def _pooled(tl: Any, x: Any, _: bool, name: str = f"{_kind}_pooling{_rank}d") -> Any:
            x = getattr(tl, name)(x, 2, 1)
            return getattr(tl, name)(x, 2, 2, padding="same")

        _case(f"{_kind}_pooling{_rank}d", (4,) * _rank + (2,), _pooled)
_case("flatten", (2, 3), lambda tl, x, _: tl.dense(tl.flatten(x), 2))
_case("dropout", (8,), lambda tl, x, training: tl.dropout(x, 0.4, training=training))
_case("dropout_seeded", (8,), lambda tl, x, _: tl.dropout(x, 0.4, seed=3, training=True))
_case(
    "dropout_noise_shape",
    (3, 4),
    lambda tl, x, training: tl.dropout(x, 0.5, noise_shape=[6, 1, 4], training=training),
)

# Batch normalization ------------------------------------------------------------------------------


def _normalized(tl: Any, x: Any, training: bool, **options: Any) -> Any:
    return tl.dense(tl.batch_normalization(x, momentum=0.9, training=training, **options), 2)


def _normalized_images(tl: Any, x: Any, training: bool, **options: Any) -> Any:
    x = tl.conv2d(x, 2, 2, use_bias=False)
    return tf.nn.relu(tl.batch_normalization(x, training=training, momentum=0.9, **options))


_case("batch_normalization", (3,), _normalized, steps=50)
_case("batch_normalization_alone", (3,), _normalized, depend=False, steps=50)
_case("batch_normalization_fused", (3, 3, 1), _normalized_images, steps=50)
_case("batch_normalization_fused_alone", (3, 3, 1), _normalized_images, depend=False, steps=50)
_case(
    "batch_normalization_not_fused",
    (3, 3, 1),
    functools.partial(_normalized_images, fused=False, scale=False, gamma_regularizer=_l2),
    steps=50,
)
_case("batch_normalization_of_a_tensor", (3,), lambda tl, x, t: _normalized(tl, x, tf.constant(t)))
_case("batch_normalization_renorm", (3,), functools.partial(_normalized, renorm=True))
_case(
    "batch_normalization_virtual",
    (3,),
    functools.partial(_normalized, virtual_batch_size=3, fused=False),
)
_case("batch_normalization_frozen", (3,), functools.partial(_normalized, trainable=False))


# Scopes, reuse, objects ---------------------------------------------------------------------------


@functools.partial(_case, "scopes", (3,))
def _scopes(tl: Any, x: Any, training: bool) -> Any:
    initializer = v1.constant_initializer(0.2)
    with v1.variable_scope("outer", regularizer=_l2, initializer=initializer):
        x = tl.dense(x, 3)
        with v1.variable_scope("inner"):
            x = tl.dense(x, 3, name="named") + tl.dense(x, 3)
    with v1.name_scope("names"):
        return tl.dense(x, 2)


@functools.partial(_case, "reuse", (3,))
def _reuse(tl: Any, x: Any, training: bool) -> Any:
    one = tl.dense(x, 3, name="shared", kernel_regularizer=_l2)
    two = tl.dense(2.0 * x, 3, name="shared", kernel_regularizer=_l2, reuse=True)
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        three = tl.dense(-x, 3, name="shared") + tl.dense(x, 3, name="new")
    with v1.variable_scope("", reuse=True):
        return one * two + three + tl.dense(x + 1.0, 3, name="new")


def _tower(tl: Any, x: Any, training: bool) -> Any:
    """Two towers of one scope; only one updates the statistics, since two would race."""

    def tower(x: Any, updates: bool) -> Any:
        with v1.variable_scope("tower", reuse=v1.AUTO_REUSE):
            x = tl.conv2d(x, 2, 2, name="conv")
            x = tl.batch_normalization(x, training=updates, name="norm", momentum=0.5)
            return tl.dense(tl.flatten(tf.nn.relu(x)), 2, name="dense")

    return tower(x, training) - tower(x[:, ::-1], False)


_case("tower", (3, 3, 1), _tower)


@functools.partial(_case, "objects", (3,))
def _objects(tl: Any, x: Any, training: bool) -> Any:
    dense = tl.Dense(3, kernel_regularizer=_l2, name="object")
    norm = tl.BatchNormalization(momentum=0.5)
    x = norm.apply(dense(x), training=training)
    outputs = dense(x) * tl.Dropout(0.0)(x, training=training)
    names = [variable.name for variable in [*dense.trainable_weights, *norm.variables]]
    assert names == [
        *("object/kernel:0", "object/bias:0"),
        *(
            f"batch_normalization/{name}:0"
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ),
    ], names
    assert len(dense.losses) == 1
    assert len(norm.updates) == (2 if training else 0), norm.updates
    return outputs


@functools.partial(_case, "getters", (3,))
def _getters(tl: Any, x: Any, training: bool) -> Any:
    """A scope whose getter changes what layers ask for."""

    def getter(getter: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name.endswith("bias"):
            options["initializer"] = v1.constant_initializer(0.5)
        return getter(name, *arguments, **options)

    with v1.variable_scope("scope", custom_getter=getter):
        return tl.dense(x, 2)


# Recurrent cells ----------------------------------------------------------------------------------

CELLS: dict[str, Callable[[Any], Any]] = {
    "basic_rnn": lambda cells: cells.BasicRNNCell(2),
    "gru": lambda cells: cells.GRUCell(2),
    "basic_lstm": lambda cells: cells.BasicLSTMCell(2),
    "lstm": lambda cells: cells.LSTMCell(3, use_peepholes=True, num_proj=2, cell_clip=0.5),
    "stacked": lambda cells: cells.MultiRNNCell([cells.LSTMCell(2), cells.GRUCell(2)]),
    "wrapped": lambda cells: cells.ResidualWrapper(
        cells.DropoutWrapper(cells.GRUCell(2), output_keep_prob=0.5, seed=4)
    ),
}


def _recurrent(est: Any, model_dir: str, cell: Callable[[Any], Any], kind: str) -> dict[str, Any]:
    def build(_: Any, x: Any, training: bool) -> Any:
        cells = legacy(est, "rnn_cell")
        lengths = tf.constant([3, 1, 2, 3, 2, 1])[: tf.shape(x)[0]]
        if kind == "dynamic":
            outputs, _ = v1.nn.dynamic_rnn(cell(cells), x, lengths, dtype=tf.float32)
            return outputs
        if kind == "both":
            given = [cell(cells), cell(cells)]
            outputs, _ = v1.nn.bidirectional_dynamic_rnn(*given, x, lengths, dtype=tf.float32)
            return tf.concat(outputs, 2)
        outputs, _ = v1.nn.static_rnn(cell(cells), tf.unstack(x, axis=1), dtype=tf.float32)
        return tf.stack(outputs, 1)

    return _run(est, model_dir, build, (3, 2))


for _name, _cell in CELLS.items():
    for _kind in ("dynamic", "static", "both"):
        if (_name, _kind) == ("wrapped", "both"):
            continue  # the masks of two loops vary in the original
        CASES[f"rnn_{_name}_{_kind}"] = functools.partial(_recurrent, cell=_cell, kind=_kind)


# A directory that the original wrote --------------------------------------------------------------

MODEL_DIRS["tf_layers"] = CASES["tower"]


@CASES
def resumed(est: Any, model_dir: str) -> dict[str, Any]:
    model_dir = os.path.join(model_dir, "model")
    shutil.copytree(STORED / "tf_layers", model_dir)
    return _run(est, model_dir, _tower, (3, 3, 1))
