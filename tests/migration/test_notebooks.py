"""The code cells of a notebook are migrated as one program; nothing else in the file changes."""

import json

import pytest

from kestimator import errors, migration
from kestimator.migration.findings import grouped


def notebook(*cells, indent=1, **options):
    kinds = {"text": "markdown"}
    data = {
        "cells": [
            {
                "cell_type": kinds.get(kind, "code"),
                "metadata": {"é": 1},
                "outputs": ["tf.estimator"],
                "source": source if options.get("whole") else source.splitlines(keepends=True),
            }
            for kind, source in cells
        ],
        "nbformat": 4,
    }
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"


def sources(text):
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_cells_that_are_timed_are_python():
    text = notebook(
        ("code", "import tensorflow as tf"),
        ("code", "%%time\nconfig = tf.estimator.RunConfig()"),
    )
    assert sources(migration.migrate_notebook(text).after) == [
        "import kestimator",
        "%%time\nconfig = kestimator.RunConfig()",
    ]


def test_imports_of_one_cell_are_followed_into_others():
    text = notebook(
        ("text", "Use `tf.estimator`."),
        ("code", "%matplotlib inline\nimport tensorflow as tf\n!pip install x"),
        ("code", "%%bash\necho tf.estimator"),
        (
            "code",
            "config = tf.estimator.RunConfig()\nfiles = !ls\nconfig?\nif config:\n    %time f()",
        ),
        ("code", "!python train.py \\\n    --tf.estimator \\\n  -x\ny = 1"),
        ("code", ""),
        ("code", "net = tf.layers.dense(x, 8)  # eight\n"),
    )
    result = migration.migrate_notebook(text)
    assert sources(result.after) == [
        "Use `tf.estimator`.",
        "%matplotlib inline\nimport keras\nimport kestimator\n!pip install x",
        "%%bash\necho tf.estimator",
        "config = kestimator.RunConfig()\nfiles = !ls\nconfig?\nif config:\n    %time f()",
        "!python train.py \\\n    --tf.estimator \\\n  -x\ny = 1",
        "",
        "net = keras.layers.Dense(8)(x)  # eight\n",
    ]
    assert grouped(result.changes, result.line_name) == [
        "cell 4, line 1: tf.estimator.RunConfig -> kestimator.RunConfig",
        "cell 7, line 1: the first name of TensorFlow 1: read as a program of its time",
        "cell 7, line 1: tf.layers.dense -> keras.layers.Dense(...)(...)",
        "cell 7, line 1: in a new model_dir, the layer starts from other random numbers of the "
        "same distribution; in an old one, it trains on",
    ]
    assert grouped(result.decisions, result.line_name) == [
        "cell 5, line 2: a magic or a shell command stays: --tf.estimator \\"
    ]
    again = migration.migrate_notebook(result.after)
    assert again.after == result.after
    assert not again.is_changed


@pytest.mark.parametrize("indent", [1, 2, "\t", None])
@pytest.mark.parametrize("whole", [True, False])
def test_the_layout_of_the_file_stays(indent, whole):
    before = notebook(
        ("code", "import tensorflow as tf\ntf.estimator.RunConfig()"), indent=indent, whole=whole
    )
    after = notebook(
        ("code", "import kestimator\nkestimator.RunConfig()"), indent=indent, whole=whole
    )
    assert migration.migrate_notebook(before).after == after


def test_a_notebook_without_such_names_stays_byte_for_byte():
    text = notebook(("code", "x = 1")).replace("1", "1  ")
    result = migration.migrate_notebook(text)
    assert result.after == text
    assert not result.is_changed


def test_magics_with_such_names_are_reported():
    text = notebook(("code", "import tensorflow as tf\n%time tf.estimator.RunConfig()"))
    result = migration.migrate_notebook(text)
    assert grouped(result.decisions, result.line_name) == [
        "cell 1, line 2: a magic or a shell command stays: %time tf.estimator.RunConfig()"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "No notebook of version 4"),
        ('{"worksheets": []}', "No notebook of version 4"),
        ("[]", "No notebook of version 4"),
        (notebook(("text", "a"), ("code", "x = 1\nprint 'a'")), r"cell 2, line 2.*Python 2"),
    ],
)
def test_errors(text, message):
    with pytest.raises(errors.ProgramError, match=message):
        migration.migrate_notebook(text)
