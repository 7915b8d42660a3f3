"""Programs as text: names, imports and calls change, everything else stays."""

import textwrap

import pytest

from kestimator import errors, migration
from kestimator.migration.findings import grouped


def migrated(text, **options):
    text = textwrap.dedent(text).lstrip("\n")
    result = migration.migrate_source(text, **options)
    assert migration.migrate_source(result.after, **options).after == result.after
    return result


def after(text, **options):
    return migrated(text, **options).after


def decisions(text, **options):
    result = migrated(text, **options)
    return grouped(result.decisions, result.line_name)


def expected(text):
    return textwrap.dedent(text).lstrip("\n")


class TestImports:
    def test_one_import_is_added_and_unused_ones_go(self):
        before = """
            '''Trains.'''

            # The model.
            from tensorflow import estimator
            import numpy as np

            estimator.train_and_evaluate(
                estimator.Estimator(f),  # of f
                *specs)
            """
        assert after(before) == expected(
            """
            '''Trains.'''

            # The model.
            import kestimator
            import numpy as np

            kestimator.train_and_evaluate(
                kestimator.Estimator(f),  # of f
                *specs)
            """
        )

    def test_an_import_that_is_still_used_stays(self):
        before = """
            import os
            import tensorflow as tf
            x = tf.estimator.RunConfig, tf.constant(1)
            """
        assert after(before) == expected(
            """
            import os
            import kestimator
            import tensorflow as tf
            x = kestimator.RunConfig, tf.constant(1)
            """
        )

    def test_an_unused_import_that_nothing_changed_stays(self):
        text = "import tensorflow as tf\n"
        assert after(text) == text

    def test_objects_are_imported_from_where_they_are(self):
        before = """
            from tensorflow.estimator import (
                ModeKeys,  # the modes
                RunConfig as Config,
                BoostedTreesClassifier,
            )
            from tensorflow.python.estimator.canned.dnn import DNNClassifierV2
            Config(), ModeKeys.TRAIN, DNNClassifierV2
            """
        assert after(before) == expected(
            """
            from tensorflow.estimator import (
                BoostedTreesClassifier,
            )
            from kestimator import (
                ModeKeys,  # the modes
                RunConfig as Config,
            )
            from kestimator import DNNClassifier as DNNClassifierV2
            Config(), ModeKeys.TRAIN, DNNClassifierV2
            """
        )
        assert decisions(before) == [
            "line 1: TensorFlow has no tensorflow.estimator.BoostedTreesClassifier any more: this "
            "import fails"
        ]

    def test_modules_of_the_original(self):
        before = """
            from tensorflow_estimator.python.estimator import model_fn as model_fn_lib
            from tensorflow.python.estimator.inputs import numpy_io, pandas_io
            def f():
                from tensorflow_estimator.python.estimator.canned import dnn
                return dnn.DNNClassifierV2, numpy_io.numpy_input_fn
            model_fn_lib.ModeKeys.TRAIN
            """
        assert after(before) == expected(
            """
            import kestimator
            from tensorflow.python.estimator.inputs import pandas_io
            def f():
                return kestimator.DNNClassifier, kestimator.inputs.numpy_input_fn
            kestimator.ModeKeys.TRAIN
            """
        )

    def test_of_two_attempts_the_one_that_works_counts(self):
        before = """
            try:
                import tensorflow.compat.v1 as tf
            except ImportError:
                import tensorflow as tf
            tf.estimator.LinearClassifier, tf.get_variable, tf.log
            """
        assert after(before) == expected(
            """
            import kestimator
            try:
                import tensorflow.compat.v1 as tf
            except ImportError:
                import tensorflow as tf
            kestimator.v1.LinearClassifier, tf.get_variable, tf.log
            """
        )

    def test_a_block_is_never_empty(self):
        before = """
            try:
                from tensorflow_estimator import estimator
            except ImportError:
                from tensorflow import estimator
            estimator.RunConfig
            """
        assert after(before) == expected(
            """
            import kestimator
            try:
                pass
            except ImportError:
                pass
            kestimator.RunConfig
            """
        )

    def test_imports_of_tensorflow_1(self):
        before = """
            from tensorflow import get_variable, keras, losses
            import tensorflow.summary as summaries
            losses.mean_squared_error, get_variable, summaries.scalar, keras.layers
            """
        assert after(before) == expected(
            """
            from tensorflow.compat.v1 import get_variable, losses
            import tf_keras as keras
            import tensorflow.compat.v1.summary as summaries
            losses.mean_squared_error, get_variable, summaries.scalar, keras.layers
            """
        )

    def test_names_that_are_taken(self):
        before = """
            import tensorflow as tf
            kestimator = 3
            def f(keras):
                return tf.layers.dense(keras, 8), tf.estimator.ModeKeys
            """
        text = after(before)
        assert "import keras as keras_\nimport kestimator as kestimator_\n" in text
        assert "keras_.layers.Dense(8)(keras), kestimator_.ModeKeys" in text

    def test_existing_imports_are_used(self):
        before = """
            import kestimator as est
            import keras as k
            import tensorflow as tf
            tf.layers.dense(x, 8), tf.estimator.ModeKeys
            """
        assert after(before).endswith("k.layers.Dense(8)(x), est.ModeKeys\n")

    @pytest.mark.parametrize(
        ("before", "new"),
        [
            ("from tensorflow import keras", "import tf_keras as keras"),
            ("from tensorflow.keras import layers, models", "from tf_keras import layers, models"),
            (
                "from tensorflow.keras.layers import Dense as D",
                "from tf_keras.layers import Dense as D",
            ),
            ("import tensorflow.keras as K", "import tf_keras as K"),
            ("import tensorflow.keras.backend as K", "import tf_keras.backend as K"),
        ],
    )
    def test_keras_is_keras_2_in_programs_of_tf_estimator(self, before, new):
        use = "\nimport tensorflow as tf\ntf.estimator.ModeKeys\n"
        assert f"{new}\n" in after(before + use)
        assert after(f"{before}\nimport kestimator\n") == f"{before}\nimport kestimator\n"

    @pytest.mark.parametrize(
        "code", ["tf.log(x)", "tf.estimator.ModeKeys, d.make_one_shot_iterator()"]
    )
    def test_what_new_code_uses_stays_imported(self, code):
        assert "import tensorflow as tf\n" in after(f"import tensorflow as tf\n{code}\n")

    def test_a_star_is_left_to_a_person(self):
        assert decisions("from tensorflow.estimator import *\n") == [
            "line 1: import the names one by one, not * of tensorflow.estimator"
        ]

    def test_the_import_stands_behind_those_of_the_future(self):
        before = """
            '''Doc.'''
            from __future__ import division
            def f():
                import tensorflow as tf
                return tf.estimator.RunConfig()
            """
        assert after(before).startswith(
            "'''Doc.'''\nfrom __future__ import division\n\nimport kestimator\ndef f():\n"
        )


class TestNames:
    def test_local_names_are_respected(self):
        before = """
            import tensorflow as tf
            def f(tf, estimator):
                return tf.estimator.RunConfig, estimator.train
            class A:
                tf = 3
            """
        assert after(before) == expected(before)

    def test_a_name_that_is_assigned_again_is_left(self):
        before = "import tensorflow as tf\ntf = wrap(tf.x)\ntf.estimator.RunConfig()\n"
        result = migrated(before)
        assert result.after == before
        assert (3, "`tf` is also assigned to something else; left as it is") in [
            (finding.line, finding.text) for finding in result.decisions
        ]

    def test_a_failed_import_may_leave_none(self):
        before = """
            try:
                import tensorflow as tf
            except ImportError:
                tf = None
            tf.estimator.RunConfig(), tf.constant(1)
            """
        assert after(before).endswith("kestimator.RunConfig(), tf.constant(1)\n")

    def test_modules_as_values(self):
        assert after("import tensorflow as tf\nest = tf.estimator\nest.RunConfig\n") == (
            "import kestimator\nest = kestimator\nest.RunConfig\n"
        )

    @pytest.mark.parametrize(
        ("before", "new"),
        [
            (
                "tf.reduce_sum(x, reduction_indices=1, keep_dims=True)",
                "tf.reduce_sum(x, axis=1, keepdims=True)",
            ),
            ("tf.nn.softmax(x, dim=1)", "tf.nn.softmax(x, axis=1)"),
            ("tf.nn.dropout(x, 0.5)", "tf.compat.v1.nn.dropout(x, 0.5)"),
            ("tf.name_scope(None, 'a', [x])", "tf.compat.v1.name_scope(None, 'a', [x])"),
            ("tf.argmax(x, 1)", "tf.argmax(x, 1)"),
            ("tf.reduce_sum(*xs)", "tf.reduce_sum(*xs)"),
            (
                "d.batch(3).make_one_shot_iterator()",
                "tf.compat.v1.data.make_one_shot_iterator(d.batch(3))",
            ),
            (
                "tf.compat.v1.data.make_one_shot_iterator(d)",
                "tf.compat.v1.data.make_one_shot_iterator(d)",
            ),
            ("tf.GraphKeys.UPDATE_OPS", "tf.compat.v1.GraphKeys.UPDATE_OPS"),
            ("tf.train.LoggingTensorHook", "kestimator.LoggingTensorHook"),
            ("tf.contrib.tpu.TPUEstimator", "kestimator.tpu.TPUEstimator"),
            ("tf.contrib.data.AUTOTUNE", "tf.data.AUTOTUNE"),
            ("tf.contrib.layers.xavier_initializer()", "tf.compat.v1.glorot_uniform_initializer()"),
            ("tf.contrib.layers.l1_regularizer(0.1)", "keras.regularizers.L1(0.1)"),
            (
                "tf.contrib.layers.l2_regularizer(scale=a + b)",
                "keras.regularizers.L2(0.5 * (a + b))",
            ),
            ("tf.nn.rnn_cell.LSTMCell(3)", "tf.compat.v1.nn.rnn_cell.LSTMCell(3)"),
            ("(tf\n  .log)(3)", "(tf.math.log)(3)"),
        ],
    )
    def test_expressions(self, before, new):
        text = after(f"import tensorflow as tf\ntf.placeholder\n{before}\n")
        assert text.partition("tf.compat.v1.placeholder\n")[2] == f"{new}\n"

    def test_without_a_name_of_tensorflow_1_a_program_is_read_as_one_of_2(self):
        text = "import tensorflow as tf\nx = tf.summary.scalar, tf.estimator.DNNClassifier\n"
        assert "tf.summary.scalar, kestimator.DNNClassifier" in after(text)
        assert len(decisions(text)) == 2
        assert decisions(f"{text}tf.compat.v1.disable_v2_behavior()\n") == []
        assert "tf.compat.v1.summary.scalar, kestimator.v1.DNN" in after(text, is_tf1=True)
        assert "tf.compat.v1.summary.scalar, kestimator.v1.DNN" in after(f"{text}tf.log\n")

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("tf.contrib.training.HParams()", "tf.contrib.training.HParams is gone: use a class"),
            ("tf.contrib.layers.fully_connected(x, 3)", "use keras.layers.Dense"),
            ("tf.contrib.foo", "TensorFlow 2 has no tf.contrib"),
            ("tf.train.no_such_name", "the installed TensorFlow has no tf.train.no_such_name"),
            ("tf.estimator.BoostedTreesRegressor(c)", "use a library for boosted trees"),
            ("tf.keras.no_such_name", "Keras 2 has no tf.keras.no_such_name"),
            ("def f(x: 'tf.estimator.Estimator'): pass", "the annotation 'tf.estimator.Estimator'"),
        ],
    )
    def test_decisions(self, code, text):
        (decision,) = decisions(f"import tensorflow as tf\ntf.log(x)\n{code}\n")
        assert decision.startswith("line 3: ")
        assert text in decision


class TestLayout:
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_newlines_and_the_end_stay(self, newline):
        lines = ["import tensorflow as tf", "", "x = tf.estimator.RunConfig()  # é"]
        result = migration.migrate_source(newline.join(lines))
        new = ["import kestimator", "", "x = kestimator.RunConfig()  # é"]
        assert result.after == newline.join(new)

    def test_an_unrelated_program_stays(self):
        text = "x  =  {  1 :2}\nif x :\n\tpass  # odd\n"
        result = migration.migrate_source(text)
        assert result.after == text
        assert not result.is_changed
        assert result.changes == result.decisions == ()

    def test_the_report_has_lines_of_the_old_text(self):
        result = migrated("import tensorflow as tf\n\ntf.estimator.RunConfig\ntf.constant\n")
        assert grouped(result.changes, result.line_name) == [
            "line 3: tf.estimator.RunConfig -> kestimator.RunConfig"
        ]


class TestErrors:
    @pytest.mark.parametrize(
        "text", ["print 'a'\n", "try: pass\nexcept A, e: pass\n", "x = 0777\n", "raise A, 'b'\n"]
    )
    def test_python_2(self, text):
        with pytest.raises(errors.ProgramError, match=r"line \d.* looks like Python 2"):
            migration.migrate_source(text)

    def test_what_does_not_parse(self):
        with pytest.raises(errors.ProgramError, match=r"line 2: .*Correct it first"):
            migration.migrate_source("x = 1\ny = = 2\n")

    def test_without_libcst(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "libcst", None)
        with pytest.raises(errors.MissingPackageError, match=r"pip install 'kestimator\[legacy\]'"):
            migration.migrate_source("x = 1\n")


class TestBehavior:
    """What TensorFlow 2 does in another way."""

    @pytest.mark.parametrize(
        "code",
        [
            "tf.Session()",
            "tf.cond(a, b, c)",
            "tf.while_loop(a, b, c)",
            "tf.placeholder(tf.int32)",
            "def main(_):\n    tf.placeholder(tf.int32)",
            "tf.nn.rnn_cell.LSTMCell(3)",
        ],
    )
    def test_tensorflow_1_stays_where_it_matters(self, code):
        text = after(f"import tensorflow as tf\ntf.log(x)\n{code}\n")
        assert "import tensorflow as tf\n\ntf.compat.v1.disable_v2_behavior()\n" in text

    def test_keras_layers_get_shapes_of_tensorflow_2(self):
        text = after("import tensorflow as tf\ntf.Session()\nx = tf.layers.dense(x, 3)\n")
        behavior = "tf.compat.v1.disable_v2_behavior()\ntf.compat.v1.enable_v2_tensorshape()"
        assert behavior in text
        assert after(text) == text

    @pytest.mark.parametrize(
        "code",
        [
            "def f():\n    tf.placeholder(tf.int32)",
            "tf.disable_v2_behavior()\ntf.cond(a, b, c)",
            "tf.nn.relu(x)",
        ],
    )
    def test_and_nowhere_else(self, code):
        text = after(f"import tensorflow as tf\ntf.log(x)\n{code}\n")
        assert "\n\ntf.compat.v1.disable_v2_behavior()" not in text

    def test_variable_of_keras_2_stands_before_all_imports(self):
        before = """
            '''Doc.'''
            import os
            import numpy as np
            import tensorflow as tf
            tf.log(tf.keras.layers.Dense(3), os, np)
            """
        assert after(before) == expected(
            """
            '''Doc.'''
            import os

            os.environ["TF_USE_LEGACY_KERAS"] = "1"  # before TensorFlow

            import numpy as np
            import tensorflow as tf

            tf.compat.v1.disable_v2_behavior()

            tf.math.log(tf.compat.v1.keras.layers.Dense(3), os, np)
            """
        )

    def test_dimensions_are_numbers(self):
        before = (
            "import tensorflow as tf\n"
            "tf.log(x.shape[1].value, x.get_shape()[-1].value, y[1].value)\n"
        )
        assert after(before) == (
            "import tensorflow as tf\ntf.math.log(tf.compat.dimension_value(x.shape[1]), "
            "tf.compat.dimension_value(x.get_shape()[-1]), y[1].value)\n"
        )
