"""Imports of what is not here fail at the first use, unless the program has a way to go on."""

import contextlib
import importlib
import linecache
import sys
import types

import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.command_line import reports
from kestimator.legacy import contrib, usage

v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def installed():
    contrib.install()
    yield
    kestimator.uninstall()


def run(source):
    """Runs a program whose source Python finds, and returns its names."""
    path = "a_program.py"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    namespace = {"__name__": "a_program"}
    try:
        exec(compile(source, path, "exec"), namespace)
    finally:
        del linecache.cache[path]
    return namespace


def test_imports_that_nothing_uses():
    import tensorflow.contrib.crf as crf
    from tensorflow.contrib import (
        layers,
        seq2seq,
    )
    from tensorflow.contrib.layers import conv2d, crossed_column
    from tensorflow.contrib.learn.python.learn.datasets.mnist import read_data_sets
    from tensorflow.estimator import BoostedTreesClassifier
    from tensorflow_estimator.python.estimator.canned.timeseries import model

    assert layers.conv2d is conv2d
    placeholders = [crf, seq2seq, crossed_column, read_data_sets, BoostedTreesClassifier, model]
    assert "tensorflow_addons.seq2seq" in repr(seq2seq)
    assert len({*placeholders}) == len(placeholders)


@pytest.mark.parametrize(
    "use",
    [
        lambda column: column(["a", "b"], 10),
        lambda column: column.key,
        lambda column: types.new_class("Column", (column,)),
        lambda column: isinstance("a", column),
        lambda column: issubclass(str, column),
        lambda column: column == "a",
        lambda column: column["a"],
        list,
    ],
)
def test_first_use(use):
    from tensorflow.contrib.layers import crossed_column

    with pytest.raises(errors.MissingNameError, match=r"'crossed_column'. .* Its hash differs"):
        use(crossed_column)


def test_errors_name_the_replacement():
    from tensorflow.contrib import seq2seq
    from tensorflow.contrib.learn.python.learn.datasets.mnist import read_data_sets

    with pytest.raises(errors.MissingNameError, match=r"tensorflow_addons\.seq2seq"):
        seq2seq.AttentionWrapper  # noqa: B018
    with pytest.raises(errors.MissingNameError, match=r"keras\.datasets"):
        read_data_sets("/tmp/data")


@pytest.mark.parametrize("error", ["ImportError", "ModuleNotFoundError", "Exception", ""])
def test_programs_with_a_way_to_go_on(error):
    names = run(
        f"""
try:
    from tensorflow.contrib import seq2seq
except {error}:
    seq2seq = None
try:
    from tensorflow.contrib.layers import crossed_column
except {error}:
    crossed_column = None
"""
    )
    assert names["seq2seq"] is None
    assert names["crossed_column"] is None


def test_a_way_to_go_on_further_out():
    names = run(
        """
def backend():
    from tensorflow.contrib import cudnn_rnn
    return cudnn_rnn

try:
    cells = backend()
except ImportError:
    cells = None
try:
    cells_of_a_caller_that_catches_all = backend()
except Exception:
    cells_of_a_caller_that_catches_all = None
"""
    )
    assert names["cells"] is None
    assert names["cells_of_a_caller_that_catches_all"] is not None


def test_a_guard_elsewhere():
    names = run(
        """
try:
    import json
except ImportError:
    json = None
try:
    from tensorflow.contrib import ffmpeg
except KeyError:
    ffmpeg = None
try:
    import no_such_module
except ImportError:
    from tensorflow.contrib import ignite
"""
    )
    assert names["ffmpeg"] is not None
    assert names["ignite"] is not None


def test_suppress():
    with contextlib.suppress(ImportError):
        from tensorflow.contrib import kafka

        pytest.fail(f"{kafka} was imported")


def test_what_cannot_wait():
    with pytest.raises(ModuleNotFoundError, match="tensorflow_probability"):
        run("from tensorflow.contrib.bayesflow import *")
    with pytest.raises(ModuleNotFoundError, match="tensorflow_probability"):
        importlib.import_module("tensorflow.contrib.bayesflow")
    with pytest.raises(ModuleNotFoundError, match="tensorflow_probability"):
        exec("import tensorflow.contrib.bayesflow")  # has no source to look at
    assert not hasattr(v1.contrib, "bayesflow")


def test_a_name_that_tensorflow_lacks_is_no_module_of_the_original():
    with pytest.raises(ModuleNotFoundError, match="No module named 'tensorflow.contribution'"):
        run("import tensorflow.contribution")


def test_uninstall():
    run("from tensorflow.contrib import seq2seq")
    assert "tensorflow.contrib.seq2seq" in sys.modules
    kestimator.uninstall()
    assert "tensorflow.contrib.seq2seq" not in sys.modules


def test_report():
    with usage.recorded() as uses:
        from tensorflow.contrib import seq2seq  # noqa: F401
    assert reports.report(uses).splitlines()[1].split(maxsplit=2)[2] == (
        "not here. Use tensorflow_addons.seq2seq, or keras.layers.Attention."
    )
