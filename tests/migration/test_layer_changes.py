"""Calls of tf.layers become Keras layers, where their variables keep their names and values."""

import inspect

import keras
import pytest

from kestimator import migration
from kestimator.migration.findings import grouped
from kestimator.migration.layer_signatures import CLASSES, FUNCTIONS, NEEDLESS, WITHOUT_EFFECT

TF = "import tensorflow as tf; tf.int32\n"


def migrated(code):
    result = migration.migrate_source(TF + code)
    assert migration.migrate_source(result.after).after == result.after
    return result


def after(code):
    return migrated(code).after.rpartition("tf.int32\n")[2]


def decisions(code):
    result = migrated(code)
    return grouped(result.decisions, result.line_name)


@pytest.mark.parametrize(
    ("before", "new"),
    [
        ("tf.layers.dense(x, 8)", "keras.layers.Dense(8)(x)"),
        (
            "tf.layers.dense(x, 8, tf.nn.relu, False, name='a')",
            "keras.layers.Dense(8, activation=tf.nn.relu, use_bias=False, name='a')(x)",
        ),
        ("tf.layers.dense(units=8, inputs=x)", "keras.layers.Dense(units=8)(x)"),
        ("tf.layers.dense(inputs = x, units = 8)", "keras.layers.Dense(units = 8)(x)"),
        ("tf.layers.dense(x, 8, reuse=None)", "keras.layers.Dense(8)(x)"),
        (
            "tf.layers.conv2d(x, 4, [3, 3], (2, 2), 'same')",
            "keras.layers.Conv2D(4, [3, 3], strides=(2, 2), padding='same')(x)",
        ),
        ("tf.layers.max_pooling2d(x, 2, 2)", "keras.layers.MaxPooling2D(2, 2)(x)"),
        ("tf.layers.flatten(x)", "keras.layers.Flatten()(x)"),
        ("tf.layers.dropout(x)", "keras.layers.Dropout()(x, training=False)"),
        (
            "tf.layers.dropout(x, 0.4, training=mode == 'train')",
            "keras.layers.Dropout(0.4)(x, training=mode == 'train')",
        ),
        (
            "tf.layers.batch_normalization(x, 1, 0.9, fused=False, renorm=False)",
            "keras.layers.BatchNormalization(axis=1, momentum=0.9)(x, training=False)",
        ),
        (
            "tf.layers.dense(tf.layers.flatten(x), 8)",
            "keras.layers.Dense(8)(keras.layers.Flatten()(x))",
        ),
        ("tf.layers.Dense(8, _reuse=None)(x)", "keras.layers.Dense(8)(x)"),
        ("tf.compat.v1.layers.dense(x, 8)", "keras.layers.Dense(8)(x)"),
        ("(tf.layers.dense(x, 8))", "(keras.layers.Dense(8)(x))"),
        (
            "tf.layers.dense(x, 8, kernel_regularizer=tf.contrib.layers.l2_regularizer(0.1))",
            "keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.5 * 0.1))(x)",
        ),
    ],
)
def test_calls(before, new):
    assert after(f"{before}\n") == f"{new}\n"
    assert decisions(f"{before}\n") == []


def test_layout_and_comments_stay():
    code = """net = tf.layers.conv2d(
    net,  # images
    filters=8,  # few

    kernel_size=3,
    reuse=False,  # never
    padding="same"
)
net = tf.layers.batch_normalization(
    net, fused=False,
    training=training,  # or not
    momentum=0.9,  # short
)
net = tf.layers.dense(inputs=net, units=8,
                      activation=None)
"""
    assert (
        after(code)
        == """net = keras.layers.Conv2D(  # images
    filters=8,  # few

    kernel_size=3,  # never
    padding="same"
)(net)
net = keras.layers.BatchNormalization(  # or not
    momentum=0.9,  # short
)(net, training=training)
net = keras.layers.Dense(units=8,
                      activation=None)(net)
"""
    )


def test_normalization_of_rows_is_converted_beside_images():
    code = """image = tf.layers.conv2d(image, 8, 3)
net = tf.layers.dense(image, 8)
net = tf.nn.relu(net)
net = tf.layers.batch_normalization(net)
"""
    assert "net = keras.layers.BatchNormalization()(net, training=False)" in after(code)
    assert not any("stays" in text for text in decisions(code))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("tf.layers.dropout(x, 0.2, seed=3)", "Keras drops other values for the same seed="),
        ("tf.layers.batch_normalization(x)", "with fused=False it is that of Keras"),
    ],
)
def test_layers_with_other_numbers_stay(code, reason):
    code = f"x = tf.layers.max_pooling2d(x, 2, 2)\nx = {code}\n"
    assert code.splitlines()[1].replace("tf.", "tf.compat.v1.") in after(code)
    assert any(reason in text for text in decisions(code))


def test_layers_stay_where_a_checkpoint_may_set_them_by_scope():
    code = """net = tf.layers.dense(tf.layers.flatten(x), 8, name="a")
tf.train.init_from_checkpoint("model", {"b/": "a/"})
"""
    assert "tf.compat.v1.layers.dense(keras.layers.Flatten()(x), 8" in after(code)
    assert "init_from_checkpoint sets the variables of a scope" in "\n".join(decisions(code))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("tf.layers.dense(x, 8, name='a', reuse=True)", "Keras 3 has no reuse=True; call a Keras"),
        ("tf.layers.dense(x, 8, name='a', reuse=r)", "Keras 3 has no reuse=r"),
        ("tf.layers.dense(x, 8, name='a/b')", "names of Keras layers have no slash"),
        ("tf.layers.dense(x, **options)", "its arguments are not all written out"),
        ("tf.layers.batch_normalization(x, renorm=True)", "Keras 3 has no renorm=True"),
        (
            "with tf.variable_scope('a', initializer=i): tf.layers.dense(x, 8)",
            "it obeys the initializer= of a variable_scope",
        ),
        ("partial(tf.layers.dense, units=8)", ""),
        ("class A(tf.layers.Layer): pass", ""),
    ],
)
def test_what_could_change_the_variables_stays(code, reason):
    assert "tf.compat.v1.layers." in after(f"{code}\n")
    assert reason in "\n".join(decisions(f"{code}\n"))
    result = migrated(f"{code}\n")
    changes = "\n".join(grouped(result.changes, result.line_name))
    assert "needs Keras 2: pip install 'kestimator[legacy]'" in changes
    assert 'os.environ["TF_USE_LEGACY_KERAS"] = "1"' in result.after
    assert "tf.compat.v1.disable_v2_behavior()" in result.after


def test_layers_without_names_are_counted_together():
    code = "tf.layers.dense(x, 8)\ntf.layers.dense(x, 8, **o)\ntf.layers.dense(x, 8, name='a')\n"
    assert after(code) == (
        "tf.compat.v1.layers.dense(x, 8)\ntf.compat.v1.layers.dense(x, 8, **o)\n"
        "keras.layers.Dense(8, name='a')(x)\n"
    )
    assert any("counted together with the layer in line 3" in text for text in decisions(code))


@pytest.mark.parametrize(
    "given",
    [
        "tf.layers.dense(x, 8, name='dense')",
        "tf.layers.dense(x, 8, name='dense_2')",
        "tf.layers.dense(x, 8, name='dense_%d' % i)",
        "tf.layers.dense(x, 8, name=f'dense_{i}')",
        "tf.layers.conv1d(x, 8, 2, name='dense')",
        "with tf.variable_scope('dense'): pass",
        "with tf.variable_scope(None, 'dense'): pass",
    ],
)
def test_names_like_counted_ones_are_counted_together(given):
    code = f"tf.layers.dense(x, 8)\n{given}\ntf.layers.conv2d(x, 1, 1)\n"
    text = after(code)
    assert "tf.compat.v1.layers.dense(x, 8)\n" in text
    assert "keras.layers.Conv2D(1, 1)(x)" in text
    assert "keras.layers.Dense" not in text
    assert any("count names such as 'dense' (line 3)" in text for text in decisions(code))


@pytest.mark.parametrize("name", ["'dense_layer'", "'my_dense'", "'denser'", "name", "'conv1d'"])
def test_other_names_are_not(name):
    code = f"tf.layers.dense(x, 8)\ntf.layers.dense(x, 8, name={name})\n"
    assert "tf.compat.v1.layers" not in after(code)


def test_pooling_obeys_no_scope():
    code = "with tf.variable_scope('a', initializer=i): tf.layers.flatten(x)\n"
    assert "keras.layers.Flatten()(x)" in after(code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "tf.layers.dense(x, 8)\nwith tf.variable_scope('a', regularizer=r):\n    f(x)\n",
            "line 3: Keras layers do not obey the regularizer= of a variable_scope",
        ),
        (
            "tf.layers.batch_normalization(x, fused=False, training=t)\n",
            "line 2: this file does not run UPDATE_OPS",
        ),
        (
            "tf.layers.batch_normalization(x)\n",
            "line 2: where batch normalization has inputs of four dimensions",
        ),
        (
            "a = tf.layers.Dense(8)\nb = tf.layers.Dense(8)\n",
            "lines 2, 3: several Dense objects have no name=",
        ),
    ],
)
def test_what_a_person_must_know(code, reason):
    (decision,) = decisions(code)
    assert decision.startswith(reason)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_keras_layers_take_the_arguments(name):
    function = FUNCTIONS[name]
    layer = getattr(keras.layers, function.keras_name)
    parameters = list(inspect.signature(layer).parameters)
    of_base = {"name", "trainable"}
    of_call = {"inputs", "training"}
    others = set(function.parameters) - of_base - of_call - set(NEEDLESS) - set(WITHOUT_EFFECT)
    if layer not in (keras.layers.BatchNormalization,):
        assert others <= set(parameters)
    count = function.positional
    assert list(function.parameters[1 : count + 1]) == parameters[:count]
    assert CLASSES[function.keras_name] is function
    assert function.automatic_name == name
