"""Puts the names of tf.estimator in place for programs, and takes them back."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from kestimator.legacy import names, served_modules

_lock = threading.Lock()
_finder = served_modules.Finder()
_ABSENT = object()
_COMPATIBLE = {
    "tensorflow.compat": tf.compat,
    "tensorflow.compat.v1": tf.compat.v1,
    "tensorflow.compat.v2": tf.compat.v2,
}
_aliases: list[str] = []
"""What `install` added to the imported modules."""
_before: list[tuple[Any, str, Any]] = []
"""What `install` changed: objects, the names of their attributes, and the values before."""


def install() -> None:
    """Puts the names that programs for tf.estimator import where they look for them.

    These are `tf.estimator`, `tf.compat.v1.estimator` with its canned estimators for TF 1, the
    package `tensorflow_estimator` with the modules below it that programs and libraries import,
    `tensorflow.python.estimator`, `tf.keras.estimator`, and, from the package `tf_keras`,
    `tf.compat.v1.layers` and `tf.compat.v1.nn.rnn_cell`. What TensorFlow has itself stays as it
    is. A second call changes nothing. Threads may call it.

        >>> import kestimator, tensorflow as tf
        >>> kestimator.install()
        >>> from tensorflow.estimator import DNNClassifier
        >>> DNNClassifier is kestimator.DNNClassifier
        True
        >>> kestimator.uninstall()
        >>> hasattr(tf, "estimator")
        False

    A name that does not exist here raises `errors.MissingNameError`, an `AttributeError` that says
    what to use instead.
    """
    with _lock:
        _install()


def install_and_note_layers() -> None:
    """As `install`, but notes uses of `tf.layers` and `rnn_cell` even where TensorFlow has them."""
    with _lock:
        _install(replaces_layers=True)


def _install(*, replaces_layers: bool = False) -> None:
    if _finder not in sys.meta_path:
        # The first one: a `tensorflow_estimator` that is installed needs an older TensorFlow.
        sys.meta_path.insert(0, _finder)
        for name, module in _COMPATIBLE.items():
            _alias(name, module)
        for owner, module in _owners():
            if not _has(owner, "estimator"):
                _put(owner, "estimator", served_modules.module(module))
        # TensorFlow's own modules of these names are empty without TF_USE_LEGACY_KERAS.
        if replaces_layers or not _has(tf.compat.v1.layers, "dense"):
            for v1 in _modules_of_tf1():
                _put(v1, "layers", served_modules.module("tensorflow.compat.v1.layers"))
                _put(v1.nn, "rnn_cell", served_modules.module("tensorflow.compat.v1.nn.rnn_cell"))


def extend(
    tables: names.Tables, module: str, values: Iterable[tuple[types.ModuleType, str, Any]]
) -> None:
    """Puts a further module of TF 1 in place, until `uninstall`. A second call changes nothing.

    Args:
        tables: The names below it.
        module: Its name, an attribute of `tf.compat.v1`.
        values: What else programs look for: modules, and names and values that they lack.
    """
    install()
    with _lock:
        if names.table_name(f"tensorflow.{module}") is not None:
            return
        names.add(tables)
        for v1 in _modules_of_tf1():
            _put(v1, module, served_modules.module(f"tensorflow.{module}"))
        for owner, name, value in values:
            if not _has(owner, name):
                _put(owner, name, value)


def uninstall() -> None:
    """Takes back what `install` put in place. Objects that a program holds go on working."""
    with _lock:
        if _finder not in sys.meta_path:
            return
        sys.meta_path.remove(_finder)
        served_modules.forget()
        names.forget_added()
        while _aliases:
            del sys.modules[_aliases.pop()]
        while _before:
            owner, name, value = _before.pop()
            if value is not _ABSENT:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)


def _alias(name: str, module: types.ModuleType) -> None:
    # `import tensorflow.compat.v1` makes a second module of `tf.compat.v1` and puts it in the place
    # of the first one. What is put into one of them would then be missing in the other.
    if name not in sys.modules:
        sys.modules[name] = module
        _aliases.append(name)


def _modules_of_tf1() -> list[Any]:
    """The modules `tf.compat.v1`.

    There is a second one if the program has imported it by that name. Each module for programs
    of a version has modules `compat.v1` and `compat.v2` of its own, too: what programs for TF 1
    call `tf.compat.v1` is `tf.compat.v1.compat.v1`.
    """
    modules = [
        tf.compat.v1,
        sys.modules["tensorflow.compat.v1"],
        _COMPATIBLE["tensorflow.compat.v1"],
    ]
    return _with_those_below([*modules, tf.compat.v2], "v1", modules)


def _modules_of_tf2() -> list[Any]:
    """The modules `tf` and `tf.compat.v2`, and those with the names of the latter."""
    return _with_those_below([*_modules_of_tf1(), tf.compat.v2], "v2", [tf, tf.compat.v2])


def _with_those_below(owners: list[Any], version: str, modules: list[Any]) -> list[Any]:
    below = [getattr(owner.compat, version) for owner in owners if _has(owner, "compat")]
    return list({id(module): module for module in [*modules, *below]}.values())


def _owners() -> Iterator[tuple[Any, str]]:
    """Yields the modules that have an attribute `estimator`, and the name of what it is."""
    yield tf.keras, "tensorflow.keras.estimator"
    for v2 in _modules_of_tf2():
        yield v2, "tensorflow.estimator" if v2 is tf else "tensorflow.compat.v2.estimator"
    for v1 in _modules_of_tf1():
        yield v1, "tensorflow.compat.v1.estimator"
        yield v1.keras, "tensorflow.compat.v1.keras.estimator"


def _has(owner: types.ModuleType, name: str) -> bool:
    try:
        return getattr(owner, name, None) is not None
    except ImportError:  # of a module that is loaded when it is needed
        return False


def _put(owner: Any, name: str, value: Any) -> None:
    _before.append((owner, name, vars(owner).get(name, _ABSENT)))
    setattr(owner, name, value)
