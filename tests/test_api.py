import json
import pathlib
import subprocess
import sys
import tomllib

import pytest

import kestimator


def test_all_is_sorted_and_without_repetition():
    assert list(kestimator.__all__) == sorted(set(kestimator.__all__))


@pytest.mark.parametrize("name", kestimator.__all__)
def test_name_is_there_and_documented(name):
    public = getattr(kestimator, name)
    assert public.__doc__ or public.__module__.startswith("tensorflow.")


def test_public_names_of_public_modules():
    """What users import. A name that goes, or comes, is a decision: it belongs in the changelog."""
    import importlib

    modules = (
        "",
        ".errors",
        ".experimental",
        ".export",
        ".heads",
        ".hooks",
        ".inputs",
        ".optimizers",
        ".tpu",
        ".tpu.experimental",
        ".v1",
    )
    found = {
        f"kestimator{name}": sorted(importlib.import_module(f"kestimator{name}").__all__)
        for name in modules
    }
    stored = pathlib.Path(__file__).with_name("public_names.json")
    assert found == json.loads(stored.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "module", ["errors", "experimental", "export", "hooks", "inputs", "optimizers", "tpu", "v1"]
)
def test_public_modules_have_the_names_that_they_list(module):
    public = getattr(kestimator, module)
    assert all(hasattr(public, name) for name in public.__all__)


def test_version_is_that_of_the_project():
    project = pathlib.Path(kestimator.__file__).parents[1] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == kestimator.__version__


def test_import_changes_nothing_global():
    """Importing neither adds names to TensorFlow, nor makes a graph, a seed or a handler."""
    program = """
import logging, random, warnings
import keras, numpy, tensorflow as tf
def state():
    return (
        sorted(dir(tf)), sorted(dir(keras)), sorted(dir(tf.compat.v1)),
        tf.executing_eagerly(), tf.compat.v1.get_default_graph().version,
        logging.root.handlers, logging.root.level, tf.get_logger().level,
        tf.get_logger().handlers, warnings.filters, random.getstate(),
        str(numpy.random.get_state()), tf.keras.backend.floatx(),
    )
before = str(state())
import kestimator
assert str(state()) == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
